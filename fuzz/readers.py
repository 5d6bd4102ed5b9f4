"""What is fuzzed: a reader's name → (the bytes of a valid file, the suffix of its name, how a path is read)."""

import io
import json
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch

Made = Callable[[], bytes]
Read = Callable[[Path], Any]


def _state() -> dict[str, torch.Tensor]:
    """Tensors under alexnet-digits' names; small, so that changes meet the structure and not the numbers."""
    torch.manual_seed(0)
    sizes = {"conv1": (4, 1, 3, 3), "conv2": (6, 4, 3, 3), "fc6": (8, 24), "fc8": (3, 8)}
    state: dict[str, torch.Tensor] = {}
    for name, size in sizes.items():
        state |= {f"{name}.weight": torch.randn(size), f"{name}.bias": torch.randn(size[0])}
    return state


def npy() -> bytes:
    layers = {}
    for name, value in _state().items():
        layers.setdefault(name.split(".")[0], []).append(value.numpy().T)
    content = io.BytesIO()
    np.save(content, np.array(layers, dtype=object), allow_pickle=True)
    return content.getvalue()


def pth(legacy: bool = False) -> bytes:
    content = io.BytesIO()
    saved = {"epoch": 3, "state_dict": _state(), "best": np.float64(0.5)}
    torch.save(saved, content, _use_new_zipfile_serialization=not legacy)
    return content.getvalue()


def st() -> bytes:
    return safetensors.torch.save(_state())


def h5(file: Any = None) -> bytes:
    import h5py

    content = io.BytesIO()
    with h5py.File(content, "w") as made:
        made.attrs["layer_names"] = [b"conv1", b"fc8"]
        made.attrs["data_format"] = b"channels_last"
        for name, shape in (("conv1", (3, 3, 1, 4)), ("fc8", (8, 3))):
            made.create_dataset(f"{name}/{name}/kernel:0", data=np.ones(shape, np.float32))
            made.create_dataset(f"{name}/{name}/bias:0", data=np.ones(shape[-1], np.float32))
    return content.getvalue()


def keras() -> bytes:
    import h5py

    weights, content = io.BytesIO(), io.BytesIO()
    with h5py.File(weights, "w") as made:
        made.create_dataset("layers/conv2d/vars/0", data=np.ones((3, 3, 1, 4), np.float32))
        made.create_dataset("layers/conv2d/vars/1", data=np.ones(4, np.float32))
    config = {"config": {"layers": [{"class_name": "Conv2D", "config": {"data_format": "channels_last"}}]}}
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("config.json", json.dumps(config))
        archive.writestr("model.weights.h5", weights.getvalue())
    return content.getvalue()


def _varint(value: int) -> bytes:
    low, rest = value & 0x7F, value >> 7
    return bytes([low | 0x80]) + _varint(rest) if rest else bytes([low])


def caffemodel() -> bytes:
    def field(number: int, content: bytes) -> bytes:
        return _varint(number << 3 | 2) + _varint(len(content)) + content

    layers = []
    for name in ("conv1", "conv2", "fc6", "fc8"):
        blobs = b""
        for role in ("weight", "bias"):
            value = _state()[f"{name}.{role}"].numpy()
            blobs += field(7, field(7, field(1, b"".join(map(_varint, value.shape)))) + field(5, value.tobytes()))
        layers.append(field(100, field(1, name.encode()) + field(2, b"Convolution") + blobs))
    return field(1, b"AlexNet") + b"".join(layers)


def read_weights(path: Path) -> None:
    """As `alexnet import` does, without writing."""
    from alexnet.weights.mapping import choose
    from alexnet.weights.recognize import read_weights as read

    foreign, source = read(path)
    choose(foreign, source)


READERS: dict[str, tuple[Made, str, Read]] = {
    "npy": (npy, ".npy", read_weights),
    "pth": (pth, ".pth", read_weights),
    "pth-legacy": (partial(pth, legacy=True), ".pth", read_weights),
    "safetensors": (st, ".safetensors", read_weights),
    "caffemodel": (caffemodel, ".caffemodel", read_weights),
    "h5": (h5, ".h5", read_weights),
    "keras": (keras, ".keras", read_weights),
}
