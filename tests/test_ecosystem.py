"""The blocks of docs/ECOSYSTEM.md train: each library's, where it is installed."""

import re
from pathlib import Path
from typing import Any

import pytest

PAGE = Path(__file__).parents[1] / "docs" / "ECOSYSTEM.md"
BLOCKS = dict(re.findall(r"^## ([\w-]+)\n\n```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.M | re.S))
PACKAGES = {"scikit-learn": "sklearn", "skorch": "skorch", "Lightning": "lightning"}


def test_every_block_is_run() -> None:
    assert BLOCKS.keys() == PACKAGES.keys()


@pytest.mark.filterwarnings("ignore::Warning:lightning")
@pytest.mark.filterwarnings("ignore:.*num_workers.*")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("name", PACKAGES)
def test_a_block_trains(name: str) -> None:
    pytest.importorskip(PACKAGES[name], reason=f"{name} is not installed")
    found: dict[str, Any] = {"__name__": "example"}
    exec(compile(BLOCKS[name], f"{PAGE.name}: {name}", "exec"), found)
    assert found["accuracy"] > 0.8  # 0.1 by chance
