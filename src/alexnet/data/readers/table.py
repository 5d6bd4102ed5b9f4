"""Images whose labels stand in a table: CSV, TSV, JSON lines or Parquet, with a row for each image.

Columns are known by their names: the file (relative to the images' folder), its label, and where they are there its
split and its group (a patient, a video: images of one group are never parted by the cut for validation).
"""

import csv
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from alexnet.data.loading.stored import Listing, Split, printable
from alexnet.data.loading.stores import Files
from alexnet.data.readers import tree
from alexnet.data.readers.folder import SHOWN, first, role
from alexnet.data.readers.source import ListedSource
from alexnet.errors import InputError
from alexnet.files import content_of

SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")
COLUMNS = {
    "file": ("file", "filename", "file_name", "filepath", "file_path", "path", "image", "image_path", "img"),
    "label": ("label", "class", "class_name", "category", "target"),
    "split": ("split", "subset", "partition"),
    "group": ("group", "patient", "patient_id", "subject", "subject_id", "video"),
}
"""What a column means → the names that it may have, in any case."""
MAX_BYTES = 2**28
MAX_ROWS = 2**22


@dataclass(frozen=True)
class Row:
    file: str
    label: str
    split: str
    group: str | None


class Table(ListedSource):
    name = "table"
    expected = "a table (.csv, .tsv, .jsonl, .parquet) of files and labels, beside its images"

    def recognize(self, path: Path) -> bool:
        return path.is_file() and path.suffix.lower() in SUFFIXES

    def list(
        self, path: Path, first_classes: int | None = None, layout: str = "auto", labels: Path | None = None
    ) -> Listing:
        if labels is None and not self.recognize(path):
            raise InputError(f"{path} is no table of labels; name one with --labels FILE ({', '.join(SUFFIXES)})")
        return list_table(labels or path, path if labels else path.parent, first_classes)


def list_table(table: Path, root: Path, first_classes: int | None = None) -> Listing:
    """The images below `root` that `table` names, by split. Classes are in alphabetical order.

    Raises InputError for a table that cannot be read or lacks a column, for files that are not there or lie outside
    `root`, for a file with two labels, and for a class that no training image has.
    """
    if not root.is_dir():
        raise InputError(f"no folder {root}; --data names the folder of the images that {table} lists")
    rows, notes = _rows(table)
    names: dict[str, Row] = {}
    for row in rows:
        known = names.setdefault(row.file, row)
        if known.label != row.label:
            raise InputError(
                f"{table} gives {printable(row.file)} two labels, {known.label!r} and {row.label!r}; one label an image"
            )
        if known != row:
            raise InputError(f"{table} puts {printable(row.file)} into two splits or two groups")
    if twice := len(rows) - len(names):
        notes.append(f"{twice:,} rows of {table.name} repeat another")
    _check_files(table, root, names)
    own: dict[str, list[Row]] = {}
    for row in names.values():
        own.setdefault(row.split, []).append(row)
    if "train" not in own:
        raise InputError(f"no row of {table} is of the split 'train'; it has: {', '.join(sorted(own))}")
    classes = first(sorted({row.label for row in own["train"]}), first_classes, table)
    if len(classes) < 2:
        raise InputError(f"only one class in {table}: {classes[0]!r}; training needs at least two")
    place = {name: number for number, name in enumerate(classes)}
    splits, groups = {}, {}
    for split in ("train", "validation", "test"):
        rows = sorted(own.get(split, ()), key=lambda row: (row.label, row.file))
        strange = sorted({row.label for row in rows} - place.keys()) if first_classes is None else []
        if strange:
            raise InputError(f"the {split} rows of {table} have class {strange[0]!r}, which training never saw")
        rows = [row for row in rows if row.label in place]
        if rows:
            files = [row.file for row in rows]
            splits[split] = Split(files, np.array([place[row.label] for row in rows], np.int64), Files(root, files))
            groups |= {row.file: row.group for row in rows if row.group is not None}
    unlisted = sum(1 for each in tree.scan(root).root.images() if each.relative_to(root).as_posix() not in names)
    if unlisted:
        notes.append(f"{unlisted:,} images in {root} are not in {table.name} and are left out")
    if groups:
        notes.append(f"{len(set(groups.values())):,} groups: validation takes whole groups")
    return Listing(root, tuple(classes), splits, [], notes, groups)


