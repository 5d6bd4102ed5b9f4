"""Every network by name: what it is, and how to make it. Its table is plain data: only `create` imports torch."""

import dataclasses
from typing import TYPE_CHECKING

from alexnet import arguments
from alexnet.errors import InputError
from alexnet.models.entries import imagenet, resnets, small
from alexnet.models.spec import Spec
from alexnet.models.structure import Dropout, smallest

if TYPE_CHECKING:
    import torch

    from alexnet.models.network import Network

__all__ = ["CATALOG", "Spec", "create", "get"]

CATALOG: dict[str, Spec] = {spec.name: spec for entries in (imagenet, small, resnets) for spec in entries.ENTRIES}

MOST_CLASSES, MOST_CHANNELS = 10**6, 2**16
"""Beyond these a layer's size is no number of C's."""
MOST_DROPPED = 0.95
"""As recipes have it (`model.dropout`)."""


def get(name: str) -> Spec:
    """The catalog entry called `name`. InputError with the nearest names when there is none."""
    return CATALOG[arguments.choice("network", name, CATALOG)]


def create(
    name: str,
    *,
    classes: int | None = None,
    channels: int | None = None,
    size: int | tuple[int, int] | None = None,
    init: str | None = None,
    dropout: float | None = None,
) -> "Network":
    """A freshly initialized network; what is None is as published.

    `size` is the images' height and width in pixels (one number for both), `dropout` the share that every dropout
    layer drops. Random numbers come from torch's global generator and serve the initialization only, so one seed gives
    one network. InputError when the network cannot be made so.
    """
    import torch

    from alexnet.models.init import initialize

    spec = get(name)
    classes = spec.classes if classes is None else arguments.whole("classes", classes, most=MOST_CLASSES)
    channels = spec.input[0] if channels is None else arguments.whole("channels", channels, most=MOST_CHANNELS)
    height, width = spec.input[1:] if size is None else arguments.sides("size", size)
    if spec.layers and min(height, width) < smallest(spec.layers):
        side = smallest(spec.layers)
        raise InputError(f"{name} can take images of {side}×{side} pixels or more, not {height}×{width}")
    device = torch.get_default_device()
    with torch.device("meta"):  # no memory and no random numbers for weights that are drawn anew below
        model = build(spec if dropout is None else _with_dropout(spec, dropout), (channels, height, width), classes)
    if device.type != "meta":
        _materialize(model, device)
    model.spec = spec
    initialize(model, spec.init if init is None else init)
    return model


def build(spec: Spec, input: tuple[int, int, int], classes: int) -> "Network":
    """The network of an entry for images of this shape, with torch's default initialization."""
    from alexnet.models import network

    model = network.build(spec.architecture, input, classes)
    model.spec = spec
    return model


def _materialize(model: "Network", device: "torch.device") -> None:
    """Gives a model on the meta device memory, uninitialized; `to_empty` imports sympy first, which takes a second."""
    import torch

    for part in model.modules():
        for name, parameter in part.named_parameters(recurse=False):
            setattr(part, name, torch.nn.Parameter(torch.empty(parameter.shape, device=device)))
        for name, buffer in part.named_buffers(recurse=False):
            setattr(part, name, torch.empty(buffer.shape, dtype=buffer.dtype, device=device))


def _with_dropout(spec: Spec, p: float) -> Spec:
    takes = f"the share that is dropped, from 0 to {MOST_DROPPED}"
    if not 0 <= arguments.number("dropout", p, takes) <= MOST_DROPPED:
        raise arguments.refusal("dropout", takes, p)
    if not any(isinstance(layer, Dropout) for layer in spec.layers):
        raise InputError(f"{spec.name} has no dropout to change")
    layers = (dataclasses.replace(layer, p=p) if isinstance(layer, Dropout) else layer for layer in spec.layers)
    return dataclasses.replace(spec, architecture=tuple(layers))
