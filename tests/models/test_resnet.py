"""Each residual network's function and gradients against a plain transcription of its source, written apart from it.

- torchvision/models/resnet.py (https://github.com/pytorch/vision): version 1 for ImageNet, stride on the 3 × 3
- https://github.com/tensorflow/models, official/resnet/resnet_model.py: version 2, its fixed padding and SAME pool
- He et al. 2015, section 4.2: version 1 for CIFAR, with zero-padded (A) or projected (B) shortcuts
"""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from alexnet.models import catalog
from alexnet.models.network import Network

State = dict[str, Tensor]


def normalized(state: State, name: str, x: Tensor) -> Tensor:
    mean, var, weight, bias = (
        state[f"{name}.{part}"][:, None, None] for part in ("running_mean", "running_var", "weight", "bias")
    )
    return (x - mean) / (var + 1e-5).sqrt() * weight + bias


def padded(x: Tensor, weight: Tensor, stride: int) -> Tensor:
    """TensorFlow's conv2d_fixed_padding, which for odd kernels is torchvision's padding."""
    total = weight.shape[-1] - 1
    x = F.pad(x, (total // 2, total - total // 2, total // 2, total - total // 2))
    return F.conv2d(x, weight, None, stride)


def first(state: State, name: str, x: Tensor, strides: list[int], zeros: bool) -> Tensor:
    y = x
    for i, stride in enumerate(strides):
        y = normalized(state, f"{name}.norms.{i}", padded(y, state[f"{name}.convs.{i}.weight"], stride))
        y = y.clamp(min=0) if i + 1 < len(strides) else y
    if f"{name}.shortcut.0.weight" in state:
        weight = state[f"{name}.shortcut.0.weight"]
        x = normalized(state, f"{name}.shortcut.1", F.conv2d(x, weight, None, max(strides)))
    elif x.shape != y.shape:
        assert zeros
        missing = torch.zeros(len(y), y.shape[1] - x.shape[1], *y.shape[2:], dtype=y.dtype)
        x = torch.cat([x[:, :, :: max(strides), :: max(strides)], missing], 1)
    return (x + y).clamp(min=0)


def second(state: State, name: str, x: Tensor, strides: list[int], zeros: bool) -> Tensor:
    shortcut, y = x, normalized(state, f"{name}.norms.0", x).clamp(min=0)
    if f"{name}.shortcut.weight" in state:  # 'the projection shortcut should come after the first batch norm and ReLU'
        shortcut = padded(y, state[f"{name}.shortcut.weight"], max(strides))
    y = padded(y, state[f"{name}.convs.0.weight"], strides[0])
    for i, stride in enumerate(strides[1:], 1):
        y = padded(normalized(state, f"{name}.norms.{i}", y).clamp(min=0), state[f"{name}.convs.{i}.weight"], stride)
    return y + shortcut


def transcribed(state: State, x: Tensor, blocks: list[int], bottleneck: bool, version: int, large: bool) -> Tensor:
    block: Callable[..., Tensor] = first if version == 1 else second
    x = padded(x, state["conv1.weight"], 2 if large else 1)
    if version == 1:
        x = normalized(state, "bn1", x).clamp(min=0)
    if large:  # torchvision pads by 1; TensorFlow's SAME pads an even side after the image
        pads = (1, 1, 1, 1) if version == 1 else (0, 1, 0, 1)
        x = F.max_pool2d(F.pad(x, pads, value=-torch.inf), 3, 2)
    for stage, count in enumerate(blocks):
        for i in range(count):
            stride = 2 if stage and i == 0 else 1
            strides = [1, stride, 1] if bottleneck else [stride, 1]
            x = block(state, f"stage{stage + 1}.{i}", x, strides, zeros=True)
    if version == 2:
        x = normalized(state, "bn", x).clamp(min=0)
    return x.mean((2, 3)) @ state["fc.weight"].T + state["fc.bias"]


# Network: blocks by stage, bottlenecks, version, for ImageNet; a projection at the start of each stage.
FORMS: dict[str, Any] = {
    "resnet-20": ([3, 3, 3], False, 1, False, [False, False, False]),
    "resnet-20-projection": ([3, 3, 3], False, 1, False, [False, True, True]),
    "resnet-20-v2-official": ([3, 3, 3], False, 2, False, [True, True, True]),
    "resnet-29-v2": ([3, 3, 3], True, 2, False, [True, True, True]),
    "resnet-18": ([2, 2, 2, 2], False, 1, True, [False, True, True, True]),
    "resnet-50": ([3, 4, 6, 3], True, 1, True, [True, True, True, True]),
    "resnet-18-v2": ([2, 2, 2, 2], False, 2, True, [True, True, True, True]),
    "resnet-50-v2": ([3, 4, 6, 3], True, 2, True, [True, True, True, True]),
}


def stirred(name: str) -> Network:
    torch.manual_seed(0)
    network = catalog.create(name, classes=5, size=32).double().eval()
    for part in network.modules():
        if isinstance(part, nn.BatchNorm2d):
            for each in (part.running_mean, part.bias):
                assert each is not None
                nn.init.normal_(each, std=0.1)
            assert part.running_var is not None
            nn.init.uniform_(part.running_var, 0.5, 1.5)
            nn.init.uniform_(part.weight, 0.8, 1.2)
    return network


@pytest.mark.parametrize("name", FORMS)
def test_function_and_gradients_are_the_sources(name: str) -> None:
    *form, projections = FORMS[name]
    network = stirred(name)
    x = torch.randn(2, 3, 32, 32, dtype=torch.float64)
    state = dict(network.named_parameters()) | dict(network.named_buffers())
    outputs = [network(x), transcribed(state, x, *form)]
    torch.testing.assert_close(*outputs, rtol=1e-9, atol=1e-12)
    gradients = [torch.autograd.grad(y.square().sum(), list(network.parameters())) for y in outputs]
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-9 * float(theirs.abs().max()) + 1e-12)
    found = [any(f"stage{i + 1}.0.shortcut" in key and "weight" in key for key in state) for i in range(len(form[0]))]
    assert found == projections


DEPTHS = {
    **{f"resnet-{depth}{kind}": [(depth - 2) // 6] * 3 for depth in (20, 32, 44, 56, 110)
       for kind in ("", "-projection", "-v2-official")},
    **{f"resnet-{depth}-v2": [(depth - 2) // 9] * 3 for depth in (29, 56, 110, 164)},
    **{f"resnet-{depth}{kind}": blocks for kind in ("", "-v2") for depth, blocks in {
        18: [2, 2, 2, 2], 34: [3, 4, 6, 3], 50: [3, 4, 6, 3], 101: [3, 4, 23, 3], 152: [3, 8, 36, 3]}.items()},
}  # fmt: skip


@pytest.mark.parametrize("name", [name for name in catalog.CATALOG if name.startswith("resnet")])
def test_blocks_widths_norms_and_initialization(name: str) -> None:
    """He's Table 1 and section 4.2; TensorFlow's _BATCH_NORM_DECAY = .997 and _BATCH_NORM_EPSILON = 1e-5."""
    with torch.device("meta"):
        network = catalog.create(name)
    stages = [part for part in network if isinstance(part, nn.Sequential)]
    assert [len(stage) for stage in stages] == DEPTHS[name]
    version = 2 if "v2" in name else 1
    norms = [part for part in network.modules() if isinstance(part, nn.BatchNorm2d)]
    assert {(part.momentum, part.eps) for part in norms} == {(0.1 if version == 1 else 0.003, 1e-5)}
    imagenet = network.input[1] == 224
    expected = "tensorflow-resnet" if version == 2 else "torchvision" if imagenet else "he"
    assert network.spec.init == expected
    assert network.get_parameter("conv1.weight").shape[0] == (64 if imagenet else 16)
