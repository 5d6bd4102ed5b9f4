"""The Keras write-ups' networks, layer by layer in Keras, named as ours so that weights can be passed."""

from collections.abc import Callable
from typing import Any

import pytest

from parity.origins_tf import TensorFlowOrigin, lrn, tf

keras = pytest.importorskip("keras", reason="Keras is not installed: make parity")
layers = keras.layers


def cifar100() -> Any:
    """AlexNet on CIFAR-100: pools valid, the last one 2/2; convolutions 'uniform', the rest Keras's default."""

    def conv(name: str, width: int, kernel: int, stride: int = 1) -> Any:
        return layers.Conv2D(
            width, kernel, stride, padding="same", activation="relu", kernel_initializer="uniform", name=name
        )

    return keras.Sequential(
        [
            layers.Input((32, 32, 3)),
            conv("conv1", 96, 11, 2),
            layers.MaxPooling2D(3, 2),
            conv("conv2", 256, 5),
            layers.MaxPooling2D(3, 2),
            conv("conv3", 384, 3),
            conv("conv4", 384, 3),
            conv("conv5", 256, 3),
            layers.MaxPooling2D(2, 2),
            *_head(2048, 100, 0.5),
        ]
    )


def cifar10(
    widths: tuple[int, ...] = (96, 256, 384, 384, 256),
    hidden: int = 4096,
    slim: bool = False,
    regular: bool = False,
) -> Any:
    """The five AlexNets on CIFAR-10: pools 3/2 same.

    `slim` replaces the first convolution and pool by one 3 × 3 convolution; `regular` is he_normal with L2 1e-4.
    """
    settings = {"kernel_initializer": "uniform"}
    if regular:
        settings = {"kernel_initializer": "he_normal", "kernel_regularizer": keras.regularizers.L2(1e-4)}

    def conv(name: str, width: int, kernel: int, stride: int = 1) -> Any:
        return layers.Conv2D(width, kernel, stride, padding="same", activation="relu", name=name, **settings)

    def pool() -> Any:
        return layers.MaxPooling2D(3, 2, padding="same")

    first = [conv("conv1", widths[0], 3)] if slim else [conv("conv1", widths[0], 11, 4), pool()]
    return keras.Sequential(
        [
            layers.Input((32, 32, 3)),
            *first,
            conv("conv2", widths[1], 5),
            pool(),
            conv("conv3", widths[2], 3),
            conv("conv4", widths[3], 3),
            conv("conv5", widths[4], 3),
            pool(),
            *_head(hidden, 10, 0.5),
        ]
    )


class _PaddedConv(layers.Layer):
    """128 kernels of 5 × 5 over two pixels of zeros on each side, without bias and without activation."""

    def build(self, input_shape: Any) -> None:
        self.kernel = self.add_weight(name="kernel", shape=(5, 5, input_shape[-1], 128))

    def call(self, x: Any) -> Any:
        return tf.nn.conv2d(x, self.kernel, strides=1, padding=[[0, 0], [2, 2], [2, 2], [0, 0]])


class _Normalization(layers.Layer):
    """The LRN that the Caltech write-up states and leaves to the reader: k 2, n 5, alpha 1e-4 undivided, beta .75."""

    def call(self, x: Any) -> Any:
        return lrn(x, 2, 2.0, 1e-4, 0.75)


def caltech(normalize: Callable[[str], Any] = lambda name: layers.BatchNormalization(name=name)) -> Any:
    """Half an AlexNet on 45 classes of Caltech-256, with BatchNorm where the paper has LRN."""

    def conv(name: str, width: int) -> Any:
        return layers.Conv2D(width, 3, padding="same", activation="relu", name=name)

    return keras.Sequential(
        [
            layers.Input((227, 227, 3)),
            layers.Conv2D(48, 11, 4, activation="relu", name="conv1"),
            layers.MaxPooling2D(3, 2),
            normalize("bn1"),
            _PaddedConv(name="conv2"),
            layers.MaxPooling2D(3, 2),
            layers.ReLU(),
            normalize("bn2"),
            conv("conv3", 192),
            conv("conv4", 192),
            conv("conv5", 128),
            layers.ReLU(),
            layers.MaxPooling2D(3, 2),
            *_head(2048, 45, 0.25),
        ]
    )


def caltech_lrn() -> Any:
    return caltech(lambda name: _Normalization())


def _head(hidden: int, classes: int, rate: float) -> list[Any]:
    return [
        layers.Flatten(name="flatten"),
        layers.Dense(hidden, activation="relu", name="fc6"),
        layers.Dropout(rate),
        layers.Dense(hidden, activation="relu", name="fc7"),
        layers.Dropout(rate),
        layers.Dense(classes, activation="softmax", name="fc8"),
    ]


NETWORKS: dict[str, Callable[[], Any]] = {
    "alexnet-cifar100": cifar100,
    "alexnet-cifar10": cifar10,
    "alexnet-slim": lambda: cifar10(slim=True),
    "alexnet-slim-regular": lambda: cifar10(slim=True, regular=True),
    "alexnet-thinner-2": lambda: cifar10((48, 128, 192, 192, 128), 2048, slim=True, regular=True),
    "alexnet-thinner-2-as-run": lambda: cifar10((48, 128, 192, 192, 64), 1024, slim=True, regular=True),
    "alexnet-thinner-4": lambda: cifar10((24, 64, 96, 96, 64), 1024, slim=True, regular=True),
    "alexnet-caltech": caltech,
    "alexnet-caltech-lrn": caltech_lrn,
}

_NAMES = {
    "kernel": "weight",
    "bias": "bias",
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}


def build(name: str, precision: str = "float32", seed: int = 0) -> Any:
    """The Keras model of one of our networks, initialized by Keras from `seed`."""
    keras.config.set_floatx(precision)
    keras.config.set_dtype_policy(precision)
    keras.utils.set_random_seed(seed)
    return NETWORKS[name]()


def wrap(model: Any, dropout: bool = False) -> TensorFlowOrigin:
    """The model with its weights in our names; its loss is Keras's cross-entropy on probabilities, its L2 left out."""
    for layer in model.layers:
        if isinstance(layer, layers.Dropout) and not dropout:
            layer.rate = 0.0
    variables = {
        f"{layer.name}.{_NAMES[variable.name]}": variable for layer in model.layers for variable in layer.weights
    }
    flat = tuple(model.get_layer("flatten").input.shape[1:])
    loss = keras.losses.SparseCategoricalCrossentropy()
    return TensorFlowOrigin(lambda x, training: model(x, training=training), variables, flat, loss, "log-probabilities")
