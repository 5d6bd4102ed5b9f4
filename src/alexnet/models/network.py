"""Networks as data: small frozen descriptions of layers, and the module that a tuple of them becomes."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor, nn

from alexnet.errors import InputError, unknown
from alexnet.models import layers as modules
from alexnet.models.layers import Padding, output_size

if TYPE_CHECKING:
    from alexnet.models.spec import Spec

Shape = tuple[int, ...]
"""One image's activations: (channels, height, width), or (features,) after the first fully-connected layer."""


@dataclass(frozen=True)
class Layer:
    """What a layer is, whatever its input. `kind` is the first half of its name: kind 'relu' after conv3 is 'relu3'."""

    kind: ClassVar[str]

    def output(self, shape: Shape) -> Shape:
        """Shape of the output; a side of 0 or less means that the image is too small."""
        return shape

    def build(self, shape: Shape) -> nn.Module:
        """The module for an input of this shape."""
        raise NotImplementedError


@dataclass(frozen=True)
class Conv(Layer):
    """`out` filters of `kernel` × `kernel` pixels, each over 1/`groups` of the channels."""

    out: int
    kernel: int
    stride: int = 1
    padding: Padding = "same"
    groups: int = 1
    bias: bool = True
    kind = "conv"

    def output(self, shape: Shape) -> Shape:
        return (self.out, *(output_size(side, self.kernel, self.stride, self.padding) for side in shape[1:]))

    def build(self, shape: Shape) -> nn.Module:
        return modules.Conv2d(shape[0], self.out, self.kernel, self.stride, self.padding, self.groups, self.bias)


@dataclass(frozen=True)
class Linear(Layer):
    """A fully-connected layer; `out` None means one output per class."""

    out: int | None
    kind = "fc"

    def output(self, shape: Shape) -> Shape:
        assert self.out is not None, "numbered() fills in the classes"
        return (self.out,)

    def build(self, shape: Shape) -> nn.Module:
        return nn.Linear(shape[0], self.output(shape)[0])


@dataclass(frozen=True)
class Flatten(Layer):
    kind = "flatten"

    def output(self, shape: Shape) -> Shape:
        channels, height, width = shape
        return (channels * height * width,)

    def build(self, shape: Shape) -> nn.Module:
        return nn.Flatten()


@dataclass(frozen=True)
class ReLU(Layer):
    kind = "relu"

    def build(self, shape: Shape) -> nn.Module:
        return nn.ReLU()


@dataclass(frozen=True)
class Tanh(Layer):
    kind = "tanh"

    def build(self, shape: Shape) -> nn.Module:
        return nn.Tanh()


@dataclass(frozen=True)
class LRN(Layer):
    """Local response normalization; see layers.LocalResponseNorm for its three forms."""

    size: int
    alpha: float
    beta: float
    k: float
    divide: bool
    groups: int = 1
    kind = "norm"

    def build(self, shape: Shape) -> nn.Module:
        return modules.LocalResponseNorm(self.size, self.alpha, self.beta, self.k, self.divide, self.groups)


@dataclass(frozen=True)
class SpatialNorm(Layer):
    """The 2012 runs' extra normalization within each map; see layers.SpatialResponseNorm."""

    size: int
    alpha: float
    beta: float
    kind = "cnorm"

    def build(self, shape: Shape) -> nn.Module:
        return modules.SpatialResponseNorm(self.size, self.alpha, self.beta)


@dataclass(frozen=True)
class BatchNorm(Layer):
    """Batch normalization; `momentum` is torch's, which is 1 − Keras's."""

    eps: float = 1e-5
    momentum: float = 0.1
    kind = "bn"

    def build(self, shape: Shape) -> nn.Module:
        return nn.BatchNorm2d(shape[0], self.eps, self.momentum)


@dataclass(frozen=True)
class Pool(Layer):
    """Maximum over `size` × `size` pixels, every `stride`."""

    size: int
    stride: int
    padding: Padding = 0
    kind = "pool"

    def output(self, shape: Shape) -> Shape:
        return (shape[0], *(output_size(side, self.size, self.stride, self.padding) for side in shape[1:]))

    def build(self, shape: Shape) -> nn.Module:
        return modules.MaxPool(self.size, self.stride, self.padding)


@dataclass(frozen=True)
class MeanPool(Layer):
    """Mean over `size` × `size` pixels, every `stride`; cuda-convnet's, which rounds the output up and divides a window
    that leaves the image by the pixels that it holds."""

    size: int
    stride: int
    kind = "pool"

    def output(self, shape: Shape) -> Shape:
        return (shape[0], *(output_size(side, self.size, self.stride, "ceil") for side in shape[1:]))

    def build(self, shape: Shape) -> nn.Module:
        return nn.AvgPool2d(self.size, self.stride, ceil_mode=True, count_include_pad=False)


@dataclass(frozen=True)
class AveragePool(Layer):
    """Mean over a grid of `size` × `size` parts, whatever the input's size."""

    size: int
    kind = "avgpool"

    def output(self, shape: Shape) -> Shape:
        return shape if min(shape) < 1 else (shape[0], self.size, self.size)

    def build(self, shape: Shape) -> nn.Module:
        return modules.AveragePool(self.size)


