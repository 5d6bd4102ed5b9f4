"""Counts by hand for a network that is small enough."""

import pytest

from alexnet.benchmark import cost
from alexnet.benchmark.machine import Peaks
from alexnet.models.summary import Layer, Summary
from alexnet.recipes.schema import Optimizer

# conv1: 2 × 3 numbers out of 10 weights, 60 FLOPs; fc2: 4 numbers, 24 weights, 48 FLOPs.
LAYERS = (
    Layer("conv1", (2, 3), 10, 60, 24),
    Layer("relu1", (2, 3), 0, 0, 24),
    Layer("flatten", (6,), 0, 0, 24),
    Layer("fc2", (4,), 24, 48, 16),
)
NETWORK = Summary("tiny", 34, 34, 0, 108, LAYERS, 136)
NUMBERS = 6 + 6 + 4  # flatten copies nothing


def test_training_is_three_products_but_the_first_layers_input_gradient() -> None:
    assert cost.training_flops(NETWORK) == 3 * 108 - 60


@pytest.mark.parametrize(
    ("precision", "optimizer", "per_weight"),
    [
        ("fp32", Optimizer("sgd", momentum=0.0), 4 + 4 + 8 + 8),
        ("fp32", Optimizer("velocity", momentum=0.9), 4 + 4 + 8 + 8 + 8),
        ("fp32", Optimizer("adam"), 4 + 4 + 8 + 8 + 16),
        ("bf16", Optimizer("adadelta"), 4 + 2 + 2 + 2 + 8 + 8 + 16),
    ],
)
def test_bytes_of_training(precision: str, optimizer: Optimizer, per_weight: int) -> None:
    width = cost.WIDTH[precision]
    step = cost.training(NETWORK, 5, precision, optimizer)
    assert step.bytes == 34 * per_weight + 5 * 5 * width * NUMBERS
    assert step.flops == 5 * cost.training_flops(NETWORK)


def test_bytes_of_inference() -> None:
    assert cost.inference(NETWORK, 3, "bf16") == cost.Cost(3 * 108, 2 * (34 + 3 * 2 * NUMBERS))


def test_the_floor_is_the_larger_of_the_two() -> None:
    peaks = Peaks({"fp32": 100.0}, bandwidth=10.0)
    assert cost.Cost(1000, 20).floor(peaks, "fp32") == 10
    assert cost.Cost(1000, 200).floor(peaks, "fp32") == 20
