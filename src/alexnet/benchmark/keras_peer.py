"""The same networks in Keras, made from ours and trained as their write-ups train them: `model.fit`."""

# The peer lives in an environment of its own.
# pyright: reportMissingImports=false, reportMissingModuleSource=false

import time
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers as k

from alexnet.errors import InputError
from alexnet.models import catalog, structure
from alexnet.models.structure import pad_amounts
from alexnet.recipes.schema import Optimizer, Recipe

_BATCHES = 2


class _LRN(k.Layer):
    """TensorFlow's local response normalization, within each group of channels."""

    def __init__(self, of: structure.LRN):
        super().__init__()
        self.of = of

    def call(self, x: Any) -> Any:
        of = self.of
        alpha = of.alpha / of.size if of.divide else of.alpha
        parts = (tf.nn.lrn(part, of.size // 2, of.k, alpha, of.beta) for part in tf.split(x, of.groups, axis=-1))
        return tf.concat(list(parts), axis=-1)


def build(name: str, optimizer: Optimizer) -> keras.Sequential:
    """One of our networks in Keras, channels last, softmax at its end, with Keras's L2 where the recipe has it.

    Its layers have our names. InputError when the network is no sequential network, or has one that is not translated.
    """
    spec = catalog.get(name)
    if not spec.layers:
        raise InputError(f"{name} is no sequential network; the Keras peer knows only such networks")
    channels, height, width = spec.input
    rows = structure.numbered(spec.layers, spec.input, spec.classes)
    made = [each for name, layer, shape in rows for each in _layers(name, layer, shape, optimizer)]
    return keras.Sequential([k.Input((height, width, channels)), *made, k.Softmax()])


def _layers(name: str, layer: structure.Layer, shape: structure.Shape, optimizer: Optimizer) -> Iterator[Any]:
    match layer:
        case structure.Conv():
            pads, padding = _padding(layer, shape)
            yield from (k.ZeroPadding2D(each) for each in pads)
            decays = optimizer.l2 and name.startswith(optimizer.l2_layers or ("",))
            l2 = keras.regularizers.L2(optimizer.l2) if decays else None
            yield k.Conv2D(
                layer.out, layer.kernel, layer.stride, padding, groups=layer.groups, use_bias=layer.bias,
                kernel_regularizer=l2, name=name,
            )  # fmt: skip
        case structure.Linear():
            yield k.Dense(layer.output(shape)[0], name=name)
        case structure.Pool():
            pads, padding = _padding(layer, shape)
            yield from (k.ZeroPadding2D(each) for each in pads)  # zeros never win after a ReLU
            yield k.MaxPooling2D(layer.size, layer.stride, padding, name=name)
        case structure.ReLU() | structure.Tanh():
            yield k.Activation(layer.kind, name=name)
        case structure.Flatten():
            yield k.Flatten(name=name)
        case structure.BatchNorm():
            yield k.BatchNormalization(epsilon=layer.eps, momentum=1 - layer.momentum, name=name)
        case structure.LRN():
            yield _LRN(layer)
        case structure.Dropout():
            yield k.Dropout(layer.p, name=name)
            if layer.scaled:
                yield k.Rescaling(1 - layer.p)
        case structure.AveragePool() if shape[1:] == (layer.size, layer.size):
            return  # a map of that size passes
        case _:
            raise InputError(f"the Keras peer does not know the layer {name}")


def _padding(layer: structure.Conv | structure.Pool, shape: structure.Shape) -> tuple[list[Any], str]:
    """(zeros to put around the image first, Keras's own padding)."""
    kernel = layer.kernel if isinstance(layer, structure.Conv) else layer.size
    pads = tuple(pad_amounts(side, kernel, layer.stride, layer.padding) for side in shape[1:])
    if pads == tuple(pad_amounts(side, kernel, layer.stride, "same") for side in shape[1:]):
        return [], "same"
    return ([pads] if any(map(any, pads)) else []), "valid"


def keras_optimizer(of: Optimizer) -> Any:
    """Keras's optimizer of that name; ours named 'velocity' is its SGD."""
    make = keras.optimizers
    match of.name:
        case "sgd" | "velocity":
            return make.SGD(of.lr, momentum=of.momentum, nesterov=of.nesterov, weight_decay=of.weight_decay or None)
        case "adam":
            return make.Adam(of.lr, of.beta1, of.beta2, of.eps)
        case "adamw":
            return make.AdamW(of.lr, of.weight_decay, of.beta1, of.beta2, of.eps)
        case _:
            return make.Adadelta(of.lr, of.rho, of.eps)


class _Clock(keras.callbacks.Callback):
    """Seconds of each step, from its begin to its end; what `fit` does between epochs is not counted."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        self._start = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.seconds.append(time.perf_counter() - self._start)


def start(recipe: Recipe, threads: int) -> tuple[Callable[[int], list[float]], dict[str, Any]]:
    """(steps → seconds of each, facts): the recipe's network and optimizer in fp32, on noise in memory."""
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    keras.utils.set_random_seed(0)
    model = build(recipe.model.name, recipe.optimizer)
    model.compile(keras_optimizer(recipe.optimizer), "sparse_categorical_crossentropy", metrics=["accuracy"])
    size, random = recipe.train.batch_size, np.random.default_rng(0)
    x = random.random((_BATCHES * size, *model.input_shape[1:]), np.float32)
    y = random.integers(0, model.output_shape[1], len(x))

    def seconds(steps: int) -> list[float]:
        clock = _Clock()
        model.fit(x, y, size, epochs=-(-steps // _BATCHES), verbose=0, callbacks=[clock])  # pyright: ignore
        return clock.seconds[:steps]

    versions = {"keras": keras.__version__, "tensorflow": tf.__version__}
    return seconds, versions | {"precision": "fp32", "parameters": model.count_params()}
