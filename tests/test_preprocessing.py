"""Preprocessing travels: it survives JSON, and an impossible one is refused."""

import json
from typing import Any

import pytest

from alexnet.errors import InputError
from alexnet.preprocessing import Preprocessing


def test_it_survives_json() -> None:
    own = Preprocessing((227, 227), resize=256, colors="BGR", scale=1.0, mean=(104.0, 117.0, 123.0))
    assert Preprocessing.from_json(json.loads(json.dumps(own.to_json()))) == own


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"fit": "stretch"}, "choose one of: crop, squash"),
        ({"colors": "RGBA"}, "choose one of: RGB, BGR, L"),
        ({"mean": (1.0, 2.0)}, "2 numbers for 3 channels"),
        ({"std": (0.0,)}, "above 0"),
    ],
)
def test_the_impossible_is_refused(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        Preprocessing((8, 8), **wrong)


def test_channels_follow_the_colors() -> None:
    assert [Preprocessing((8, 8), colors=colors).channels for colors in ("L", "RGB", "BGR")] == [1, 3, 3]
