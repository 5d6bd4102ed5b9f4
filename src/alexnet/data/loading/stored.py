"""Images that stay on the disk, as files or as members of tar archives, and are decoded when they are asked for."""

import hashlib
import operator
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NotRequired, Self, TypedDict

import numpy as np

from alexnet.data import dataset as sets
from alexnet.data.dataset import ArrayDataset, Dataset
from alexnet.data.dataset import stack_digests as stack
from alexnet.data.loading.decode import DecodeError, decode
from alexnet.data.loading.samples import Range
from alexnet.data.loading.stores import Store
from alexnet.errors import InputError, counted

FEW = 0.05
"""The share of unreadable images (or one image, if that is more) that a set is read without."""
AHEAD = 256
"""Images that wait for the decoding threads at a time."""

Progress = Callable[[int, int], None]
"""Called with images done and images in all."""


class Form(TypedDict):
    """How images are decoded: see `decode`."""

    channels: int
    size: tuple[int, int]
    fit: str
    antialias: NotRequired[bool]
    samples: NotRequired[Range | None]


@dataclass
class Split:
    """Images of one split as they lie on the disk."""

    names: list[str]
    labels: np.ndarray
    """int64 [n]; of images with several labels uint8 [n, classes], as `Dataset.targets`"""
    store: Store


@dataclass
class Listing:
    """What a set holds, before anything is decoded."""

    place: Path
    classes: tuple[str, ...]
    splits: dict[str, Split]
    left_out: list[tuple[str, str]] = field(default_factory=list)
    """Files that are no images of the set: (name, why)."""
    notes: list[str] = field(default_factory=list)
    """How the set was read, a line each."""
    groups: dict[str, str] = field(default_factory=dict)
    """Image's name → its group, where a table says: a group is not parted by the cut for validation."""

    @property
    def multilabel(self) -> bool:
        """Whether an image may have several labels, or none."""
        return any(split.labels.ndim == 2 for split in self.splits.values())

    @property
    def count(self) -> int:
        return sum(len(split.names) for split in self.splits.values())


@dataclass
class Part:
    """Some images of a set, and nothing else of it: small enough to be sent to another process."""

    names: list[str]
    store: Store
    form: Form

    def decoded(self, out: np.ndarray | None = None) -> np.ndarray:
        """The images, uint8 n × height × width × channels, in `out` if it is given. Raises DecodeError."""
        if out is None:
            out = np.empty((len(self.names), *self.form["size"], self.form["channels"]), np.uint8)
        for row, name in enumerate(self.names):
            try:
                out[row] = decode(self.store.read(row), **self.form)
            except DecodeError as error:
                raise DecodeError(name, error.reason) from error
        return out


class OwnSizes(Dataset):
    """Images decoded when asked for, each at its own size; `size` is (0, 0)."""

    def __init__(self, split: Split, classes: Sequence[str], channels: int, samples: Range | None, digests: np.ndarray):
        super().__init__(split.labels, classes, split.names, channels=channels, size=(0, 0), digests=digests)
        self.store, self.samples = split.store, samples

    def __getitem__(self, index: int) -> tuple[np.ndarray, Any]:
        row = range(len(self))[operator.index(index)]
        return decode(self.store.read(row), self.channels, samples=self.samples), self.target(row)

    def _batch(self, rows: np.ndarray) -> np.ndarray:
        images = [self[int(row)][0] for row in rows]
        if len({image.shape for image in images}) > 1:
            raise InputError("the images have sizes of their own: pass size=(height, width) to have batches of them")
        return np.stack(images)

    def _part(self, rows: np.ndarray) -> Self:
        part = super()._part(rows)
        part.store = self.store.part(rows)
        return part


