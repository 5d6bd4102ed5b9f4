"""CIFAR-10 and CIFAR-100 in the official binary format, from the .tar.gz or its unpacked folder.

A record is one label byte (CIFAR-100: coarse, then fine) and 3,072 bytes of a 32×32 image, plane by plane (red,
green, blue); five training files of 10,000 records and one of test, or one of 50,000 and one of 10,000 (Krizhevsky,
https://www.cs.toronto.edu/~kriz/cifar.html). Nothing is unpacked to the disk, and no archive is believed: a member
that points outside, a link, a device, or a file of another size than the official one ends the reading.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from alexnet.data.dataset import ArrayDataset, Dataset
from alexnet.data.readers.archives import Readable, unpacked
from alexnet.data.readers.packed import told
from alexnet.data.readers.source import Opened, Request, Source
from alexnet.errors import InputError
from alexnet.files import regular

PIXELS = 3 * 32 * 32
MAX_TEXT = 2**16
"""The largest file of class names, in bytes; the official ones have fewer than 1,000."""
MAX_MEMBERS = 100
RECORDS = 500
"""Records that are read at a time."""
MAX_OTHER = 2**20
"""Bytes that an archive may unpack to beside its images: headers, padding, class names, a page that explains."""


@dataclass(frozen=True)
class Layout:
    """Where a set keeps what: how many records in which file, the file of class names, the column of labels."""

    archive: str
    folder: str
    train: dict[str, int]
    test: dict[str, int]
    label_bytes: int
    names: str
    column: int
    classes: int

    @property
    def records(self) -> dict[str, int]:
        return self.train | self.test

    @property
    def sizes(self) -> dict[str, int]:
        """Bytes by file of records."""
        return {file: count * (self.label_bytes + PIXELS) for file, count in self.records.items()}

    @property
    def limit(self) -> int:
        """Bytes that its archive unpacks to at most."""
        return sum(self.sizes.values()) + MAX_OTHER


CIFAR10 = Layout(
    archive="cifar-10-binary.tar.gz",
    folder="cifar-10-batches-bin",
    train={f"data_batch_{number}.bin": 10_000 for number in range(1, 6)},
    test={"test_batch.bin": 10_000},
    label_bytes=1,
    names="batches.meta.txt",
    column=0,
    classes=10,
)
_CIFAR100 = {
    "archive": "cifar-100-binary.tar.gz",
    "folder": "cifar-100-binary",
    "train": {"train.bin": 50_000},
    "test": {"test.bin": 10_000},
    "label_bytes": 2,
}
LAYOUTS = {
    "cifar10": CIFAR10,
    "cifar100": Layout(**_CIFAR100, names="fine_label_names.txt", column=1, classes=100),
    "cifar100-coarse": Layout(**_CIFAR100, names="coarse_label_names.txt", column=0, classes=20),
}


class Cifar(Source):
    def __init__(self, name: str) -> None:
        self.name, self.expected, self.home = name, LAYOUTS[name].archive, name.removesuffix("-coarse")

    def recognize(self, path: Path) -> bool:
        """Whether the archive or folder holds the set; its coarse labels are another set in the same files."""
        layout = LAYOUTS[self.name]
        if path.is_dir():
            return self.name != "cifar100-coarse" and _inside(path, layout) is not None
        if self.name == "cifar100-coarse" or not path.name.endswith((".tar.gz", ".tgz")):
            return False
        marks = {layout.names, *layout.records}
        with unpacked(path, MAX_MEMBERS, layout.limit) as files:
            return any(PurePosixPath(member.name).name in marks for member, _ in files)

    def open(self, request: Request) -> Opened:
        return Opened(read_cifar(request.place, self.name))


def read_cifar(path: Path, name: str) -> dict[str, Dataset]:
    """The splits 'train' and 'test' of the set `name` (a key of LAYOUTS) at `path`: the archive, its unpacked folder,
    or a folder that holds one of them. Raises InputError for anything else than the official files."""
    layout = LAYOUTS[name]
    place = path if path.is_file() else _inside(path, layout)
    if place is None:
        raise InputError(
            f"no {name} in {path}; expected {layout.archive} or the files {', '.join([*layout.records, layout.names])}"
        )
    read = _Reading(layout)
    (_from_archive if place.is_file() else _from_folder)(place, layout, read.take)
    lacking = [file for file in [*layout.records, layout.names] if file not in read.found]
    if lacking:
        raise InputError(f"{place} lacks {', '.join(lacking)}; expected the binary version, {layout.archive}")
    lines = read.text.decode("utf-8-sig", errors="replace").splitlines()
    classes = tuple(line.strip() for line in lines if line.strip())
    if len(classes) != layout.classes or len(set(classes)) != layout.classes:
        raise InputError(f"{place}: {layout.names} must name {layout.classes} classes, it names {len(set(classes))}")
    return {split: read.dataset(split, classes) for split in read.images}


Take = Callable[[str, Readable], None]
"""Called with the name of each file of the set, in the order in which they come, and the open file."""


class _Reading:
    """Takes the files' records into place a few at a time, so that nothing is ever held twice."""

    def __init__(self, layout: Layout) -> None:
        self.layout, self.text, self.found = layout, b"", set[str]()
        self.files = {"train": layout.train, "test": layout.test}
        self.images = {
            split: np.empty((sum(counts.values()), 32, 32, 3), np.uint8) for split, counts in self.files.items()
        }
        self.labels = {split: np.empty(len(images), np.int64) for split, images in self.images.items()}

    def take(self, file: str, content: Readable) -> None:
        self.found.add(file)
        if file == self.layout.names:
            self.text = content.read(MAX_TEXT)
            return
        split = "train" if file in self.layout.train else "test"
        counts, width = self.files[split], self.layout.label_bytes + PIXELS
        place = sum(list(counts.values())[: list(counts).index(file)])
        end = place + counts[file]
        while place < end:
            block = content.read(min(end - place, RECORDS) * width)
            if not block or len(block) % width:
                raise EOFError("a record is cut")
            records = np.frombuffer(block, np.uint8).reshape(-1, width)
            pixels = records[:, self.layout.label_bytes :].reshape(-1, 3, 32, 32)
            self.images[split][place : place + len(records)] = pixels.transpose(0, 2, 3, 1)
            self.labels[split][place : place + len(records)] = records[:, self.layout.column]
            place += len(records)

    def dataset(self, split: str, classes: tuple[str, ...]) -> ArrayDataset:
        labels, places = self.labels[split], [(f, i) for f, count in self.files[split].items() for i in range(count)]
        if labels.max() >= len(classes):
            file, where = places[int(labels.argmax())]
            raise InputError(f"{file}: record {where} has label {labels.max()}; labels go from 0 to {len(classes) - 1}")
        return ArrayDataset(self.images[split], labels, classes, [f"{file}#{index}" for file, index in places])


