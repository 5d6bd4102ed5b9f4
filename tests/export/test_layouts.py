import io
from collections import OrderedDict
from typing import Any

import h5py
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from alexnet.artifacts import store
from alexnet.errors import InputError
from alexnet.export import layouts
from alexnet.inference.model import Model
from alexnet.weights.imports import import_weights


def published(classes: int) -> nn.Module:
    """torchvision's AlexNet as its layer list was published (torchvision/models/alexnet.py)."""
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
    middle = {"avgpool": nn.AdaptiveAvgPool2d(6), "flatten": nn.Flatten()}
    return nn.Sequential(OrderedDict({"features": features, **middle, "classifier": classifier}))


@pytest.mark.parametrize("name", ["alexnet-owt", "alexnet-two-class"])
def test_torchvisions_network_loads_it_strictly_and_gives_the_same(make, name: str):
    model = make(name, classes=3, size=64)
    state = torch.load(io.BytesIO(layouts.torchvision(model)), weights_only=True)
    origin = published(3).eval()
    origin.load_state_dict(state, strict=True)
    x = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(model.module(x).softmax(1), origin(x).softmax(1))


def test_torchvision_takes_three_channels(make):
    with pytest.raises(InputError, match="takes 3 channels; this alexnet-owt takes 1"):
        layouts.torchvision(make("alexnet-owt", classes=2, channels=1, size=64))


def keras_runs(file: Any, x: np.ndarray) -> np.ndarray:
    """AlexNet on CIFAR-10, the slim form with narrow layers, as Keras computes it: NHWC from end to end."""

    def conv(name: str, x: torch.Tensor) -> torch.Tensor:
        kernel, bias = (torch.from_numpy(file[f"{name}/{name}/{kind}:0"][()]) for kind in ("kernel", "bias"))
        nchw = x.permute(0, 3, 1, 2)
        return F.conv2d(nchw, kernel.permute(3, 2, 0, 1), bias, padding="same").relu().permute(0, 2, 3, 1)

    def pool(x: torch.Tensor) -> torch.Tensor:
        padded = F.pad(x.permute(0, 3, 1, 2), (0, 1, 0, 1), value=-torch.inf)
        return F.max_pool2d(padded, 3, 2).permute(0, 2, 3, 1)

    def dense(name: str, x: torch.Tensor) -> torch.Tensor:
        kernel, bias = (torch.from_numpy(file[f"{name}/{name}/{kind}:0"][()]) for kind in ("kernel", "bias"))
        return x @ kernel + bias

    y = pool(conv("conv2", conv("conv1", torch.from_numpy(x))))
    y = pool(conv("conv5", conv("conv4", conv("conv3", y))))
    y = dense("fc6", y.flatten(1)).relu()
    return dense("fc8", dense("fc7", y).relu()).numpy()


def texts(names: Any) -> list[str]:
    return [name if isinstance(name, str) else name.decode() for name in names]


def test_keras_layout(make):
    """Kernels HWIO, dense layers in × out, and fc6 flattened rows × columns × channels."""
    model = make("alexnet-thinner-4")
    x = torch.randn(2, 3, 32, 32)
    with h5py.File(io.BytesIO(layouts.keras(model)), "r") as file:
        assert texts(file.attrs["layer_names"]) == [*(f"conv{i}" for i in range(1, 6)), "fc6", "fc7", "fc8"]
        assert texts(file["conv1"].attrs["weight_names"]) == ["conv1/kernel:0", "conv1/bias:0"]
        got = keras_runs(file, x.permute(0, 2, 3, 1).numpy())
    with torch.no_grad():
        np.testing.assert_allclose(got, model.module(x).numpy(), rtol=1e-4, atol=1e-4)


def test_keras_batch_normalization_and_a_layer_without_bias(make):
    model = make("alexnet-caltech", classes=2, size=99)
    weights = layouts.keras_weights(model.module)
    assert list(weights["bn1"]) == ["gamma", "beta", "moving_mean", "moving_variance"]
    assert list(weights["conv2"]) == ["kernel"]
    assert weights["conv2"]["kernel"].shape == (5, 5, 48, 128)
    np.testing.assert_array_equal(weights["bn2"]["moving_variance"], model.module.get_buffer("bn2.running_var").numpy())


def test_a_residual_network_has_no_keras_form(make):
    with pytest.raises(InputError, match="no sequential network"):
        layouts.keras(make("resnet-20"))


def test_the_importer_reads_it_back(opened: Model, tmp_path):
    (tmp_path / "digits.h5").write_bytes(layouts.keras(opened))
    import_weights(tmp_path / "digits.h5", tmp_path / "back.safetensors")
    again, ours = store.load_tensors(tmp_path / "back.safetensors"), opened.module.state_dict()
    assert again.keys() == ours.keys()
    assert all(torch.equal(again[name], ours[name]) for name in ours)
