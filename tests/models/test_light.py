"""Listing the catalog and its costs imports neither torch nor numpy."""

import subprocess
import sys

HEAVY = {"torch", "numpy", "PIL", "safetensors", "scipy", "sklearn", "matplotlib", "pydantic"}
CODE = """
import sys
from alexnet.models.catalog import CATALOG
from alexnet.models.summary import outline
assert all(outline(name).parameters == spec.parameters for name, spec in CATALOG.items())
print(" ".join({name.partition(".")[0] for name in sys.modules}))
"""


def test_listing_the_catalog_is_light() -> None:
    found = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True).stdout.split()
    assert set(found) & HEAVY == set()
