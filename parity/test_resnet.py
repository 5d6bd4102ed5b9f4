"""Residual networks against their living origins: TensorFlow's official, torchvision's, Keras's and its example.

Where an origin has more than ours (biases before a BatchNorm, another epsilon), our running statistics absorb it, so
that both are the same function; where it differs in its layers, only the part that is common is compared, and the test
says which.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from alexnet.models import catalog
from alexnet.models.network import Network
from parity.compare import BOUNDS, Result, Table, agree, difference, draw, ours, randomize, relative, weights
from parity.origins_keras import keras
from parity.origins_tf import TensorFlowOrigin, cross_entropy, tf

layers = keras.layers
SECTION = "Residual networks"


def stirred(name: str, precision: str, classes: int = 10, size: int = 32) -> Network:
    """The network with weights, and BatchNorms of any statistics, at random."""
    network = catalog.create(name, classes=classes, size=size).to(getattr(torch, precision)).eval()
    randomize(network, 1)
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for part in network.modules():
            if isinstance(part, nn.BatchNorm2d):
                part.weight.copy_(1 + 0.1 * torch.randn(part.weight.shape, generator=generator))
    return network


# TensorFlow's official model, https://github.com/tensorflow/models, official/resnet/resnet_model.py (commit 0273286),
# in TensorFlow's own operations: _BATCH_NORM_EPSILON = 1e-5, explicit padding of strided convolutions, SAME pool.


def official(network: Network, blocks: list[int], bottleneck: bool, large: bool) -> TensorFlowOrigin:
    kind = getattr(tf, str(next(network.parameters()).dtype).removeprefix("torch."))
    variables = {
        name: tf.Variable(
            tf.zeros(value.shape if value.ndim == 1 else tuple(np.roll(value.shape[::-1], 0)) if value.ndim == 2
                     else (*value.shape[2:], value.shape[1], value.shape[0]), kind),
            trainable=".running_" not in name,
        )
        for name, value in weights(network).items()
    }  # fmt: skip

    def conv(x: Any, name: str, stride: int) -> Any:
        kernel = variables[f"{name}.weight"]
        if stride == 1:
            return tf.nn.conv2d(x, kernel, 1, "SAME")
        total = kernel.shape[0] - 1
        edges = [total // 2, total - total // 2]
        return tf.nn.conv2d(tf.pad(x, [[0, 0], edges, edges, [0, 0]]), kernel, stride, "VALID")

    def norm_relu(x: Any, name: str, training: bool) -> Any:
        assert not training
        keys = ("running_mean", "running_var", "bias", "weight")
        return tf.nn.relu(tf.nn.batch_normalization(x, *(variables[f"{name}.{key}"] for key in keys), 1e-5))

    def block(x: Any, name: str, stride: int, training: bool) -> Any:
        shortcut, x = x, norm_relu(x, f"{name}.norms.0", training)
        if f"{name}.shortcut.weight" in variables:
            shortcut = conv(x, f"{name}.shortcut", stride)
        strides = (1, stride, 1) if bottleneck else (stride, 1)
        for i, each in enumerate(strides):
            x = norm_relu(x, f"{name}.norms.{i}", training) if i else x
            x = conv(x, f"{name}.convs.{i}", each)
        return x + shortcut

    def forward(x: Any, training: bool) -> Any:
        x = conv(x, "conv1", 2 if large else 1)
        x = tf.nn.max_pool2d(x, 3, 2, "SAME") if large else x
        for stage, count in enumerate(blocks):
            for i in range(count):
                x = block(x, f"stage{stage + 1}.{i}", 2 if stage and i == 0 else 1, training)
        x = tf.reduce_mean(norm_relu(x, "bn", training), (1, 2))
        return x @ variables["fc.weight"] + variables["fc.bias"]

    return TensorFlowOrigin(forward, variables, (1, 1, 1), cross_entropy)


@pytest.mark.parametrize("precision", BOUNDS)
@pytest.mark.parametrize(
    ("name", "blocks", "bottleneck", "size"),
    [
        ("resnet-20-v2-official", [3, 3, 3], False, 32),
        ("resnet-32-v2-official", [5, 5, 5], False, 32),
        ("resnet-18-v2", [2, 2, 2, 2], False, 64),
        ("resnet-50-v2", [3, 4, 6, 3], True, 64),
    ],
)
def test_tensorflow_official(
    name: str, blocks: list[int], bottleneck: bool, size: int, precision: str, table: Table
) -> None:
    network = stirred(name, precision, size=size)
    origin = official(network, blocks, bottleneck, size > 32)
    origin.load(weights(network))
    found = agree(network, origin, precision)
    table(SECTION, network=name, origin="TensorFlow official", part="all", precision=precision, **found.cells)
    assert found.worst <= BOUNDS[precision], found


# torchvision/models/resnet.py, https://github.com/pytorch/vision: its layers under its names.


class Block(nn.Module):
    def __init__(self, channels: int, width: int, stride: int, bottleneck: bool) -> None:
        super().__init__()
        out = width * 4 if bottleneck else width
        if bottleneck:
            self.conv1, self.bn1 = nn.Conv2d(channels, width, 1, bias=False), nn.BatchNorm2d(width)
            self.conv2, self.bn2 = nn.Conv2d(width, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width)
            self.conv3, self.bn3 = nn.Conv2d(width, out, 1, bias=False), nn.BatchNorm2d(out)
        else:
            self.conv1, self.bn1 = nn.Conv2d(channels, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width)
            self.conv2, self.bn2 = nn.Conv2d(width, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width)
        self.bottleneck, self.downsample = bottleneck, None
        if stride != 1 or channels != out:
            self.downsample = nn.Sequential(nn.Conv2d(channels, out, 1, stride, bias=False), nn.BatchNorm2d(out))

    def forward(self, x: Tensor) -> Tensor:
        identity = x if self.downsample is None else self.downsample(x)
        y = self.bn2(self.conv2(self.bn1(self.conv1(x)).relu()))
        if self.bottleneck:
            y = self.bn3(self.conv3(y.relu()))
        return (y + identity).relu()


def torchvision(blocks: list[int], bottleneck: bool, classes: int) -> nn.Sequential:
    parts: dict[str, nn.Module] = {
        "conv1": nn.Conv2d(3, 64, 7, 2, 3, bias=False),
        "bn1": nn.BatchNorm2d(64),
        "relu": nn.ReLU(),
        "maxpool": nn.MaxPool2d(3, 2, 1),
    }
    channels = 64
    for stage, count in enumerate(blocks):
        width, made = 64 * 2**stage, []
        for i in range(count):
            made.append(Block(channels, width, 2 if stage and i == 0 else 1, bottleneck))
            channels = width * 4 if bottleneck else width
        parts[f"layer{stage + 1}"] = nn.Sequential(*made)
    parts |= {"avgpool": nn.AdaptiveAvgPool2d(1), "flatten": nn.Flatten(), "fc": nn.Linear(channels, classes)}
    return nn.Sequential(OrderedDict(parts))


def torchvision_name(name: str) -> str:
    """Of one of our tensors; the inverse of torchvision's table of names."""
    name = name.replace("stage", "layer").replace(".shortcut.", ".downsample.")
    for kind, theirs in (("convs", "conv"), ("norms", "bn")):
        for i in range(3):
            name = name.replace(f".{kind}.{i}.", f".{theirs}{i + 1}.")
    return name


