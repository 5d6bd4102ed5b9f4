"""Images that look alike to a network: the nearest by their features, as in Figure 4 (right) of the 2012 paper.

The search is exact: distances are estimated by one matrix product per block of rows, and those that could be among the
nearest are computed in float64. Memory does not depend on the number of images. FAISS (extra `index`) is for more than
a million, where an exact answer takes seconds; its answer is approximate.
"""

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from alexnet import arguments
from alexnet.data.loading.decode import DecodeError
from alexnet.device import own_settings
from alexnet.errors import InputError, counted
from alexnet.inference import recheck
from alexnet.inference import rows as row_transforms
from alexnet.inference.data import spread
from alexnet.inference.extract import extract
from alexnet.inference.feature_read import read
from alexnet.inference.feature_table import Features
from alexnet.inference.features import BATCH, AnyImages, Wanted, as_images, run, want
from alexnet.inference.images import Images, batches
from alexnet.inference.opening import Opened
from alexnet.inference.rows import Transform

DISTANCES = ("euclidean", "cosine")
SEARCHES = ("auto", "exact", "faiss")
MOST_EXACT = 1_000_000
"""Images up to which 'auto' is exact."""
MOST_READ = 10_000
"""Images of an index whose content is compared; of more as many, evenly spread. All names and classes are."""
_BLOCK = 4096  # rows
_EPSILON = float(np.finfo(np.float32).eps)
_MOST = 1e37  # of a squared length: the sum of two, and twice their product, are float32 too

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Neighbor:
    row: int
    """Among the images searched, or of the index."""
    name: str
    distance: float
    label: str = ""
    """Its class; '': not known."""

    def to_json(self) -> dict[str, Any]:
        return vars(self)


def check(distance: str) -> None:
    """InputError for a distance that there is not."""
    arguments.choice("distance", distance, DISTANCES)


class Nearest:
    """The nearest rows to some queries, among rows that are added a block at a time."""

    def __init__(self, queries: np.ndarray, count: int, distance: str = "euclidean"):
        """queries: n × d. distance: euclidean, or cosine (1 − cosine)."""
        check(distance)
        self.distance, self.count = distance, count
        self.queries = self.scaled(queries)
        self._found: list[list[tuple[float, int]]] = [[] for _ in queries]

    def add(self, values: np.ndarray, places: Sequence[int] | np.ndarray) -> None:
        """Rows, n × d, and the number of each."""
        x, rows = self.scaled(values), np.asarray(places)
        if x.shape[1] != self.queries.shape[1]:
            raise InputError(f"features of {x.shape[1]:,} numbers cannot be compared with {self.queries.shape[1]:,}")
        lengths, own = (x * x).sum(1), (self.queries * self.queries).sum(1)
        squares = own[:, None] + lengths[None] - 2 * self.queries @ x.T
        slack = 4 * _EPSILON * np.sqrt(x.shape[1]) * (own[:, None] + lengths[None])
        for number, (low, high) in enumerate(zip(squares - slack, squares + slack, strict=True)):
            limit = np.partition(high, self.count - 1)[self.count - 1] if len(high) > self.count else np.inf
            chosen = np.flatnonzero(low <= limit)
            exact = ((x[chosen].astype(np.float64) - self.queries[number].astype(np.float64)) ** 2).sum(1)
            self._found[number] += [(float(d), int(rows[at])) for d, at in zip(exact, chosen, strict=True)]
            self._found[number] = sorted(self._found[number])[: self.count]

    def result(self) -> list[list[tuple[int, float]]]:
        """For each query (row, distance), the nearest first; of equal ones the first row."""
        return [[(row, self._measured(square)) for square, row in found] for found in self._found]

    def _measured(self, square: float) -> float:
        return float(np.sqrt(square)) if self.distance == "euclidean" else square / 2

    def scaled(self, values: np.ndarray) -> np.ndarray:
        """Rows whose Euclidean distances are searched: of length 1 for cosine. InputError for what has no length."""
        with np.errstate(over="ignore"):
            x = np.asarray(values, np.float32).reshape(len(values), -1)
            unknown = np.flatnonzero(~((x * x).sum(1) < _MOST))
        if len(unknown):
            raise InputError(
                f"row {unknown[0]}: features that are not finite, or above 3e18, have no distance in float32"
            )
        if self.distance == "euclidean":
            return x
        return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)


