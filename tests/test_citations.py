"""What code and documents cite of this repository is there: files, modules, functions, `make` targets."""

import importlib
import importlib.util
import re
import shlex
from pathlib import Path

import mutations
import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "src").rglob("*.py"))
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
_FILE = re.compile(r"(?<![\w/.$-])((?:docs|tests|parity|src|fuzz|audit)/[\w./-]*\w\.(?:py|md|txt|toml|json|png|svg))")
_NAME = re.compile(r"`(alexnet(?:\.[a-z_]+)+)`")


def said(paths: list[Path], pattern: re.Pattern[str]) -> list[tuple[str, str]]:
    """(file, what it cites), each once."""
    found = {
        (str(path.relative_to(ROOT)), each)
        for path in paths
        for each in pattern.findall(path.read_text(encoding="utf-8"))
    }
    return sorted(found)


def test_cited_files_are_there() -> None:
    tests = [*sorted((ROOT / "tests").rglob("*.py")), *sorted((ROOT / "parity").rglob("*.py"))]
    cited = said([*SOURCES, *tests, *DOCUMENTS], _FILE)
    assert len(cited) > 30
    assert [each for each in cited if not (ROOT / each[1]).is_file()] == []


@pytest.mark.parametrize("name", sorted({name for _, name in said(SOURCES, _NAME)}))
def test_a_cited_module_or_function_is_there(name: str) -> None:
    module, _, last = name.rpartition(".")
    assert hasattr(importlib.import_module(module), last) or importlib.util.find_spec(name)


def test_make_targets_and_modules_that_documents_run_are_there() -> None:
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    made = said(DOCUMENTS, re.compile(r"^(?:    |\$ |`)?make ([a-z-]+)", re.MULTILINE))
    assert [each for each in made if each[1] not in targets] == []
    run = said(DOCUMENTS, re.compile(r"python -m (alexnet[\w.]*)"))
    assert run
    assert [each for each in run if importlib.util.find_spec(each[1]) is None] == []


def test_the_list_of_mutations_follows_the_code() -> None:
    listed = mutations.read()
    assert len(listed) >= 150
    for each in listed:
        assert (mutations.SOURCE / each.file).read_text(encoding="utf-8").count(each.old) == 1, each
        assert each.mutated((mutations.SOURCE / each.file).read_text(encoding="utf-8"))
        assert [
            file for file in shlex.split(each.tests) if file.endswith(".py") and not (ROOT / "tests" / file).is_file()
        ] == []
