"""Images that a table of labels names, and the table in every form."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from alexnet.data.sources import open_splits


def numbered(folder: Path) -> Path:
    """24 images in `folder`, the n-th of one color that says n."""
    folder.mkdir(parents=True)
    for number in range(24):
        Image.new("RGB", (12, 12), (10 * number, 0, 0)).save(folder / f"{number:02}.png")
    return folder


def write(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    """In the form that the suffix says; .parquet skips the test where pyarrow is not installed."""
    if path.suffix == ".parquet":
        pyarrow = pytest.importorskip("pyarrow")
        from pyarrow import parquet

        parquet.write_table(pyarrow.Table.from_pylist(list(rows)), path)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]), delimiter="\t" if path.suffix == ".tsv" else ",")
            writer.writeheader()
            writer.writerows(rows)
    return path


def opened(images: Path, table: Path, **how: Any) -> Any:
    return open_splits(None, images, labels=table, size=(8, 8), **how)
