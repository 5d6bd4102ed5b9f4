"""Residual networks, to compare AlexNet with: He et al. 2015 (arXiv 1512.03385) and, pre-activated, 2016 (1603.05027).

A network is a stem, stages of residual blocks (each stage but the first halves the image and doubles the width), a
mean over what is left of the image, and the logits. Images of any size and any number of channels pass.
"""

from functools import partial
from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

from alexnet.models.layers import AveragePool, MaxPool
from alexnet.models.network import Network


def conv(channels: int, out: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    """Padded by the kernel alone, never by the image's size; no bias, because a BatchNorm follows or precedes it."""
    return nn.Conv2d(channels, out, kernel, stride, padding=kernel // 2, bias=False)


def branch(channels: int, out: int, stride: int, bottleneck: bool) -> list[nn.Conv2d]:
    """What a block adds to its input: two 3 × 3 convolutions, or 1 × 1, 3 × 3, 1 × 1 with a quarter of the width.

    A bottleneck's stride stands on its 3 × 3 convolution, as in torchvision and TensorFlow (2015: on its first).
    """
    if not bottleneck:
        return [conv(channels, out, 3, stride), conv(out, out, 3)]
    width = out // 4
    return [conv(channels, width, 1), conv(width, width, 3, stride), conv(width, out, 1)]


class ZeroPadded(nn.Module):
    """Shortcut A: every `stride`-th pixel, and zeros for the channels that the input lacks. No parameters."""

    def __init__(self, channels: int, out: int, stride: int):
        super().__init__()
        self.missing, self.stride = out - channels, stride

    def forward(self, x: Tensor) -> Tensor:
        return F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.missing))


class Version1(nn.Module):
    """relu(shortcut(x) + branch(x)), each convolution followed by its BatchNorm."""

    def __init__(self, convs: list[nn.Conv2d], shortcut: nn.Module | None):
        super().__init__()
        self.convs, self.shortcut = nn.ModuleList(convs), shortcut
        self.norms = nn.ModuleList(nn.BatchNorm2d(c.out_channels) for c in convs)

    def forward(self, x: Tensor) -> Tensor:
        y = x
        for i, (convolve, norm) in enumerate(zip(self.convs, self.norms, strict=True)):
            y = norm(convolve(y if i == 0 else F.relu(y)))
        return F.relu(y + (x if self.shortcut is None else self.shortcut(x)))


class Version2(nn.Module):
    """shortcut + branch(x), each convolution preceded by its BatchNorm and ReLU; a projection sees the activated x."""

    def __init__(self, convs: list[nn.Conv2d], shortcut: nn.Module | None):
        super().__init__()
        self.convs, self.shortcut = nn.ModuleList(convs), shortcut
        self.norms = nn.ModuleList(early_norm(c.in_channels) for c in convs)

    def forward(self, x: Tensor) -> Tensor:
        y = active = F.relu(self.norms[0](x))
        for i, convolve in enumerate(self.convs):
            y = convolve(y if i == 0 else F.relu(self.norms[i](y)))
        return y + (x if self.shortcut is None else self.shortcut(active))


# Version 2 is TensorFlow's official model, https://github.com/tensorflow/models, official/resnet/resnet_model.py: its
# running statistics decay by .997, its pool is SAME, and the first block of every stage projects its shortcut.
early_norm = partial(nn.BatchNorm2d, momentum=0.003)


def shortcut(channels: int, out: int, stride: int, version: int, zeros: bool) -> nn.Module | None:
    """The shortcut of a stage's first block; None where the input itself will do."""
    if version == 2:
        return conv(channels, out, 1, stride)
    if (channels, stride) == (out, 1):
        return None
    if zeros:
        return ZeroPadded(channels, out, stride)
    return nn.Sequential(conv(channels, out, 1, stride), nn.BatchNorm2d(out))


def resnet(
    input: tuple[int, int, int],
    classes: int,
    *,
    blocks: tuple[int, ...],
    width: int,
    bottleneck: bool = False,
    version: int = 1,
    zeros: bool = False,
) -> Network:
    """`blocks` per stage; `width` channels behind the stem, which for ImageNet (64) quarters the image's sides."""
    large = width == 64
    block = Version1 if version == 1 else Version2
    widths = [width * (4 if bottleneck else 1) * 2**i for i in range(len(blocks))]
    parts: list[tuple[str, nn.Module]] = [("conv1", conv(input[0], width, *((7, 2) if large else (3, 1))))]
    if version == 1:
        parts += [("bn1", nn.BatchNorm2d(width)), ("relu1", nn.ReLU())]
    if large:
        parts.append(("pool1", MaxPool(3, 2, 1 if version == 1 else "same")))
    for i, (channels, out) in enumerate(pairwise([width, *widths])):
        stride = 1 if i == 0 else 2
        first = block(branch(channels, out, stride, bottleneck), shortcut(channels, out, stride, version, zeros))
        rest = (block(branch(out, out, 1, bottleneck), None) for _ in range(blocks[i] - 1))
        parts.append((f"stage{i + 1}", nn.Sequential(first, *rest)))
    if version == 2:
        parts += [("bn", early_norm(widths[-1])), ("relu", nn.ReLU())]
    parts += [("avgpool", AveragePool(1)), ("flatten", nn.Flatten()), ("fc", nn.Linear(widths[-1], classes))]
    return Network(parts, input, classes)


def cifar(depth: int, **kind: bool) -> partial[Network]:
    """6n + 2 layers: 16, 32 and 64 channels, n blocks of two convolutions each. `zeros` is shortcut A, else B."""
    return partial(resnet, blocks=((depth - 2) // 6,) * 3, width=16, **kind)


def cifar_bottleneck(depth: int) -> partial[Network]:
    """9n + 2 layers, version 2: 64, 128 and 256 channels, n bottlenecks each."""
    return partial(resnet, blocks=((depth - 2) // 9,) * 3, width=16, bottleneck=True, version=2)


def imagenet(depth: int, version: int = 1) -> partial[Network]:
    """The five of the 2015 paper's Table 1."""
    blocks = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
    return partial(resnet, blocks=blocks[depth], width=64, bottleneck=depth >= 50, version=version)
