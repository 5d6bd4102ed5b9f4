"""docs/FAMILY.md is written by hand and must not drift from the catalog."""

from pathlib import Path

import pytest

from alexnet.models import catalog

PAGE = (Path(__file__).parents[2] / "docs/FAMILY.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", catalog.CATALOG)
def test_the_family_page_tells_every_network_as_the_catalog_does(name):
    spec = catalog.get(name)
    (row,) = (line for line in PAGE.splitlines() if line.startswith(f"| `{name}` |"))
    shape = "×".join(map(str, spec.input))
    assert row.startswith(f"| `{name}` | {spec.dated} | {spec.parameters:,} | {shape} |")
    assert row.endswith(f"| {spec.source} |")
    assert all(f"- `{name}`: {trap}." in PAGE for trap in spec.traps)
