"""MNIST and every other set in IDX files, gzipped or not.

The format (LeCun, Cortes, Burges: THE MNIST DATABASE): big-endian 32-bit magic, which is 0x0801 for labels and 0x0803
for images, a 32-bit count per dimension, then one unsigned byte per element. A file `train-images-idx3-ubyte` has its
labels in `train-labels-idx1-ubyte`; the test files start with `t10k` (or `test`), and sets with variants put the
variant's name first (`emnist-letters-train-images-idx3-ubyte`).

A class is a label's **name**, the number as text, and classes are the labels that training holds. So labels may start
at 1 or leave gaps: nothing is shifted and no class is left without images. (The trap is to take labels that start at
1 as indices: the last class falls outside, and class 0 is never used.)
"""

import math
import re
from pathlib import Path

import numpy as np

from alexnet.data.dataset import ArrayDataset, Dataset
from alexnet.data.readers.archives import Readable
from alexnet.data.readers.packed import MAGIC, Gunzip, told
from alexnet.data.readers.source import Opened, Request, Source
from alexnet.errors import InputError
from alexnet.files import regular

MAGICS = {"labels": 0x0801, "images": 0x0803}
MAX_BYTES = 2 * 2**30
"""The largest content that is unpacked (the largest public set, EMNIST ByClass, has 640 MB)."""
MOST = 2**20
"""Images in a file: EMNIST ByClass, the largest public set, has 697,932. Each also takes a name and a label."""
RATIO = 200
"""How many times its own size a packed file may unpack to, beyond the first 2²⁴ bytes; MNIST's images do 5 times."""
FILE = re.compile(r"(?P<variant>.*?)(?P<split>train|t10k|test)-images[-.]idx3-ubyte(\.gz)?")
EXPECTED = "train-images-idx3-ubyte and train-labels-idx1-ubyte (and t10k-… for testing), .gz or not"

MNIST = tuple("0123456789")
FASHION_MNIST = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
"""Class names by label, from the set's README (Xiao, Rasul, Vollgraf, 2017)."""


class Idx(Source):
    expected = EXPECTED

    def __init__(self, name: str, classes: tuple[str, ...] | None = None) -> None:
        self.name, self.home, self.classes = name, name, classes

    def recognize(self, path: Path) -> bool:
        """Whether `path` is an IDX file of images or a folder that holds some: of which set, nothing tells."""
        return self.classes is None and bool(_images(path))

    def open(self, request: Request) -> Opened:
        return Opened(read_idx(request.place, self.classes))


def read_idx(path: Path, classes: tuple[str, ...] | None = None) -> dict[str, Dataset]:
    """The splits ('train', and 'test' where it is there) of the set at `path`: a folder, or a file of images in one.

    `classes`: class names by label; None: the numbers that the training labels hold, as text. Raises InputError for
    anything missing, inconsistent, cut short or out of range, before believing any count in a header.
    """
    files = _images(path)
    variants = sorted({name["variant"] for name in files.values()})
    if not files:
        raise InputError(f"no IDX files in {path}; expected {EXPECTED}")
    if len(variants) > 1:
        raise InputError(f"several sets in {path}: {', '.join(variants)}; name one's file of training images")
    by_split = {"train" if name["split"] == "train" else "test": file for file, name in files.items()}
    if "train" not in by_split:
        raise InputError(f"no training images in {path}; expected {EXPECTED}")
    train_labels = read_array(_labels(by_split["train"]), "labels")
    values = np.arange(len(classes)) if classes else np.unique(train_labels)
    names = classes or tuple(map(str, values))
    splits: dict[str, Dataset] = {}
    for split, file in by_split.items():
        images = read_array(file, "images")
        labels = train_labels if split == "train" else read_array(_labels(file), "labels")
        if len(images) != len(labels):
            raise InputError(f"{file} holds {len(images):,} images and {_labels(file).name} {len(labels):,} labels")
        outside = np.setdiff1d(labels, values)
        if len(outside):
            known = ", ".join(map(str, values[:20])) + (", …" if len(values) > 20 else "")
            raise InputError(f"{_labels(file)}: label {outside[0]} is out of range; known are {known}")
        stem = file.name.removesuffix(".gz")
        files = [f"{stem}#{index}" for index in range(len(labels))]
        splits[split] = ArrayDataset(images[..., None], np.searchsorted(values, labels), names, files)
    return splits


def read_array(path: Path, kind: str) -> np.ndarray:
    """An IDX file of `kind` 'images' (uint8 n×H×W) or 'labels' (uint8 n)."""
    if not path.is_file():
        raise InputError(f"no file {path}; it holds the {kind}")
    with regular(path) as raw, told(path):
        packed = raw.read(2) == MAGIC
        raw.seek(0)
        if not packed:
            return _read(raw, path, kind)
        size = path.stat().st_size
        excess = f"{path}: unpacks to more than {RATIO} times its size; no set of images does"
        return _read(Gunzip(raw, max(2**24, RATIO * size), excess), path, kind)


def _read(file: Readable, path: Path, kind: str) -> np.ndarray:
    dimensions = {"labels": 1, "images": 3}[kind]
    header = np.frombuffer(file.read(4 * (1 + dimensions)), np.uint8)
    if len(header) < 4 * (1 + dimensions):
        raise InputError(f"{path}: cut short: no IDX header")
    magic, *shape = (int(number) for number in header.view(">u4"))
    if magic != MAGICS[kind]:
        raise InputError(f"{path}: magic number {magic:#06x}, but IDX {kind} start with {MAGICS[kind]:#06x}")
    size = math.prod(shape)
    if not 0 < size <= MAX_BYTES:
        raise InputError(f"{path}: its header claims {'×'.join(map(str, shape))} bytes; 1 to {MAX_BYTES:,} are read")
    if shape[0] > MOST:
        raise InputError(f"{path}: its header claims {shape[0]:,} {kind}; at most {MOST:,} are read")
    content = np.empty(size, np.uint8)  # takes memory only where it is written to
    place = 0
    while place < size and (block := file.read(min(1 << 20, size - place))):
        content[place : place + len(block)] = np.frombuffer(block, np.uint8)
        place += len(block)
    if place < size or file.read(1):
        state, held = ("cut short", f"{place:,}") if place < size else ("longer than its header says", "more")
        raise InputError(f"{path}: {state}: {shape[0]:,} {kind} need {size:,} bytes, it holds {held}")
    return content.reshape(shape)


def _images(path: Path) -> dict[Path, re.Match[str]]:
    """IDX files of images at `path`, with the parts of their names; of one set when `path` is a file."""
    folder = path.parent if path.is_file() else path
    files = sorted(folder.iterdir()) if folder.is_dir() else []
    matches = {file: match for file in files if (match := FILE.fullmatch(file.name)) and file.is_file()}
    if path.is_file():
        own = FILE.fullmatch(path.name)
        matches = {file: match for file, match in matches.items() if own and match["variant"] == own["variant"]}
    return matches


def _labels(images: Path) -> Path:
    """The file of labels beside a file of images: gzipped or not, whichever is there."""
    name = images.name.removesuffix(".gz").replace("-images", "-labels").replace("idx3", "idx1")
    plain = images.with_name(name)
    return plain if plain.exists() else images.with_name(name + ".gz")


SOURCES = (Idx("mnist", MNIST), Idx("fashion-mnist", FASHION_MNIST), Idx("idx"))
