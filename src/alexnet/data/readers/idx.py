"""MNIST and every other set in IDX files, gzipped or not.

The format (LeCun, Cortes, Burges: THE MNIST DATABASE): big-endian 32-bit magic, which is 0x0801 for labels and 0x0803
for images, a 32-bit count per dimension, then one unsigned byte per element. A file `train-images-idx3-ubyte` has its
labels in `train-labels-idx1-ubyte`; the test files start with `t10k` (or `test`), and sets with variants put the
variant's name first (`emnist-letters-train-images-idx3-ubyte`).

EMNIST's files (Cohen et al. 2017) hold every image with rows and columns exchanged; its letters are numbered from 1.
They are told by their names, or by how many images the two files hold, turned upright, and their classes are called
by the characters that they show; `data.transpose` says it of other files.

A class is a label's **name**, the number as text, and classes are the labels that training holds. So labels may start
at 1 or leave gaps: nothing is shifted and no class is left without images. (The trap is to take labels that start at
1 as indices: the last class falls outside, and class 0 is never used.)
"""

import math
import re
from pathlib import Path

import numpy as np

from alexnet.data.dataset import ArrayDataset
from alexnet.data.readers.archives import Readable
from alexnet.data.readers.packed import MAGIC, Gunzip, told
from alexnet.data.readers.source import Opened, Request, Source
from alexnet.errors import InputError, counted
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


_UPPER, _LOWER = "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz"
EMNIST = {
    "byclass": "0123456789" + _UPPER + _LOWER,
    "bymerge": "0123456789" + _UPPER + "abdefghnqrt",  # the other small letters look like their capitals
    "balanced": "0123456789" + _UPPER + "abdefghnqrt",
    "letters": " " + _UPPER,  # numbered from 1; small and capital letters are one class
    "digits": "0123456789",
    "mnist": "0123456789",
}
"""By EMNIST's variant, the character of each label."""
COUNTS = {
    (697_932, 116_323): "byclass",
    (112_800, 18_800): "balanced",
    (124_800, 20_800): "letters",
    (88_800, 14_800): "letters",
    (240_000, 40_000): "digits",
}
"""EMNIST's variants by their training and test images; 'bymerge' has as many as 'byclass', 'mnist' as MNIST."""


class Emnist(Source):
    name = home = "emnist"
    expected = "emnist-letters-train-images-idx3-ubyte and its three companions (or another variant's), .gz or not"

    def recognize(self, path: Path) -> bool:
        files = _images(path)
        return any(name["variant"].startswith("emnist-") for name in files.values()) or _counted(files) is not None

    def open(self, request: Request) -> Opened:
        files = _images(request.place)
        named = next((name["variant"].split("-")[1] for name in files.values() if "emnist-" in name["variant"]), None)
        variant = named or _counted(files)
        characters = EMNIST.get(variant or "")
        turned = request.transpose if request.transpose is not None else True
        splits = read_idx(request.place, transpose=turned)
        train = splits["train"]
        if characters and all(int(label) < len(characters) for label in train.classes):
            classes = tuple(characters[int(label)] for label in train.classes)
            for split in splits.values():
                split.classes = classes
        how = "rows and columns exchanged, so that characters stand upright" if turned else "as they lie in the files"
        said = f"EMNIST{f', {variant}' if variant else ''}: {how} (data.transpose); {len(train.classes)} classes"
        return Opened(dict(splits), notes=[said])


def _counted(files: dict[Path, re.Match[str]]) -> str | None:
    """The variant of EMNIST that has as many images as the headers of the two files say."""
    if len(files) != 2:
        return None
    counts: dict[str, int] = {}
    for path, name in files.items():
        try:
            with regular(path) as raw, told(path):
                packed = raw.read(2) == MAGIC
                raw.seek(0)
                head = Gunzip(raw, 2**16, "").read(8) if packed else raw.read(8)
        except (InputError, OSError):
            return None
        counts["train" if name["split"] == "train" else "test"] = int.from_bytes(head[4:8], "big")
    return COUNTS.get((counts.get("train", 0), counts.get("test", 0)))


class Idx(Source):
    expected = EXPECTED

    def __init__(self, name: str, classes: tuple[str, ...] | None = None) -> None:
        self.name, self.home, self.classes = name, name, classes

    def recognize(self, path: Path) -> bool:
        """Whether `path` is an IDX file of images or a folder that holds some: of which set, nothing tells."""
        return self.classes is None and bool(_images(path))

    def open(self, request: Request) -> Opened:
        notes = []
        if request.transpose is None and SOURCES[0].recognize(request.place):
            notes = [
                "in doubt: these files are EMNIST's, which hold rows and columns exchanged, and are read as they lie: "
                "data.name=emnist reads them upright, data.transpose says it of other files"
            ]
        return Opened(dict(read_idx(request.place, self.classes, request.transpose or False)), notes=notes)


def read_idx(path: Path, classes: tuple[str, ...] | None = None, transpose: bool = False) -> dict[str, ArrayDataset]:
    """The splits ('train', and 'test' where it is there) of the set at `path`: a folder, or a file of images in one.

    `classes`: class names by label; None: the numbers that the training labels hold, as text. `transpose`: rows and
    columns are exchanged. Raises InputError for anything missing, inconsistent, cut short or out of range, before
    believing any count in a header.
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
    splits: dict[str, ArrayDataset] = {}
    for split, file in by_split.items():
        images = read_array(file, "images")
        if transpose:
            images = np.ascontiguousarray(images.transpose(0, 2, 1))
        labels = train_labels if split == "train" else read_array(_labels(file), "labels")
        if len(images) != len(labels):
            held = f"{counted(len(images), 'image')} and {_labels(file).name} {counted(len(labels), 'label')}"
            raise InputError(f"{file} holds {held}")
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


SOURCES = (Emnist(), Idx("mnist", MNIST), Idx("fashion-mnist", FASHION_MNIST), Idx("idx"))
