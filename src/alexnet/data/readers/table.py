"""Images whose labels stand in a table: CSV, TSV, JSON lines or Parquet, with a row for each image.

Columns are known by their names: the file (relative to the images' folder), its label or labels (`columns`), and where
they are there its split and its group (a patient, a video: images of one group are never parted by the cut for
validation).
"""

import csv
import importlib.util
import io
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from alexnet.data.loading.stored import Listing, Split, printable
from alexnet.data.loading.stores import Files
from alexnet.data.readers import tree
from alexnet.data.readers.columns import COLUMNS, SEVERAL, Row, Rows, understood
from alexnet.data.readers.folder import SHOWN, first
from alexnet.data.readers.source import Labels, ListedSource, whole_groups
from alexnet.errors import InputError, counted, escaped
from alexnet.files import content_of
from alexnet.isolated import parquet
from alexnet.isolated.child import Broken, cells_of

SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")
MAX_BYTES = 2**28
MAX_ROWS = 2**22


class Table(ListedSource):
    name = "table"
    expected = "a table (.csv, .tsv, .jsonl, .parquet) of files and labels, beside its images"

    def recognize(self, path: Path) -> bool:
        return path.is_file() and path.suffix.lower() in SUFFIXES

    def list(
        self, path: Path, first_classes: int | None = None, layout: str = "auto", labels: Labels | None = None
    ) -> Listing:
        asked = labels or Labels()
        if asked.path is None and not self.recognize(path):
            raise InputError(f"{path} is no table of labels; name one with --labels FILE ({', '.join(SUFFIXES)})")
        return list_table(asked.path or path, path if asked.path else path.parent, first_classes, asked)


def list_table(table: Path, root: Path, first_classes: int | None = None, asked: Labels | None = None) -> Listing:
    """The images below `root` that `table` names, by split. Classes are in alphabetical order; columns of 0 and 1 keep
    their own.

    Raises InputError for a table that cannot be read or lacks a column, for files that are not there or lie outside
    `root`, for a file with two labels, and for a class that no training image has.
    """
    asked = asked or Labels()
    if not root.is_dir():
        raise InputError(f"no folder {root}; --data names the folder of the images that {table} lists")
    read = _read(table, asked)
    if not read:
        raise InputError(f"{table} has no rows")
    found = understood(table, read, asked)
    notes = [found.note]
    names = _by_file(table, [replace(row, file=_relative(row.file, root)) for row in found.rows])
    if twice := len(found.rows) - len(names):
        notes.append(f"{counted(twice, f'row of {table.name} repeats', f'rows of {table.name} repeat')} another")
    _check_files(table, root, names)
    own: dict[str, list[Row]] = {}
    for row in names.values():
        own.setdefault(row.split, []).append(row)
    if "train" not in own:
        raise InputError(f"no row of {table} is of the split 'train'; it has: {', '.join(sorted(own))}")
    classes = _classes(table, found, own["train"], first_classes, asked)
    place = {name: number for number, name in enumerate(classes)}
    splits, groups = {}, {}
    for split in ("train", "validation", "test"):
        rows = sorted(own.get(split, ()), key=lambda row: (() if found.multilabel else row.labels, row.file))
        strange = sorted({name for row in rows for name in row.labels} - place.keys()) if first_classes is None else []
        if strange:
            raise InputError(f"the {split} rows of {table} have class {strange[0]!r}, which training never saw")
        if not found.multilabel:
            rows = [row for row in rows if row.label in place]
        if rows:
            files = [row.file for row in rows]
            splits[split] = Split(files, _targets(rows, place, found.multilabel), Files(root, files))
            groups |= {row.file: row.group for row in rows if row.group is not None}
    unlisted = sum(1 for each in tree.scan(root).root.images() if each.relative_to(root).as_posix() not in names)
    if unlisted:
        notes.append(f"{counted(unlisted, 'image')} in {root}: not in {table.name}, left out")
    if groups:
        notes.append(whole_groups(groups))
    return Listing(root, classes, splits, [], notes, groups)


def _relative(name: str, root: Path) -> str:
    """A file's name from `root` on, also where the table has its whole path."""
    path = PurePosixPath(name)
    if path.is_absolute():  # with ".." in it, it is refused like any other
        for place in (root.absolute(), Path(os.path.realpath(root))):
            if path.is_relative_to(place.as_posix()):
                return path.relative_to(place.as_posix()).as_posix()
    return name


def _by_file(table: Path, rows: Sequence[Row]) -> dict[str, Row]:
    names: dict[str, Row] = {}
    for row in rows:
        known = names.setdefault(row.file, row)
        if known.labels != row.labels:
            raise InputError(
                f"{table} gives {printable(row.file)} two labels, {known.label!r} and {row.label!r}; one row an image"
            )
        if known != row:
            raise InputError(f"{table} puts {printable(row.file)} into two splits or two groups")
    return names


