"""A network's quicker form for our own loops on a CPU: the same parameters and results, by other kernels."""

from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor, nn

from alexnet.models import kernels, products
from alexnet.models.layers import LocalResponseNorm, PaddedConv2d, ScaledDropout
from alexnet.models.network import Network


def quicken(network: nn.Module) -> nn.Module:
    """`network` in its quicker form for training and inference; a module that is no `Network` is returned as it is.

    The result holds `network` itself: parameters, buffers and train/eval mode are shared. Small maps are convolved by
    a matrix product; a ReLU before a max pooling is computed after it, on a quarter of the values (the larger of two
    numbers stays the larger, so results and gradients are the same to the bit); LRN's derivative is written by hand;
    dropout draws its bits faster, from the same generator. Layers with hooks are called as they are, in their place.
    It can be differentiated once, and is not meant for torch.func, torch.fx or torch.compile: they take `network`.
    """
    return Quick(network) if isinstance(network, Network) else network


class Quick(nn.Module):
    """See `quicken`. Of any module whose children run one after the other, such as a part of a `Network`."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        for run in _plan(self.network):
            x = run(x)
        return x


def _plan(network: nn.Module) -> Iterator[Callable[[Tensor], Tensor]]:
    parts = list(network.children())
    for place in range(len(parts) - 1):
        first, second = parts[place : place + 2]
        if type(first) is nn.ReLU and type(second) is nn.MaxPool2d and not (hooked(first) or hooked(second)):
            parts[place : place + 2] = second, first
    for part in parts:
        yield _kernel(part)


def tap(network: Network, x: Tensor, names: Iterable[str]) -> dict[str, Tensor]:
    """`network.tap`, each layer by its quicker kernel."""
    return network._tap(x, names, lambda layer, x: _kernel(layer)(x))


def hooked(part: nn.Module) -> bool:
    """Whether a user's function is called when this layer is; then it must find the layer as it is."""
    return bool(
        part._forward_hooks or part._forward_pre_hooks or part._backward_hooks or part._backward_pre_hooks
    )  # pruning and the old weight_norm are hooks too


def _kernel(part: nn.Module) -> Callable[[Tensor], Tensor]:
    """What computes the same as `part`."""
    if hooked(part):
        return part
    kind = type(part)  # a class derived from these may do more
    if kind is nn.Conv2d and isinstance(part, nn.Conv2d):
        top, left = (each if isinstance(each, int) else 0 for each in part.padding)
        simple = part.dilation == (1, 1) and part.padding_mode == "zeros" and not isinstance(part.padding, str)
        if simple and part.kernel_size[0] == part.kernel_size[1] and part.stride[0] == part.stride[1]:
            return lambda x: kernels.convolve(x, part.weight, part.bias, part.stride[0], (top, left), part.groups)
    elif isinstance(part, PaddedConv2d):
        return lambda x: kernels.convolve(
            nn.functional.pad(x, part.pads), part.weight, part.bias, part.stride[0], (0, 0), part.groups
        )
    elif kind is nn.Linear and isinstance(part, nn.Linear):
        return lambda x: products.linear(x, part.weight, part.bias)
    elif kind is LocalResponseNorm and isinstance(part, LocalResponseNorm):
        return lambda x: kernels.local_response_norm(x, part.size, part.scale, part.beta, part.k, part.groups)
    elif kind is nn.Dropout and isinstance(part, nn.Dropout):
        return lambda x: kernels.dropout(x, part.p, part.training)
    elif kind is ScaledDropout and isinstance(part, ScaledDropout):
        return lambda x: kernels.dropout(x, part.p, part.training) * (1 - part.p)
    elif kind is nn.AdaptiveAvgPool2d and isinstance(part, nn.AdaptiveAvgPool2d):
        return lambda x: x if x.shape[-2:] == torch.Size(_pair(part.output_size)) else part(x)
    return part


def _pair(size: object) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else tuple(size)  # pyright: ignore
