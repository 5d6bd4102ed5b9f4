"""Forms in which torch networks are saved, and which of several state dicts is taken."""

import argparse
import collections
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from test_torchfile import torchvision_names
from torch import nn

from alexnet.errors import InputError
from alexnet.models.network import Network
from alexnet.weights.imports import import_weights
from alexnet.weights.recognize import read_weights

State = dict[str, torch.Tensor]


def prefixed(prefix: str, state: State) -> State:
    return collections.OrderedDict((prefix + name, value) for name, value in state.items())


def zeros(state: State) -> State:
    return {name: torch.zeros_like(value) for name, value in state.items()}


def in_features(state: State) -> State:
    return {name.replace("features.", "features.module."): value for name, value in state.items()}


FORMS: dict[str, Callable[[State], Any]] = {
    "plain": lambda s: s,
    "state_dict": lambda s: {"epoch": 3, "arch": "a", "state_dict": s, "best": torch.tensor(1.0), "optimizer": {}},
    "module": lambda s: {"state_dict": prefixed("module.", s)},
    "features_module": lambda s: {"state_dict": in_features(s)},
    "model_state_dict": lambda s: {"model_state_dict": s, "optimizer_state_dict": {"state": {0: zeros(s)}}},
    "net": lambda s: {"net": s, "acc": 90.1},
    "weights": lambda s: {"weights": s},
    "state_dict_ema": lambda s: {"state_dict": zeros(s), "state_dict_ema": s},
    "model_ema": lambda s: {"model": zeros(s), "model_ema": s, "args": argparse.Namespace(lr=1)},
    "ema beside, by prefix": lambda s: {"state_dict": prefixed("model.", zeros(s)) | prefixed("model_ema.", s)},
    "swa": lambda s: {"n_averaged": torch.tensor(5)} | prefixed("module.", s),
    "lightning": lambda s: {
        "state_dict": prefixed("model.", s),
        "hyper_parameters": {"lr": 0.1},
        "callbacks": {"x": s},
    },
    "orig_mod": lambda s: prefixed("_orig_mod.", s),
    "module_orig_mod": lambda s: prefixed("module._orig_mod.", s),
    "backbone": lambda s: prefixed("backbone.", s),
    "numpy scalar": lambda s: {"state_dict": s, "best": np.float64(0.5), "rows": np.zeros(3)},
    "criterion": lambda s: {"state_dict": prefixed("model.", s) | {"criterion.weight": torch.ones(3)}},
    "parameters": lambda s: {name: nn.Parameter(value) for name, value in s.items()},
    "paths and dates": lambda s: {"state_dict": s, "out": Path("runs"), "classes": {"a", "b"}, 3: (1, 2)},
}


@pytest.mark.parametrize("names", ["torchvision", "ours"])
@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_network(form: str, names: str, digits: Network, tmp_path: Path):
    state = torchvision_names(digits) if names == "torchvision" else dict(digits.state_dict())
    torch.save(FORMS[form](state), tmp_path / "net.pth")
    found, _ = read_weights(tmp_path / "net.pth")
    assert len(found.layers) == 8
    for name, value in state.items():
        layer, _, role = name.rpartition(".")
        assert np.array_equal(found.layers[layer][role], value.numpy())


def test_what_was_taken_and_left_out_is_recorded(digits: Network, tmp_path: Path):
    state = digits.state_dict()
    content = {"state_dict": zeros(state), "ema": prefixed("module.", state) | {"criterion.weight": torch.ones(3)}}
    torch.save(content, tmp_path / "net.pth")
    imported = import_weights(tmp_path / "net.pth", tmp_path / "out.safetensors")
    assert imported.origin.taken == "ema (averaged weights), not state_dict"
    assert imported.origin.left_out == ("criterion.weight",)
    rows = {row["tensor"] or row["from"]: row for row in imported.tensors}
    assert rows["fc8.weight"] == {"tensor": "fc8.weight", "shape": [10, 128], "from": "module.fc8.weight"}
    assert rows["criterion.weight"]["tensor"] is None


def test_two_networks_with_ema_only_in_part_take_the_whole_one(digits: Network, tmp_path: Path):
    state = dict(digits.state_dict())
    part = {name: torch.zeros_like(value) for name, value in state.items() if name.startswith("conv")}
    torch.save({"model": state, "model_ema": part}, tmp_path / "net.pth")
    found, _ = read_weights(tmp_path / "net.pth")
    assert np.array_equal(found.layers["conv1"]["weight"], state["conv1.weight"].numpy())
    assert found.taken == "model, not model_ema"


class Whole(nn.Module):
    """Of another program: its class is not at hand where the file is read."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(1, 32, 3), nn.ReLU())
        self.register_buffer("scale", torch.ones(2))


@pytest.mark.parametrize("modern", [True, False])
def test_a_module_that_was_pickled_whole_is_read_without_its_class(modern: bool, tmp_path: Path):
    module = Whole()
    module.__class__.__module__ = "somewhere.else"
    module.__class__.__reduce_ex__ = lambda self, _: (Foreign, (), self.__getstate__())
    torch.save(module, tmp_path / "net.pth", _use_new_zipfile_serialization=modern)
    found, _ = read_weights(tmp_path / "net.pth")
    assert list(found.layers) == ["features.0"]
    weight = module.features.get_submodule("0").get_parameter("weight")
    assert np.array_equal(found.layers["features.0"]["weight"], weight.detach().numpy())


class Foreign:
    pass


@pytest.mark.parametrize("modern", [True, False])
def test_views_of_a_storage_are_read_at_their_place(modern: bool, tmp_path: Path):
    whole = torch.arange(60.0).reshape(5, 12)
    state = {"fc6.weight": whole[1:4, 2:7].T, "fc6.bias": whole[2, :5], "fc7.weight": whole}
    torch.save(state, tmp_path / "net.pth", _use_new_zipfile_serialization=modern)
    found, _ = read_weights(tmp_path / "net.pth")
    for name, value in state.items():
        layer, _, role = name.partition(".")
        assert np.array_equal(found.layers[layer][role], value.numpy())


def test_views_that_leave_their_storage_are_refused(tmp_path: Path):
    torch.save({"conv1.weight": torch.zeros(3, 3)}, tmp_path / "net.pth")
    content = (tmp_path / "net.pth").read_bytes()
    small, large = b"K\x03K\x03\x86", b"K\xffK\x03\x86"
    assert content.count(small) == 1  # the size; the checksum is not that of what we write
    (tmp_path / "bad.pth").write_bytes(content.replace(small, large))
    with pytest.raises(InputError, match="damaged"):
        read_weights(tmp_path / "bad.pth")
    from alexnet.weights.foreign import Budget, Source
    from alexnet.weights.torchfile import _Storage, _Tensor

    storage, budget = _Storage("f4", "0", 9), Budget(Source(Path("x"), b""))
    for offset, size, stride in ((0, (255, 3), (3, 1)), (8, (2,), (1,)), (-1, (2,), (1,)), (0, (2,), (-1,))):
        with pytest.raises(ValueError, match=r"beyond its storage|shape is none"):
            _Tensor(storage, offset, size, stride).read({"0": lambda: bytes(36)}, budget)