def _classes(
    table: Path, found: Rows, train: Sequence[Row], first_classes: int | None, asked: Labels
) -> tuple[str, ...]:
    if asked.classes:
        return asked.classes
    counts: dict[str, int] = dict.fromkeys(found.classes or (), 0)
    for row in train:
        for name in row.labels:
            counts[name] = counts.get(name, 0) + 1
    if found.multilabel:
        if first_classes is not None:
            raise InputError("data.first_classes is for images of one class each, and these have several labels")
        for name, count in counts.items():
            if not 0 < count < len(train):
                what = "every" if count else "no"
                raise InputError(f"{table}: {what} training image has the label {name!r}, so that nothing tells it")
        names = tuple(counts) if found.classes else tuple(sorted(counts))
    else:
        names = tuple(first(sorted(counts), first_classes, table))
    if len(names) < 2:
        raise InputError(f"only one class in {table}: {''.join(names)!r}; training needs at least two")
    return names


def _targets(rows: Sequence[Row], place: Mapping[str, int], multilabel: bool) -> np.ndarray:
    """As `Dataset.targets`."""
    if not multilabel:
        return np.array([place[row.label] for row in rows], np.int64)
    found = np.zeros((len(rows), len(place)), np.uint8)
    for number, row in enumerate(rows):
        found[number, [place[name] for name in row.labels]] = 1
    return found


def _check_files(table: Path, root: Path, names: Mapping[str, Row]) -> None:
    for name in names:
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts:
            raise InputError(f"{table} names {printable(name)!r}, which is outside {root}; names are relative to it")
    gone = [name for name in names if not _is_there(root / name)]
    if gone:
        shown = ", ".join(printable(name) for name in gone[:SHOWN]) + (", …" if len(gone) > SHOWN else "")
        raise InputError(
            f"{table} names {len(gone):,} of {len(names):,} files that are not in {root}: {shown}; --data names the "
            "folder that they are relative to"
        )


def _is_there(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name longer than any file's
        return False


def _read(table: Path, asked: Labels) -> list[dict[str, Any]]:
    suffix = table.suffix.lower()
    if suffix not in SUFFIXES:
        raise InputError(f"{table} is no table of labels; choose a file that ends in {', '.join(SUFFIXES)}")
    try:
        content = content_of(table, MAX_BYTES)
    except FileNotFoundError:
        raise InputError(f"no table {str(table)!r}") from None
    if suffix == ".parquet":
        return _parquet(table, content, asked)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{table} is not UTF-8 text") from None
    rows: list[dict[str, Any]] = []
    try:
        if suffix in (".csv", ".tsv"):
            head = text.split("\n", 1)[0]
            mark = "\t" if suffix == ".tsv" else max(",;\t", key=head.count)
            read: Any = csv.DictReader(io.StringIO(text, newline=""), delimiter=mark)
            names = read.fieldnames or ()
            if len({*names}) < len(names):
                twice = next(name for name in names if names.count(name) > 1)
                raise InputError(f"{table} has two columns of one name, {printable(twice)!r}; rename one")
        else:
            read = map(json.loads, filter(str.strip, text.splitlines()))
        for number, row in enumerate(read, 1):
            if not isinstance(row, dict):
                raise InputError(f"{table}, row {number}: not an object")
            if None in row:
                raise InputError(f"{table}, row {number}: more values than columns")
            if number * len(row) > cells_of(len(content)):  # rows are filled up to the length of the head
                raise InputError(f"{table} has a head so long, and rows so short, that it is not read")
            if number > MAX_ROWS:
                raise InputError(f"{table} has more than {MAX_ROWS:,} rows")
            rows.append(row)
    except InputError:
        raise
    except (csv.Error, ValueError, RecursionError) as error:
        raise InputError(f"{table}, row {len(rows) + 1}: not {suffix[1:].upper()} ({error})") from None
    return rows


def _parquet(table: Path, content: bytes, asked: Labels) -> list[dict[str, Any]]:
    if importlib.util.find_spec("pyarrow") is None:
        raise InputError("reading Parquet needs pyarrow: pip install 'alexnet[tables]'")
    known = {*SEVERAL, *(name for names in COLUMNS.values() for name in names), *asked.columns}
    try:
        cells = parquet.read(content, [*known], narrow=True, rows=MAX_ROWS).cells
    except Broken as broken:
        raise InputError(f"{table} {escaped(' '.join(str(broken).split()))}") from None
    return [dict(zip(cells, row, strict=True)) for row in zip(*cells.values(), strict=True)]
