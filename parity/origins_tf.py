"""AlexNets in TensorFlow's own operations, from the write-ups' layer lists; and what any TensorFlow origin needs."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from parity.compare import Draw, Result, Weights

tf = pytest.importorskip("tensorflow", reason="TensorFlow is not installed: make parity")

Tensor = Any
Variables = dict[str, Any]


def to_origin(name: str, value: np.ndarray, flat: tuple[int, int, int]) -> np.ndarray:
    """Our layout → TensorFlow's. `flat` is the height, width and channels that fc6 flattens (channel last there)."""
    if value.ndim == 4:
        return value.transpose(2, 3, 1, 0)
    if name == "fc6.weight":
        height, width, channels = flat
        value = value.reshape(-1, channels, height, width).transpose(0, 2, 3, 1).reshape(len(value), -1)
    return value.T


def to_ours(name: str, value: np.ndarray, flat: tuple[int, int, int]) -> np.ndarray:
    """TensorFlow's layout → ours."""
    if value.ndim == 4:
        return value.transpose(3, 2, 0, 1)
    value = value.T
    if name == "fc6.weight":
        value = value.reshape(len(value), *flat).transpose(0, 3, 1, 2).reshape(len(value), -1)
    return value


class TensorFlowOrigin:
    """A function of images and variables, with weights and gradients in our names and layout."""

    def __init__(
        self,
        forward: Callable[[Tensor, bool], Tensor],
        variables: Variables,
        flat: tuple[int, int, int],
        loss: Callable[[Tensor, Tensor], Tensor],
        output: str = "logits",
    ):
        self.forward, self.variables, self.flat, self.loss, self.output = forward, variables, flat, loss, output

    def load(self, weights: Weights) -> None:
        if weights.keys() != self.variables.keys():
            raise ValueError(f"parameters differ: {sorted(weights.keys() ^ self.variables.keys())}")
        for name, variable in self.variables.items():
            variable.assign(np.ascontiguousarray(to_origin(name, weights[name], self.flat)))

    def weights(self) -> Weights:
        return {name: to_ours(name, np.asarray(value), self.flat) for name, value in self.variables.items()}

    def stir(self) -> None:
        """Biases at random: frameworks start them at 0, where a bias that went to the wrong place would not tell."""
        generator = np.random.default_rng(0)
        for name, variable in self.variables.items():
            if name.endswith(".bias"):
                variable.assign(generator.normal(0, 0.3, variable.shape))

    def run(self, draw: Draw, training: bool = False) -> Result:
        kind = next(iter(self.variables.values())).dtype
        trained = {name: variable for name, variable in self.variables.items() if variable.trainable}
        with tf.GradientTape() as tape:
            outputs = self.forward(tf.constant(draw.images.transpose(0, 2, 3, 1), kind), training)
            loss = self.loss(draw.labels, outputs)
        gradients = tape.gradient(loss, list(trained.values()))
        if self.output == "log-probabilities":
            outputs = tf.math.log(outputs)
        return Result(
            outputs.numpy(),
            {name: to_ours(name, g.numpy(), self.flat) for name, g in zip(trained, gradients, strict=True)},
            {name: np.asarray(variable) for name, variable in self.variables.items() if ".running_" in name},
        )


def lrn(x: Tensor, radius: int, bias: float, alpha: float, beta: float) -> Tensor:
    """TensorFlow's local response normalization; in float64, which its kernel lacks, its formula in its operations."""
    if x.dtype != tf.float64:
        return tf.nn.local_response_normalization(x, radius, bias, alpha, beta)
    return lrn_formula(x, radius, bias, alpha, beta)


def lrn_formula(x: Tensor, radius: int, bias: float, alpha: float, beta: float) -> Tensor:
    """x / (bias + alpha · sum over 2 · radius + 1 channels of x²) ** beta."""
    channels = x.shape[-1]
    squares = tf.pad(tf.square(x), [[0, 0], [0, 0], [0, 0], [radius, radius]])
    total = tf.add_n([squares[..., start : start + channels] for start in range(2 * radius + 1)])
    return x / tf.pow(bias + alpha * total, tf.constant(beta, x.dtype))


def cross_entropy(labels: Tensor, logits: Tensor) -> Tensor:
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits))