class StoredDataset(Dataset):
    """Images decoded when asked for; for sets too large to keep in memory."""

    def __init__(self, split: Split, classes: Sequence[str], form: Form, digests: np.ndarray) -> None:
        super().__init__(
            split.labels, classes, split.names, channels=form["channels"], size=form["size"], digests=digests
        )
        self.store, self.form = split.store, form

    def part(self, indices: np.ndarray) -> Part:
        """What it takes to decode the images at `indices` (int64 [n])."""
        return Part([self.names[index] for index in indices], self.store.part(indices), self.form)

    def _batch(self, rows: np.ndarray) -> np.ndarray:
        out = np.empty((len(rows), *self.size, self.channels), np.uint8)
        # Handing over an image costs a twentieth of decoding it: threads take several at a time.
        step = max(1, min(8, len(rows) // (4 * sets.threads())))

        def put(start: int) -> None:
            self.part(rows[start : start + step]).decoded(out[start : start + step])

        for _ in sets.pool().map(put, range(0, len(rows), step)):
            pass
        return out

    def _part(self, rows: np.ndarray) -> Self:
        part = super()._part(rows)
        part.store = self.store.part(rows)
        return part


def open_listing(
    listing: Listing, form: Form, progress: Progress | None = None, examine: bool = True, own_sizes: bool = False
) -> tuple[dict[str, Dataset], list[tuple[str, str]]]:
    """The splits of a listing, and what was left out as (name, reason).

    examine: every image is decoded once, so that what is unreadable is known before a run starts: few are left out,
    many raise InputError, as does a class or a split of which none can be read. Sets that fit are kept in memory; of
    others, an image that is changed or replaced later ends the run that meets it.
    Without it nothing is decoded, an unreadable image ends the run that meets it, and digests are of names and lengths.
    own_sizes: the images keep their sizes, whatever the form says.
    """
    if not examine:
        opened = {name: _stamped(split) for name, split in listing.splits.items()}
        return {
            name: StoredDataset(split, listing.classes, form, _digests(split)) for name, split in opened.items()
        }, list(listing.left_out)
    total, done = listing.count, 0
    keep = not own_sizes and total * form["channels"] * form["size"][0] * form["size"][1] < sets.MEMORY_LIMIT
    splits: dict[str, Dataset] = {}
    skipped: list[tuple[str, str]] = []
    for name, listed in listing.splits.items():
        split = listed if keep else _stamped(listed)
        images = np.empty((len(split.names) if keep else 0, *form["size"], form["channels"]), np.uint8)
        good: list[int] = []
        digests: list[bytes] = []
        for row, result in enumerate(_examined(split, form, own_sizes)):
            if isinstance(result, DecodeError):
                skipped.append((printable(split.names[row]), result.reason))
            else:
                digest, image = result
                if keep:
                    images[len(good)] = image
                good.append(row)
                digests.append(digest)
            done += 1
            if progress:
                progress(done, total)
        if not good and split.names:
            raise InputError(
                f"0 of {counted(len(split.names), f'{name} image')} in {listing.place} can be read; "
                f"the first: {': '.join(skipped[-len(split.names)])}"
            )
        rows = np.array(good)
        own = Split([split.names[row] for row in good], split.labels[rows], split.store.part(rows))
        if keep:
            splits[name] = ArrayDataset(images[: len(good)], own.labels, listing.classes, own.names, stack(digests))
        elif own_sizes:
            splits[name] = OwnSizes(own, listing.classes, form["channels"], form.get("samples"), stack(digests))
        else:
            splits[name] = StoredDataset(own, listing.classes, form, stack(digests))
    check_skipped(listing, skipped, splits["train"].present if "train" in splits else np.array([], np.int64))
    return splits, listing.left_out + skipped


def _stamped(split: Split) -> Split:
    return Split(split.names, split.labels, split.store.stamped())


def _examined(split: Split, form: Form, own_sizes: bool) -> Iterator[tuple[bytes, np.ndarray] | DecodeError]:
    """For each image the content's SHA-256 and the decoded image, or why there is none; in order."""

    size = None if own_sizes else form["size"]

    def examine(row: int) -> tuple[bytes, np.ndarray] | DecodeError:
        try:
            content = split.store.read(row)
            return hashlib.sha256(content).digest(), decode(content, **{**form, "size": size})
        except DecodeError as error:
            return error

    for start in range(0, len(split.names), AHEAD):
        yield from sets.pool().map(examine, range(start, min(start + AHEAD, len(split.names))))


def check_skipped(listing: Listing, skipped: list[tuple[str, str]], present: np.ndarray | None) -> None:
    """Raises InputError when too many images are unreadable, or all of a class's.

    `present`: the classes of the good training images; None: not all are known yet.
    """
    if not skipped:
        return
    total, first = listing.count, "the first: " + ": ".join(skipped[0])
    if len(skipped) == total:
        raise InputError(f"0 of {counted(total, 'image')} in {listing.place} can be read; {first}")
    if len(skipped) > max(1, FEW * total):
        raise InputError(
            f"{len(skipped):,} of {total:,} images in {listing.place} cannot be read, too many to leave out; {first}"
        )
    if present is None:
        return
    lost = np.setdiff1d(np.arange(len(listing.classes)), present)
    if len(lost):
        raise InputError(
            f"no training image of class {listing.classes[lost[0]]!r} in {listing.place} can be read; {first}"
        )


def printable(name: str) -> str:
    """A file's name as it can be shown in one line."""
    return name if name.isprintable() else ascii(name)


def _digests(split: Split) -> np.ndarray:
    """SHA-256 of each image's name and length, where reading all contents would take as long as an epoch."""
    pairs = zip(split.names, split.store.sizes(), strict=True)
    digest = bytearray()
    for name, size in pairs:
        digest += hashlib.sha256(f"{name}\0{size}".encode(errors="surrogateescape")).digest()
    return np.frombuffer(digest, np.uint8).reshape(-1, 32)
