"""How much memory reading takes: what NumPy and Python allocate at the most, which is the same on every run."""

import gzip
import struct
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from makers import png

from alexnet.data import dataset as sets
from alexnet.data.readers import cifar
from alexnet.data.sources import open_splits
from alexnet.data.splits import Splits

MEGABYTE = 2**20


def peak(act: Callable[[], Splits]) -> tuple[float, int]:
    """The most that was allocated while `act` ran, as a multiple of the images' own bytes, and these bytes."""
    tracemalloc.start()
    splits = act()
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    own = sum(part.bytes for part in (splits.train, splits.validation, splits.test) if part is not None)
    return most / own, own


@pytest.mark.parametrize("packed", [False, True])
def test_idx_sets_take_less_than_twice_their_size(tmp_path: Path, packed: bool) -> None:
    for split, count in (("train", 5000), ("t10k", 500)):
        for kind, shape in (("images-idx3", (count, 56, 56)), ("labels-idx1", (count,))):
            header = struct.pack(f">I{len(shape)}I", 0x800 + len(shape), *shape)
            content = header + bytes(np.arange(np.prod(shape)) % 10)[: np.prod(shape)]
            name = f"{split}-{kind}-ubyte{'.gz' if packed else ''}"
            (tmp_path / name).write_bytes(gzip.compress(content, 1) if packed else content)
    ratio, own = peak(lambda: open_splits("idx", tmp_path))
    assert own > 16 * MEGABYTE
    assert ratio < 1.5


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_cifar_takes_less_than_twice_its_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    layout = cifar.LAYOUTS[name]
    for counts, size in ((layout.train, 6000), (layout.test, 1000)):
        for file in counts:
            monkeypatch.setitem(counts, file, size // len(counts))
            (tmp_path / file).write_bytes(bytes((layout.label_bytes + cifar.PIXELS) * counts[file]))
    (tmp_path / layout.names).write_text("".join(f"class{label}\n" for label in range(layout.classes)))
    ratio, own = peak(lambda: open_splits(name, tmp_path))
    assert own == 7000 * cifar.PIXELS
    assert ratio < 1.5


def test_a_folder_takes_less_than_twice_the_limit_however_large_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = png(np.zeros((8, 8), np.uint8))
    for index in range(400):
        path = tmp_path / f"class{index % 2}" / f"{index}.png"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(image)
    size = 400 * 3 * 128 * 128
    for limit, kept in ((size + 1, 1.0), (size, 0.0)):
        monkeypatch.setattr(sets, "MEMORY_LIMIT", limit)
        ratio, own = peak(lambda: open_splits("folder", tmp_path, size=(128, 128)))
        assert own == size
        waiting = 256 * 3 * 128 * 128 / size  # images that the threads decode ahead, whatever the set's size
        assert ratio < 1.3 * kept + waiting + 0.1
