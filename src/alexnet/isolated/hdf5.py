"""HDF5 files, read by a process of their own (`child`): tensors, texts and a few attributes.

Links that lead out of the file, or to where they lie, are refused. Format: docs.hdfgroup.org, 'HDF5 File Format
Specification'; h5py: docs.h5py.org.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import numpy as np

from alexnet.isolated.child import Broken, Sink, ask

_MAX_NODES, _MAX_DEPTH, _MAX_SIDES = 10_000, 12, 8
_MAX_CHUNK = 2**28  # bytes that are decompressed at once
_BLOCK = 2**24  # bytes that are read at once


@dataclass(frozen=True)
class Contents:
    tensors: dict[str, np.ndarray]
    """By path."""
    attributes: dict[str, dict[str, Any]]
    """Of each group that has some of those asked for: strings, or lists of them; '' is the file."""
    texts: dict[str, list[str]]
    """Datasets of text, by path; none where weights are read."""


def read(
    file: bytes | BinaryIO, attributes: Sequence[str], most: int | None = None, skip: Sequence[str] = ()
) -> Contents:
    """The tensors of an HDF5 file, its content or the file itself, open at its beginning. Broken says what is wrong.

    most: numbers in all, which come as float32, those in groups too, as weights have them (`skip`: groups that are
    passed over); None: of its outermost datasets all numbers and texts, as they are.
    """
    size = None if most is None else 4 * most
    found = ask(__name__, file, size, attributes=[*attributes], weights=most is not None, skip=[*skip])
    return Contents(found.arrays, found.about["attributes"], found.about["texts"])


def find(file: BinaryIO, give: Sink, *, attributes: list[str], weights: bool, skip: list[str]) -> dict[str, Any]:
    """What the process does."""
    import h5py

    reader = _Reader(h5py, give, attributes, weights, skip)
    with h5py.File(file, "r") as opened:
        reader.walk(opened, ())
    return {"attributes": reader.found, "texts": reader.texts}


@dataclass
class _Reader:
    h5py: Any
    give: Sink
    attributes: list[str]
    weights: bool
    skip: list[str]
    nodes: int = 0
    found: dict[str, dict[str, Any]] = field(default_factory=dict)
    texts: dict[str, list[str]] = field(default_factory=dict)

    def walk(self, group: Any, path: tuple[str, ...]) -> None:
        if len(path) > _MAX_DEPTH:
            raise Broken("nests deeper than any weights: a loop?")
        if found := {key: _text(group.attrs[key]) for key in self.attributes if key in group.attrs}:
            self.found["/".join(path)] = found
        for name in group:
            self.nodes += 1
            if self.nodes > _MAX_NODES:
                raise Broken("has more entries than any weights or features: a loop?")
            link = group.get(name, getlink=True)
            if not isinstance(link, self.h5py.HardLink):
                kind = type(link).__name__
                raise Broken(f"points elsewhere at {name!r} ({kind}); what is read lies in one file: nothing was read")
            if not path and name in self.skip:
                continue
            kind = group.get(name, getclass=True)
            if kind is self.h5py.Group:
                if self.weights:
                    self.walk(group[name], (*path, name))
            elif kind is self.h5py.Dataset:
                self.dataset(group[name], "/".join((*path, name)))

    def dataset(self, data: Any, path: str) -> None:
        if data.external or data.is_virtual:
            raise Broken(f"keeps the numbers of {data.name!r} in another file; nothing was read")
        kind = data.dtype.kind
        if self.weights and (data.shape is None or (kind != "f" and (data.shape == () or kind not in "iu"))):
            return  # a seed or a step counter
        if data.shape is None:
            raise Broken(f"holds nothing in {data.name!r}")
        if len(data.shape) > _MAX_SIDES:
            raise Broken(f"holds a tensor of {len(data.shape)} dimensions")
        if data.size and not data.id.get_storage_size():
            raise Broken(f"claims {data.size:,} numbers in {data.name!r} and holds none of them")
        if data.chunks and int(np.prod(data.chunks, dtype=object)) * data.dtype.itemsize > _MAX_CHUNK:
            raise Broken(f"packs {data.name!r} in larger pieces than any weights or features")
        if not self.weights and self.h5py.check_string_dtype(data.dtype):
            if data.size * data.dtype.itemsize > self.give.most:
                raise Broken(f"claims {data.size:,} texts, more than such a file can hold")
            self.texts[path] = [_text(value) for value in np.reshape(data[()], -1)]
        else:
            dtype = np.dtype(np.float32) if self.weights else data.dtype
            self.give(path, data.shape, dtype, _blocks(data, dtype.newbyteorder("=")))


def _blocks(data: Any, dtype: np.dtype) -> Iterator[np.ndarray]:
    """The numbers, whole pieces of the file at a time, so that each is decompressed once."""
    if not data.size:
        return
    if not data.shape:
        yield np.asarray(data[()], dtype)
        return
    whole = data.chunks[0] if data.chunks else 1
    rows = whole * max(1, _BLOCK * len(data) // (data.size * dtype.itemsize * whole))
    for row in range(0, len(data), rows):
        values = np.zeros((min(rows, len(data) - row), *data.shape[1:]), dtype)
        data.read_direct(values, np.s_[row : row + rows])
        yield values


def _text(value: Any) -> Any:
    if isinstance(value, np.ndarray | list | tuple):
        return [_text(each) for each in value]
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
