"""A struct array of a MAT-file, version 5, as ImageNet's development kit has one: numbers and text, nothing else.

The format is MathWorks' 'MAT-File Format' (level 5). Read here and not by SciPy, whose compiled reader a damaged file
can make read memory that is not its own, which ends the process. Every element must lie within the one that holds it,
so that reading is linear in the file's size.
"""

import math
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np

MAX_UNPACKED = 2**24
"""Bytes that compressed elements may unpack to in all; the official file has less than one million."""
_HEADER = 128
_MATRIX, _COMPRESSED = 14, 15
_STRUCT, _CHAR, _NUMERIC = 2, 4, range(6, 16)
_TYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_TEXTS = {1: "latin-1", 2: "latin-1", 4: "utf-16", 16: "utf-8", 17: "utf-16"}


class DamagedMat(Exception):
    """The file cannot be read; the text says why in a few words."""


def read_struct(content: bytes, variable: str, fields: tuple[str, ...]) -> list[tuple[Any, ...]]:
    """The `fields` of each element of a struct array: a float, a str, or None for anything else.

    Raises DamagedMat when the file is damaged or lacks the variable or a field.
    """
    order = {b"IM": "<", b"MI": ">"}.get(content[126:128])
    if order is None:
        raise DamagedMat("it is no MAT-file of version 5")
    left = MAX_UNPACKED
    for kind, data in _elements(content[_HEADER:], order):
        if kind == _COMPRESSED:
            try:
                data = zlib.decompressobj().decompress(data, left + 1)
            except zlib.error as error:
                raise DamagedMat(str(error)) from None
            left -= len(data)
            if left < 0:
                raise DamagedMat("it unpacks to too much")
            kind, data = next(_elements(data, order), (0, b""))
        if kind == _MATRIX:
            parts = _elements(data, order)
            matrix, count, name = _described(parts, order)
            if matrix == _STRUCT and name == variable:
                return _rows(parts, count, fields, order)
    raise DamagedMat(f"it has no struct {variable!r}")


def _elements(data: bytes, order: str) -> Iterator[tuple[int, bytes]]:
    """(type, content) of the elements that follow each other in `data`."""
    at = 0
    while at + 8 <= len(data):
        kind, size = (int(number) for number in np.frombuffer(data, f"{order}u4", 2, at))
        if kind >> 16:  # four bytes or fewer stand in the tag itself
            kind, size = kind & 0xFFFF, kind >> 16
            if size > 4:
                raise DamagedMat("an element is too long for its place")
            yield kind, data[at + 4 : at + 4 + size]
            at += 8
            continue
        if at + 8 + size > len(data):
            raise DamagedMat("an element ends behind the file")
        yield kind, data[at + 8 : at + 8 + size]
        at += 8 + (size if kind == _COMPRESSED else -(-size // 8) * 8)


def _next(parts: Iterator[tuple[int, bytes]]) -> tuple[int, bytes]:
    part = next(parts, None)
    if part is None:
        raise DamagedMat("an element is missing")
    return part


def _described(parts: Iterator[tuple[int, bytes]], order: str) -> tuple[int, int, str]:
    """A matrix's class, number of elements and name."""
    flags, dimensions = (_numbers(*_next(parts), order) for _ in range(2))
    if not len(flags) or (dimensions < 0).any():
        raise DamagedMat("a matrix has no dimensions")
    return int(flags[0]) & 0xFF, math.prod(map(int, dimensions)), _next(parts)[1].decode("latin-1")


def _rows(parts: Iterator[tuple[int, bytes]], count: int, fields: tuple[str, ...], order: str) -> list[tuple[Any, ...]]:
    width = _numbers(*_next(parts), order)
    text = _next(parts)[1]
    if len(width) != 1 or width[0] < 1:
        raise DamagedMat("its field names have no length")
    step = int(width[0])
    names = [text[at : at + step].partition(b"\0")[0].decode("latin-1") for at in range(0, len(text), step)]
    missing = [name for name in fields if name not in names]
    if missing:
        raise DamagedMat(f"it lacks the field {missing[0]}")
    places = [names.index(name) for name in fields]
    rows = []
    for _ in range(count):  # each takes at least a tag from the file: `_next` ends a count that is not true
        row = [_next(parts) for _ in names]
        rows.append(tuple(_value(*row[place], order) for place in places))
    return rows


def _value(kind: int, data: bytes, order: str) -> float | str | None:
    """A number, a text, or None."""
    if kind != _MATRIX:
        raise DamagedMat("a field holds no matrix")
    parts = _elements(data, order)
    if not data:
        return None
    matrix, count, _ = _described(parts, order)
    if matrix == _CHAR:
        kind, text = next(parts, (16, b""))
        if kind not in _TEXTS:
            raise DamagedMat("a text is of an unknown type")
        encoding = _TEXTS[kind] + ({"<": "-le", ">": "-be"}[order] if _TEXTS[kind] == "utf-16" else "")
        return text.decode(encoding, "replace").strip()
    if matrix in _NUMERIC and count == 1:
        numbers = _numbers(*_next(parts), order)
        if len(numbers) == 1 and math.isfinite(numbers[0]):
            return float(numbers[0])
    return None


def _numbers(kind: int, data: bytes, order: str) -> np.ndarray:
    dtype = np.dtype(order + _TYPES[kind]) if kind in _TYPES else None
    if dtype is None or len(data) % dtype.itemsize:
        raise DamagedMat("numbers are of an unknown type")
    return np.frombuffer(data, dtype)
