"""Residual networks, to compare AlexNet with: He et al. 2015 (arXiv 1512.03385) and, pre-activated, 2016 (1603.05027).

A network is a stem, stages of residual blocks (each stage but the first halves the image and doubles the width), a
mean over what is left of the image, and the logits. Images of any size and any number of channels pass.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from alexnet.models.structure import (
    AveragePool,
    BatchNorm,
    Conv,
    Flatten,
    Layer,
    Linear,
    Pool,
    ReLU,
    Row,
    Shape,
)

# Version 2 is TensorFlow's official model, https://github.com/tensorflow/models, official/resnet/resnet_model.py: its
# running statistics decay by .997 with an epsilon of 1e-5, its pool is SAME, and the first block of every stage
# projects its shortcut.
EARLY_NORM = BatchNorm(momentum=0.003)


def conv(out: int, kernel: int, stride: int = 1) -> Conv:
    """Padded by the kernel alone, never by the image's size; no bias, because a BatchNorm follows or precedes it."""
    return Conv(out, kernel, stride, padding=kernel // 2, bias=False)


@dataclass(frozen=True)
class ZeroPadded(Layer):
    """Shortcut A: every `stride`-th pixel, and zeros for the channels that the input lacks. No parameters."""

    out: int
    stride: int
    kind = "shortcut"

    def output(self, shape: Shape) -> Shape:
        return (self.out, *(-(-side // self.stride) for side in shape[1:]))


@dataclass(frozen=True)
class Block(Layer):
    """Version 1: relu(shortcut(x) + branch(x)), each convolution followed by its BatchNorm.
    Version 2: shortcut + branch(x), each convolution preceded by its BatchNorm and ReLU; a projection sees the
    activated x.

    The branch is two 3 × 3 convolutions, or 1 × 1, 3 × 3, 1 × 1 with a quarter of the width. A bottleneck's stride
    stands on its 3 × 3 convolution, as in torchvision and TensorFlow (2015: on its first).
    """

    out: int
    stride: int
    bottleneck: bool
    version: int
    shortcut: ZeroPadded | Conv | None
    """None where the input itself will do."""
    kind = "block"

    @property
    def convs(self) -> tuple[Conv, ...]:
        if not self.bottleneck:
            return conv(self.out, 3, self.stride), conv(self.out, 3)
        width = self.out // 4
        return conv(width, 1), conv(width, 3, self.stride), conv(self.out, 1)

    @property
    def norm(self) -> BatchNorm:
        return BatchNorm() if self.version == 1 else EARLY_NORM

    def output(self, shape: Shape) -> Shape:
        for each in self.convs:
            shape = each.output(shape)
        return shape

    def leaves(self, name: str, shape: Shape) -> Iterator[Row]:
        x, last = shape, len(self.convs) - 1
        for i, each in enumerate(self.convs):
            if self.version == 2:
                yield f"{name}.norms.{i}", self.norm, x
                yield f"{name}.relus.{i}", ReLU(), x
            yield f"{name}.convs.{i}", each, x
            x = each.output(x)
            if self.version == 1:
                yield f"{name}.norms.{i}", self.norm, x
                if i < last:
                    yield f"{name}.relus.{i}", ReLU(), x
        if isinstance(self.shortcut, Conv) and self.version == 1:
            yield f"{name}.shortcut.0", self.shortcut, shape
            yield f"{name}.shortcut.1", self.norm, x
        elif self.shortcut is not None:
            yield f"{name}.shortcut", self.shortcut, shape
        if self.version == 1:
            yield f"{name}.relus.{last}", ReLU(), x


@dataclass(frozen=True)
class Stage(Layer):
    """Blocks in a row."""

    blocks: tuple[Block, ...]
    kind = "stage"

    def output(self, shape: Shape) -> Shape:
        return self.blocks[0].output(shape)  # the others keep the shape

    def leaves(self, name: str, shape: Shape) -> Iterator[Row]:
        for i, block in enumerate(self.blocks):
            yield from block.leaves(f"{name}.{i}", shape)
            shape = block.output(shape)


@dataclass(frozen=True)
class ResNet:
    """`blocks` per stage; `width` channels behind the stem, which for ImageNet (64) quarters the image's sides."""

    blocks: tuple[int, ...]
    width: int
    bottleneck: bool = False
    version: int = 1
    zeros: bool = False
    """Shortcut A (zero padding) instead of B (a projection) where the shape changes."""

    def rows(self, input: Shape, classes: int) -> Iterator[Row]:
        shape = input
        for name, layer in self._parts(classes):
            yield name, layer, shape
            shape = layer.output(shape)

    def _parts(self, classes: int) -> Iterator[tuple[str, Layer]]:
        large, first = self.width == 64, self.version == 1
        yield "conv1", conv(self.width, 7, 2) if large else conv(self.width, 3)
        if first:
            yield "bn1", BatchNorm()
            yield "relu1", ReLU()
        if large:
            yield "pool1", Pool(3, 2, 1 if first else "same")
        channels = self.width
        for i, count in enumerate(self.blocks):
            out, stride = self.width * (4 if self.bottleneck else 1) * 2**i, 1 if i == 0 else 2
            start = self._block(out, stride, self._shortcut(channels, out, stride))
            yield f"stage{i + 1}", Stage((start, *(self._block(out, 1, None) for _ in range(count - 1))))
            channels = out
        if not first:
            yield "bn", EARLY_NORM
            yield "relu", ReLU()
        yield "avgpool", AveragePool(1)
        yield "flatten", Flatten()
        yield "fc", Linear(classes)

    def _block(self, out: int, stride: int, shortcut: ZeroPadded | Conv | None) -> Block:
        return Block(out, stride, self.bottleneck, self.version, shortcut)

    def _shortcut(self, channels: int, out: int, stride: int) -> ZeroPadded | Conv | None:
        """Of a stage's first block."""
        if self.version == 1 and (channels, stride) == (out, 1):
            return None
        return ZeroPadded(out, stride) if self.zeros else conv(out, 1, stride)


def cifar(depth: int, version: int = 1, zeros: bool = False) -> ResNet:
    """6n + 2 layers: 16, 32 and 64 channels, n blocks of two convolutions each. `zeros` is shortcut A, else B."""
    return ResNet(((depth - 2) // 6,) * 3, width=16, version=version, zeros=zeros)


def cifar_bottleneck(depth: int) -> ResNet:
    """9n + 2 layers, version 2: 64, 128 and 256 channels, n bottlenecks each."""
    return ResNet(((depth - 2) // 9,) * 3, width=16, bottleneck=True, version=2)


def imagenet(depth: int, version: int = 1) -> ResNet:
    """The five of the 2015 paper's Table 1."""
    blocks = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
    return ResNet(blocks[depth], width=64, bottleneck=depth >= 50, version=version)