@pytest.mark.parametrize("precision", BOUNDS)
@pytest.mark.parametrize("mode", ["inference", "training"])
@pytest.mark.parametrize(
    ("name", "blocks", "bottleneck"),
    [
        ("resnet-18", [2, 2, 2, 2], False),
        ("resnet-34", [3, 4, 6, 3], False),
        ("resnet-50", [3, 4, 6, 3], True),
        ("resnet-101", [3, 4, 23, 3], True),
    ],
)
def test_torchvision(name: str, blocks: list[int], bottleneck: bool, mode: str, precision: str, table: Table) -> None:
    network = stirred(name, precision, size=64)
    origin = torchvision(blocks, bottleneck, 10).to(getattr(torch, precision))
    origin.load_state_dict({torchvision_name(key): value for key, value in network.state_dict().items()})
    assert len(list(origin.parameters())) == len(list(network.parameters()))
    batch = draw(network, 0)
    expected = ours(origin, batch, "logits", mode == "training")
    back = {torchvision_name(key): key for key in network.state_dict()}
    gradients = {back[key]: value for key, value in expected.gradients.items()}
    found = difference(ours(network, batch, "logits", mode == "training"), Result(expected.outputs, gradients))
    cells = found.cells | {"precision": precision}
    table(SECTION, network=name, origin="torchvision's layer list", part=f"all, {mode}", **cells)
    assert found.worst <= BOUNDS[precision], found