def _check_files(table: Path, root: Path, names: Mapping[str, Row]) -> None:
    for name in names:
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts:
            raise InputError(f"{table} names {printable(name)!r}, which is outside {root}; names are relative to it")
    gone = [name for name in names if not (root / name).is_file()]
    if gone:
        shown = ", ".join(printable(name) for name in gone[:SHOWN]) + (", …" if len(gone) > SHOWN else "")
        raise InputError(
            f"{table} names {len(gone):,} of {len(names):,} files that are not in {root}: {shown}; --data names the "
            "folder that they are relative to"
        )


def _rows(table: Path) -> tuple[list[Row], list[str]]:
    """The rows of a table, and what to say of its columns."""
    read = _read(table)
    if not read:
        raise InputError(f"{table} has no rows")
    there = {str(name).strip().casefold(): name for name in read[0]}
    found = {what: [there[name] for name in names if name in there] for what, names in COLUMNS.items()}
    for what, columns in found.items():
        if len(columns) > 1:
            raise InputError(f"{table} has two columns for the {what}: {', '.join(columns)}; keep one")
        if not columns and what in ("file", "label"):
            have = ", ".join(printable(str(name)) for name in list(read[0])[:12])
            raise InputError(
                f"{table} has no column for the {what} (one of {', '.join(COLUMNS[what])}); it has: {have}"
            )
    file, label = found["file"][0], found["label"][0]
    split, group = (columns[0] if (columns := found[what]) else None for what in ("split", "group"))
    rows = []
    for number, values in enumerate(read, 1):
        name, text = _text(values.get(file)), _text(values.get(label))
        if not name or not text:
            raise InputError(f"{table}, row {number}: no {'file' if not name else 'label'}")
        part = _text(values.get(split)) if split else "train"
        known = role(part)
        if known is None:
            raise InputError(f"{table}, row {number}: the split is {part!r}; choose train, validation or test")
        own = _text(values.get(group)) if group else ""
        rows.append(Row(PurePosixPath(name.replace("\\", "/")).as_posix(), tree.same_name(text), known[0], own or None))
    others = [printable(str(name)) for name in read[0] if name not in (file, label, split, group)]
    used = f"{table.name}: {file!s} is the file, {label!s} the label"
    used += f", {split!s} the split" if split else ""
    used += f", {group!s} the group" if group else ""
    return rows, [used + (f"; not used: {', '.join(others[:SHOWN])}" if others else "")]


def _text(value: Any) -> str:
    if isinstance(value, float) and value.is_integer():  # a column of whole numbers with gaps
        value = int(value)
    return "" if value is None else str(value).strip()


def _read(table: Path) -> list[dict[str, Any]]:
    suffix = table.suffix.lower()
    if suffix not in SUFFIXES:
        raise InputError(f"{table} is no table of labels; choose a file that ends in {', '.join(SUFFIXES)}")
    try:
        content = content_of(table, MAX_BYTES)
    except FileNotFoundError:
        raise InputError(f"no table {str(table)!r}") from None
    if suffix == ".parquet":
        return _parquet(table, content)
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
        else:
            read = map(json.loads, filter(str.strip, text.splitlines()))
        for number, row in enumerate(read, 1):
            if not isinstance(row, dict):
                raise InputError(f"{table}, row {number}: not an object")
            if None in row:
                raise InputError(f"{table}, row {number}: more values than columns")
            if number > MAX_ROWS:
                raise InputError(f"{table} has more than {MAX_ROWS:,} rows")
            rows.append(row)
    except InputError:
        raise
    except (csv.Error, ValueError, RecursionError) as error:
        raise InputError(f"{table}, row {len(rows) + 1}: not {suffix[1:].upper()} ({error})") from None
    return rows


def _parquet(table: Path, content: bytes) -> list[dict[str, Any]]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise InputError("reading Parquet needs pyarrow: pip install 'alexnet[tables]'") from None
    wanted = {name for names in COLUMNS.values() for name in names}
    try:
        file = parquet.ParquetFile(pyarrow.BufferReader(content))
        if file.metadata.num_rows > MAX_ROWS:
            raise InputError(f"{table} has more than {MAX_ROWS:,} rows")
        known = [name for name in file.schema_arrow.names if name.strip().casefold() in wanted]
        return file.read(columns=known or file.schema_arrow.names[:1]).to_pylist()
    except (pyarrow.ArrowException, OSError) as error:
        raise InputError(f"{table} is not a readable Parquet file ({str(error).splitlines()[0]})") from None
