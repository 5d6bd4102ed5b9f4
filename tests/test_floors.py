"""The house keeps its rules: imports go downward only, files stay short, and nothing untrusted is unpickled."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import alexnet
from alexnet.cli.reference import FLOORS

ROOT = Path(alexnet.__file__).parent
FLOOR = {name: number for number, names in enumerate(FLOORS) for name in names}
FILES = sorted(ROOT.rglob("*.py"))
LONGEST = 350  # lines: "no file much over 300"


def _room(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def _imports(path: Path) -> Iterator[str]:
    """The rooms that a file imports from."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: a relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            first, *rest = name.split(".")
            if first == "alexnet" and rest and rest[0] != "__version__":
                yield rest[0]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_downward_only(path: Path) -> None:
    room = _room(path)
    if room in ("__init__", "__main__"):
        return  # the front door opens every room
    assert room in FLOOR, f"{room} needs a floor"
    wrong = {other for other in _imports(path) if other != room and FLOOR[other] >= FLOOR[room] > 0}
    wrong |= {other for other in _imports(path) if FLOOR[other] > FLOOR[room]}
    assert not wrong, f"{path.name} on floor {FLOOR[room]} imports {wrong}"


def test_no_file_is_long() -> None:
    lengths = {str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines()) for path in FILES}
    assert {name: length for name, length in lengths.items() if length > LONGEST} == {}


def _forbidden(call: ast.Call) -> bool:
    name = ast.unparse(call.func)
    named = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
    return (
        (name == "torch.load" and named.get("weights_only") != "True")
        or name in ("pickle.load", "pickle.loads", "eval", "exec", "os.system")
        or name.endswith(".extractall")
        or named.get("allow_pickle") == "True"
        or named.get("shell") == "True"
    )


def test_nothing_untrusted_is_run() -> None:
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            assert not (isinstance(node, ast.Call) and _forbidden(node)), f"{path.name}:{node.lineno}"


def test_only_the_screen_prints() -> None:
    """What is printed comes from other people's files: `cli/screen.py` makes their control characters harmless.
    Benchmark scripts print figures of their own only."""
    for path in FILES:
        if path != ROOT / "cli" / "screen.py" and path.parent != ROOT / "benchmark" / "scripts":
            calls = (n for n in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(n, ast.Call))
            names = {ast.unparse(call.func) for call in calls}
            assert not names & {"print", "typer.echo", "sys.stdout.write", "sys.stderr.write"}, path.name
