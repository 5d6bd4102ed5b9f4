"""The order in which training goes through its images."""

import re
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from alexnet.data.loading.shard_order import shard_order, window_of
from alexnet.errors import InputError

CHOICES = (
    "'epoch' (shuffled in each), 'once' (one shuffled order for all), 'buffer-N' as in 'buffer-1000', 'shards-N' as in "
    "'shards-16', or 'none'"
)
_BUFFER = re.compile(r"buffer-([1-9]\d{0,8})")


def order(
    count: int,
    shuffle: str,
    epoch: int,
    generator: Callable[[int], torch.Generator],
    shards: np.ndarray | None = None,
    batch: int = 1,
) -> Tensor:
    """The indices of `count` images in the order in which `epoch` takes them, int64 [count].

    `shuffle`: one of CHOICES. 'buffer-N' is tf.data's `shuffle(N)`: of the next N images one is drawn at a time, so
    that the k-th image never comes before place k − N + 1. 'shards-N' is `shard_order`, which takes each image's shard
    and the images of a batch. `generator(epoch)` decides what is drawn.
    Raises InputError for another `shuffle`.
    """
    if shuffle == "none":
        return torch.arange(count)
    if found := _BUFFER.fullmatch(shuffle):
        return _buffered(count, int(found[1]), generator(epoch))
    if shards is not None and (window := window_of(shuffle)):
        return shard_order(shards, window, batch, generator(epoch))
    if shuffle not in ("epoch", "once"):
        raise InputError(f"data.shuffle is {shuffle!r}; choose {CHOICES}")
    return torch.randperm(count, generator=generator(0 if shuffle == "once" else epoch))


def _buffered(count: int, size: int, generator: torch.Generator) -> Tensor:
    buffer = list(range(min(size, count)))
    following = len(buffer)
    drawn = torch.rand(count, generator=generator, dtype=torch.float64).tolist()
    taken = []
    for share in drawn:
        place = int(share * len(buffer))
        taken.append(buffer[place])
        if following < count:
            buffer[place] = following
            following += 1
        else:
            buffer[place] = buffer[-1]
            buffer.pop()
    return torch.tensor(taken, dtype=torch.int64)
