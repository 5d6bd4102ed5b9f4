"""All files of a dataset, also those that training would leave out, with their split and class."""

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch.nn import functional

from alexnet.data.dataset import Dataset, label_sets, pool
from alexnet.data.loading.decode import EXTENSIONS, DecodeError, read
from alexnet.data.readers.source import Labels
from alexnet.data.remote.address import is_url
from alexnet.data.sources import ANY_SIZE, list_images, open_splits, recognize
from alexnet.errors import InputError
from alexnet.insight.check.inspect import SMALL, Look, Seen, begins_like_an_image, described, look, unreadable

BLOCK = 256  # images that are looked at before the next are
SPLITS = ("train", "validation", "test")
_NAMES = {"train": "train", "training": "train", "val": "validation", "valid": "validation", "validation": "validation",
          "test": "test", "testing": "test"}  # fmt: skip


class Images(Protocol):
    """Where the images come from."""

    def look(self, rows: range) -> list[Look]:
        """One look at each."""
        ...

    def content(self, row: int) -> bytes | np.ndarray:
        """A file's content or a decoded image; raises DecodeError."""
        ...


@dataclass
class Listed:
    """Every image of a dataset: columns of one length, and what stands beside them."""

    place: Path | str
    """Where the images are; text: an address, without what is secret in it."""
    kind: str
    """One of `alexnet.data.sources.SETS`."""
    names: Sequence[str]
    splits: np.ndarray
    """int8 [n]: index into SPLITS; -1: in no split and no class."""
    labels: np.ndarray
    """int32 [n]: index into `classes`, of images with several labels into `sets`; -1: in none."""
    classes: tuple[str, ...]
    images: Images
    refused: str = ""
    """Why training would not start, as its reader says it."""
    others: list[str] = field(default_factory=list)
    """Files among the images that are not named like images."""
    empty: list[str] = field(default_factory=list)
    """Class folders without an image."""
    targets: np.ndarray | None = None
    """uint8 [n, classes] where an image may have several labels, 1 where it has the label."""
    sets: tuple[str, ...] = ()
    """The sets of labels that there are."""
    groups: dict[str, str] = field(default_factory=dict)
    """Image's name → its group, where a table says."""
    notes: list[str] = field(default_factory=list)
    """How it was read, a line each."""

    def said(self, row: int) -> str:
        """An image's class, or its labels; empty: it is in none."""
        names, label = self.sets or self.classes, self.labels[row]
        return names[label] if label >= 0 else ""

    def having(self, label: int) -> np.ndarray:
        """bool [n]: which images are of a class, or have a label."""
        return self.labels == label if self.targets is None else self.targets[:, label] > 0


def list_dataset(data: Path | str, name: str = "auto", table: Labels | None = None) -> Listed:
    """Lists the images at `data`; table: of their labels. InputError when nothing there is a dataset."""
    name = table.kind(name) or name if table else name
    if is_url(data):
        return _arrays(data, name)
    place = Path(data).expanduser()
    if not place.exists():
        raise InputError(f"no file or folder {str(place)!r}")
    kind = recognize(place) if name == "auto" else name
    if table is not None:
        table.check(kind)
    if kind == "folder":
        return _folder(place)
    if kind in ANY_SIZE and kind not in ("shards", "synthetic"):
        return _stored(place, kind, table)
    return _arrays(place, kind)


class _Files:
    def __init__(self, root: Path, names: Sequence[str]):
        self.root, self.names = root, names

    def content(self, row: int) -> bytes:
        return read(self.root / self.names[row])

    def look(self, rows: range) -> list[Look]:
        return list(pool().map(self._look, rows))

    def _look(self, row: int) -> Look:
        try:
            return look(self.names[row], self.content(row))
        except DecodeError as error:
            return unreadable(error.reason)


class _Store(_Files):
    """Members of archives, by the store of their split."""

    def __init__(self, names: Sequence[str], stores: Sequence[tuple[int, object]]):
        super().__init__(Path(), names)
        self.stores = stores

    def content(self, row: int) -> bytes:
        for first, store in reversed(self.stores):
            if row >= first:
                return store.read(row - first)  # pyright: ignore[reportAttributeAccessIssue]
        raise IndexError(row)


class _Arrays:
    def __init__(self, parts: Sequence[tuple[int, Dataset]]):
        self.parts = parts

    def content(self, row: int) -> np.ndarray:
        first, dataset = next((start, part) for start, part in reversed(self.parts) if row >= start)
        return dataset.batch(np.array([row - first]))[0]

    def look(self, rows: range) -> list[Look]:
        first, dataset = next((start, part) for start, part in reversed(self.parts) if rows.start >= start)
        inside = range(rows.start - first, min(rows.stop - first, len(dataset)))
        images = dataset.batch(np.array(inside))
        small = fit(images, (SMALL, SMALL))
        digests = [hashlib.sha256(image.tobytes()).digest() for image in images]
        found: list[Look] = [(Seen(d, (), images.shape[1:3]), s) for d, s in zip(digests, small, strict=True)]
        rest = range(first + inside.stop, rows.stop)
        return found + (self.look(rest) if rest else [])


