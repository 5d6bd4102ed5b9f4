"""Small values that a card holds: normalization, and what augmentation did."""

from typing import Annotated, Literal

from pydantic import Field

from alexnet.artifacts.values import Count, Flag, Number, Text, Value

PerChannel = Annotated[tuple[Number, ...], Field(min_length=1, max_length=4)]


class LRN(Value):
    """One layer's local response normalization: `alexnet.models.layers.LocalResponseNorm` explains the constants."""

    layer: Text
    size: Count
    alpha: Number
    beta: Number
    k: Number
    divide: Flag
    groups: Count


class Shifts(Value):
    """What training's augmentation says about views: the furthest shift (a fraction of the side) and its border."""

    shift: Annotated[float, Field(strict=True, ge=0, le=1)] = 0.0
    fill: Literal["mean", "black", "edge"] = "mean"


class Colors(Value):
    """PCA color augmentation: the components of the training images' colors, and how they were used."""

    eigenvalues: PerChannel
    eigenvectors: Annotated[tuple[PerChannel, ...], Field(min_length=1, max_length=4)]
    images: Count
    strength: Number
    form: Text
    until: Number | None
    """The first epoch without it; None: none."""
