"""What the columns of a table of labels mean: the file, its label or labels, its split and its group.

Several labels an image stand in one of three forms: a column of 0 and 1 for each class; a label column whose values
hold several names with a separator between them; a label column of lists (JSON lines, Parquet). Which form it is, is
never guessed from a single value: the first wants that there is no label column, the second that its separator is said.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from alexnet.data.loading.stored import printable
from alexnet.data.readers import tree
from alexnet.data.readers.folder import SHOWN, role
from alexnet.data.readers.source import Labels
from alexnet.errors import InputError, counted

COLUMNS = {
    "file": ("file", "filename", "file_name", "filepath", "file_path", "path", "image", "image_path", "img"),
    "label": ("label", "class", "class_name", "category", "target"),
    "split": ("split", "subset", "partition"),
    "group": ("group", "patient", "patient_id", "subject", "subject_id", "video"),
}
"""What a column means → the names that it may have, in any case."""
SEVERAL = ("labels", "classes", "tags")
"""Names of a label column where there is none of the others."""
_MARKS = ("|", ";", ",")
"""What might separate labels, where nobody says so."""
_YES, _NO = frozenset({"1", "1.0", "true"}), frozenset({"0", "0.0", "false"})
_LISTED = 12

Record = Mapping[str, Any]


@dataclass(frozen=True)
class Row:
    file: str
    labels: tuple[str, ...]
    """One; where the table has several an image, any number, each once."""
    split: str
    group: str | None

    @property
    def label(self) -> str:
        return ", ".join(self.labels) or "none"


@dataclass(frozen=True)
class Rows:
    rows: list[Row]
    classes: tuple[str, ...] | None
    """The columns of 0 and 1; None: the classes are the labels that occur."""
    multilabel: bool
    note: str
    """Which column was taken for what."""


def understood(table: Path, read: Sequence[Record], asked: Labels) -> Rows:
    """The rows of a table. InputError names the row or the column and what is wrong with it."""
    found = _found(table, read)
    file = found["file"]
    if file is None:
        raise _lacking(table, "file", read)
    others = [name for name in read[0] if name not in found.values()]
    if asked.separator and asked.columns:
        raise InputError("a label separator is for one label column, label columns for several; give one of them")
    if asked.columns or found["label"] is None:
        columns = _of_classes(table, read, others, asked)
        labels = [tuple(name for name in columns if _flag(table, n, name, row)) for n, row in enumerate(read, 1)]
        several, used = (
            True,
            f"{counted(len(columns), 'column is a label', 'columns are the labels')}: {', '.join(columns[:SHOWN])}",
        )
        used += ", …" if len(columns) > SHOWN else ""
    else:
        columns, label = None, found["label"]
        labels, several = _of_column(table, read, label, asked)
        _check_one_form(table, read, label, others, labels)
        parted = f"; several labels an image, {asked.separator!r} between them" if asked.separator else ""
        used = f"{label!s} the label" + (parted or ("; lists of several labels an image" if several else ""))
    rows = [_row(table, n, row, found, own) for n, (row, own) in enumerate(zip(read, labels, strict=True), 1)]
    taken = {*found.values(), *(columns or ())}
    unused = [printable(str(name)) for name in read[0] if name not in taken]
    said = f"{table.name}: {file!s} is the file, {used}"
    said += f", {found['split']!s} the split" if found["split"] else ""
    said += f", {found['group']!s} the group" if found["group"] else ""
    said += f"; not used: {', '.join(unused[:SHOWN])}" if unused else ""
    return Rows(rows, None if columns is None else tuple(columns), several, said)


def _found(table: Path, read: Sequence[Record]) -> dict[str, str | None]:
    there = {str(name).strip().casefold(): name for name in read[0]}
    found = {what: [there[name] for name in names if name in there] for what, names in COLUMNS.items()}
    found["label"] = found["label"] or [there[name] for name in SEVERAL if name in there]
    for what, columns in found.items():
        if len(columns) > 1:
            raise InputError(f"{table} has two columns for the {what}: {', '.join(columns)}; keep one")
    return {what: columns[0] if columns else None for what, columns in found.items()}


def _lacking(table: Path, what: str, read: Sequence[Record], more: str = "") -> InputError:
    have = ", ".join(printable(str(name)) for name in list(read[0])[:_LISTED])
    return InputError(f"{table} has no column for the {what} (one of {', '.join(COLUMNS[what])}){more}; it has: {have}")


def _row(table: Path, number: int, values: Record, found: Mapping[str, str | None], labels: tuple[str, ...]) -> Row:
    name = text(values.get(found["file"] or ""))
    if not name:
        raise InputError(f"{table}, row {number}: no file")
    part = text(values.get(found["split"])) if found["split"] else "train"
    known = role(part)
    if known is None:
        raise InputError(f"{table}, row {number}: the split is {part!r}; choose train, validation or test")
    own = text(values.get(found["group"])) if found["group"] else ""
    return Row(PurePosixPath(name.replace("\\", "/")).as_posix(), labels, known[0], own or None)


# A column for each class ----------------------------------------------------------------------------------------------


def _of_classes(table: Path, read: Sequence[Record], others: Sequence[str], asked: Labels) -> list[str]:
    """The columns of 0 and 1, in the table's order or in that of the model's classes."""
    wanted = asked.classes or asked.columns
    if gone := [name for name in wanted if name not in read[0]]:
        raise InputError(
            f"{table} has no column for {', '.join(map(repr, gone[:SHOWN]))}{', …' if len(gone) > SHOWN else ''}, a "
            f"class; it has: {', '.join(printable(str(name)) for name in list(read[0])[:_LISTED])}"
        )
    found = list(wanted) or [name for name in others if _is_flags(read, name)]
    if len(found) < 2:
        raise _lacking(table, "label", read, ", nor a column of 0 and 1 for each of two classes or more")
    return found


def _is_flags(read: Sequence[Record], column: str) -> bool:
    """Whether a column is meant as 0 and 1: most of its values are; what the others are is asked of each."""
    return 2 * sum(text(row.get(column)).casefold() in _YES | _NO for row in read) > len(read)


def _flag(table: Path, number: int, column: str, row: Record) -> bool:
    value = text(row.get(column)).casefold()
    if value not in _YES | _NO:
        said = f"{value!r}, neither 0 nor 1" if value else "empty, neither 0 nor 1"
        raise InputError(
            f"{table}, row {number}: column {printable(str(column))} is {said}; of a table with other columns, "
            "data.label_columns names those of the classes"
        )
    return value in _YES


# One label column -----------------------------------------------------------------------------------------------------


def _of_column(table: Path, read: Sequence[Record], column: str, asked: Labels) -> tuple[list[tuple[str, ...]], bool]:
    """The labels of each row, and whether an image may have several."""
    lists = [isinstance(row.get(column), list | tuple) for row in read]
    if any(lists):
        if not all(lists):
            raise InputError(
                f"{table} has labels in two forms: row {lists.index(True) + 1} has a list, row "
                f"{lists.index(False) + 1} has none; write a list in every row ([] for no label)"
            )
        return [tuple(dict.fromkeys(_name(each) for each in row[column])) for row in read], True
    found = []
    for number, row in enumerate(read, 1):
        whole = text(row.get(column))
        pieces = [each.strip() for each in whole.split(asked.separator)] if asked.separator else [whole]
        if not all(pieces):
            no = "no label" if not whole else f"an empty label in {whole!r}"
            hint = "; no label at all is said by columns of 0 and 1, or by lists" if asked.separator else ""
            raise InputError(f"{table}, row {number}: {no}{hint}")
        found.append(tuple(dict.fromkeys(map(_name, pieces))))
    if asked.separator is None:
        if asked.classes:
            raise InputError(
                f"{table}: the model names several labels an image, and column {column} has one; say what separates "
                "them with --label-separator, or give a table with a column of 0 and 1 for each class"
            )
        _check_single(table, {labels[0] for labels in found})
    elif asked.separator and all(len(labels) == 1 for labels in found) and not asked.classes:
        raise InputError(
            f"{table}: no label holds the separator {asked.separator!r}, such as {found[0][0]!r}; leave it out, or "
            "give the one that is used"
        )
    return found, bool(asked.separator)


def _check_single(table: Path, labels: set[str]) -> None:
    """Labels that fall into fewer names than there are labels are several in one: which, the user must say."""
    for mark in _MARKS:
        joined = sorted(label for label in labels if mark in label)
        pieces = {piece.strip() for label in labels for piece in label.split(mark)}
        if joined and len(pieces) <= len(labels) and all(pieces):
            raise InputError(
                f"{table}: labels such as {joined[0]!r} look like several; --label-separator {mark!r} reads them so, "
                "--label-separator '' takes each as one class"
            )


def _check_one_form(
    table: Path, read: Sequence[Record], label: str, others: Sequence[str], labels: Sequence[tuple[str, ...]]
) -> None:
    named = {name for own in labels for name in own}
    twice = [name for name in others if tree.same_name(str(name)) in named and _is_flags(read, name)]
    if twice:
        raise InputError(
            f"{table} has labels in two forms: the column {label}, and columns of 0 and 1 "
            f"({', '.join(twice[:SHOWN])}); keep one"
        )


def _name(label: Any) -> str:
    return tree.same_name(text(label))


def text(value: Any) -> str:
    """A value as text; 3.0, of a column of whole numbers with gaps, as 3."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return "" if value is None else str(value).strip()
