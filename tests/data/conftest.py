"""Makers of tiny datasets in each format."""

import dataclasses
import gzip
import os
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from makers import png

from alexnet.data.readers import cifar

REAL = Path(os.environ.get("ALEXNET_DATA", Path(__file__).parents[3] / "shared" / "data"))


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture
def real() -> Callable[[str], Path]:
    """The folder of a real set, or a skip."""

    def folder(name: str) -> Path:
        if not (REAL / name).is_dir():
            pytest.skip(f"no real {name} in $ALEXNET_DATA/{name}")
        return REAL / name

    return folder


@pytest.fixture
def folder(tmp_path: Path, random: np.random.Generator) -> Callable[..., Path]:
    """Makes class folders: folder('train/cat', 'train/dog', count=3)."""

    def make(*classes: str, count: int = 3, root: Path = tmp_path / "images") -> Path:
        for name in classes:
            (root / name).mkdir(parents=True, exist_ok=True)
            for index in range(count):
                array = random.integers(0, 256, (12, 16, 3), np.uint8)
                (root / name / f"{index:03}.png").write_bytes(png(array))
        return root

    return make


@pytest.fixture
def idx_set(tmp_path: Path, random: np.random.Generator) -> Callable[..., Path]:
    """Makes an IDX set with the given training and test labels, and images of 5×4."""

    def make(train: list[int], test: list[int] | None = None, packed: bool = False, prefix: str = "") -> Path:
        root = tmp_path / "idx"
        root.mkdir(exist_ok=True)
        for name, labels in (("train", train), ("t10k", test)):
            if labels is None:
                continue
            images = random.integers(0, 256, (len(labels), 5, 4), np.uint8)
            for kind, magic, array in (
                ("labels-idx1", 0x801, np.array(labels, np.uint8)),
                ("images-idx3", 0x803, images),
            ):
                content = struct.pack(f">I{array.ndim}I", magic, *array.shape) + array.tobytes()
                file = root / f"{prefix}{name}-{kind}-ubyte{'.gz' if packed else ''}"
                file.write_bytes(gzip.compress(content) if packed else content)
        return root

    return make


@pytest.fixture
def cifar_files(monkeypatch: pytest.MonkeyPatch, random: np.random.Generator) -> Callable[[str], dict[str, bytes]]:
    """The files of a CIFAR set of 20 images a file, which the reader then takes for the official size."""
    small = {
        name: dataclasses.replace(layout, train=dict.fromkeys(layout.train, 20), test=dict.fromkeys(layout.test, 20))
        for name, layout in cifar.LAYOUTS.items()
    }
    monkeypatch.setattr(cifar, "LAYOUTS", small)

    def make(name: str) -> dict[str, bytes]:
        files = {}
        for layout in (one for one in small.values() if one.folder == small[name].folder):
            files[layout.names] = (
                "".join(f"{layout.names[:2]}{label}\n" for label in range(layout.classes)).encode() + b"\n"
            )
        for file in small[name].records:
            records = random.integers(0, 256, (20, small[name].label_bytes + cifar.PIXELS), np.uint8)
            records[:, 0] = np.arange(20) % 10
            if small[name].label_bytes == 2:
                records[:, :2] = np.stack([np.arange(20), np.arange(20) * 5], 1)
            files[file] = records.tobytes()
        return files

    return make
