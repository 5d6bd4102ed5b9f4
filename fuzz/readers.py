"""What is fuzzed: every reader of files by a name."""

import contextlib
import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch

from fuzz import datasets, records


@dataclass(frozen=True)
class Reader:
    """One kind of file or folder: what valid ones hold, and how they are read."""

    make: Callable[[], dict[str, bytes]]
    """Content by name, of which one file is changed at a time."""
    read: Callable[[Path], Any]
    whole: bool = True
    """Whether the folder is read; False: the first file."""
    needs: tuple[str, ...] = ()
    """Packages beside our own."""

    def place(self, folder: Path) -> Path:
        return folder if self.whole else folder / next(iter(self.make()))


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
    """As `alexnet import` does, without writing.

    The layers are too small for any network, so that mapping refuses them all; refused is here what cannot be parsed.
    """
    from alexnet.errors import InputError
    from alexnet.weights.mapping import choose
    from alexnet.weights.recognize import read_weights as read

    foreign, source = read(path)
    with contextlib.suppress(InputError):
        choose(foreign, source, "alexnet-digits")  # without a name each network of the catalog would be made: 0.4 s


def _weights(make: Callable[[], bytes], suffix: str, **how: Any) -> Reader:
    return Reader(lambda: {f"file{suffix}": make()}, read_weights, whole=False, **how)


def _image(kind: str, mode: str = "RGB", **how: Any) -> Reader:
    return Reader(lambda: {f"file.{kind.lower()}": datasets.image(kind, mode, **how)}, datasets.read_image, whole=False)


def _features(suffix: str, *needs: str) -> Reader:
    return Reader(partial(records.features, suffix), records.read_features, whole=False, needs=needs)


def _table(suffix: str, *needs: str) -> Reader:
    return Reader(partial(datasets.table, suffix), datasets.read_table, whole=False, needs=needs)


READERS: dict[str, Reader] = {
    "npy": _weights(npy, ".npy"),
    "pth": _weights(pth, ".pth"),
    "pth-legacy": _weights(partial(pth, legacy=True), ".pth"),
    "safetensors": _weights(st, ".safetensors"),
    "caffemodel": _weights(caffemodel, ".caffemodel"),
    "h5": _weights(h5, ".h5", needs=("h5py",)),
    "keras": _weights(keras, ".keras", needs=("h5py",)),
    "idx": Reader(datasets.idx, datasets.read_images),
    "idx-gz": Reader(partial(datasets.idx, packed=True), datasets.read_images),
    "cifar10": Reader(partial(datasets.cifar, "cifar10"), partial(datasets.read_cifar, name="cifar10")),
    "cifar100": Reader(partial(datasets.cifar, "cifar100"), partial(datasets.read_cifar, name="cifar100")),
    "cifar10-tar": Reader(partial(datasets.cifar_archive, "cifar10"), partial(datasets.read_cifar, name="cifar10")),
    "devkit": Reader(datasets.devkit_folder, datasets.read_devkit),
    "devkit-plain": Reader(datasets.devkit_plain, datasets.read_devkit),
    "devkit-tar": Reader(datasets.devkit_archive, datasets.read_devkit),
    "imagenet": Reader(datasets.imagenet, datasets.read_images),
    "caltech": Reader(datasets.caltech, datasets.read_images),
    "folder": Reader(datasets.folder, datasets.read_images),
    "shards": Reader(datasets.shards, datasets.read_images),
    "png": _image("PNG"),
    "png-deep": _image("PNG", "I;16"),
    "jpeg": _image("JPEG"),
    "jpeg-cmyk": _image("JPEG", "CMYK", progressive=True),
    "gif": _image("GIF", "P"),
    "webp": _image("WEBP", lossless=True),
    "bmp": _image("BMP"),
    "tiff": _image("TIFF"),
    "tiff-packed": _image("TIFF", compression="tiff_deflate"),
    "ppm": _image("PPM"),
    "recipe": Reader(records.recipe, records.read_recipe, whole=False),
    "card": Reader(records.card, records.read_model),
    "run": Reader(records.run, records.read_run),
    "features-npz": _features("npz"),
    "features-npy": _features("npy"),
    "features-csv": _features("csv"),
    "features-mat": _features("mat"),
    "features-h5": _features("h5", "h5py"),
    "features-parquet": _features("parquet", "pyarrow"),
    "features-pt": _features("pt"),
    "index": Reader(records.index, records.read_index),
    "table-csv": _table("csv"),
    "table-jsonl": _table("jsonl"),
    "table-parquet": _table("parquet", "pyarrow"),
    "hub": Reader(records.hub, records.read_model),
    "onnx": Reader(records.graph, records.read_graph, whole=False, needs=("onnxruntime", "onnxscript")),
    "predictions": Reader(records.label_predictions, records.read_label_predictions, whole=False),
    "list": Reader(records.image_list, records.read_image_list, whole=False),
}