def fit(images: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Decoded images (uint8 N×H×W×C) as RGB of another size, all at once."""
    batch = torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2)
    scaled = functional.interpolate(batch, size, mode="bilinear", antialias=True).permute(0, 2, 3, 1).numpy()
    return np.broadcast_to(scaled, (*scaled.shape[:3], 3))


def _folder(root: Path) -> Listed:
    """As training's reader lists it where it can; else by the folders' names, so that every fault is still found."""
    refused, placed = "", dict[str, tuple[str, str]]()
    try:
        listing = list_images("folder", root)
        for split, own in listing.splits.items():
            for name, label in zip(own.names, own.labels, strict=True):
                placed[name] = (split, listing.classes[label])
    except InputError as error:
        refused = str(error)
    folders, files = _walk(root)
    files = sorted({*files, *placed})  # the reader also follows links to folders
    by_split = {split for folder in folders if "/" not in folder if (split := _NAMES.get(folder.lower()))}
    nested = "train" in by_split
    names, splits, labels, others = [], [], [], []
    classes: dict[str, int] = {}
    for name in files:
        split, label = placed.get(name) or _guess(name, nested)
        image = name in placed or Path(name).suffix.lower() in EXTENSIONS or _is_picture(root / name)
        if not image:
            others.append(name)
            continue
        names.append(name)
        splits.append(SPLITS.index(split) if split else -1)
        labels.append(classes.setdefault(label, len(classes)) if split else -1)
    depth = 2 if nested else 1
    held = {"/".join(name.split("/")[:depth]) for name in names}
    class_folders = [f for f in folders if f.count("/") == depth - 1 and (depth == 1 or _NAMES.get(f.split("/")[0]))]
    empty = [folder for folder in class_folders if folder not in held]
    order = sorted(classes)
    rank = np.array([order.index(name) for name in classes] or [0], np.int32)
    numbers = np.array(labels, np.int32)
    numbers = np.where(numbers >= 0, rank[numbers], -1)
    others = [name for name in others if name.count("/") >= depth]
    images = _Files(root, names)
    return Listed(
        root, "folder", names, np.array(splits, np.int8), numbers, tuple(order), images, refused, others, empty
    )


def _guess(name: str, nested: bool) -> tuple[str, str]:
    """(split, class) by the folders that a file lies in; ('', ''): in none."""
    parts = name.split("/")
    if not nested:
        return ("train", parts[0]) if len(parts) > 1 else ("", "")
    split = _NAMES.get(parts[0].lower(), "")
    return (split, parts[1]) if split and len(parts) > 2 else ("", "")


def _walk(root: Path) -> tuple[list[str], list[str]]:
    """Folders and files below `root`, relative and sorted; nothing hidden, and no link to a folder is followed."""
    folders: list[str] = []
    files: list[str] = []
    for place, inner, here in os.walk(root):
        inner[:] = sorted(name for name in inner if not _hidden(name))
        relative = Path(place).relative_to(root)
        folders += [(relative / name).as_posix() for name in inner]
        files += [(relative / name).as_posix() for name in sorted(here) if not _hidden(name)]
    return folders, files


def _hidden(name: str) -> bool:
    return name.startswith(".") or name in ("__MACOSX", "@eaDir", "$RECYCLE.BIN", "Thumbs.db", "desktop.ini")


def _is_picture(path: Path) -> bool:
    """Whether a file begins as images do, whatever its name."""
    try:
        with open(path, "rb") as file:
            return begins_like_an_image(file.read(4))
    except OSError:
        return False


def _stored(place: Path, kind: str, table: Labels | None) -> Listed:
    listing = list_images(kind, place, table, several=True)
    names: list[str] = []
    stores, splits, labels = [], [], []
    for split, own in listing.splits.items():
        stores.append((len(names), own.store))
        names += own.names
        splits.append(np.full(len(own.names), SPLITS.index(split), np.int8))
        labels.append(own.labels)
    images, classes = _Store(names, stores), listing.classes
    numbers, told = _labeled(np.concatenate(labels), classes)
    told |= {"groups": listing.groups, "notes": listing.notes}
    return Listed(place, kind, names, np.concatenate(splits), numbers, classes, images, **told)


def _labeled(labels: np.ndarray, classes: tuple[str, ...]) -> tuple[np.ndarray, dict[str, Any]]:
    """`Listed.labels`, and where an image may have several what else stands in it."""
    if labels.ndim == 1:
        return labels.astype(np.int32), {}
    own, sets = label_sets(labels, classes)
    return own.astype(np.int32), {"targets": labels, "sets": sets}


def _arrays(data: Path | str, kind: str) -> Listed:
    found = open_splits(kind, data, validation=None)
    parts, start = [], 0
    own = [(0, found.train), (1, found.validation), (2, found.test)]
    there = [(number, dataset) for number, dataset in own if dataset is not None]
    for _, dataset in there:
        parts.append((start, dataset))
        start += len(dataset)
    names = [f"{SPLITS[number]}/{name}" for number, dataset in there for name in dataset.names]
    splits = np.concatenate([np.full(len(dataset), number, np.int8) for number, dataset in there])
    labels, told = _labeled(np.concatenate([dataset.targets for _, dataset in there]), found.train.classes)
    place = found.address or Path(data)
    return Listed(place, found.name, names, splits, labels, found.train.classes, _Arrays(parts), **told)


def looks(listed: Listed) -> Iterator[list[Seen]]:
    """One look at each image, in order, in blocks."""
    for start in range(0, len(listed.names), BLOCK):
        yield described(listed.images.look(range(start, min(start + BLOCK, len(listed.names)))))
