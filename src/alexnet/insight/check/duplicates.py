"""Equal and nearly equal images among many, without comparing each with each."""

from collections.abc import Iterator, Sequence

import numpy as np

from alexnet.insight.check.inspect import SIDE, Seen

BITS = 7
"""Hash bits (of 128) in which near duplicates differ at most: with eight bands of 16 bits, one band is then equal."""
_MEAN, _LARGEST = 3.0, 24.0
"""Gray levels by which near duplicates' thumbnails differ at most, in the mean and anywhere, once brightness and
contrast are made alike: anew encoded or scaled images differ by about 1, two photographs of one thing by 10."""
_CONTRAST = 12.0  # gray levels of spread below which two images are alike only because there is little in them
_PAIRS = 4096  # of thumbnails compared at once
_CROWD = 400  # images that share a band: within larger crowds each is compared with its nearest in order only


def equal(seen: Sequence[Seen]) -> list[list[int]]:
    """Indices of images whose files are equal, in groups of two or more."""
    first: dict[bytes, int] = {}
    groups: dict[int, list[int]] = {}
    for index, each in enumerate(seen):
        if each.digest and (start := first.setdefault(each.digest, index)) != index:
            groups.setdefault(start, [start]).append(index)
    return [groups[start] for start in sorted(groups)]


def alike(seen: Sequence[Seen]) -> list[list[int]]:
    """Indices of images that are nearly equal (scaled, encoded anew, a little brighter), in groups; of equal files
    only the first is considered."""
    first: dict[bytes, int] = {}
    for index, each in enumerate(seen):
        if each.hash:
            first.setdefault(each.digest, index)
    rows = np.fromiter(first.values(), np.int64, len(first))  # in order, as they were inserted
    del first  # as large as the hashes
    if len(rows) < 2:
        return []
    hashes = np.frombuffer(b"".join(seen[row].hash for row in rows), np.uint8).reshape(len(rows), 16)
    joined = _Groups()
    for a, b in _candidates(hashes):
        near = np.unpackbits(hashes[a] ^ hashes[b], axis=1).sum(1) <= BITS
        a, b = a[near], b[near]
        for start in range(0, len(a), _PAIRS):
            few = slice(start, start + _PAIRS)
            first_of, second_of = a[few], b[few]
            same = _same(_thumbnails(seen, rows[first_of]), _thumbnails(seen, rows[second_of]))
            for i, j in zip(first_of[same].tolist(), second_of[same].tolist(), strict=True):
                joined.join(i, j)
    return [[int(rows[i]) for i in group] for group in joined.groups()]


def _thumbnails(seen: Sequence[Seen], rows: np.ndarray) -> np.ndarray:
    """uint8 [n, SIDE²]."""
    return np.frombuffer(b"".join(seen[row].thumbnail for row in rows.tolist()), np.uint8).reshape(-1, SIDE * SIDE)


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
    """Union-find; the root of a group is its first member. Only what was joined takes memory."""

    def __init__(self) -> None:
        self.parent: dict[int, int] = {}

    def _root(self, i: int) -> int:
        while (above := self.parent.get(i, i)) != i:
            self.parent[i] = self.parent.get(above, above)
            i = above
        return i

    def join(self, i: int, j: int) -> None:
        a, b = sorted((self._root(i), self._root(j)))
        if a != b:
            self.parent[b] = a

    def groups(self) -> list[list[int]]:
        found: dict[int, list[int]] = {}
        for i in sorted(self.parent):
            root = self._root(i)
            found.setdefault(root, [root]).append(i)
        return [found[root] for root in sorted(found)]