@dataclass(frozen=True)
class Dropout(Layer):
    """Dropout of a share `p`; `scaled` is the paper's form, which scales at test time instead of in training."""

    p: float = 0.5
    scaled: bool = False
    kind = "drop"

    def build(self, shape: Shape) -> nn.Module:
        return modules.ScaledDropout(self.p) if self.scaled else modules.Dropout(self.p)


@dataclass(frozen=True)
class LogSoftmax(Layer):
    kind = "logsoftmax"

    def build(self, shape: Shape) -> nn.Module:
        return nn.LogSoftmax(dim=1)


def numbered(layers: Sequence[Layer], input: Shape, classes: int) -> Iterator[tuple[str, Layer, Shape]]:
    """Each layer with its name and the shape of its input. The i-th layer with weights is convI or fcI, and what
    follows it bears its number (relu1, norm1, pool1, …, fc8); 'flatten' precedes the first fully-connected layer."""
    number, shape = 0, input
    for layer in layers:
        if isinstance(layer, Linear):
            if len(shape) == 3:
                yield "flatten", Flatten(), shape
                shape = Flatten().output(shape)
            if layer.out is None:
                layer = Linear(classes)
        number += isinstance(layer, Conv | Linear)
        yield f"{layer.kind}{number}", layer, shape
        shape = layer.output(shape)


def fits(layers: Sequence[Layer], input: Shape) -> bool:
    """Whether images of this shape are large enough: no layer's output vanishes."""
    return all(min(layer.output(shape)) > 0 for _, layer, shape in numbered(layers, input, classes=1))


def smallest(layers: Sequence[Layer]) -> int:
    """The least side, in pixels, of square images that fit."""
    return next(side for side in range(1, 1025) if fits(layers, (1, side, side)))


class Network(nn.Sequential):
    """Named layers in a row: float N × channels × height × width → N × classes, logits unless `spec.output` says other.

    The parts of a network that this class runs in sequence (its children) are what `tap` can look at.
    """

    spec: "Spec"

    def __init__(
        self,
        parts: Iterable[tuple[str, nn.Module]],
        input: tuple[int, int, int],
        classes: int,
        layers: tuple[Layer, ...] = (),
    ):
        super().__init__()
        for name, module in parts:
            self.add_module(name, module)
        self.input, self.classes = input, classes
        self.layers = layers
        """What it was built from; empty for a network that is no sequential network."""

    def forward(self, input: Tensor) -> Tensor:
        for module in self._order():
            input = module(input)
        return input

    def _order(self) -> list[nn.Module]:
        """The children as they run: a ReLU in front of a max pooling is taken after it, where it has a quarter of the
        work. The results and the gradients are the same to the bit, as the larger of two numbers stays the larger.
        Whoever hooks one of the two, compiles or exports, gets them as published."""
        order = list(self.children())
        for place in range(len(order) - 1):
            first, second = order[place : place + 2]
            hooked = (
                first._forward_hooks or first._forward_pre_hooks or second._forward_hooks or second._forward_pre_hooks
            )
            if isinstance(first, nn.ReLU) and isinstance(second, modules.MaxPool) and not hooked:
                order[place : place + 2] = second, first
        return list(self.children()) if torch.compiler.is_compiling() else order

    @property
    def layer_names(self) -> tuple[str, ...]:
        return tuple(name for name, _ in self.named_children())

    def tap(self, x: Tensor, names: Iterable[str]) -> dict[str, Tensor]:
        """Activations by tap name. 'conv1' is the layer after its non-linearity (wherever that stands), 'conv1:pre' the
        layer's own output; every other layer is tapped by its own name. Stops at the last layer that is asked for."""
        layer_of = {name: self._tapped(name) for name in names}
        seen: dict[str, Tensor] = {}
        for name, module in self.named_children():
            if len(seen) == len(set(layer_of.values())):
                break
            x = module(x)
            if name in layer_of.values():
                seen[name] = x
        return {name: seen[layer] for name, layer in layer_of.items()}

    def _tapped(self, tap: str) -> str:
        layer, _, pre = tap.partition(":")
        weighted = re.fullmatch(r"(?:conv|fc)(\d+)", layer)
        if layer not in self.layer_names or (":" in tap and not (weighted and pre == "pre")):
            choices = [*self.layer_names, *(f"{n}:pre" for n in self.layer_names if re.fullmatch(r"(conv|fc)\d+", n))]
            raise unknown("layer", tap, choices)
        if weighted and not pre:
            after = (f"relu{weighted[1]}", f"tanh{weighted[1]}")
            return next((name for name in after if name in self.layer_names), layer)
        return layer


def build(layers: tuple[Layer, ...], input: tuple[int, int, int], classes: int) -> Network:
    """The network of these layers, with torch's default initialization. InputError if the images are too small."""
    if not fits(layers, input):
        side = smallest(layers)
        raise InputError(
            f"images of {input[1]}×{input[2]} are too small for this network; it takes {side}×{side} or more"
        )
    parts = ((name, layer.build(shape)) for name, layer, shape in numbered(layers, input, classes))
    return Network(parts, input, classes, layers)
