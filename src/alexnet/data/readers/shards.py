"""Packed images: tar archives in WebDataset's layout with an index, made by `alexnet pack` (see `pack`).

    index.json             set, classes, size, splits: for each its shards with count, bytes and SHA-256
    train-000000.tar       train-00000000.jpg, train-00000000.cls, … two members an image, side by side
    train-000000.json      of each image in it: name, label, offset and length of the .jpg, SHA-256 of it; where a table
                           said groups, its group

They are read from a folder, or from an address (see `alexnet.data.remote`), with the same result.

A .cls is the label as text, the place of the class's name in the index's list; where an image may have several labels,
a .json has the list of their places. Any reader of tar files, and
WebDataset's own, reads the shards in their order and needs no index; the index gives every image a place, so that
images are read here in whatever order a seed decides.
"""

import base64
import hashlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from alexnet.data import dataset as sets
from alexnet.data.dataset import Dataset
from alexnet.data.download import Unavailable
from alexnet.data.loading.samples import checked_range
from alexnet.data.loading.stored import Form, Progress, Split, StoredDataset, printable
from alexnet.data.loading.stores import Members, Store
from alexnet.data.readers.folder import first
from alexnet.data.readers.source import Opened, Request, Source, whole_groups
from alexnet.data.remote.address import INDEX, MAX_INDEX, Address
from alexnet.data.remote.place import Elsewhere
from alexnet.errors import InputError, unknown
from alexnet.files import content_of, parsed_json, read_json

KIND = "alexnet-shards"
VERSION = 1
SEVERAL = 2
"""The version of an index whose images may have several labels each, which earlier readers refuse."""
MAX_TARGETS = 2**33
"""Images times labels, a byte each."""
SPLITS = ("train", "validation", "test")
MISSING = ("stop", "skip")
"""What becomes of a shard that cannot be had: the reading ends, or its images are left out."""
EXPECTED = f"{INDEX} and the .tar files that `alexnet pack` wrote with it"


class Shards(Source):
    name = "shards"
    expected = EXPECTED
    any_size = picks_classes = True

    def recognize(self, path: Path) -> bool:
        """Whether `path` is a folder of packed images, or its index."""
        try:
            return read_json(path / INDEX if path.is_dir() else path, MAX_INDEX).get("kind") == KIND
        except (OSError, ValueError, AttributeError, InputError):
            return False

    def open(self, request: Request) -> Opened:
        return read_shards(
            request.address or request.place,
            channels=request.channels,
            size=request.size,
            fit=request.fit,
            first_classes=request.first_classes,
            missing=request.missing_shards,
            progress=request.progress,
        )


class _Place(Protocol):
    """Where shards lie."""

    shown: str

    def index(self, most: int) -> bytes: ...

    def prepare(
        self, shards: Sequence[dict[str, Any]], small: bool, skips: bool, step: Callable[[int], None]
    ) -> None: ...

    def told(self, shard: dict[str, Any]) -> bytes:
        """The list of a shard; raises Unavailable where it or the shard cannot be had."""
        ...

    def names(self, shard: dict[str, Any]) -> bytes | None:
        """The list of a shard that cannot be had, where it is there."""
        ...

    def store(self, shards: Sequence[dict[str, Any]], places: np.ndarray) -> Store: ...


class _Folder:
    """On this machine."""

    def __init__(self, path: Path) -> None:
        self.path = path if path.is_dir() else path.parent
        self.file = path / INDEX if path.is_dir() else path
        self.shown = str(self.path)

    def index(self, most: int) -> bytes:
        return content_of(self.file, most)

    def prepare(self, shards: Sequence[dict[str, Any]], small: bool, skips: bool, step: Callable[[int], None]) -> None:
        """Everything is here."""

    def told(self, shard: dict[str, Any]) -> bytes:
        archive = self._archive(shard)
        if not archive.is_file() or archive.stat().st_size != shard["bytes"]:
            raise Unavailable(str(archive), "it is missing or was changed since it was packed: pack it again")
        content = content_of(archive.with_suffix(".json"), MAX_INDEX)
        if "list" in shard and hashlib.sha256(content).hexdigest() != shard["list"]["sha256"]:
            raise Unavailable(str(archive.with_suffix(".json")), "it was changed since it was packed: pack it again")
        return content

    def names(self, shard: dict[str, Any]) -> bytes | None:
        path = self._archive(shard).with_suffix(".json")
        return content_of(path, MAX_INDEX) if path.is_file() else None

    def store(self, shards: Sequence[dict[str, Any]], places: np.ndarray) -> Store:
        return Members([self._archive(each) for each in shards], places).stamped()

    def _archive(self, shard: dict[str, Any]) -> Path:
        return self.path / Path(shard["file"]).name


