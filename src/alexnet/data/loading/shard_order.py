"""An order of images for shards that do not all fit on this machine's disk: some shards at a time, each once an epoch.

As with webdataset and Mosaic Streaming, the shards come in a random order, and images are shuffled within a window of
them. Here the window is never left: at any time there are exactly as many shards begun and not done as it has.
"""

import re
from math import ceil

import numpy as np
import torch
from torch import Tensor

from alexnet.data.dataset import Dataset
from alexnet.data.loading.stored import StoredDataset
from alexnet.data.loading.stores import Members
from alexnet.data.loading.workers import AHEAD
from alexnet.data.remote.store import RemoteMembers
from alexnet.data.splits import Splits
from alexnet.errors import InputError

WINDOW = 32
"""Shards at a time, at most, where the user names no number: before the first batch so many are fetched."""
_WINDOW = re.compile(r"shards-([1-9]\d{0,5})")


def window_of(shuffle: str) -> int | None:
    """The N of 'shards-N'; None for another order."""
    found = _WINDOW.fullmatch(shuffle)
    return int(found[1]) if found else None


def shard_order(shards: np.ndarray, window: int, batch: int, generator: torch.Generator) -> Tensor:
    """An order of images, int64 [n], in which `window` shards are begun and not done at any time.

    `shards`: the number of each image's shard, int [n]. Shard number s of the epoch's random order gives its images, in
    a random order, evenly from time s − window + 1 to s + 1; the first and the last ones in less time, so that the
    window is full from the first batch to the last. Within a `batch`, images that lie in one shard follow each other:
    cut into slices, it leaves to each process the shards that were its own before.
    """
    numbers = torch.from_numpy(np.unique(shards, return_inverse=True)[1].reshape(-1))
    count, total = len(numbers), int(numbers.max()) + 1 if len(numbers) else 0
    window = min(window, total)
    place = torch.argsort(torch.randperm(total, generator=generator))
    images = torch.randperm(count, generator=generator)
    images = images[torch.argsort(place[numbers[images]], stable=True)]
    shard = place[numbers[images]]
    sizes = torch.bincount(shard, minlength=total)
    within = torch.arange(count) - (sizes.cumsum(0) - sizes)[shard]
    begin, end = (shard - window + 1).clamp(min=0), (shard + 1).clamp(max=total - window + 1)
    share = (within + torch.rand(count, generator=generator, dtype=torch.float64)) / sizes[shard]
    taken = torch.argsort(begin + share * (end - begin), stable=True)
    # One of each `window` shards in a row is begun and not done: the remainder tells them apart, and stays.
    side = torch.arange(count) // batch * window + shard[taken] % max(window, 1)
    return images[taken][torch.argsort(side, stable=True)]


def shards_of(dataset: Dataset) -> np.ndarray | None:
    """The number of each image's shard, int [n]; None where the images lie in no shards."""
    store = dataset.store if isinstance(dataset, StoredDataset) else None
    return store.which if isinstance(store, Members) else None


def chosen(shuffle: str, splits: Splits, batch: int) -> str:
    """`data.shuffle` as it is in force for these images: 'auto' is 'epoch', or 'shards' where shards that lie elsewhere
    do not fit into the folder for fetched ones; 'shards' is 'shards-N' with the largest N that fits there, at most
    WINDOW.

    Raises InputError where there are no shards, or no room for them.
    """
    dataset = splits.train
    store = dataset.store if isinstance(dataset, StoredDataset) else None
    if shuffle == "auto":
        if not isinstance(store, RemoteMembers) or _fits(splits, store):
            return "epoch"
        shuffle = "shards"
    if not shuffle.startswith("shards"):
        return shuffle
    if not isinstance(store, Members):
        raise InputError(
            f"data.shuffle is {shuffle!r}, and these images lie in no shards on the disk: `alexnet pack` makes shards, "
            "and sets that fit into memory need none"
        )
    if not isinstance(store, RemoteMembers):
        return shuffle if shuffle != "shards" else f"shards-{min(WINDOW, len(np.unique(store.which)))}"
    sizes = np.sort([each.bytes for each in store.shards])[::-1].cumsum()
    # Beside the window: shards that begin while images of later batches are decoded, and one that is fetched meanwhile.
    more = 1 + ceil((AHEAD + 2) * batch * len(sizes) / len(dataset))
    room = store.cache.room
    held = int(np.searchsorted(sizes, room, side="right"))
    most = held if held == len(sizes) else held - more
    window = window_of(shuffle) or max(2, min(WINDOW, most))
    if min(window, len(sizes)) > most:
        need = int(sizes[min(window + more, len(sizes)) - 1])
        fewer = f"'shards-{most}'" if most > 1 else "'epoch', which fetches shards again and again"
        raise InputError(
            f"data.shuffle = 'shards-{window}' needs {need:,} bytes for fetched shards, and their folder "
            f"{store.cache.root} may have {room:,}: set ALEXNET_CACHE_BYTES to more, or data.shuffle to {fewer}"
        )
    return f"shards-{window}"


def told(shuffle: str, splits: Splits) -> list[str]:
    """What is said of an order of shards that do not fit, in a line or two."""
    dataset = splits.train
    store = dataset.store if isinstance(dataset, StoredDataset) else None
    if not isinstance(store, RemoteMembers) or _fits(splits, store):
        return []
    if window := window_of(shuffle):
        line = f"data.shuffle = {shuffle!r}: shards in a random order, {window} at a time, each once in an epoch"
        return [line, *_few_classes(dataset.labels, store.which, len(dataset.classes))]
    return [f"data.shuffle = {shuffle!r} may want many shards for a batch; 'shards' would fetch each once in an epoch"]


def _few_classes(labels: np.ndarray, shards: np.ndarray, classes: int) -> list[str]:
    """A line where the mean shard holds images of less than half of the classes."""
    if labels.ndim > 1 or not len(labels):
        return []
    held = len(np.unique(shards.astype(np.int64) * classes + labels)) / len(np.unique(shards))
    if held >= min(classes, len(labels) / len(np.unique(shards))) / 2:
        return []
    return [
        f"a shard holds {held:.0f} of {classes} classes in the mean: "
        "`alexnet pack --shuffle` writes shards that mix better"
    ]


def _fits(splits: Splits, store: RemoteMembers) -> bool:
    """Whether the shards of all splits fit into the folder for fetched ones."""
    parts = (each for each in (splits.train, splits.validation, splits.test) if isinstance(each, StoredDataset))
    shards = {shard for each in parts if isinstance(each.store, RemoteMembers) for shard in each.store.shards}
    return sum(each.bytes for each in shards) <= store.cache.room
