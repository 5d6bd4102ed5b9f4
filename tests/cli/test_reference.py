"""The references in docs/ and the table of rooms in CONTRIBUTING.md are what the code says."""

from pathlib import Path

from alexnet.cli.reference import pages
from alexnet.cli.registry import VERBS

ROOT = Path(__file__).parents[2]


def test_what_is_generated_is_up_to_date() -> None:
    for path, text in pages(ROOT):
        assert path.read_text(encoding="utf-8") == text, f"{path.name}: run python -m alexnet.cli.reference"


def test_the_references_are_whole() -> None:
    texts = {path.name: text for path, text in pages(ROOT)}
    assert all(f"## alexnet {verb}\n" in texts["cli.md"] for verb in VERBS)
    assert "| `optimizer.lr` | `0.001` | learning rate |" in texts["recipes.md"]
    assert "## alexnet.train" in texts["api.md"]
    assert "| 8 | `cli/` |" in texts["CONTRIBUTING.md"]
    assert "|  |" not in texts["CONTRIBUTING.md"], "a room lacks its line"
