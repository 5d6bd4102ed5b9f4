"""Packed images: tar archives in WebDataset's layout with an index, made by `alexnet pack` (see `pack`).

    index.json             set, classes, size, splits: for each its shards with count, bytes and SHA-256
    train-000000.tar       train-00000000.jpg, train-00000000.cls, … two members an image, side by side
    train-000000.json      of each image in it: name, label, offset and length of the .jpg, SHA-256 of it

A .cls is the label as text, the place of the class's name in the index's list. Any reader of tar files, and
WebDataset's own, reads the shards in their order and needs no index; the index gives every image a place, so that
images are read here in whatever order a seed decides.
"""

import base64
from pathlib import Path
from typing import Any

import numpy as np

from alexnet.data import dataset as sets
from alexnet.data.dataset import Dataset
from alexnet.data.loading.samples import checked_range
from alexnet.data.loading.stored import Form, Split, StoredDataset
from alexnet.data.loading.stores import Members
from alexnet.data.readers.folder import first
from alexnet.data.readers.source import Opened, Request, Source
from alexnet.errors import InputError
from alexnet.files import read_json

INDEX = "index.json"
KIND = "alexnet-shards"
MAX_INDEX = 2**24
"""Bytes of the largest index, or list of a shard, that is read: one of 10,000 images has some two million."""
VERSION = 1
SPLITS = ("train", "validation", "test")
EXPECTED = f"{INDEX} and the .tar files that `alexnet pack` wrote with it"


class Shards(Source):
    name = "shards"
    expected = EXPECTED
    any_size = picks_classes = True

    def recognize(self, path: Path) -> bool:
        """Whether `path` is a folder of packed images, or its index."""
        try:
            return _index(path).get("kind") == KIND
        except (OSError, ValueError, AttributeError, InputError):
            return False

    def open(self, request: Request) -> Opened:
        splits = read_shards(
            request.place,
            channels=request.channels,
            size=request.size,
            fit=request.fit,
            first_classes=request.first_classes,
        )
        samples = _index(request.place).get("samples")
        return Opened(splits, samples=checked_range(samples) if samples else None)


def read_shards(
    path: Path,
    *,
    channels: int | None = None,
    size: tuple[int, int] | None = None,
    fit: str = "crop",
    first_classes: int | None = None,
) -> dict[str, Dataset]:
    """The splits of the packed images at `path`; `channels` and `size` None: as they were packed.

    In memory when they are few. Raises InputError when a shard is missing, of another length than the index says, or
    described otherwise.
    """
    folder = path if path.is_dir() else path.parent
    if not Shards().recognize(path):
        raise InputError(f"no packed images in {folder}; expected {EXPECTED}")
    splits: dict[str, Dataset] = {}
    try:
        index = _index(path)
        if index["version"] != VERSION:
            raise InputError(f"{folder} was packed by another version of alexnet: pack it again")
        classes = first([str(one) for one in index["classes"]], first_classes, folder)
        packed = (int(index["size"][0]), int(index["size"][1]))
        form: Form = {"channels": channels or int(index["channels"]), "size": size or packed, "fit": fit}
        for name in SPLITS:
            if name in index["splits"]:
                split, digests = _split(folder, index["splits"][name], len(index["classes"]), len(classes))
                splits[name] = StoredDataset(split, classes, form, digests)
    except InputError:
        raise
    except (KeyError, TypeError, ValueError, IndexError, OSError) as error:
        raise InputError(f"the index of {folder} is damaged ({type(error).__name__}: {error})") from error
    if "train" not in splits:
        raise InputError(f"no training images in {folder}; expected {EXPECTED}")
    if sum(own.bytes for own in splits.values()) >= sets.MEMORY_LIMIT:
        return splits
    return {name: sets.held(own) for name, own in splits.items()}


def _split(folder: Path, shards: list[dict[str, Any]], classes: int, wanted: int) -> tuple[Split, np.ndarray]:
    """The images of one split whose class is among the first `wanted`."""
    names: list[str] = []
    places, labels, digests, archives = [], [], [], []
    for number, shard in enumerate(shards):
        archive = folder / Path(shard["file"]).name
        if not archive.is_file() or archive.stat().st_size != shard["bytes"]:
            raise InputError(f"{archive} is missing or was changed since it was packed: pack it again")
        told = read_json(archive.with_suffix(".json"), MAX_INDEX)
        offsets, lengths = np.array(told["offsets"], np.int64), np.array(told["lengths"], np.int64)
        own = np.frombuffer(base64.b64decode(told["digests"], validate=True), np.uint8).reshape(-1, 32)
        of = np.array(told["labels"], np.int64)
        if not len(told["names"]) == len(offsets) == len(lengths) == len(own) == len(of) == shard["count"]:
            raise InputError(f"{archive.with_suffix('.json')} does not tell of {shard['count']:,} images")
        if not 0 <= of.min(initial=0) <= of.max(initial=0) < classes:
            raise InputError(f"{archive.with_suffix('.json')} tells of classes that {INDEX} does not name")
        if offsets.min(initial=0) < 0 or (offsets + lengths).max(initial=0) > shard["bytes"]:
            raise InputError(f"{archive.with_suffix('.json')} tells of images outside the shard")
        kept = np.flatnonzero(of < wanted)
        names += [told["names"][row] for row in kept]
        places.append(np.stack([np.full(len(kept), number), offsets[kept], lengths[kept]], 1))
        labels.append(of[kept])
        digests.append(own[kept])
        archives.append(archive)
    store = Members(archives, np.concatenate(places)).stamped()
    return Split(names, np.concatenate(labels), store), np.concatenate(digests)


def _index(path: Path) -> dict[str, Any]:
    return read_json(path / INDEX if path.is_dir() else path, MAX_INDEX)
