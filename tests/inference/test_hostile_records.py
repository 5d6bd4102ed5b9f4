"""A record beside features that does not fit them is one line."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from alexnet.errors import InputError
from alexnet.inference import recheck
from alexnet.inference.feature_table import Features

CENTERED = {"center": True, "pca": None, "l2": False}


@pytest.mark.parametrize(
    ("said", "beside", "what"),
    [
        ({}, b"", "not of this version"),
        ({"transform": 3}, b"", "not of this version"),
        ({"transform": {"center": True}}, b"", "not of this version"),
        ({"transform": CENTERED}, None, "must lie beside it"),
        ({"transform": CENTERED}, b"damaged", "not a readable safetensors file"),
    ],
)
def test_what_was_done_to_rows_is_one_line(tmp_path: Path, said: Any, beside: bytes | None, what: str) -> None:
    if beside is not None:
        (tmp_path / "f.npy.transform.safetensors").write_bytes(beside)
    with pytest.raises(InputError, match=what):
        recheck.transform_of(said, Features(tmp_path / "f.npy", {"fc7": np.ones((4, 2))}))
