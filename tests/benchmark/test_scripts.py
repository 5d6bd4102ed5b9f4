"""Programs with an argument parser of their own: each value that they read is one that the parser knows."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAMS = sorted(
    str(path.relative_to(ROOT))
    for folder in ("src", "fuzz", "audit", "parity", "tests")
    for path in (ROOT / folder).rglob("*.py")
    if "ArgumentParser(" in path.read_text() and path != Path(__file__)
)
UNSEEN = ("tests/wheels.py",)
"""It reads its one value in the expression that parses."""


def declared(tree: ast.AST) -> set[str]:
    """The values that `add_argument` declares: dest, or the first long option, or the positional."""
    found = set()
    for call in ast.walk(tree):
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == "add_argument":
            names = [str(each.value) for each in call.args if isinstance(each, ast.Constant)]
            dest = [str(each.value.value) for each in call.keywords
                    if each.arg == "dest" and isinstance(each.value, ast.Constant)]  # fmt: skip
            long = [name for name in names if name.startswith("--")]
            found.add((dest or long or names)[0].lstrip("-").replace("-", "_"))
    return found


def read(tree: ast.AST) -> set[str]:
    """The attributes that are read of what `parse_args` returned, by the name that it was given."""
    names = {
        target.id
        for each in ast.walk(tree)
        if isinstance(each, ast.Assign) and isinstance(each.value, ast.Call)
        and isinstance(each.value.func, ast.Attribute) and each.value.func.attr == "parse_args"
        for target in each.targets if isinstance(target, ast.Name)
    }  # fmt: skip
    return {
        each.attr
        for each in ast.walk(tree)
        if isinstance(each, ast.Attribute) and isinstance(each.value, ast.Name) and each.value.id in names
    }


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_reads_only_arguments_that_it_declares(program: str) -> None:
    tree = ast.parse((ROOT / program).read_text())
    assert read(tree) <= declared(tree)
    assert read(tree) or program in UNSEEN, "it reads nothing that this test can see"