def read_shards(
    path: Path | Address,
    *,
    channels: int | None = None,
    size: tuple[int, int] | None = None,
    fit: str = "crop",
    first_classes: int | None = None,
    missing: str = "stop",
    progress: Progress | None = None,
) -> Opened:
    """The splits of the packed images at `path`; `channels` and `size` None: as they were packed.

    In memory when they are few. missing: one of MISSING. progress: is called while shards are fetched.
    Raises InputError when a shard is missing, of another length than the index says, or described otherwise.
    """
    if missing not in MISSING:
        raise unknown("data.missing_shards", missing, MISSING)
    place = Elsewhere(path) if isinstance(path, Address) else _Folder(path)
    if isinstance(path, Path) and not Shards().recognize(path):
        raise InputError(f"no packed images in {place.shown}; expected {EXPECTED}")
    content = place.index(MAX_INDEX)
    try:
        index = parsed_json(content, f"{INDEX} of {place.shown}")
        if not isinstance(index, dict) or index.get("kind") != KIND:
            raise InputError(f"no packed images in {place.shown}; expected {EXPECTED}")
        if index["version"] not in (VERSION, SEVERAL):
            raise InputError(f"{place.shown} was packed by another version of alexnet: pack it again")
        if first_classes is not None and index["version"] == SEVERAL:
            raise InputError("data.first_classes is for images of one class each, and these have several labels")
        classes = first([str(one) for one in index["classes"]], first_classes, Path(place.shown))
        packed = (int(index["size"][0]), int(index["size"][1]))
        form: Form = {"channels": channels or int(index["channels"]), "size": size or packed, "fit": fit}
        opened = _opened(place, index, classes, form, missing == "skip", progress)
        if isinstance(place, Elsewhere):
            opened.index = hashlib.sha256(content).hexdigest()
            opened.notes.append(place.note(content, [each for _, each in _shards(index)]))
        if samples := index.get("samples"):
            opened.samples = checked_range(samples)
    except InputError:
        raise
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError, OSError) as error:
        raise InputError(f"the index of {place.shown} is damaged ({type(error).__name__}: {error})") from error
    return opened


def _opened(
    place: _Place, index: dict[str, Any], classes: Sequence[str], form: Form, skips: bool, progress: Progress | None
) -> Opened:
    shards = [each for _, each in _shards(index)]
    total, done = sum(int(each["count"]) for each in shards), 0
    if index["version"] == SEVERAL and total * len(classes) > MAX_TARGETS:
        raise InputError(
            f"{place.shown} tells of {total:,} images with any of {len(classes):,} labels, more than memory "
            f"holds ({MAX_TARGETS:,} in all)"
        )

    def step(count: int) -> None:
        nonlocal done
        done += count
        if progress:
            progress(done, total)

    small = total * form["channels"] * form["size"][0] * form["size"][1] < sets.MEMORY_LIMIT
    place.prepare(shards, small, skips, step)
    splits: dict[str, Dataset] = {}
    skipped: list[tuple[str, str]] = []
    groups: dict[str, str] = {}
    for name in dict.fromkeys(name for name, _ in _shards(index)):
        own = index["splits"][name]
        split, digests = _split(place, own, index, len(classes), skips, skipped, groups)
        if split.names or not skipped:
            splits[name] = StoredDataset(split, classes, form, digests)
    if "train" not in splits:
        why = f"; {': '.join(skipped[0])}" if skipped else ""
        raise InputError(f"no training images in {place.shown}; expected {EXPECTED}{why}")
    if skipped and (lost := np.setdiff1d(np.arange(len(classes)), splits["train"].present)).size:
        why = ": ".join(skipped[0])
        raise InputError(f"no training image of class {classes[lost[0]]!r} is left in {place.shown}; {why}")
    if sum(own.bytes for own in splits.values()) < sets.MEMORY_LIMIT:
        splits = {name: sets.held(own) for name, own in splits.items()}
    notes = [whole_groups(groups)] if groups else []
    return Opened(splits, skipped, notes, groups=groups)