def imagenet(precision: str, alpha: float, bias: float = 1.0, pool_first: bool = False) -> TensorFlowOrigin:
    """The TensorFlow 1 network for bvlc_alexnet.npy: groups as split and concatenated, LRN with radius 2.

    `alpha`: 1e-4 as the write-up prints it, 2e-5 as the weights want it (TensorFlow does not divide by the window).
    `bias` 2 and `pool_first` make it the network of alexnet_weights.h5.
    """
    shapes = {
        "conv1": (11, 11, 3, 96),
        "conv2": (5, 5, 48, 256),
        "conv3": (3, 3, 256, 384),
        "conv4": (3, 3, 192, 384),
        "conv5": (3, 3, 192, 256),
        "fc6": (6 * 6 * 256, 4096),
        "fc7": (4096, 4096),
        "fc8": (4096, 1000),
    }
    v = _variables(shapes, precision)

    def conv(x: Tensor, name: str, stride: int = 1, padding: str = "SAME", groups: int = 1) -> Tensor:
        images = tf.split(x, groups, axis=3)
        kernels = tf.split(v[f"{name}.weight"], groups, axis=3)
        parts = [tf.nn.conv2d(p, k, stride, padding) for p, k in zip(images, kernels, strict=True)]
        return tf.nn.relu(tf.nn.bias_add(tf.concat(parts, axis=3), v[f"{name}.bias"]))

    def pool(x: Tensor) -> Tensor:
        return tf.nn.max_pool2d(x, 3, 2, "VALID")

    def norm(x: Tensor) -> Tensor:
        return lrn(x, 2, bias, alpha, 0.75)

    def pool_and_norm(x: Tensor) -> Tensor:
        return norm(pool(x)) if pool_first else pool(norm(x))

    def forward(x: Tensor, training: bool) -> Tensor:
        x = pool_and_norm(conv(x, "conv1", stride=4, padding="VALID"))
        x = pool_and_norm(conv(x, "conv2", groups=2))
        x = conv(conv(x, "conv3"), "conv4", groups=2)
        x = tf.reshape(pool(conv(x, "conv5", groups=2)), [-1, 6 * 6 * 256])
        return _head(x, v)

    return TensorFlowOrigin(forward, v, (6, 6, 256), cross_entropy)


def mnist(precision: str) -> TensorFlowOrigin:
    """The MNIST AlexNet: SAME everywhere, pools k × k with stride k, LRN with radius 4, bias 1, alpha .001 / 9.

    The write-up leaves its weight shapes out; these are the customary five convolutions.
    """
    shapes = {
        "conv1": (11, 11, 1, 96),
        "conv2": (5, 5, 96, 256),
        "conv3": (3, 3, 256, 384),
        "conv4": (3, 3, 384, 384),
        "conv5": (3, 3, 384, 256),
        "fc6": (4 * 4 * 256, 4096),
        "fc7": (4096, 4096),
        "fc8": (4096, 10),
    }
    v = _variables(shapes, precision)

    def conv(x: Tensor, name: str) -> Tensor:
        return tf.nn.relu(tf.nn.bias_add(tf.nn.conv2d(x, v[f"{name}.weight"], 1, "SAME"), v[f"{name}.bias"]))

    def pool(x: Tensor) -> Tensor:
        return tf.nn.max_pool2d(x, 2, 2, "SAME")

    def forward(x: Tensor, training: bool) -> Tensor:
        x = lrn(pool(conv(x, "conv1")), 4, 1.0, 0.001 / 9, 0.75)
        x = lrn(pool(conv(x, "conv2")), 4, 1.0, 0.001 / 9, 0.75)
        x = pool(conv(conv(conv(x, "conv3"), "conv4"), "conv5"))
        return _head(tf.reshape(x, [-1, 4 * 4 * 256]), v)

    return TensorFlowOrigin(forward, v, (4, 4, 256), cross_entropy)


def _head(x: Tensor, v: Variables) -> Tensor:
    """fc6, fc7 and the raw scores; dropout keeps everything."""
    for name in ("fc6", "fc7"):
        x = tf.nn.relu(tf.matmul(x, v[f"{name}.weight"]) + v[f"{name}.bias"])
    return tf.matmul(x, v["fc8.weight"]) + v["fc8.bias"]


def _variables(shapes: dict[str, tuple[int, ...]], precision: str) -> Variables:
    """A variable for every weight, normal with the variance that keeps a ReLU network's scale, and for every bias."""
    generator = np.random.default_rng(7)
    variables = {}
    for name, shape in shapes.items():
        deviation = (2 / math.prod(shape[:-1])) ** 0.5
        variables[f"{name}.weight"] = tf.Variable(generator.normal(0, deviation, shape), dtype=precision)
        variables[f"{name}.bias"] = tf.Variable(np.zeros(shape[-1]), dtype=precision)
    return variables
