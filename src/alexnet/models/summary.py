"""A network in numbers: what each layer puts out, what it holds, and what it costs. Counted from its description."""

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from alexnet.models import catalog
from alexnet.models.structure import leaves, rows

if TYPE_CHECKING:
    from alexnet.models.network import Network


@dataclass(frozen=True)
class Layer:
    name: str
    output: tuple[int, ...]
    """Shape of the output for one image."""
    parameters: int
    """Learned numbers, and running statistics where the network's source counts them."""
    flops: int
    """2 × multiply-adds of convolutions and fully-connected layers for one image; 0 for every other layer."""
    activation_bytes: int
    """The output of one image in float32."""


@dataclass(frozen=True)
class Summary:
    name: str
    parameters: int
    trainable_parameters: int
    statistics: int
    """BatchNorm's running means and variances."""
    flops: int
    layers: tuple[Layer, ...]
    file_bytes: int
    """All parameters and statistics in float32, as a weights file holds them (its header aside)."""


def outline(name: str, classes: int | None = None, input: tuple[int, int, int] | None = None) -> Summary:
    """The table of a network by its name, without making it; `input` is channels, height and width. Needs no torch."""
    spec = catalog.get(name)
    parts = rows(spec.architecture, input or spec.input, spec.classes if classes is None else classes)
    found = [
        (name, layer.output(shape), layer.parameters(shape), layer.statistics(shape), layer.flops(shape))
        for name, layer, shape in leaves(parts)
    ]
    table = tuple(
        Layer(name, output, learned + kept * spec.counts_statistics, flops, 4 * math.prod(output))
        for name, output, learned, kept, flops in found
    )
    learned, statistics = sum(row[2] for row in found), sum(row[3] for row in found)
    return Summary(
        name=spec.name,
        parameters=learned + statistics * spec.counts_statistics,
        trainable_parameters=learned,
        statistics=statistics,
        flops=sum(row.flops for row in table),
        layers=table,
        file_bytes=4 * (learned + statistics),
    )


def summarize(model: "Network") -> Summary:
    """The table of a network from the catalog; frozen parameters are not trainable."""
    table = outline(model.spec.name, model.classes, model.input)
    return replace(table, trainable_parameters=sum(p.numel() for p in model.parameters() if p.requires_grad))
