"""Every published initialization of the family, in one place.

An initialization says, for each layer with weights, from what its weights and its biases are drawn. BatchNorm always
starts as the identity (weight 1, bias 0, mean 0, variance 1), as in every source here.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from alexnet.arguments import choice

TRUNCATED_STD = 0.87962566103423978
"""Standard deviation of a unit normal cut at ±2 (keras-team/keras, initializers/random_initializers.py)."""


@dataclass(frozen=True)
class Normal:
    std: float

    def fill(self, tensor: Tensor) -> None:
        nn.init.normal_(tensor, std=self.std)


@dataclass(frozen=True)
class Truncated:
    """A normal cut at two sigmas, widened first so that the draws have this standard deviation."""

    std: float

    def fill(self, tensor: Tensor) -> None:
        sigma = self.std / TRUNCATED_STD
        nn.init.trunc_normal_(tensor, std=sigma, a=-2 * sigma, b=2 * sigma)


@dataclass(frozen=True)
class Uniform:
    bound: float

    @property
    def std(self) -> float:
        return self.bound / math.sqrt(3)

    def fill(self, tensor: Tensor) -> None:
        nn.init.uniform_(tensor, -self.bound, self.bound)


@dataclass(frozen=True)
class Constant:
    value: float
    std = 0.0

    def fill(self, tensor: Tensor) -> None:
        nn.init.constant_(tensor, self.value)


Distribution = Normal | Truncated | Uniform | Constant


@dataclass(frozen=True)
class Place:
    """A layer with weights, as an initialization sees it. Fans are kernel area × channels, as Keras and torch count."""

    name: str
    convolution: bool
    last: bool
    """Whether this is the layer that gives the logits."""
    fan_in: int
    fan_out: int
    outputs: int


Draw = Callable[[Place], Distribution]
ZERO = Constant(0.0)


@dataclass(frozen=True)
class Initialization:
    source: str
    weight: Draw
    dense: Draw | None = None
    """Weights of fully-connected layers, where they are drawn otherwise than those of convolutions."""
    bias: Draw = lambda place: ZERO

    def draw(self, place: Place) -> tuple[Distribution, Distribution]:
        """(weights, biases) of a place."""
        weight = self.weight if place.convolution else self.dense or self.weight
        return weight(place), self.bias(place)


def _positive(value: float) -> Draw:
    """2012's biases that give ReLUs positive inputs from the start: conv2, 4, 5, 6 and the hidden fc layers."""

    def draw(place: Place) -> Constant:
        positive = place.name in ("conv2", "conv4", "conv5", "conv6") if place.convolution else not place.last
        return Constant(value if positive else 0.0)

    return draw


def _hidden_caffe(place: Place) -> Normal:
    return Normal(0.01 if place.last else 0.005)


def _glorot(place: Place) -> Uniform:
    return Uniform(math.sqrt(6 / (place.fan_in + place.fan_out)))


def _torch(place: Place) -> Uniform:
    return Uniform(1 / math.sqrt(place.fan_in))


def _he(place: Place) -> Normal:
    return Normal(math.sqrt(2 / place.fan_in))


