"""A network in numbers: what each layer puts out, what it holds, and what it costs."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from alexnet.models import catalog
from alexnet.models.network import Network


@dataclass(frozen=True)
class Layer:
    name: str
    output: tuple[int, ...]
    """Shape of the output for one picture."""
    parameters: int
    """Learned numbers, and running statistics where the network's source counts them."""
    flops: int
    """2 × multiply-adds of convolutions and fully-connected layers for one picture; 0 for every other layer."""
    activation_bytes: int
    """The output of one picture in float32."""


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


def summarise(model: Network) -> Summary:
    """The table of a network from the catalog. Shapes are traced on the meta device: nothing is computed or copied."""
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
    # BatchNorm keeps its input's shape, and on the meta device it is slow enough to dominate the whole trace.
    norms = [part for part in leaves.values() if isinstance(part, nn.BatchNorm2d)]
    for norm in norms:
        vars(norm)["forward"] = lambda x: x
    tensors = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    try:
        shadows = {name: torch.empty_like(tensor, device="meta") for name, tensor in tensors.items()}
        with torch.no_grad():
            torch.func.functional_call(model, shadows, torch.empty(1, *model.input, device="meta"))
    finally:
        for hook in hooks:
            hook.remove()
        for norm in norms:
            del vars(norm)["forward"]
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
    with torch.device("meta"):
        model = spec.build(spec.input, spec.classes if classes is None else classes)
    model.spec = spec
    return summarise(model)


def _statistics(part: nn.Module) -> int:
    return sum(b.numel() for name, b in part.named_buffers() if name.endswith(("running_mean", "running_var")))


def _multiply_adds(part: nn.Module, output: Tensor) -> int:
    return output[0].numel() * part.weight[0].numel() if isinstance(part, nn.Conv2d | nn.Linear) else 0
