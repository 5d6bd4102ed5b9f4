"""Equal and nearly equal images among many, without comparing each with each."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from alexnet.insight.check.inspect import SIDE, Seen

BITS = 7
"""Hash bits (of 128) in which near duplicates differ at most: with eight bands of 16 bits, one band is then equal."""
_MEAN, _LARGEST = 3.0, 24.0
"""Gray levels by which near duplicates' thumbnails differ at most, in the mean and anywhere, once brightness and
contrast are made alike: anew encoded or scaled images differ by about 1, two photographs of one thing by 10."""
_CONTRAST = 12.0  # gray levels of spread below which two images are alike only because there is little in them
_CROWD = 400  # images that share a band: within larger crowds each is compared with its nearest in order only


def equal(seen: Sequence[Seen]) -> list[list[int]]:
    """Indices of images whose files are equal, in groups of two or more."""
    groups: dict[bytes, list[int]] = defaultdict(list)
    for index, each in enumerate(seen):
        if each.digest:
            groups[each.digest].append(index)
    return [group for group in groups.values() if len(group) > 1]


def alike(seen: Sequence[Seen]) -> list[list[int]]:
    """Indices of images that are nearly equal (scaled, encoded anew, a little brighter), in groups; of equal files
    only the first is considered."""
    first: dict[bytes, int] = {}
    for index, each in enumerate(seen):
        if each.hash:
            first.setdefault(each.digest, index)
    rows = np.array(sorted(first.values()), np.int64)
    if len(rows) < 2:
        return []
    hashes = np.frombuffer(b"".join(seen[row].hash for row in rows), np.uint8).reshape(len(rows), 16)
    thumbs = np.frombuffer(b"".join(seen[row].thumbnail for row in rows), np.uint8).reshape(len(rows), SIDE * SIDE)
    joined = _Groups(len(rows))
    for a, b in _candidates(hashes):
        near = np.unpackbits(hashes[a] ^ hashes[b], axis=1).sum(1) <= BITS
        a, b = a[near], b[near]
        for i, j in zip(a[(same := _same(thumbs[a], thumbs[b]))].tolist(), b[same].tolist(), strict=True):
            joined.join(i, j)
    return [[int(rows[i]) for i in group] for group in joined.groups()]


def _candidates(hashes: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pairs that share a band of 16 bits, in blocks."""
    bands = hashes.view(np.uint16)
    for band in range(bands.shape[1]):
        order = np.lexsort((*hashes.T, bands[:, band]))
        values = bands[order, band]
        starts = np.flatnonzero(np.r_[True, values[1:] != values[:-1]])
        sizes = np.diff(np.r_[starts, len(values)])
        left = np.repeat(starts + sizes, sizes) - np.arange(len(values))  # to the end of each crowd
        # A crowd is compared by shifting it against itself, at most _CROWD times.
        for shift in range(1, min(int(sizes.max(initial=1)), _CROWD)):
            at = np.flatnonzero(left > shift)
            yield order[at], order[at + shift]


def _same(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """bool [n]: whether two thumbnails show the same, up to brightness and contrast."""
    if not len(first):
        return np.zeros(0, bool)
    a, b = first.astype(np.float32), second.astype(np.float32)
    a_spread, b_spread = a.std(1, keepdims=True), b.std(1, keepdims=True)
    spread = np.minimum(a_spread, b_spread)
    a = (a - a.mean(1, keepdims=True)) / np.maximum(a_spread, 1)
    b = (b - b.mean(1, keepdims=True)) / np.maximum(b_spread, 1)
    apart = np.abs(a - b) * spread
    return (spread[:, 0] > _CONTRAST) & (apart.mean(1) <= _MEAN) & (apart.max(1) <= _LARGEST)


class _Groups:
    """Union-find."""

    def __init__(self, count: int):
        self.parent = list(range(count))

    def _root(self, i: int) -> int:
        while self.parent[i] != i:
            self.parent[i] = self.parent[self.parent[i]]
            i = self.parent[i]
        return i

    def join(self, i: int, j: int) -> None:
        a, b = sorted((self._root(i), self._root(j)))
        self.parent[b] = a

    def groups(self) -> list[list[int]]:
        found: dict[int, list[int]] = defaultdict(list)
        for i in range(len(self.parent)):
            found[self._root(i)].append(i)
        return [group for group in found.values() if len(group) > 1]
