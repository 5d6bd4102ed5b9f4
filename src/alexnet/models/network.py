"""The module that a description becomes: ordinary torch modules, named, in their published order."""

import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, overload

from torch import Tensor, nn

from alexnet import arguments
from alexnet.errors import InputError, unknown
from alexnet.models import blocks, resnet, structure
from alexnet.models.layers import LocalResponseNorm, PaddedConv2d, ScaledDropout, SpatialResponseNorm
from alexnet.models.structure import Architecture, Layer, Padding, Shape, pad_amounts

if TYPE_CHECKING:
    from alexnet.models.spec import Spec


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

    @overload
    def __getitem__(self, idx: slice) -> nn.Sequential: ...
    @overload
    def __getitem__(self, idx: int) -> nn.Module: ...
    def __getitem__(self, idx: slice | int) -> nn.Module:
        """A layer by its place; of a slice, a plain `nn.Sequential` of these layers, with their names."""
        if isinstance(idx, int):
            return super().__getitem__(idx)
        part = nn.Sequential()
        for name, module in list(self.named_children())[idx]:
            part.add_module(name, module)
        return part

    @property
    def layer_names(self) -> tuple[str, ...]:
        return tuple(name for name, _ in self.named_children())

    def tap(self, x: Tensor, names: Iterable[str]) -> dict[str, Tensor]:
        """Activations by tap name. 'conv1' is the layer after its non-linearity (wherever that stands), 'conv1:pre' the
        layer's own output; every other layer is tapped by its own name. Stops at the last layer that is asked for."""
        return self._tap(x, names, lambda layer, x: layer(x))

    def _tap(self, x: Tensor, names: Iterable[str], call: Callable[[nn.Module, Tensor], Tensor]) -> dict[str, Tensor]:
        """call: what computes a layer."""
        layer_of = {name: self._tapped(name) for name in arguments.texts("names", names, "['conv5', 'fc7']")}
        seen: dict[str, Tensor] = {}
        for name, module in self.named_children():
            if len(seen) == len(set(layer_of.values())):
                break
            x = call(module, x)
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


def build(architecture: Architecture, input: tuple[int, int, int], classes: int) -> Network:
    """The network of this description, with torch's default initialization. InputError if the images are too small.

    Padding that depends on the image's size ('same' with a stride, 'ceil') is that of `input`.
    """
    layers = architecture if isinstance(architecture, tuple) else ()
    if layers and not structure.fits(layers, input):
        side = structure.smallest(layers)
        raise InputError(
            f"images of {input[1]}×{input[2]} are too small for this network; it takes {side}×{side} or more"
        )
    parts = ((name, module_of(layer, shape)) for name, layer, shape in structure.rows(architecture, input, classes))
    return Network(parts, input, classes, layers)


def module_of(layer: Layer, shape: Shape) -> nn.Module:
    """The module of a layer for an input of this shape: torch's own class wherever it computes the same."""
    match layer:
        case structure.Conv():
            return _convolution(layer, shape)
        case structure.Linear():
            return nn.Linear(shape[0], layer.output(shape)[0])
        case structure.Flatten():
            return nn.Flatten()
        case structure.ReLU():
            return nn.ReLU()
        case structure.Tanh():
            return nn.Tanh()
        case structure.LRN():
            return LocalResponseNorm(layer.size, layer.alpha, layer.beta, layer.k, layer.divide, layer.groups)
        case structure.SpatialNorm():
            return SpatialResponseNorm(layer.size, layer.alpha, layer.beta)
        case structure.BatchNorm():
            return nn.BatchNorm2d(shape[0], layer.eps, layer.momentum)
        case structure.Pool():
            return _max_pool(layer, shape)
        case structure.MeanPool():
            return nn.AvgPool2d(layer.size, layer.stride, ceil_mode=True, count_include_pad=False)
        case structure.AveragePool():
            return nn.AdaptiveAvgPool2d(layer.size)
        case structure.Dropout():
            return ScaledDropout(layer.p) if layer.scaled else nn.Dropout(layer.p)
        case structure.LogSoftmax():
            return nn.LogSoftmax(dim=1)
        case resnet.Stage():
            return nn.Sequential(*_stage(layer, shape))
        case resnet.Block():
            return _block(layer, shape)
        case resnet.ZeroPadded():
            return blocks.ZeroPadded(layer.out - shape[0], layer.stride)
        case _:
            raise TypeError(f"no module for {layer}")


def _pads(shape: Shape, kernel: int, stride: int, padding: Padding) -> tuple[tuple[int, int], tuple[int, int], bool]:
    """(top, left), (bottom, right), and whether they are the same."""
    (top, bottom), (left, right) = (pad_amounts(side, kernel, stride, padding) for side in shape[1:])
    return (top, left), (bottom, right), (top, left) == (bottom, right)


def _convolution(layer: structure.Conv, shape: Shape) -> nn.Conv2d:
    before, after, even = _pads(shape, layer.kernel, layer.stride, layer.padding)
    if even:
        return nn.Conv2d(shape[0], layer.out, layer.kernel, layer.stride, before, groups=layer.groups, bias=layer.bias)
    pads = (before[1], after[1], before[0], after[0])
    return PaddedConv2d(shape[0], layer.out, layer.kernel, layer.stride, pads, layer.groups, layer.bias)


def _max_pool(layer: structure.Pool, shape: Shape) -> nn.Module:
    before, _, even = _pads(shape, layer.size, layer.stride, layer.padding)
    if not even and layer.stride == 1:
        raise ValueError(f"{layer} needs lopsided padding, which torch's ceil_mode cannot give at a stride of 1")
    # Padding is lopsided by less than a stride, so ceil_mode adds exactly the window that the odd pixels make room for.
    return nn.MaxPool2d(layer.size, layer.stride, before, ceil_mode=not even)


def _stage(stage: resnet.Stage, shape: Shape) -> Iterable[nn.Module]:
    for block in stage.blocks:
        yield _block(block, shape)
        shape = block.output(shape)


def _block(block: resnet.Block, shape: Shape) -> nn.Module:
    norms: list[nn.Module] = []
    convs: list[nn.Module] = []
    x = shape
    for layer in block.convs:
        convs.append(module_of(layer, x))
        norms.append(module_of(block.norm, layer.output(x) if block.version == 1 else x))
        x = layer.output(x)
    shortcut = module_of(block.shortcut, shape) if block.shortcut else None
    if block.version == 2:
        return blocks.Version2(convs, norms, shortcut)
    if isinstance(block.shortcut, structure.Conv):
        assert shortcut is not None
        shortcut = nn.Sequential(shortcut, module_of(block.norm, x))
    return blocks.Version1(convs, norms, shortcut)