_CAFFE = "https://github.com/BVLC/caffe, models/"
_KERAS = "https://keras.io/api/layers/initializers/: "
INITIALIZATIONS: dict[str, Initialization] = {
    "paper": Initialization(
        "Krizhevsky et al. 2012, section 5: std .01; biases 1 on conv2, 4, 5 and hidden fc",
        lambda place: Normal(0.01),
        bias=_positive(1.0),
    ),
    "as-run": Initialization(
        "2012 code, layers/layers-145.cfg: the paper's, but std .03 on conv3–5",
        lambda place: Normal(0.03 if place.name in ("conv3", "conv4", "conv5", "conv6") else 0.01),
        bias=_positive(1.0),
    ),
    "figure1": Initialization(
        "2012 code, layers-cifar/layers-18pct.cfg: std 1e-4 on conv1, else .01; biases 0",
        lambda place: Normal(0.0001 if place.name == "conv1" else 0.01),
    ),
    "caffe-alexnet": Initialization(
        _CAFFE + "bvlc_alexnet/train_val.prototxt: std .01, .005 on fc6 and fc7; biases .1",
        lambda place: Normal(0.01),
        dense=_hidden_caffe,
        bias=_positive(0.1),
    ),
    "caffenet": Initialization(
        _CAFFE + "bvlc_reference_caffenet/train_val.prototxt: the same with biases 1",
        lambda place: Normal(0.01),
        dense=_hidden_caffe,
        bias=_positive(1.0),
    ),
    "keras-glorot": Initialization(_KERAS + "the default of Conv2D and Dense, Glorot uniform; biases 0", _glorot),
    "keras-uniform": Initialization(
        _KERAS + "'uniform' convolutions are U(−.05, .05); Dense Glorot", lambda place: Uniform(0.05), dense=_glorot
    ),
    "keras-he": Initialization(
        _KERAS + "'he_normal' convolutions, a normal cut at two sigmas; Dense Glorot",
        lambda place: Truncated(math.sqrt(2 / place.fan_in)),
        dense=_glorot,
    ),
    "tensorflow": Initialization(
        "TensorFlow 1 get_variable without an initializer: Glorot uniform, biases too",
        _glorot,
        bias=lambda place: Uniform(math.sqrt(3 / place.outputs)),
    ),
    "tensorflow-resnet": Initialization(
        "https://github.com/tensorflow/models, official/resnet: variance_scaling_initializer(), a normal cut at two "
        "sigmas with std √(1 / fan in); dense Glorot",
        lambda place: Truncated(math.sqrt(1 / place.fan_in)),
        dense=_glorot,
    ),
    "torch": Initialization(
        "PyTorch's Conv2d and Linear, and so torchvision's AlexNet: U(±1/√fan in), biases too", _torch, bias=_torch
    ),
    "torchvision": Initialization(
        "https://github.com/pytorch/vision, models/resnet.py: convolutions N(0, √(2 / fan out)); Linear as torch",
        lambda place: Normal(math.sqrt(2 / place.fan_out)),
        dense=_torch,
        bias=lambda place: ZERO if place.convolution else _torch(place),
    ),
    "he": Initialization("He et al. 2015 (arXiv 1502.01852), equation 10: N(0, √(2 / fan in)); biases 0", _he),
    "ours": Initialization(
        "He's, but std .01 where the classes are scored, so that training starts at ln(classes)",
        lambda place: Normal(0.01) if place.last else _he(place),
    ),
    "zero-last": Initialization(
        "He's, but the last layer 0, as BiT starts on pretrained features (Kolesnikov et al. 2020, arXiv 1912.11370): "
        "the directions in which a few images do not differ stay out of the answer",
        lambda place: ZERO if place.last else _he(place),
    ),
}


def places(model: nn.Module) -> dict[str, Place]:
    """The layers that an initialization draws, by their name in the model; the last one gives the logits."""
    weighted = [(name, part) for name, part in model.named_modules() if isinstance(part, nn.Conv2d | nn.Linear)]
    found = {}
    for name, part in weighted:
        outputs, fan_in = part.weight.shape[0], part.weight[0].numel()
        area = part.weight[0, 0].numel()
        last = name == weighted[-1][0]
        found[name] = Place(name, isinstance(part, nn.Conv2d), last, fan_in, outputs * area, outputs)
    return found


@torch.no_grad()
def initialize(model: nn.Module, name: str) -> None:
    """Draws every weight of `model` anew from torch's global generator. InputError for an unknown `name`."""
    choice("initialization", name, INITIALIZATIONS)
    if any(parameter.is_meta for parameter in model.parameters()):
        return  # only shapes: nothing to draw
    for part_name, place in places(model).items():
        part = model.get_submodule(part_name)
        assert isinstance(part, nn.Conv2d | nn.Linear)
        weight, bias = INITIALIZATIONS[name].draw(place)
        weight.fill(part.weight)
        if part.bias is not None:
            bias.fill(part.bias)
    for part in model.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.reset_parameters()
