"""A network in numbers: what each layer puts out, what it holds, and what it costs."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from alexnet.models import catalog
from alexnet.models.layers import (
    AveragePool,
    Conv2d,
    LocalResponseNorm,
    MaxPool,
    Padding,
    ScaledDropout,
    SpatialResponseNorm,
    output_size,
)
from alexnet.models.network import Network
from alexnet.models.resnet import ZeroPadded


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


def summarize(model: Network) -> Summary:
    """The table of a network from the catalog. Only shapes are traced: no weight is read, nothing is computed."""
    leaves = {name: part for name, part in model.named_modules() if not list(part.children())}
    rows: list[Layer] = []

    def record(name: str, part: nn.Module, output: Tensor) -> None:
        held = sum(p.numel() for p in part.parameters())
        if model.spec.counts_statistics:
            held += _statistics(part)
        size = output[0].numel()
        rows.append(Layer(name, tuple(output.shape[1:]), held, 2 * _multiply_adds(part, output), size * 4))

    hooks = [
        part.register_forward_hook(lambda part, _, output, name=name: record(name, part, output))
        for name, part in leaves.items()
    ]
    bare = {part: shape for part in leaves.values() if (shape := _shape_only(part))}
    for part, shape in bare.items():
        vars(part)["forward"] = shape
    try:
        with torch.no_grad(), _Quick():
            model(torch.empty(1, *model.input, device="meta"))
    finally:
        for hook in hooks:
            hook.remove()
        for part in bare:
            del vars(part)["forward"]
    parameters = list(model.parameters())
    statistics = _statistics(model)
    return Summary(
        name=model.spec.name,
        parameters=sum(row.parameters for row in rows),
        trainable_parameters=sum(p.numel() for p in parameters if p.requires_grad),
        statistics=statistics,
        flops=sum(row.flops for row in rows),
        layers=tuple(rows),
        file_bytes=4 * (sum(p.numel() for p in parameters) + statistics),
    )


def outline(name: str, classes: int | None = None) -> Summary:
    """The table of a network by its name, without making its weights."""
    spec = catalog.get(name)
    with torch.device("meta"), _Quick():
        model = spec.build(spec.input, spec.classes if classes is None else classes)
    return summarize(model)


class _Quick(TorchFunctionMode):
    """Leaves out what keeps a shape: the meta device's ReLU and sum are Python that imports sympy. And draws."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in (functional.relu, torch.Tensor.add) or getattr(func, "__module__", "") == "torch.nn.init":
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)


def _shape_only(part: nn.Module) -> Callable[[Tensor], Tensor] | None:
    """What gives `part`'s output in shape alone; None for parts that the meta device is quick with."""

    def windows(more: int, size: int, stride: int, padding: Padding) -> Callable[[Tensor], Tensor]:
        def shaped(x: Tensor) -> Tensor:
            sides = (output_size(side, size, stride, padding) for side in x.shape[2:])
            return x.new_empty(len(x), x.shape[1] + more, *sides)

        return shaped

    match part:
        case nn.Conv2d():
            padding = part.pad if isinstance(part, Conv2d) else part.padding[0]
            return windows(part.out_channels - part.in_channels, part.kernel_size[0], part.stride[0], padding)
        case MaxPool():
            return windows(0, part.size, part.stride, part.padding)
        case nn.AvgPool2d():  # cuda-convnet's, see network.MeanPool
            assert isinstance(part.kernel_size, int)
            assert isinstance(part.stride, int)
            return windows(0, part.kernel_size, part.stride, "ceil")
        case ZeroPadded():
            return windows(part.missing, 1, part.stride, 0)
        case AveragePool():
            return lambda x: x.new_empty(*x.shape[:2], part.size, part.size)
        case nn.Linear():
            return lambda x: x.new_empty(len(x), part.out_features)
        case nn.BatchNorm2d() | nn.Tanh() | nn.LogSoftmax() | LocalResponseNorm() | SpatialResponseNorm():
            return lambda x: x
        case nn.Dropout() | ScaledDropout():
            return lambda x: x
    return None


def _statistics(part: nn.Module) -> int:
    return sum(b.numel() for name, b in part.named_buffers() if name.endswith(("running_mean", "running_var")))


def _multiply_adds(part: nn.Module, output: Tensor) -> int:
    return output[0].numel() * part.weight[0].numel() if isinstance(part, nn.Conv2d | nn.Linear) else 0
