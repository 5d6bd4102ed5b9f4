"""How each network is shown: said once, in FAMILY's column, and true of what parity/ and tests/ compare."""

from pathlib import Path

import pytest

from alexnet.models import catalog
from alexnet.verify.shown import SHOWN, shown

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/FAMILY.md").read_text(encoding="utf-8")
COMPARED = "\n".join(
    path.read_text(encoding="utf-8") for path in (*ROOT.glob("parity/*.py"), ROOT / "tests/models/test_resnet.py")
)


@pytest.mark.parametrize("name", catalog.CATALOG)
def test_the_family_page_says_how_each_is_shown(name: str) -> None:
    (row,) = (line for line in PAGE.splitlines() if line.startswith(f"| `{name}` |"))
    assert row.endswith(f"| {shown(name)} | {catalog.get(name).source} |")


@pytest.mark.parametrize("name", [name for name, how in SHOWN.items() if how.startswith("function")])
def test_what_is_said_to_be_compared_is(name: str) -> None:
    by_depth = name.endswith("-projection") and '"depth", [20]' in COMPARED
    assert f'"{name}"' in COMPARED or by_depth


def test_only_networks_of_the_catalog_and_each_has_its_sister() -> None:
    assert set(SHOWN) <= set(catalog.CATALOG)
    assert shown("resnet-110") == "count and blocks; function as resnet-20"
    assert shown("resnet-152-v2").endswith("resnet-50-v2")
    assert shown("resnet-164-v2").endswith("resnet-29-v2")
