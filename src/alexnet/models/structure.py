"""Networks as data: small frozen descriptions of layers, with their shapes and costs. Nothing here needs torch."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

Shape = tuple[int, ...]
"""One image's activations: (channels, height, width), or (features,) after the first fully-connected layer."""

Padding = int | str
"""Pixels on every side, or 'same' (TensorFlow's rule) or 'ceil' (the 2012 code's rule, which rounds the output up)."""


def pad_amounts(size: int, kernel: int, stride: int, padding: Padding) -> tuple[int, int]:
    """Pixels to add (before, after) along one side of `size` pixels.

    'same' makes the output ceil(size / stride) and puts the odd pixel after (https://www.tensorflow.org/api_docs/python/tf/nn).
    'ceil' adds just enough after the image for a last window: 1 + ceil((size − kernel) / stride) outputs, as
    layer.py:1004 of the 2012 code counts them, so that 224 pixels with an 11-pixel kernel and stride 4 give 55.
    """
    match padding:
        case "same":
            total = max((math.ceil(size / stride) - 1) * stride + kernel - size, 0)
            return total // 2, total - total // 2
        case "ceil":
            return 0, (kernel - size) % stride
        case int():
            return padding, padding
        case _:
            raise ValueError(f"padding is {padding!r}; choose a number of pixels, 'same' or 'ceil'")


def output_size(size: int, kernel: int, stride: int, padding: Padding) -> int:
    """Windows along one side of `size` pixels; 0 or less when the padded image is smaller than the kernel."""
    return (size + sum(pad_amounts(size, kernel, stride, padding)) - kernel) // stride + 1


@dataclass(frozen=True)
class Layer:
    """What a layer is, whatever its input. `kind` is the first half of its name: kind 'relu' after conv3 is 'relu3'."""

    kind: ClassVar[str]

    def output(self, shape: Shape) -> Shape:
        """Shape of the output; a side of 0 or less means that the image is too small."""
        return shape

    def parameters(self, shape: Shape) -> int:
        """Learned numbers, for an input of this shape."""
        return 0

    def statistics(self, shape: Shape) -> int:
        """Running means and variances."""
        return 0

    def flops(self, shape: Shape) -> int:
        """2 × multiply-adds for one image, of convolutions and fully-connected layers; 0 for every other layer."""
        return 0

    def leaves(self, name: str, shape: Shape) -> Iterator["Row"]:
        """The layer itself or, where it is made of others, each of those in the order in which they run."""
        yield name, self, shape


Row = tuple[str, Layer, Shape]
"""A layer's name, what it is, and the shape of its input."""


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

    def parameters(self, shape: Shape) -> int:
        return self.out * (shape[0] // self.groups * self.kernel**2 + self.bias)

    def flops(self, shape: Shape) -> int:
        return 2 * math.prod(self.output(shape)) * (shape[0] // self.groups) * self.kernel**2


@dataclass(frozen=True)
class Linear(Layer):
    """A fully-connected layer; `out` None means one output per class."""

    out: int | None
    kind = "fc"

    def output(self, shape: Shape) -> Shape:
        assert self.out is not None, "numbered() fills in the classes"
        return (self.out,)

    def parameters(self, shape: Shape) -> int:
        return (shape[0] + 1) * self.output(shape)[0]

    def flops(self, shape: Shape) -> int:
        return 2 * shape[0] * self.output(shape)[0]


@dataclass(frozen=True)
class Flatten(Layer):
    kind = "flatten"

    def output(self, shape: Shape) -> Shape:
        return (math.prod(shape),)


@dataclass(frozen=True)
class ReLU(Layer):
    kind = "relu"


@dataclass(frozen=True)
class Tanh(Layer):
    kind = "tanh"


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


@dataclass(frozen=True)
class SpatialNorm(Layer):
    """The 2012 runs' extra normalization within each map; see layers.SpatialResponseNorm."""

    size: int
    alpha: float
    beta: float
    kind = "cnorm"


@dataclass(frozen=True)
class BatchNorm(Layer):
    """Batch normalization; `momentum` is torch's, which is 1 − Keras's."""

    eps: float = 1e-5
    momentum: float = 0.1
    kind = "bn"

    def parameters(self, shape: Shape) -> int:
        return 2 * shape[0]

    def statistics(self, shape: Shape) -> int:
        return 2 * shape[0]


@dataclass(frozen=True)
class Pool(Layer):
    """Maximum over `size` × `size` pixels, every `stride`; padding is −∞ and thus never wins."""

    size: int
    stride: int
    padding: Padding = 0
    kind = "pool"

    def output(self, shape: Shape) -> Shape:
        return (shape[0], *(output_size(side, self.size, self.stride, self.padding) for side in shape[1:]))


@dataclass(frozen=True)
class MeanPool(Layer):
    """Mean over `size` × `size` pixels, every `stride`; cuda-convnet's, which rounds the output up and divides a window
    that leaves the image by the pixels that it holds."""

    size: int
    stride: int
    kind = "pool"

    def output(self, shape: Shape) -> Shape:
        return (shape[0], *(output_size(side, self.size, self.stride, "ceil") for side in shape[1:]))


@dataclass(frozen=True)
class AveragePool(Layer):
    """Mean over a grid of `size` × `size` parts, whatever the input's size (torch's adaptive pooling)."""

    size: int
    kind = "avgpool"

    def output(self, shape: Shape) -> Shape:
        return shape if min(shape) < 1 else (shape[0], self.size, self.size)


@dataclass(frozen=True)
class Dropout(Layer):
    """Dropout of a share `p`; `scaled` is the paper's form, which scales at test time instead of in training."""

    p: float = 0.5
    scaled: bool = False
    kind = "drop"


@dataclass(frozen=True)
class LogSoftmax(Layer):
    kind = "logsoftmax"


class Structure(Protocol):
    """A network that is no plain sequence of layers."""

    def rows(self, input: Shape, classes: int) -> Iterator[Row]:
        """Its parts by name, in the order in which they run."""
        ...


Architecture = tuple[Layer, ...] | Structure


def numbered(layers: Sequence[Layer], input: Shape, classes: int) -> Iterator[Row]:
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


def rows(architecture: Architecture, input: Shape, classes: int) -> Iterator[Row]:
    """The parts of a network, in the order in which they run."""
    if isinstance(architecture, tuple):
        return numbered(architecture, input, classes)
    return architecture.rows(input, classes)


def leaves(parts: Iterable[Row]) -> Iterator[Row]:
    """Every layer of these parts; one inside another is named by its path, such as 'stage1.0.convs.0'."""
    for name, layer, shape in parts:
        yield from layer.leaves(name, shape)


def fits(layers: Sequence[Layer], input: Shape) -> bool:
    """Whether images of this shape are large enough: no layer's output vanishes."""
    return all(min(layer.output(shape)) > 0 for _, layer, shape in numbered(layers, input, classes=1))


def smallest(layers: Sequence[Layer]) -> int:
    """The least side, in pixels, of square images that fit."""
    return next(side for side in range(1, 1025) if fits(layers, (1, side, side)))