def _inside(path: Path, layout: Layout) -> Path | None:
    """The unpacked folder or the archive at or directly in the folder `path`."""
    for folder in (path, path / layout.folder):
        if any((folder / file).is_file() for file in layout.records):
            return folder
    archive = path / layout.archive
    return archive if archive.is_file() else None


def _from_folder(folder: Path, layout: Layout, take: Take) -> None:
    for file in [*layout.records, layout.names]:
        if (folder / file).is_file():
            _check_size(str(folder / file), file, (folder / file).stat().st_size, layout)
            with regular(folder / file) as content, told(folder / file):
                take(file, content)


def _from_archive(archive: Path, layout: Layout, take: Take) -> None:
    with unpacked(archive, MAX_MEMBERS, layout.limit) as files:
        for member, content in files:
            file = PurePosixPath(member.name).name
            if file in [*layout.records, layout.names]:
                _check_size(f"{archive}: {file}", file, member.size, layout)
                take(file, content)


def _check_size(place: str, file: str, size: int, layout: Layout) -> None:
    official = layout.sizes.get(file)
    if official is not None and size != official:
        raise InputError(f"{place} has {size:,} bytes; the official file has {official:,}")
    if official is None and size > MAX_TEXT:
        raise InputError(f"{place} has {size:,} bytes; a list of class names has at most {MAX_TEXT:,}")


SOURCES = tuple(map(Cifar, LAYOUTS))
