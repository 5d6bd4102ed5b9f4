"""docs/CASES.md and docs/MUTATIONS.md name tests that exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NAMED = re.findall(r"(tests/[\w/]+\.py)::(\w+)", (ROOT / "docs" / "CASES.md").read_text())
DEFINED = set(re.findall(r"^def (test_\w+)", "\n".join(p.read_text() for p in ROOT.glob("tests/**/test_*.py")), re.M))


@pytest.mark.parametrize(("file", "test"), sorted(set(NAMED)))
def test_every_case_has_its_test(file: str, test: str) -> None:
    assert re.search(rf"^def {test}\(", (ROOT / file).read_text(), re.M)


def test_every_row_of_the_cases_names_a_test() -> None:
    rows = [line for line in (ROOT / "docs" / "CASES.md").read_text().splitlines() if line.startswith("| ")][1:]
    assert len(rows) == len(NAMED) > 30


def test_every_mutation_names_a_test() -> None:
    text = (ROOT / "docs" / "MUTATIONS.md").read_text()
    named = re.findall(r"(?<![\w/])(test_\w+)(?!\w*\.py)", text)
    assert len(named) > 40
    assert set(named) <= DEFINED, set(named) - DEFINED
