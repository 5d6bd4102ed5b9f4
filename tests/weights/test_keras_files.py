"""weights/keras.py; the name keeps clear of parity/test_keras.py."""

import io
import json
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from alexnet.errors import InputError
from alexnet.models.network import Network
from alexnet.weights.imports import Imported, import_weights
from alexnet.weights.recognize import read_weights

h5py = pytest.importorskip("h5py", reason="pip install 'alexnet[keras]'")

Layers = dict[str, list[np.ndarray]]
Foreign = Callable[[], Layers]


def version_2(layers: Layers, file: Any, root: str) -> None:
    """Keras 1 and 2, and Keras 3's .h5: layers by name, in the order of an attribute."""
    group = file.create_group(root) if root else file
    group.attrs["layer_names"] = [name.encode() for name in layers]
    for name, arrays in layers.items():
        own = group.create_group(name)
        own.attrs["weight_names"] = [f"{name}/{part}:0".encode() for part in ("kernel", "bias")]
        for part, array in zip(("kernel", "bias"), arrays, strict=True):
            own.create_dataset(f"{name}/{part}:0", data=array)


def version_3(layers: Layers, file: Any) -> list[dict[str, str]]:
    """Keras 3's weights file, which names layers after their classes; its config in return."""
    config, seen = [], {"conv2d": 0, "dense": 0}
    for arrays in layers.values():
        kind = "conv2d" if arrays[0].ndim == 4 else "dense"
        name = f"{kind}_{seen[kind]}" if seen[kind] else kind
        seen[kind] += 1
        for number, array in enumerate(arrays):
            file.create_dataset(f"layers/{name}/vars/{number}", data=array)
        config.append({"class_name": {"conv2d": "Conv2D", "dense": "Dense"}[kind]})
    return config


def write(path: Path, layers: Layers) -> Path:
    if path.suffix == ".keras":
        content = io.BytesIO()
        with h5py.File(content, "w") as file:
            config = version_3(layers, file)
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("config.json", json.dumps({"config": {"layers": config}}))
            archive.writestr("model.weights.h5", content.getvalue())
        return path
    with h5py.File(path, "w") as file:
        if path.name.endswith(".weights.h5"):
            version_3(layers, file)
        else:
            version_2(layers, file, "model_weights" if "model" in path.name else "")
    return path


@pytest.mark.parametrize("name", ["model.h5", "bare.h5", "net.weights.h5", "net.keras"])
def test_every_form_is_read(name: str, foreign: Foreign, tmp_path: Path, comes_back: Callable[..., Imported]):
    layers = {f"net_{layer}": arrays for layer, arrays in foreign().items()}
    assert comes_back(write(tmp_path / name, layers), "channels_last").origin.kind == "keras"


def test_theano_turns_kernels_and_flattens_channels_first(
    digits: Network, tmp_path: Path, comes_back: Callable[..., Imported]
):
    state = {name: value.numpy() for name, value in digits.state_dict().items()}
    layers = {
        layer: [state[f"{layer}.weight"], state[f"{layer}.bias"]]
        for layer in dict.fromkeys(each.split(".")[0] for each in state)
    }
    for arrays in layers.values():
        arrays[0] = arrays[0][:, :, ::-1, ::-1] if arrays[0].ndim == 4 else arrays[0].T
    assert comes_back(write(tmp_path / "theano.h5", layers)).missing == ()


def test_groups_stored_as_layers_are_put_together(tmp_path: Path):
    rng = np.random.default_rng(0)
    first, second = (rng.normal(size=(5, 5, 2, 3)).astype(np.float32) for _ in range(2))
    layers = {"conv_2_1": [first, np.ones(3, np.float32)], "conv_2_2": [second, np.zeros(3, np.float32)]}
    found, _ = read_weights(write(tmp_path / "groups.h5", layers))
    assert list(found.layers) == ["conv_2"]
    assert np.array_equal(found.layers["conv_2"]["weight"][:3], first.transpose(3, 2, 0, 1))
    assert found.layers["conv_2"]["bias"].tolist() == [1, 1, 1, 0, 0, 0]
    assert found.prefer == ("alexnet-keras",)


def test_links_out_of_the_file_are_refused(tmp_path: Path, nothing_written: Callable[[], bool]):
    secret = write(tmp_path / "secret.h5", {"conv1": [np.zeros((3, 3, 1, 2)), np.zeros(2)]})
    outside = tmp_path / "raw.bin"
    outside.write_bytes(bytes(100))

    def external(file: Any) -> None:
        file["conv1"] = h5py.ExternalLink(secret.name, "/conv1")

    def soft(file: Any) -> None:
        file["conv1/loop"] = h5py.SoftLink("/conv1")

    def raw(file: Any) -> None:
        file.create_dataset("conv1/kernel", (3, 3, 1, 2), "f4", external=[(str(outside), 0, 72)])

    def virtual(file: Any) -> None:
        layout = h5py.VirtualLayout((2,), "f8")
        layout[:] = h5py.VirtualSource(secret, "conv1/conv1/bias:0", (2,))
        file.create_virtual_dataset("conv1/bias", layout)

    def root(file: Any) -> None:
        file["model_weights"] = h5py.ExternalLink(secret.name, "/")

    for number, make in enumerate((external, soft, raw, virtual, root)):
        path = tmp_path / f"bad{number}.h5"
        with h5py.File(path, "w") as file:
            make(file)
        with pytest.raises(InputError, match="nothing was read"):
            import_weights(path, tmp_path / "net.safetensors")
    assert nothing_written()


def test_loops_and_claims_are_bounded(tmp_path: Path):
    with h5py.File(tmp_path / "loop.h5", "w") as file:
        file.create_group("a")
        file["a/again"] = file["a"]  # a group that holds itself
    with pytest.raises(InputError, match="loop"):
        read_weights(tmp_path / "loop.h5")
    with h5py.File(tmp_path / "claim.h5", "w") as file:
        file.create_dataset("conv1/kernel", (2_700_000_000,), "f4", chunks=(1000,))  # 10 GB, none of it written
    with pytest.raises(InputError, match=r"claims 2,700,000,000 numbers"):
        read_weights(tmp_path / "claim.h5")


def test_damage_is_one_line(foreign: Foreign, tmp_path: Path, told: Callable[[bytes], str]):
    for name in ("model.h5", "net.keras"):
        content = write(tmp_path / name, foreign()).read_bytes()
        for share in (0.01, 0.5, 0.99):
            assert "damaged" in told(content[: int(share * len(content))])


def test_without_h5py_one_line_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, foreign: Foreign):
    path = write(tmp_path / "model.h5", foreign())
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(InputError, match=r"pip install 'alexnet\[keras\]'"):
        read_weights(path)
