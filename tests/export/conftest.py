"""A trained model to export, and small untrained ones."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from alexnet.models import catalog
from alexnet.training.run import Run
from alexnet.weights import store
from alexnet.weights.store import Opened


@pytest.fixture(scope="session")
def opened(trained: Run) -> Opened:
    """The digits run. Not to be changed."""
    return store.open(trained)


def untrained(name: str, **how: Any) -> Opened:
    """A network of the catalog with random weights in which every number matters."""
    torch.manual_seed(0)
    module = catalog.create(name, **how).eval()
    for value in module.state_dict().values():
        if value.is_floating_point() and value.ndim == 1:
            value.copy_(torch.rand(value.shape) + 0.5)
    channels, height, width = module.input
    card = {
        "name": name,
        "classes": [f"class{i}" for i in range(module.classes)],
        "input": [channels, height, width],
        "preprocessing": module.spec.preprocessing.to_json(),
    }
    return Opened(module, tuple(card["classes"]), module.spec.preprocessing, card, Path("nowhere"))


@pytest.fixture
def make() -> Callable[..., Opened]:
    """make(name, classes=…, size=…): an untrained model."""
    return untrained
