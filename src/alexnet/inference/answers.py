"""Predictions written to a file while they come: a run that was ended continues where it stopped."""

import contextlib
import csv
import hashlib
import importlib.util
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from alexnet.errors import InputError
from alexnet.files import atomic, check_new, whole_object
from alexnet.inference.model import Model
from alexnet.inference.predict import BATCH, Predicted, Prediction

SUFFIXES = (".csv", ".jsonl", ".parquet")


class Answers:
    """`FILE.partial` gathers the answers as JSON lines; `finish` makes the file of them and removes it."""

    def __init__(self, out: Path, question: dict[str, Any], force: bool = False):
        """question: what was asked of which model. InputError where the file cannot be written, and where an ended run
        left the answers to another question, unless `force` gives them up."""
        if out.suffix not in SUFFIXES:
            raise InputError(f"--out {str(out)!r}: choose a file that ends in {', '.join(SUFFIXES)}")
        if out.suffix == ".parquet" and importlib.util.find_spec("pyarrow") is None:
            raise InputError("writing Parquet needs pyarrow: pip install 'alexnet[tables]'")
        check_new([out], force)
        self.out, self.partial = out, out.with_name(f"{out.name}.partial")
        self.done: set[str] = set()
        self._question = question
        self._continue(force)
        self._waiting: list[bytes] = []

    def _continue(self, force: bool) -> None:
        """Takes over what an ended run left: whole lines that answer the same question."""
        if self.partial.is_symlink():
            raise InputError(f"{str(self.partial)!r} is a link; remove it")
        head, kept = json.dumps(self._question).encode() + b"\n", 0
        if self.partial.is_file():
            with self.partial.open("rb") as file:
                first = file.readline()
                if first == head:
                    kept = len(head)
                    for line in file:
                        row = whole_object(line)
                        if row is None:
                            break
                        kept += len(line)
                        self.done.add(str(row.get("path")))
                elif not force:
                    self._refuse(first, head, bool(file.read(1)))
        with self.partial.open("r+b" if kept else "wb") as file:
            file.truncate(kept)
            if not kept:
                file.write(head)

    def _refuse(self, first: bytes, head: bytes, more: bool) -> None:
        """InputError where the file holds something: the answers to another question, or what is not ours at all."""
        asked = whole_object(first) or {}
        ours = asked.keys() == self._question.keys()
        if ours and more:
            keys = [key for key, value in asked.items() if value != self._question[key]]
            how = "of another model" if "model" in keys else f"with other options ({', '.join(keys)})"
            raise InputError(
                f"{str(self.partial)!r} holds an interrupted prediction {how}; --force gives it up, another --out "
                "keeps it"
            )
        if not ours and not (head.startswith(first) and not more):
            raise InputError(f"{str(self.partial)!r} is no interrupted prediction; move it away, or add --force")

    def add(self, found: Predicted) -> None:
        """Appends an answer; every BATCH of them reach the file together."""
        self._waiting.append(json.dumps(found.to_json()).encode() + b"\n")
        if len(self._waiting) >= BATCH:
            self._flush()

    def _flush(self) -> None:
        with self.partial.open("ab") as file:
            file.write(b"".join(self._waiting))
        self._waiting = []

    def __iter__(self) -> Iterator[Predicted]:
        with self.partial.open("rb") as file:
            for number, line in enumerate(file):
                row = whole_object(line)
                if number and row is not None:
                    said = [Prediction(each["label"], each["score"]) for each in row.get("predictions", ())]
                    labels = row.get("labels")
                    yield Predicted(row["path"], said, row.get("error"), None if labels is None else tuple(labels))

    def finish(self) -> None:
        """Writes the file, as its name wants it, and removes the partial one."""
        self._flush()
        {".csv": self._csv, ".jsonl": self._lines, ".parquet": self._parquet}[self.out.suffix]()
        self.partial.unlink()

    def _lines(self) -> None:
        with atomic(self.out) as file:
            for each in self:
                file.write((json.dumps(each.to_json(), ensure_ascii=False) + "\n").encode("utf-8", "backslashreplace"))

    def _csv(self) -> None:
        most, several = self._most(), self._several()
        with atomic(self.out) as file:
            text = io.TextIOWrapper(file, "utf-8", "backslashreplace", newline="", write_through=True)
            table = csv.writer(text)
            table.writerow(_head(most, several))
            table.writerows(_cells(each, most, several) for each in self)
            text.detach()

    def _parquet(self) -> None:
        import pyarrow
        from pyarrow import parquet

        most, several = self._most(), self._several()
        head = _head(most, several)
        kinds = [pyarrow.float64() if name.startswith("score") else pyarrow.string() for name in head]
        schema = pyarrow.schema(list(zip(head, kinds, strict=True)))
        with atomic(self.out) as file, contextlib.closing(parquet.ParquetWriter(file, schema)) as writer:
            rows: list[list[Any]] = []
            for each in [*self, None]:
                if rows and (each is None or len(rows) == 10_000):
                    columns = [[_plain(cell) for cell in column] for column in zip(*rows, strict=True)]
                    writer.write_table(pyarrow.table(dict(zip(head, columns, strict=True)), schema=schema))
                    rows = []
                if each is not None:
                    rows.append(_cells(each, most, several))

    def _most(self) -> int:
        return max((len(each.predictions) for each in self), default=1) or 1

    def _several(self) -> bool:
        """Whether the model names several labels an image: the table then has them in a column of its own."""
        return any(each.labels is not None for each in self)


def _head(most: int, several: bool) -> list[str]:
    pairs = [(f"label_{i}", f"score_{i}") if i > 1 else ("label", "score") for i in range(1, most + 1)]
    return ["path", *(["labels"] if several else []), *(name for pair in pairs for name in pair), "error"]


def _cells(each: Predicted, most: int, several: bool) -> list[Any]:
    """The labels that are given stand in one cell, a | between them."""
    cells: list[Any] = []
    for one in each.predictions:
        cells += [one.label, one.score]
    cells += [None] * (2 * most - len(cells))
    given = [None if each.labels is None else "|".join(each.labels)] if several else []
    return [each.path, *given, *cells, each.error]


def _plain(cell: Any) -> Any:
    return cell.encode("utf-8", "backslashreplace").decode() if isinstance(cell, str) else cell


def fingerprint(model: Model) -> str:
    """SHA-256 of a model's weights and class names."""
    said = [model.classes, model.thresholds.tolist()] if model.multilabel else model.classes
    digest = hashlib.sha256(json.dumps(said).encode())
    for name, value in model.module.state_dict().items():
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