# Keras's examples/cifar10_resnet.py (keras-team/keras, before it was moved away): its builder with its layers.


SIDE = 33
"""An odd side, at which 'same' pads strided convolutions on both sides alike; at 32 Keras pads after the image only."""


def layer(x: Any, filters: int, kernel: int, stride: int, relu: bool, norm: bool, first: bool) -> Any:
    def activated(x: Any) -> Any:
        x = layers.BatchNormalization()(x) if norm else x
        return layers.Activation("relu")(x) if relu else x

    convolve = layers.Conv2D(filters, kernel, strides=stride, padding="same")
    return activated(convolve(x)) if first else convolve(activated(x))


def example(depth: int) -> Any:
    """Its resnet_v1: 6n + 2 layers, a projected shortcut without BatchNorm."""
    inputs = layers.Input((SIDE, SIDE, 3))
    x, filters = layer(inputs, 16, 3, 1, True, True, True), 16
    for stack in range(3):
        for i in range((depth - 2) // 6):
            stride = 2 if stack and i == 0 else 1
            y = layer(x, filters, 3, stride, True, True, True)
            y = layer(y, filters, 3, 1, False, True, True)
            if stack and i == 0:
                x = layer(x, filters, 1, stride, False, False, True)
            x = layers.Activation("relu")(layers.add([x, y]))
        filters *= 2
    y = layers.Flatten()(layers.AveragePooling2D(9)(x))
    return keras.Model(inputs, layers.Dense(10, activation="softmax")(y))


def stir(model: Any) -> None:
    generator = np.random.default_rng(0)
    for each in model.layers:
        for variable in each.weights:
            shape, name = variable.shape, variable.name
            noise = generator.normal(0, 1, shape)
            if name == "kernel":
                noise *= (2 / np.prod(shape[:-1])) ** 0.5
            elif name == "moving_variance":
                noise = 1 + 0.5 * np.tanh(noise)
            elif name == "gamma":
                noise = 1 + 0.1 * noise
            else:
                noise *= 0.3
            variable.assign(noise)


Pairs = list[tuple[str, Any, Any]]
"""Our convolution (and its BatchNorm's name), Keras's convolution and its BatchNorm, None where there is none."""


def absorb(state: dict[str, Tensor], conv: str, norm: str, convolution: Any, normalization: Any) -> None:
    """Keras's convolution with its bias and BatchNorm in ours, which has no bias and an epsilon of 1e-5."""
    state[f"{conv}.weight"].copy_(torch.from_numpy(convolution.kernel.numpy().transpose(3, 2, 0, 1)))
    bias = torch.from_numpy(convolution.bias.numpy()) if convolution.use_bias else torch.zeros(1)
    if normalization is None:
        values = {"weight": 1.0, "bias": bias, "running_mean": 0.0, "running_var": 1 - 1e-5}
    else:
        gamma, beta, mean, variance = (torch.from_numpy(np.asarray(each)) for each in normalization.weights)
        values = {
            "weight": gamma,
            "bias": beta,
            "running_mean": mean - bias,
            "running_var": variance + normalization.epsilon - 1e-5,
        }
    for key, value in values.items():
        state[f"{norm}.{key}"].copy_(value + torch.zeros_like(state[f"{norm}.{key}"]))


@pytest.mark.parametrize("precision", ["float64"])
@pytest.mark.parametrize("depth", [20, 32])
def test_keras_example(depth: int, precision: str, table: Table) -> None:
    """Version 1 of 6n + 2 layers is our `-projection`: outputs, and the gradients of every kernel, gamma and beta."""
    keras.config.set_floatx(precision)
    keras.config.set_dtype_policy(precision)
    model = example(depth)
    stir(model)
    network = stirred(f"resnet-{depth}-projection", precision, size=SIDE)
    state = network.state_dict()
    convolutions = [each for each in model.layers if isinstance(each, layers.Conv2D)]
    after = {id(each.input): each for each in model.layers if isinstance(each, layers.BatchNormalization)}
    names = [("conv1", "bn1")]
    for stage in range(3):
        for i in range((depth - 2) // 6):
            block = f"stage{stage + 1}.{i}"
            names += [(f"{block}.convs.{k}", f"{block}.norms.{k}") for k in (0, 1)]
            if stage and i == 0:
                names.append((f"{block}.shortcut.0", f"{block}.shortcut.1"))
    order = _in_the_order_of_names(convolutions, names)
    pairs = {}
    for (conv, norm), convolution in zip(names, order, strict=True):
        normalization = after.get(id(convolution.output))
        absorb(state, conv, norm, convolution, normalization)
        pairs[f"{conv}.weight"] = convolution.kernel
        if normalization is not None:
            pairs |= {f"{norm}.weight": normalization.gamma, f"{norm}.bias": normalization.beta}
    head = model.layers[-1]
    head.kernel.assign(0.05 * head.kernel)  # no probability below the 1e-7 at which Keras's loss cuts them off
    state["fc.weight"].copy_(torch.from_numpy(head.kernel.numpy().T))
    state["fc.bias"].copy_(torch.from_numpy(head.bias.numpy()))
    pairs |= {"fc.weight": head.kernel, "fc.bias": head.bias}
    batch = draw(network, 0)
    watched = {name: variable.value for name, variable in pairs.items()}
    with tf.GradientTape() as tape:
        probabilities = model(batch.images.transpose(0, 2, 3, 1))
        loss = keras.losses.SparseCategoricalCrossentropy()(batch.labels, probabilities)
    found = dict(zip(watched, tape.gradient(loss, list(watched.values())), strict=True))
    theirs = {name: g.numpy().transpose(3, 2, 0, 1) if len(g.shape) == 4 else g.numpy().T for name, g in found.items()}
    got = ours(network, batch, "log-probabilities")
    got = Result(got.outputs, {name: got.gradients[name] for name in theirs})
    compared = difference(got, Result(np.log(probabilities.numpy()), theirs))
    cells = compared.cells | {"precision": precision}
    table(
        SECTION,
        network=f"resnet-{depth}-projection",
        origin="Keras's cifar10_resnet.py",
        part="all, at 33 × 33",
        **cells,
    )
    assert compared.worst <= BOUNDS[precision], compared


def _in_the_order_of_names(convolutions: list[Any], names: list[tuple[str, str]]) -> list[Any]:
    """Keras lists layers by depth; by their numbers they are in the order in which the example makes them."""

    def number(convolution: Any) -> int:
        parts = convolution.name.split("_")
        return int(parts[-1]) if parts[-1].isdigit() else 0

    made = sorted(convolutions, key=number)
    assert len(made) == len(names)
    return made


@pytest.mark.parametrize("name", ["resnet-50", "resnet-101", "resnet-50-v2"])
def test_keras_applications(name: str, table: Table) -> None:
    """Kernels of every block as Keras has them; the blocks before the first stride, which Keras puts elsewhere, are
    the same function (version 2: behind the pool, which Keras pads with zeros)."""
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    second, depth = name.endswith("-v2"), int(name.split("-")[1])
    build: Callable[..., Any] = getattr(keras.applications, f"ResNet{depth}{'V2' if second else ''}")
    model = build(weights=None, classes=10, input_shape=(64, 64, 3))
    stir(model)
    network = stirred(name, "float64", size=64)
    state = network.state_dict()
    for key, value in state.items():
        if value.ndim == 4 and key != "conv1.weight":
            kernel = model.get_layer(_keras_name(key)).kernel
            assert tuple(value.shape) == (kernel.shape[3], kernel.shape[2], *kernel.shape[:2]), key
    blocks = 2 if second else 3
    if not second:
        absorb(state, "conv1", "bn1", model.get_layer("conv1_conv"), model.get_layer("conv1_bn"))
    for i in range(blocks):
        block, theirs = f"stage1.{i}", f"conv2_block{i + 1}"
        if second:
            _second(state, block, model, theirs)
            continue
        for k in range(3):
            absorb(
                state, f"{block}.convs.{k}", f"{block}.norms.{k}",
                model.get_layer(f"{theirs}_{k + 1}_conv"), model.get_layer(f"{theirs}_{k + 1}_bn"),
            )  # fmt: skip
        if i == 0:
            absorb(
                state, f"{block}.shortcut.0", f"{block}.shortcut.1",
                model.get_layer(f"{theirs}_0_conv"), model.get_layer(f"{theirs}_0_bn"),
            )  # fmt: skip
    last = model.get_layer(f"conv2_block{blocks}_out").output
    images = draw(network, 0).images
    with torch.no_grad():
        if second:
            x = np.random.default_rng(0).normal(size=(2, 16, 16, 64))
            reference = keras.Model(model.get_layer("pool1_pool").output, last)(x).numpy()
            stage = network.get_submodule("stage1")
            assert isinstance(stage, nn.Sequential)
            got = stage[:blocks](torch.from_numpy(x.transpose(0, 3, 1, 2))).numpy()
        else:
            reference = keras.Model(model.input, last)(images.transpose(0, 2, 3, 1)).numpy()
            got = network.tap(torch.from_numpy(images), ["stage1"])["stage1"].numpy()
    found = relative(got, reference.transpose(0, 3, 1, 2))
    part = "every kernel's shape; blocks 1 and 2" if second else "every kernel's shape; stem and stage 1"
    table(SECTION, network=name, origin="keras.applications", part=part, precision="float64", output=found)
    assert found <= BOUNDS["float64"]


def _keras_name(key: str) -> str:
    stage, block, kind, number = key.split(".")[:4]
    number = "0" if kind == "shortcut" else str(int(number) + 1)
    return f"conv{int(stage[5:]) + 1}_block{int(block) + 1}_{number}_conv"


def _second(state: dict[str, Tensor], block: str, model: Any, theirs: str) -> None:
    """Version 2's block: no bias stands before a sum (Keras's are set to 0), and none before a BatchNorm."""
    for key, name in (("0", "preact"), ("1", "1"), ("2", "2")):
        normalization = model.get_layer(f"{theirs}_{name}_bn")
        gamma, beta, mean, variance = (torch.from_numpy(np.asarray(each)) for each in normalization.weights)
        for kind, value in (
            ("weight", gamma), ("bias", beta), ("running_mean", mean),
            ("running_var", variance + normalization.epsilon - 1e-5),
        ):  # fmt: skip
            state[f"{block}.norms.{key}.{kind}"].copy_(value)
    names = {f"{block}.convs.{k}.weight": f"{theirs}_{k + 1}_conv" for k in range(3)}
    if f"{block}.shortcut.weight" in state:
        names[f"{block}.shortcut.weight"] = f"{theirs}_0_conv"
    for key, name in names.items():
        convolution = model.get_layer(name)
        if convolution.use_bias:
            convolution.bias.assign(np.zeros(convolution.bias.shape))
        state[key].copy_(torch.from_numpy(convolution.kernel.numpy().transpose(3, 2, 0, 1)))