@dataclass(frozen=True)
class Index:
    """Features of many images in a file, that belong to a model."""

    opened: Opened
    features: Features
    layer: str
    wanted: Wanted
    transform: Transform
    arrays: dict[str, np.ndarray]

    @property
    def names(self) -> list[str]:
        return self.features.names or []

    def __len__(self) -> int:
        return len(self.features.layers[self.layer])

    @classmethod
    def load(cls, path: Path | str, opened: Opened, layer: str | None = None) -> "Index":
        """A feature file (`alexnet features`) as an index; large ones in .npy stay on the disk.

        InputError unless it says where it comes from, its numbers fit their SHA-256, and network, weights and LRN
        constants are the model's.
        """
        if not isinstance(opened, Opened):
            raise arguments.refusal("opened", "what alexnet.inference.opening.open_model gives", opened)
        found = read(arguments.path("path", path))
        said = found.provenance
        if not said or not found.names or "layers" not in said or "preprocessing" not in said:
            raise InputError(f"{str(path)!r} does not say where its features come from; write it with alexnet features")
        found.verify()
        recheck.same_model(opened, said, found)
        wanted = recheck.wanted_of(opened, said, found)
        if layer is None:
            layer = next(iter(found.layers)) if len(found.layers) == 1 else "fc7"
        if arguments.text("layer", layer) not in found.layers or layer not in wanted.layers:
            raise InputError(f"{str(path)!r} has no layer {layer!r}; it has: {', '.join(found.layers)}")
        transform, arrays = recheck.transform_of(said, found)
        own = {n.rpartition("/")[2]: array for n, array in arrays.items() if n.rpartition("/")[0] == layer}
        return cls(opened, found, layer, wanted, transform, own)

    def other_images(self, images: Images, progress: Progress | None = None) -> str | None:
        """In what `images` differ from those that the index was made of: number, names, classes or content; None: in
        nothing. Those that it left out must still be unreadable."""
        said = (self.features.provenance or {}).get("images")
        skipped = {str(name) for name, _ in said.get("skipped", ())} if isinstance(said, dict) else set[str]()
        place = {name: row for row, name in enumerate(images.names)}
        left = [row for row, name in enumerate(images.names) if name in skipped]
        if len(images) != len(self) + len(left):
            return f"it has {counted(len(self), 'image')}, these are {len(images) - len(left):,}"
        for own, name in enumerate(self.names):
            if name not in place:
                return f"{name!r} is not among these"
            ours = _class(self.features.labels, self.features.classes, own)
            theirs = _class(images.labels, images.classes, place[name])
            if theirs and ours != theirs:
                return f"{name!r} is of {f'class {ours!r}' if ours else 'no class'} in it, of {theirs!r} in these"
        chosen = spread(len(self), MOST_READ) if self.features.digests else []
        content = {place[self.names[own]]: (self.features.digests or [])[own] for own in chosen}
        rows = np.array([*content, *left], np.int64)
        for part, found in batches(images.subset(rows), self.wanted.preprocessing, BATCH):
            for row, each in zip(rows[part.start : part.stop].tolist(), found, strict=True):
                if ("" if isinstance(each, DecodeError) else each[1].hex()) != content.get(row, ""):
                    return f"{images.names[row]!r} has changed since"
            if progress:
                progress(part.stop, len(rows))
        return None

    @own_settings()
    def describe(self, images: AnyImages) -> tuple[np.ndarray, list[str]]:
        """What the index holds of each image, n × d, and the images' SHA-256. InputError for one that is broken."""
        images = as_images(images, hashed=True)
        if not len(images):
            raise InputError("images is empty")
        place = self.wanted.layers.index(self.layer)
        one = Wanted(
            (self.layer,),
            (self.wanted.taps[place],),
            self.wanted.preprocessing,
            self.wanted.pool,
            self.wanted.flatten,
            self.wanted.precision,
        )
        values, digests = _computed(self.opened, images, one)
        return row_transforms.apply(values, self.transform, self.arrays).reshape(len(values), -1), digests

    def search(
        self, queries: np.ndarray, count: int = 6, distance: str = "euclidean", how: str = "auto"
    ) -> list[list[Neighbor]]:
        """The `count` nearest to each query (as `describe` gives them). `how`: exact, faiss, or auto: exact up to
        MOST_EXACT images. InputError where FAISS is needed and missing."""
        arguments.choice("search", how, SEARCHES)
        count = arguments.whole("count", count)
        values = self.features.layer(self.layer)
        if how == "faiss" or (how == "auto" and len(values) > MOST_EXACT):
            return self._named(_by_faiss(values, queries, count, distance))
        nearest = Nearest(queries, count, distance)
        for start in range(0, len(values), _BLOCK):
            block = np.asarray(values[start : start + _BLOCK], np.float32)
            nearest.add(block, range(start, start + len(block)))
        return self._named(nearest.result())

    def similar(
        self, images: AnyImages, count: int = 6, distance: str = "euclidean", how: str = "auto"
    ) -> list[list[Neighbor]]:
        """The `count` images of the index nearest to each of `images`; those with its very content are left out."""
        check(distance)
        count = arguments.whole("count", count)
        values, digests = self.describe(images)
        found = self.search(values, count + len(values), distance, how)
        contents = self.features.digests or [""] * len(self)
        return [
            others(each, {near.row for near in each if contents[near.row] == digest}, count)
            for each, digest in zip(found, digests, strict=True)
        ]

    def _named(self, found: list[list[tuple[int, float]]]) -> list[list[Neighbor]]:
        labels, classes = self.features.labels, self.features.classes
        return [
            [Neighbor(row, self.names[row], distance, _class(labels, classes, row)) for row, distance in each]
            for each in found
        ]


