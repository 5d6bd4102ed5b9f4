"""The comparisons can fail: each mistake known from copies of AlexNet moves the outputs far beyond the bound."""

from collections import OrderedDict
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from alexnet.models import catalog
from parity import origins_keras, origins_tf
from parity.compare import BOUNDS, Origin, Table, draw, outputs, randomize, relative, weights

Mutation = Callable[[nn.Module], nn.Module]
Case = tuple[nn.Module, np.ndarray, np.ndarray]
"""Our network, images, and the origin's outputs for them."""


def setting(layer: str, **values: Any) -> Mutation:
    """One layer with other attributes."""

    def change(module: nn.Module) -> nn.Module:
        for name, value in values.items():
            setattr(module, name, value)
        return module

    return replacing(layer, change)


def replacing(layer: str, change: Callable[[Any], nn.Module]) -> Mutation:
    def mutate(model: nn.Module) -> nn.Module:
        parts = OrderedDict(model.named_children())
        parts[layer] = change(deepcopy(parts[layer]))
        return nn.Sequential(parts)

    return mutate


def exchanging(first: str, second: str) -> Mutation:
    """Two neighbors in the other order."""

    def mutate(model: nn.Module) -> nn.Module:
        other = {first: second, second: first}
        return nn.Sequential(*(model.get_submodule(other.get(name, name)) for name, _ in model.named_children()))

    return mutate


def padded(before: int, after: int) -> Callable[[nn.Conv2d], nn.Module]:
    """A convolution with other margins that give the same output size."""

    def change(conv: nn.Conv2d) -> nn.Module:
        bare = nn.Conv2d(conv.in_channels, conv.out_channels, 1, conv.stride[0], groups=conv.groups)
        bare.weight, bare.bias = conv.weight, conv.bias
        return nn.Sequential(nn.ZeroPad2d((before, after, before, after)), bare)

    return change


def ungrouped(conv: nn.Conv2d) -> nn.Module:
    """A convolution whose filters see both groups, with the same weights for either."""
    conv.weight = nn.Parameter(conv.weight.repeat(1, conv.groups, 1, 1))
    conv.groups = 1
    return conv


IMAGENET: dict[str, Mutation] = {
    "nothing": lambda model: model,
    "α 1e-4 → 1.01e-4 (norm1)": setting("norm1", alpha=1.01e-4),
    "k 1 → 2 (norm2)": setting("norm2", k=2.0),
    "n 5 → 3, α with it (norm2)": setting("norm2", size=3, alpha=0.6e-4),
    "β .75 → .5 (norm1)": setting("norm1", beta=0.5),
    "α not divided by n (norm1)": setting("norm1", divide=False),
    "LRN within groups (norm2)": setting("norm2", groups=2),
    "pool → norm for norm → pool (1)": exchanging("norm1", "pool1"),
    "norm → ReLU for ReLU → norm (2)": exchanging("relu2", "norm2"),
    "padding 1 and 3 for 2 and 2 (conv2)": replacing("conv2", padded(1, 3)),
    "no groups (conv4)": replacing("conv4", ungrouped),
}
CIFAR10: dict[str, Mutation] = {
    "nothing": lambda model: model,
    "SAME's odd pixel before the image (conv1)": replacing("conv1", padded(4, 3)),
    "one pixel on each side for SAME (pool1)": setting("pool1", padding=1, ceil_mode=False),
}


def case(name: str, origin: Origin, scale: float) -> Case:
    model = catalog.create(name)
    randomize(model, 1, scale)
    origin.load(weights(model))
    batch = draw(model, 0, scale)
    return model, batch.images, origin.run(batch).outputs


@pytest.fixture(scope="module")
def imagenet() -> Case:
    """Caffe's network, which is TensorFlow's with α / n for α."""
    return case("alexnet-bvlc", origins_tf.imagenet("float32", alpha=2e-5), 60.0)


@pytest.fixture(scope="module")
def cifar10() -> Case:
    return case("alexnet-cifar10", origins_keras.wrap(origins_keras.build("alexnet-cifar10")), 1.0)


@pytest.mark.parametrize("mutation", IMAGENET)
def test_imagenet(mutation: str, imagenet: Case, table: Table):
    model, images, reference = imagenet
    found = relative(outputs(IMAGENET[mutation](model), images), reference)
    _check_mutation("alexnet-bvlc against TensorFlow", mutation, found, table)


@pytest.mark.parametrize("mutation", CIFAR10)
def test_cifar10(mutation: str, cifar10: Case, table: Table):
    model, images, reference = cifar10
    got = torch.from_numpy(outputs(CIFAR10[mutation](model), images)).log_softmax(1).numpy()
    _check_mutation("alexnet-cifar10 against Keras", mutation, relative(got, reference), table)


def _check_mutation(what: str, mutation: str, found: float, table: Table) -> None:
    table("What a mistake does to the outputs (float32)", comparison=what, changed=mutation, difference=found)
    if mutation == "nothing":
        assert found <= BOUNDS["float32"]
    else:
        assert found > 100 * BOUNDS["float32"]
