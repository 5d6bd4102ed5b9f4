"""The commands of docs/: each names a verb, a recipe and options that exist, and the quick ones run.

Quick are those that need nothing but handwritten digits; the others are listed, with the reason, in docs_not_run.txt.
"""

import re
import shlex
from collections.abc import Callable
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from PIL import Image

import alexnet
from alexnet.cli.app import command_of
from alexnet.cli.registry import VERBS
from alexnet.recipes import recipe as recipes

ROOT = Path(__file__).parents[1]
_PROMPT = r"^(?:\$ |    |timeout \S+ \S+ \d+ |[A-Z_]+=\S+ )*"
NOT_RUN = [
    line
    for line in Path(__file__).with_name("docs_not_run.txt").read_text(encoding="utf-8").splitlines()
    if line and not line.startswith("# ")
]


def commands() -> list[tuple[str, str]]:
    """(document, command) for every line of a block that begins with `alexnet`, continued lines joined."""
    found = []
    for page in sorted((ROOT / "docs").rglob("*.md")):
        name = str(page.relative_to(ROOT))
        if name.startswith("docs/reference/"):  # written by a program; it holds no commands
            continue
        text = re.sub(r" *\\\n\s*", " ", page.read_text(encoding="utf-8"))
        blocks = "\n".join(re.findall(r"^```(?:sh|console)\n(.*?)^```", text, re.MULTILINE | re.DOTALL))
        lines = [*blocks.splitlines(), *re.findall(r"^    .*$", text, re.MULTILINE)]
        for line in lines:
            if start := re.match(_PROMPT + r"(?=alexnet [a-z-]+( |$))", line):
                words = line[start.end() :].split("  #")[0].strip()
                found.append((name, words))
    return list(dict.fromkeys(found))


COMMANDS = commands()


def listed(page: str, line: str) -> bool:
    return any(fnmatchcase(f"{page} {line}", each) for each in NOT_RUN)


RUN = [each for each in COMMANDS if not listed(*each)]


@pytest.mark.parametrize(("page", "line"), COMMANDS)
def test_verb_recipe_and_options_exist(page: str, line: str) -> None:
    _, verb, *words = shlex.split(line)
    assert verb in VERBS
    options = {name for each in command_of(verb).params for name in (*each.opts, *each.secondary_opts)}
    for word in (each.strip("[]") for each in words):  # [--size 256]: may be left out
        if word.startswith("--"):
            assert word.split("=")[0] in options, f"{page}: {word}"
    if verb == "train" and words and re.fullmatch(r"[a-z0-9-]+", words[0]) and not words[0].startswith("-"):
        assert words[0] in recipes.names()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the commands run: two class folders of patients' images, and the same with tables of one label and of
    several."""
    root, digits = tmp_path_factory.mktemp("docs"), alexnet.dataset("digits")
    rows, columns, joined = ["file,label"], ["file,square,disc,stripe"], ["file,label"]
    (root / "images").mkdir()
    for index in range(60):
        image, label = digits[index]
        place = root / "my-images" / str(label % 2)
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[:, :, 0]).save(place / f"patient{index // 3}_{index}.png")
        Image.fromarray(image[:, :, 0]).save(root / "images" / f"{index}.png")
        rows.append(f"{index}.png,{'odd' if label % 2 else 'even'}")
        own = [label % 2 == 0, label > 6, label in (1, 2, 4)]
        columns.append(f"{index}.png,{','.join(str(int(there)) for there in own)}")
        names = [name for name, there in zip(("square", "disc", "stripe"), own, strict=True) if there]
        joined += [f"{index}.png,{'|'.join(names)}"] if names else []
    for table in ("labels.csv", "images/labels.csv"):
        (root / table).write_text("\n".join(rows) + "\n")
    for name, lines in (("columns.csv", columns), ("joined.csv", joined)):
        (root / name).write_text("\n".join(lines) + "\n")
    return root


_RUNS = {"labels.csv": "RUN", "columns.csv": "TAGGED", "joined.csv": "JOINED"}
"""The runs of the tables, which later commands name."""


@pytest.mark.usefixtures("bare")
def test_quick_commands(folder: Path, command: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    """In their order, and so in one test; a training lasts one epoch."""
    monkeypatch.chdir(folder)
    for number, (page, line) in enumerate(RUN):
        words = ["2" if word == "5" else word for word in shlex.split(line)[1:]]
        if words[0] == "train":
            words += ["--epochs", "1"]
        if words[0] == "train" and "--data" in words:
            words += [
                "--out",
                _RUNS.get(words[words.index("--labels") + 1], "") if "--labels" in words else f"run{number}",
            ]
            words += ["--set", "model.name=alexnet-digits", "--set", "data.resize=8"]
        ended = command(*words)
        assert ended.code in (0, 3), (page, line, ended)  # 3: done, and something was found


def test_the_list_names_only_commands_that_are_there() -> None:
    assert COMMANDS
    assert RUN
    unknown = [each for each in NOT_RUN if not any(fnmatchcase(f"{page} {line}", each) for page, line in COMMANDS)]
    assert unknown == []