@own_settings()
def build(
    opened: Opened,
    images: Images,
    out: Path | str,
    layer: str = "fc7",
    command: str | None = None,
    progress: Progress | None = None,
    force: bool = False,
) -> tuple[tuple[str, str], ...]:
    """Writes an index, or finishes one that was interrupted; returns images that cannot be read, and why.

    force: replace one that is there.
    """
    wanted = want(opened.model, [layer], flatten=True)
    return extract(opened, images, wanted, out, resume=True, force=force, command=command, progress=progress).failed


@own_settings()
def similar(
    opened: Opened,
    queries: Images,
    images: Images,
    count: int = 6,
    layer: str = "fc7",
    distance: str = "euclidean",
    progress: Progress | None = None,
) -> tuple[list[list[Neighbor]], list[str]]:
    """The `count` images nearest to each query, and the reasons of images that could not be read; nothing is kept.

    An image with the very content of the query is left out. InputError for a query that cannot be read.
    """
    check(distance)
    wanted = want(opened.model, [layer], flatten=True)
    values, own = _computed(opened, queries, wanted)
    nearest, failed = Nearest(values, count + len(queries), distance), []
    contents: dict[int, str] = {}
    for chunk in run(opened.model, images, wanted):
        failed += [reason for _, reason in chunk.failed]
        if chunk.good:
            nearest.add(chunk.layers[layer], chunk.good)
            contents |= {r: d.hex() for r, d in zip(chunk.good, chunk.digests, strict=True) if d.hex() in own}
        if progress:
            progress(chunk.rows.stop, len(images))
    named = [
        [Neighbor(row, images.names[row], d, _class(images.labels, images.classes, row)) for row, d in each]
        for each in nearest.result()
    ]
    return [others(each, {row for row, d in contents.items() if d == digest}, count)
            for each, digest in zip(named, own, strict=True)], failed  # fmt: skip


def others(found: list[Neighbor], itself: set[int], count: int) -> list[Neighbor]:
    """Without the rows that hold the query itself."""
    return [each for each in found if each.row not in itself][:count]


def _computed(opened: Opened, images: Images, wanted: Wanted) -> tuple[np.ndarray, list[str]]:
    parts, digests = [], []
    for chunk in run(opened.model, images, wanted):
        if chunk.failed:
            raise InputError(chunk.failed[0][1])
        parts.append(chunk.layers[wanted.layers[0]])
        digests += [each.hex() for each in chunk.digests]
    return np.concatenate(parts), digests


def _class(labels: np.ndarray | None, classes: Sequence[str], row: int) -> str:
    label = -1 if labels is None else int(labels[row])
    return classes[label] if 0 <= label < len(classes) else ""


def _by_faiss(values: np.ndarray, queries: np.ndarray, count: int, distance: str) -> list[list[tuple[int, float]]]:
    """Approximate: 4 √n cells, of which the 64 nearest are searched; distances of what is found are exact."""
    try:
        faiss = importlib.import_module("faiss")
    except ImportError:
        raise InputError(
            f"a search by FAISS (more than {MOST_EXACT:,} images) needs faiss: pip install 'alexnet[index]'"
        ) from None
    nearest = Nearest(queries, count, distance)
    scaled, cells = nearest.scaled, max(1, min(int(4 * np.sqrt(len(values))), len(values) // 39))
    index = faiss.index_factory(values.shape[1], f"IVF{cells},Flat")
    sample = np.sort(np.random.default_rng(0).permutation(len(values))[: 64 * cells])
    index.train(scaled(values[sample]))
    for start in range(0, len(values), _BLOCK):
        index.add(scaled(values[start : start + _BLOCK]))
    index.nprobe = min(64, cells)
    places = index.search(nearest.queries, min(count, len(values)))[1]
    found = np.unique(places[places >= 0])
    nearest.add(values[found], found)
    return nearest.result()
