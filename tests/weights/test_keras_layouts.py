"""In which order a Keras file's first dense layer counts its inputs: its configuration says, or the user does."""

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_keras_files import version_2, version_3

from alexnet.errors import InputError
from alexnet.models.network import Network
from alexnet.weights.imports import Imported, import_weights
from alexnet.weights.load import create
from alexnet.weights.recognize import read_weights

h5py = pytest.importorskip("h5py", reason="pip install 'alexnet[keras]'")

Foreign = Callable[[], dict[str, list[np.ndarray]]]


def config(convolutions: str, flatten: str) -> dict[str, Any]:
    """Of a network whose convolutions and Flatten have these data formats; dropout between the dense layers."""
    layers = [
        {"class_name": "Conv2D", "config": {"name": f"conv{i}", "data_format": convolutions}} for i in range(1, 6)
    ]
    layers.append({"class_name": "Flatten", "config": {"name": "flatten", "data_format": flatten}})
    layers += [{"class_name": "Dense", "config": {"name": name}} for name in ("fc6", "fc7", "fc8")]
    return {"class_name": "Sequential", "config": {"name": "s", "layers": layers}}


def first(layers: dict[str, list[np.ndarray]]) -> dict[str, list[np.ndarray]]:
    """The same network's file where the dense layer counts channels first."""
    weight = layers["fc6"][0].reshape(2, 2, 64, -1).transpose(2, 0, 1, 3)
    return layers | {"fc6": [weight.reshape(256, -1), layers["fc6"][1]]}


@pytest.mark.parametrize("form", [".h5", ".keras"])
@pytest.mark.parametrize(
    ("convolutions", "flatten", "order"),
    [
        ("channels_last", "channels_last", "last"),
        ("channels_first", "channels_last", "first"),  # Flatten() as people write it
        ("channels_first", "channels_first", "last"),  # which puts the channels last before it flattens
    ],
)
def test_the_configuration_decides(
    convolutions: str,
    flatten: str,
    order: str,
    form: str,
    foreign: Foreign,
    comes_back: Callable[..., Imported],
    tmp_path: Path,
):
    layers = foreign() if order == "last" else first(foreign())
    about, content = json.dumps(config(convolutions, flatten)), io.BytesIO()
    with h5py.File(content, "w") as file:
        if form == ".h5":
            version_2(layers, file, "model_weights")
            file.attrs["model_config"] = about
        else:
            version_3(layers, file)
    path = tmp_path / f"net{form}"
    if form == ".h5":
        path.write_bytes(content.getvalue())
    else:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("config.json", about)
            archive.writestr("model.weights.h5", content.getvalue())
    comes_back(path)
    other = "channels_first" if order == "last" else "channels_last"
    with pytest.raises(InputError, match="says itself"):
        import_weights(path, tmp_path / "x.safetensors", layout=other)


@pytest.mark.parametrize("order", ["channels_last", "channels_first"])
def test_without_one_the_user_is_asked(
    order: str, foreign: Foreign, comes_back: Callable[..., Imported], digits: Network, tmp_path: Path
):
    path = tmp_path / "net.weights.h5"
    with h5py.File(path, "w") as file:
        version_3(foreign() if order == "channels_last" else first(foreign()), file)
    with pytest.raises(InputError, match=r"--layout channels_last .* or --layout channels_first"):
        import_weights(path, tmp_path / "x.safetensors")
    with pytest.raises(InputError, match="--layout channels_last"):
        create("alexnet-digits", weights=path)
    with pytest.raises(InputError, match="unknown layout"):
        import_weights(path, tmp_path / "x.safetensors", layout="NHWC")
    assert not (tmp_path / "x.safetensors").exists()
    comes_back(path, order)


def test_a_model_that_stands_as_a_layer_in_another_is_read(foreign: Foreign, tmp_path: Path):
    layers = foreign()
    inner = {name: layers[name] for name in ("conv1", "conv2")}
    with h5py.File(tmp_path / "old.h5", "w") as file:
        root = file.create_group("model_weights")
        root.attrs["layer_names"] = [b"backbone", b"fc8"]
        names = []
        for name, arrays in inner.items():
            for part, array in zip(("kernel", "bias"), arrays, strict=True):
                root.create_dataset(f"backbone/{name}/{part}:0", data=array)
                names.append(f"{name}/{part}:0".encode())
        root["backbone"].attrs["weight_names"] = names
        for part, array in zip(("kernel", "bias"), layers["fc8"], strict=True):
            root.create_dataset(f"fc8/fc8/{part}:0", data=array)
    with h5py.File(tmp_path / "new.h5", "w") as file:
        for place, arrays in enumerate(inner.values()):
            for number, array in enumerate(arrays):
                kind = f"conv2d_{place}" if place else "conv2d"
                file.create_dataset(f"layers/functional/layers/{kind}/vars/{number}", data=array)
        for number, array in enumerate(layers["fc8"]):
            file.create_dataset(f"layers/dense/vars/{number}", data=array)
    for name in ("old.h5", "new.h5"):
        found, _ = read_weights(tmp_path / name)
        shapes = sorted(arrays["weight"].shape for arrays in found.layers.values())
        assert shapes == sorted(
            w.transpose(3, 2, 0, 1).shape if w.ndim == 4 else w.T.shape
            for w in (layers[each][0] for each in ("conv1", "conv2", "fc8"))
        )


def test_caffes_hdf5_is_in_caffes_own_layout(digits: Network, comes_back: Callable[..., Imported], tmp_path: Path):
    with h5py.File(tmp_path / "net.caffemodel.h5", "w") as file:
        for name, value in digits.state_dict().items():
            layer, _, role = name.partition(".")
            file.create_dataset(f"data/{layer}/{'01'[role == 'bias']}", data=value.numpy())
        file.create_group("diff")
    imported = comes_back(tmp_path / "net.caffemodel.h5").card.imported
    assert imported is not None
    assert imported.kind == "caffe"
