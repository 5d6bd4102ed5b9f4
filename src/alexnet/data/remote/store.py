"""Images in shards that lie elsewhere: a shard is fetched whole when one of its images is wanted, or before."""

import contextlib
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from typing import Self

import numpy as np

from alexnet.data.loading.decode import DecodeError
from alexnet.data.loading.stores import Members
from alexnet.data.remote.cache import Cache, Object
from alexnet.errors import InputError

STREAMS = 4
"""Shards that a process fetches at a time."""
_TRIES = 5  # to read a shard that other processes, which want other shards, remove as soon as it is there


class RemoteMembers(Members):
    """Members of shards elsewhere; once fetched, they are read as those of archives on this machine."""

    def __init__(self, shards: Sequence[Object], places: np.ndarray, cache: Cache) -> None:
        """`places`: shard's number, offset, length of each image, int64 [n, 3]."""
        super().__init__([cache.path(each) for each in shards], places)
        self.shards, self.cache = tuple(shards), cache

    def read(self, row: int) -> bytes:
        for _ in range(_TRIES):
            self._fetch(row)
            try:
                return super().read(row)
            except DecodeError as error:
                if not isinstance(error.__cause__, FileNotFoundError):
                    raise
        shard = self.shards[self.which[row]]
        raise DecodeError(shard.shown, "it was removed as soon as it was fetched: set ALEXNET_CACHE_BYTES to more")

    def head(self, row: int, size: int) -> bytes:
        try:
            return self.read(row)[:size]
        except DecodeError:
            return b""

    def _fetch(self, row: int) -> None:
        shard = self.shards[self.which[row]]
        if not self.cache.holds(shard):
            try:
                self.cache.get(shard)
            except (InputError, OSError) as error:
                raise DecodeError(shard.shown, f"its shard cannot be had: {error}") from error

    def part(self, rows: np.ndarray) -> Self:
        used, which = np.unique(self.which[rows], return_inverse=True)
        places = np.stack([which, self.offsets[rows], self.lengths[rows]], 1)
        return type(self)([self.shards[number] for number in used], places, self.cache)

    def stamped(self) -> Self:
        return self  # its shards are what their digests say

    @contextlib.contextmanager
    def ahead(self, batches: Sequence[np.ndarray], slices: Sequence[np.ndarray]) -> Iterator[Callable[[int], None]]:
        """Fetches the shards of the images that `slices` (int64 [n] each) will ask for, in that order, by threads.

        `batches`: what all processes together will ask for, slice by slice. What it yields is told which slice is read
        next, so that no more is fetched ahead than there is room for.
        """
        own, whole = ([self.which[rows] for rows in each] for each in (slices, batches))
        fetching = Ahead(self.cache, self.shards, own, whole)
        try:
            yield fetching.reached
        finally:
            fetching.end()


class Ahead:
    """Threads that fetch shards before they are read. What fails is left to the one who reads."""

    def __init__(
        self,
        cache: Cache,
        shards: Sequence[Object],
        slices: Sequence[np.ndarray],
        batches: Sequence[np.ndarray] | None = None,
    ) -> None:
        """`slices`: the shards of each slice's images, int [n]; `batches`: the same of all processes together."""
        self._cache, self._shards, self._slices = cache, shards, slices
        sizes, room = np.array([each.bytes for each in shards], np.int64), cache.room
        self._room = room // 2  # other processes want room, too, and what was just read is still there
        self._fits = sum(each.bytes for each in shards) <= room
        self._own = set(np.unique(np.concatenate(slices)).tolist()) if len(slices) else set[int]()
        self._kept = False  # whether a shard stays from the first slice that wants it to the last
        if not self._fits and (found := spans(slices if batches is None else batches, sizes, room)):
            self._slices, most = found
            self._room, self._kept = max(self._room, most), True
        self._waiting: deque[int] = deque()
        self._window: Counter[int] = Counter()  # shards of the slices that are read or are to be, how often
        self._planned = self._at = 0
        self._ended = False
        self._seen: set[int] = set()
        self._changed = threading.Condition()
        for _ in range(min(STREAMS, len(shards))):
            threading.Thread(target=self._run, daemon=True).start()

    def reached(self, number: int) -> None:
        """Slice `number` is read next; those before it are done."""
        with self._changed:
            while self._at < min(number, self._planned):
                self._window -= Counter(np.unique(self._slices[self._at]).tolist())
                self._at += 1
            self._at = max(self._at, number)
            self._planned = max(self._planned, number)
            self._changed.notify_all()

    def end(self) -> None:
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _run(self) -> None:
        while (number := self._next()) is not None:
            with contextlib.suppress(InputError, OSError):
                self._cache.get(self._shards[number])

    def _next(self) -> int | None:
        """The shard to fetch next; waits for one; None: nothing is left."""
        with self._changed:
            while not self._ended:
                if self._waiting:
                    return self._waiting.popleft()
                if self._planned >= len(self._slices):
                    return None
                if self._may_plan():
                    self._plan()
                else:
                    self._changed.wait()
        return None

    def _may_plan(self) -> bool:
        """Whether there is room for one more slice's shards, or it is the one that is read next."""
        if self._fits or self._planned <= self._at:
            return True
        new = {*np.unique(self._slices[self._planned]).tolist(), *self._window}
        return sum(self._shards[each].bytes for each in new) <= self._room

    def _plan(self) -> None:
        rows = self._slices[self._planned]
        first = [int(rows[place]) for place in sorted(np.unique(rows, return_index=True)[1])]
        once = self._fits or self._kept
        self._waiting += [each for each in first if each in self._own and not (once and each in self._seen)]
        if self._kept:  # what was not wanted for the longest time is removed, be it another process that fetches
            for each in first:
                self._cache.touch(self._shards[each])
        self._seen.update(first)
        self._window.update(first)
        self._planned += 1


def spans(slices: Sequence[np.ndarray], sizes: np.ndarray, room: int) -> tuple[list[np.ndarray], int] | None:
    """For each slice the shards that it, or one before it and one after it, wants, and the most bytes of these.

    `slices`: the shards of each slice's images, int [n]; `sizes`: bytes of each shard, int64 [shards]. None where they
    are more than `room`.
    """
    first, last = np.full(len(sizes), len(slices)), np.full(len(sizes), -1)
    for number, shards in enumerate(slices):
        first[shards] = np.minimum(first[shards], number)
        last[shards] = number
    wanted = np.flatnonzero(last >= 0)
    change = np.zeros(len(slices) + 1, np.int64)
    np.add.at(change, first[wanted], sizes[wanted])
    np.subtract.at(change, last[wanted] + 1, sizes[wanted])
    most = int(change.cumsum().max())
    if most > room:
        return None
    return [np.flatnonzero((first <= number) & (number <= last)) for number in range(len(slices))], most
