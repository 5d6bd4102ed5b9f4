"""A small network with weights that all differ, and its files as other programs write them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from alexnet.errors import InputError
from alexnet.inference.model import load_model
from alexnet.models import catalog
from alexnet.models.network import Network
from alexnet.weights.imports import Imported, import_weights
from alexnet.weights.recognize import read_weights

Arrays = dict[str, list[np.ndarray]]


@pytest.fixture(scope="session")
def digits() -> Network:
    """alexnet-digits, no two of its numbers alike."""
    torch.manual_seed(0)
    network = catalog.create("alexnet-digits").eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(0, 0.1)
    return network


@pytest.fixture(scope="session")
def foreign(digits: Network) -> Callable[[], Arrays]:
    """Layer → [weight, bias] in TensorFlow's layout: HWIO, in × out, the first dense layer flattened NHWC."""

    def make() -> Arrays:
        state = {name: value.numpy() for name, value in digits.state_dict().items()}
        arrays: Arrays = {}
        for layer in dict.fromkeys(name.split(".")[0] for name in state):
            weight = state[f"{layer}.weight"]
            if layer == "fc6":
                weight = weight.reshape(-1, 64, 2, 2).transpose(0, 2, 3, 1).reshape(len(weight), -1)
            weight = weight.transpose(2, 3, 1, 0) if weight.ndim == 4 else weight.T
            arrays[layer] = [np.ascontiguousarray(weight), state[f"{layer}.bias"]]
        return arrays

    return make


@pytest.fixture
def comes_back(digits: Network, tmp_path: Path) -> Callable[..., Imported]:
    """Imports a file that holds the small network, and finds each of its numbers again."""

    def check(file: Path, layout: str | None = None) -> Imported:
        imported = import_weights(file, tmp_path / "net.safetensors", layout=layout)
        assert imported.card.name == "alexnet-digits"
        loaded = load_model(imported.path).module.state_dict()
        assert all(torch.equal(value, loaded[name]) for name, value in digits.state_dict().items())
        return imported

    return check


@pytest.fixture
def told(tmp_path: Path) -> Callable[[bytes], str]:
    """What is said of a file with this content, which must be refused in one line."""

    def read(content: bytes) -> str:
        (tmp_path / "weights").write_bytes(content)
        with pytest.raises(InputError) as error:
            read_weights(tmp_path / "weights")
        assert "\n" not in str(error.value)
        return str(error.value)

    return read


@pytest.fixture
def nothing_written(tmp_path: Path) -> Callable[[], bool]:
    """Whether the folder still holds what it held when the test began to import."""
    return lambda: not list(tmp_path.glob("*.safetensors")) and not list(tmp_path.glob("*.json"))
