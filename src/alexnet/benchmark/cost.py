"""What a step must cost: floating-point operations and bytes, counted from the network's layers.

FLOPs are 2 × multiply-adds of convolutions and fully-connected layers. Training does each layer's product three times:
forward, for the gradient of its weights, and for the gradient of its input, which the first layer does not need.

Bytes are those that must move when nothing stays in a cache between two layers, with a value's width of 4 bytes in
fp32 and 2 in bf16:

- weights: read forward and backward; in bf16 they are kept in fp32, read there and written as bf16 first
- gradients: written and read once, in fp32
- optimizer: weights and each state (momentum, velocity; Adam and Adadelta have two) read and written, in fp32
- activations: each layer's output is written, read by the next layer and again in the backward pass; its gradient is
  written and read

Inference reads the weights, and writes and reads each output. The floor is the larger of FLOPs over the measured
matrix peak and bytes over the measured bandwidth: no program can be quicker without doing less.
"""

from dataclasses import dataclass

from alexnet.benchmark.machine import Peaks
from alexnet.models.summary import Summary
from alexnet.recipes.schema import Optimizer

WIDTH = {"fp32": 4, "bf16": 2}
"""Bytes of a value in the forward and backward pass."""


@dataclass(frozen=True)
class Cost:
    """Of one step (or of one batch of inference)."""

    flops: float
    bytes: float

    def floor(self, peaks: Peaks, precision: str) -> float:
        """Seconds below which the machine cannot do it."""
        return max(self.flops / peaks.flops[precision], self.bytes / peaks.bandwidth)


def training_flops(network: Summary) -> int:
    """FLOPs of a training step for one image: three times forward, less the first layer's input gradient."""
    first = next(layer.flops for layer in network.layers if layer.flops)
    return 3 * network.flops - first


def training(network: Summary, batch: int, precision: str, optimizer: Optimizer) -> Cost:
    """One step of training on `batch` images."""
    width, weights = WIDTH[precision], network.trainable_parameters
    cast = 0 if precision == "fp32" else 4 + width
    per_weight = cast + 2 * width + 2 * 4 + 2 * 4 + 2 * 4 * states(optimizer)
    moved = weights * per_weight + batch * 5 * width * _activations(network)
    return Cost(batch * training_flops(network), moved)


def inference(network: Summary, batch: int, precision: str) -> Cost:
    """One forward pass of `batch` images."""
    width = WIDTH[precision]
    return Cost(batch * network.flops, width * (network.parameters + 2 * batch * _activations(network)))


def states(optimizer: Optimizer) -> int:
    """Numbers that the optimizer keeps for each weight."""
    if optimizer.name in ("sgd", "velocity", "muon"):
        return int(optimizer.momentum > 0)
    return 2


def _activations(network: Summary) -> int:
    """Numbers that one image leaves behind; flattening copies nothing."""
    return sum(layer.activation_bytes // 4 for layer in network.layers if layer.name != "flatten")
