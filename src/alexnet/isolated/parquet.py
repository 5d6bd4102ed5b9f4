"""Parquet files, read by a process of their own (`child`): few bytes may stand for more rows than memory holds."""

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

from alexnet.isolated.child import Broken, Sink, ask, cells_of

_ROWS = 1024  # that are decoded at once


@dataclass(frozen=True)
class Columns:
    numbers: dict[str, np.ndarray]
    """Lists of one length, rows × length, as they are."""
    cells: dict[str, list[Any]]
    """Of the other columns each value as JSON holds it, others as their text."""
    about: dict[str, str]
    """The metadata of the file's schema."""


def read(
    file: bytes | BinaryIO,
    names: Sequence[str] = (),
    *,
    lists: bool = False,
    narrow: bool = False,
    rows: int | None = None,
) -> Columns:
    """Columns of a Parquet file, its content or the file itself, open at its beginning. Broken says what is wrong.

    Read are the columns of these names, in any case; lists: and those of lists of one length; narrow: and those of
    truth values and numbers, and where there is none at all the first one. rows: the most that are read.
    """
    found = ask(__name__, file, names=[*names], lists=lists, narrow=narrow, rows=rows)
    return Columns(found.arrays, found.about["cells"], found.about["about"])


def find(
    file: BinaryIO, give: Sink, *, names: list[str], lists: bool, narrow: bool, rows: int | None
) -> dict[str, Any]:
    """What the process does."""
    from pyarrow import parquet, types

    opened = parquet.ParquetFile(file)
    count, schema = opened.metadata.num_rows, opened.schema_arrow
    if rows is not None and count > rows:
        raise Broken(f"has more than {rows:,} rows")
    if len({*schema.names}) < len(schema.names):
        raise Broken("has two columns of one name")
    known, cells = {name.casefold() for name in names}, []
    for column in schema:
        if lists and types.is_fixed_size_list(column.type):
            width, kind = column.type.list_size, column.type.value_type.to_pandas_dtype()
            give(column.name, (count, width), kind, _blocks(opened, column.name))
        elif column.name.strip().casefold() in known or (narrow and _is_narrow(types, column.type)):
            cells.append(column.name)
    if narrow:
        cells = cells or schema.names[:1]
    if count * len(cells) > cells_of(file.seek(0, io.SEEK_END)):
        raise Broken(f"claims {count:,} rows of {len(cells):,} columns, more than a file of its size can hold")
    values: dict[str, list[Any]] = {name: [] for name in cells}
    for batch in opened.iter_batches(_ROWS, columns=cells, use_threads=False) if cells else ():
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            values[name] += column.to_pylist()
    about = {key.decode(): value.decode() for key, value in (schema.metadata or {}).items()}
    return {"cells": values, "about": about}


def _blocks(opened: Any, name: str) -> Iterator[np.ndarray]:
    for batch in opened.iter_batches(_ROWS, columns=[name], use_threads=False):
        yield batch.column(0).flatten().to_numpy(zero_copy_only=False)


def _is_narrow(types: Any, kind: Any) -> bool:
    """Whether a column may be of 0 and 1; images and long texts beside them are not read."""
    return types.is_boolean(kind) or types.is_integer(kind) or types.is_floating(kind)
