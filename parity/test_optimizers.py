"""Optimizers move weights as the origin's do, also through a drop of the learning rate (all in float64)."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from alexnet.models import catalog
from alexnet.recipes.schema import Optimizer
from alexnet.training import optim
from parity import origins_keras
from parity.compare import BOUNDS, Table, relative, weights
from parity.origins_keras import keras
from parity.origins_tf import tf, to_ours

SECTION = "Optimizers: where the weights stand after 12 random gradients, the rate divided by eight after 6"
DROP = [2**-7] * 6 + [2**-10] * 6
MOMENTUM, BETA2, EPSILON = 0.875, 1 - 2**-10, 2**-23
"""Close to .9, .999 and 1e-7, and exact in float32, through which Keras passes its constants."""


@pytest.fixture(autouse=True)
def _float64() -> Iterator[None]:
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    yield
    keras.config.set_floatx("float32")
    keras.config.set_dtype_policy("float32")


def _gradients(scale: float = 1.0) -> np.ndarray:
    return np.random.default_rng(0).normal(0, scale, (len(DROP), 1000))


def _places(step: Callable[[float, np.ndarray], np.ndarray], gradients: np.ndarray) -> list[np.ndarray]:
    """Where the weights stand after each step; `step` takes the rate and the gradient."""
    return [step(rate, gradient).copy() for rate, gradient in zip(DROP, gradients, strict=True)]


def _torch(make: Callable[[nn.Module], torch.optim.Optimizer]) -> Callable[[float, np.ndarray], np.ndarray]:
    model = nn.ParameterDict({"weight": torch.zeros(1000, dtype=torch.float64)})
    optimizer = make(model)

    def step(rate: float, gradient: np.ndarray) -> np.ndarray:
        optimizer.param_groups[0]["lr"] = rate
        model["weight"].grad = torch.from_numpy(gradient.copy())
        optimizer.step()
        return model["weight"].detach().numpy()

    return step


def _keras(optimizer: Any) -> Callable[[float, np.ndarray], np.ndarray]:
    variable = keras.Variable(np.zeros(1000))

    def step(rate: float, gradient: np.ndarray) -> np.ndarray:
        optimizer.learning_rate = rate
        optimizer.apply([tf.constant(gradient)], [variable])
        return variable.numpy()

    return step


@pytest.mark.parametrize("nesterov", [True, False])
def test_velocity_sgd_as_keras(nesterov: bool, table: Table):
    """Ours is Keras's throughout; torch's is too until the rate drops, and then no longer."""
    gradients = _gradients()
    origin = _places(_keras(keras.optimizers.SGD(DROP[0], momentum=MOMENTUM, nesterov=nesterov)), gradients)
    made = {}
    for name in ("velocity", "sgd"):
        settings = Optimizer(name=name, lr=DROP[0], momentum=MOMENTUM, nesterov=nesterov)
        made[name] = _places(_torch(lambda model, settings=settings: optim.build(settings, model)), gradients)
        table(
            SECTION,
            origin=f"Keras SGD(momentum, nesterov={nesterov})",
            ours="VelocitySGD" if name == "velocity" else "torch.optim.SGD, for contrast",
            before_the_drop=relative(made[name][5], origin[5]),
            at_the_end=relative(made[name][-1], origin[-1]),
        )
    assert relative(made["velocity"][-1], origin[-1]) <= BOUNDS["float64"]
    assert relative(made["sgd"][5], origin[5]) <= BOUNDS["float64"]
    assert relative(made["sgd"][-1], origin[-1]) > 0.01


def test_adam_as_keras(table: Table):
    """Equal but for epsilon, which Keras adds before the bias correction and torch after it: tiny gradients tell."""
    found = {}
    for scale, epsilon in ((1.0, 2.0**-90), (1.0, EPSILON), (1e-3, EPSILON), (1e-5, EPSILON)):
        origin = _places(_keras(keras.optimizers.Adam(DROP[0], MOMENTUM, BETA2, epsilon)), _gradients(scale))
        settings = Optimizer(name="adam", lr=DROP[0], beta1=MOMENTUM, beta2=BETA2, eps=epsilon)
        ours = _places(_torch(lambda model, settings=settings: optim.build(settings, model)), _gradients(scale))
        found[scale, epsilon] = relative(ours[-1], origin[-1])
        table(
            SECTION,
            origin=f"Keras Adam(epsilon={epsilon:.0e})",
            ours=f"adam with the same eps, gradients of {scale:g}",
            before_the_drop=relative(ours[5], origin[5]),
            at_the_end=found[scale, epsilon],
        )
    assert found.pop((1.0, 2.0**-90)) <= BOUNDS["float64"]
    assert list(found.values()) == sorted(found.values()), "the smaller the gradients, the more epsilon matters"


def test_adadelta_as_tensorflow_1(table: Table):
    variable, accumulated, updates = (tf.Variable(np.zeros(1000)) for _ in range(3))

    def step(rate: float, gradient: np.ndarray) -> np.ndarray:
        handles = {"var": variable.handle, "accum": accumulated.handle, "accum_update": updates.handle}
        rates = {"lr": rate, "rho": 0.95, "epsilon": 1e-8}
        settings = {name: tf.constant(value, tf.float64) for name, value in rates.items()}
        tf.raw_ops.ResourceApplyAdadelta(**handles, **settings, grad=tf.constant(gradient))
        return variable.numpy()

    origin = _places(step, _gradients())
    settings = Optimizer(name="adadelta", lr=DROP[0], rho=0.95, eps=1e-8)
    ours = _places(_torch(lambda model: optim.build(settings, model)), _gradients())
    table(
        SECTION,
        origin="TensorFlow 1 Adadelta(rho=.95, epsilon=1e-8)",
        ours="adadelta",
        before_the_drop=relative(ours[5], origin[5]),
        at_the_end=relative(ours[-1], origin[-1]),
    )
    assert relative(ours[-1], origin[-1]) <= BOUNDS["float64"]


def test_l2_as_keras(table: Table):
    """The write-up's kernel_regularizer on the convolutions: the same penalty, and the same gradients of it."""
    model = catalog.create("alexnet-thinner-4").double()
    built = origins_keras.build("alexnet-thinner-4", "float64")
    origin = origins_keras.wrap(built)
    origin.load(weights(model))
    with tf.GradientTape() as tape:
        penalty = tf.add_n(built.losses)
    names = [name for name in origin.variables if name.startswith("conv") and name.endswith("weight")]
    expected = tape.gradient(penalty, [origin.variables[name] for name in names])
    ours = optim.L2(Optimizer(l2=1e-4, l2_layers=("conv",)), model)()
    assert isinstance(ours, torch.Tensor)
    ours.backward()
    assert [name for name, value in model.named_parameters() if value.grad is not None] == names
    gradients = [model.get_parameter(name).grad for name in names]
    worst = max(
        relative(got.numpy(), to_ours(name, reference.numpy(), origin.flat))
        for name, got, reference in zip(names, gradients, expected, strict=True)
        if got is not None
    )
    table("L2", origin="Keras kernel_regularizer=L2(1e-4)", ours="l2 = 1e-4 on 'conv'", worst_gradient=worst)
    assert float(ours.detach()) == pytest.approx(float(penalty), rel=1e-7)
    assert worst <= 1e-7  # Keras holds its factor in float32