def _shards(index: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every shard with its split's name."""
    for name in SPLITS:
        for shard in index["splits"].get(name, ()):
            yield name, shard


def _split(
    place: _Place,
    shards: Sequence[dict[str, Any]],
    index: dict[str, Any],
    wanted: int,
    skips: bool,
    skipped: list[tuple[str, str]],
    groups: dict[str, str],
) -> tuple[Split, np.ndarray]:
    """The images of one split whose class is among the first `wanted`; their groups are added to `groups`. With
    `skips`, those of a shard that cannot be had are added to `skipped`."""
    classes, several = len(index["classes"]), index["version"] == SEVERAL
    names: list[str] = []
    places, digests, there = [], [np.empty((0, 32), np.uint8)], []
    labels = [np.empty((0, classes), np.uint8) if several else np.empty(0, np.int64)]
    for shard in shards:
        try:
            told = parsed_json(place.told(shard), _list_of(place, shard))
        except Unavailable as error:
            if not skips:
                raise
            skipped += [(name, f"its shard cannot be had: {error}") for name in _lost(place, shard)]
            continue
        offsets, lengths = np.array(told["offsets"], np.int64), np.array(told["lengths"], np.int64)
        own = np.frombuffer(base64.b64decode(told["digests"], validate=True), np.uint8).reshape(-1, 32)
        of = _targets(told["labels"], classes) if several else np.array(told["labels"], np.int64).reshape(-1)
        if of is None or not 0 <= of.min(initial=0) <= of.max(initial=0) < classes:
            raise InputError(f"{_list_of(place, shard)} tells of classes that {INDEX} does not name")
        if not len(told["names"]) == len(offsets) == len(lengths) == len(own) == len(of) == shard["count"]:
            raise InputError(f"{_list_of(place, shard)} does not tell of {shard['count']:,} images")
        if offsets.min(initial=0) < 0 or (offsets + lengths).max(initial=0) > shard["bytes"]:
            raise InputError(f"{_list_of(place, shard)} tells of images outside the shard")
        kept = np.arange(len(of)) if several else np.flatnonzero(of < wanted)
        names += [told["names"][row] for row in kept]
        if listed := told.get("groups"):
            if len(listed) != len(of):
                raise InputError(f"{_list_of(place, shard)} does not tell of {shard['count']:,} images")
            groups.update((told["names"][row], str(listed[row])) for row in kept if listed[row] is not None)
        places.append(np.stack([np.full(len(kept), len(there)), offsets[kept], lengths[kept]], 1))
        labels.append(of[kept])
        digests.append(own[kept])
        there.append(shard)
    store = place.store(there, np.concatenate([np.empty((0, 3), np.int64), *places]))
    return Split(names, np.concatenate(labels), store), np.concatenate(digests)


def _targets(said: Sequence[Sequence[int]], classes: int) -> np.ndarray | None:
    """As `Dataset.targets`, of each image's labels; None: some are not among the classes."""
    rows = np.repeat(np.arange(len(said)), [len(each) for each in said])
    labels = np.fromiter(itertools.chain.from_iterable(said), np.int64, len(rows))
    if not 0 <= labels.min(initial=0) <= labels.max(initial=0) < classes:
        return None
    found = np.zeros((len(said), classes), np.uint8)
    found[rows, labels] = 1
    return found


def _lost(place: _Place, shard: dict[str, Any]) -> list[str]:
    """Names of the images of a shard that cannot be had; numbers where its list cannot be had either."""
    content = place.names(shard)
    if content is None:
        return [f"{shard['file']}, image {number}" for number in range(1, int(shard["count"]) + 1)]
    return [printable(str(name)) for name in parsed_json(content, _list_of(place, shard))["names"]]


def _list_of(place: _Place, shard: dict[str, Any]) -> str:
    return f"{place.shown.rstrip('/')}/{Path(shard['file']).stem}.json"
