"""PyTorch's own: its LRN, and torchvision's AlexNet as its layer list was published, with its trained convolutions."""

import os
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from alexnet.export.layouts import TORCHVISION
from alexnet.models import catalog
from alexnet.models.layers import LocalResponseNorm
from parity.compare import BOUNDS, Result, Table, difference, draw, ours, randomize

FEATURES = Path(os.environ.get("ALEXNET_DATA", "data"), "weights", "torchvision-alexnet-features.safetensors")

NETWORKS = [("alexnet-owt", 1000, False), ("alexnet-two-class", 2, True)]

NAMES = {theirs: ours for ours, theirs in TORCHVISION.items()}


def published(classes: int, log_softmax: bool) -> nn.Sequential:
    """torchvision's AlexNet, or the two-class network that a write-up made of it, under torchvision's names."""
    features = nn.Sequential(
        *(nn.Conv2d(3, 64, 11, stride=4, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2)),
        *(nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2)),
        *(nn.Conv2d(192, 384, 3, padding=1), nn.ReLU()),
        *(nn.Conv2d(384, 256, 3, padding=1), nn.ReLU()),
        *(nn.Conv2d(256, 256, 3, padding=1), nn.ReLU(), nn.MaxPool2d(3, 2)),
    )
    classifier = nn.Sequential(
        *(nn.Dropout(), nn.Linear(256 * 6 * 6, 4096), nn.ReLU()),
        *(nn.Dropout(), nn.Linear(4096, 4096), nn.ReLU()),
        nn.Linear(4096, classes),
    )
    parts = {"features": features, "avgpool": nn.AdaptiveAvgPool2d((6, 6)), "flatten": nn.Flatten()}
    parts["classifier"] = classifier
    if log_softmax:
        parts["logsoftmax"] = nn.LogSoftmax(dim=1)
    return nn.Sequential(OrderedDict(parts))


@pytest.mark.parametrize("precision", BOUNDS)
@pytest.mark.parametrize("size", [224, 256])
@pytest.mark.parametrize(("name", "classes", "log_softmax"), NETWORKS)
def test_torchvision(name: str, classes: int, log_softmax: bool, size: int, precision: str, table: Table):
    kind = getattr(torch, precision)
    model = catalog.create(name, size=size).to(kind)
    randomize(model, 1)
    trained = FEATURES.is_file()
    if trained:
        loaded = model.load_state_dict({_ours(key): value for key, value in load_file(FEATURES).items()}, strict=False)
        assert not loaded.unexpected_keys
    origin = published(classes, log_softmax).to(kind)
    origin.load_state_dict({key: model.state_dict()[_ours(key)] for key in origin.state_dict()})
    made, theirs = (sum(parameter.numel() for parameter in network.parameters()) for network in (model, origin))
    if precision == "float32" and size == 224:
        table("Parameters", network=name, catalog=model.spec.parameters, ours=made, origin=theirs)
    assert model.spec.parameters == made == theirs
    batch = draw(model, 0)
    expected = ours(origin, batch, "logits")
    expected = Result(expected.outputs, {_ours(key): value for key, value in expected.gradients.items()})
    found = difference(ours(model, batch, "logits"), expected)
    table(
        "torchvision's layer list in PyTorch",
        network=name,
        size=f"{size}×{size}",
        convolutions="torchvision's trained" if trained else "random",
        precision=precision,
        output=found.output,
        worst_gradient=found.gradient,
    )
    assert found.worst <= BOUNDS[precision], found


def _ours(key: str) -> str:
    layer, _, kind = key.rpartition(".")
    return f"{NAMES[layer]}.{kind}"


@pytest.mark.parametrize("precision", BOUNDS)
@pytest.mark.parametrize(("size", "alpha", "k"), [(5, 1e-4, 1.0), (5, 1e-4, 2.0), (9, 1e-3, 1.0)])
def test_lrn(size: int, alpha: float, k: float, precision: str, table: Table):
    """Our divided form is torch.nn.LocalResponseNorm, forward and backward."""
    x = torch.from_numpy(np.random.default_rng(0).normal(0, 60, (2, 12, 5, 5))).to(getattr(torch, precision))
    results = []
    for layer in (LocalResponseNorm(size, alpha, 0.75, k, divide=True), nn.LocalResponseNorm(size, alpha, 0.75, k)):
        leaf = x.clone().requires_grad_()
        y = layer(leaf)
        y.cos().sum().backward()
        assert leaf.grad is not None
        results.append(Result(y.detach().numpy(), {"input": leaf.grad.numpy()}))
    found = difference(*results)
    table(
        "LRN",
        form="divided",
        origin="torch.nn.LocalResponseNorm",
        size=size,
        alpha=alpha,
        k=f"{k:g}",
        precision=precision,
        output=found.output,
        gradient=found.gradient,
    )
    assert found.worst <= BOUNDS[precision]
