"""Parquet: few bytes stand for many rows, which are refused before they are made."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from alexnet.data.readers.table import list_table
from alexnet.errors import InputError
from alexnet.inference.feature_read import read
from alexnet.isolated import parquet
from alexnet.isolated.child import Broken

arrow = pytest.importorskip("pyarrow", reason="pip install 'alexnet[tables]'")
from pyarrow import parquet as library  # noqa: E402


def content(table: Any, times: int = 1, **how: Any) -> bytes:
    file = io.BytesIO()
    with library.ParquetWriter(file, table.schema, **how) as writer:
        for _ in range(times):
            writer.write_table(table)
    return file.getvalue()


def lists(rows: int, width: int, value: float = 1.0) -> Any:
    flat = arrow.array(np.full(rows * width, value, np.float32))
    values = arrow.FixedSizeListArray.from_arrays(flat, width)
    return arrow.table({"fc7": values}).replace_schema_metadata({"shapes": f'{{"fc7": [{width}]}}'})


def test_lists_and_cells_come_as_they_were_written(tmp_path: Path) -> None:
    table = lists(3000, 4).append_column("Name ", [[f"{i}.png" for i in range(3000)]])
    table = table.append_column("when", [arrow.array([0] * 3000, arrow.timestamp("s"))])
    (tmp_path / "f.parquet").write_bytes(content(table))
    with (tmp_path / "f.parquet").open("rb") as file:
        found = parquet.read(file, ("name", "WHEN"), lists=True)
    assert found.numbers["fc7"].shape == (3000, 4)
    assert found.numbers["fc7"].dtype == np.float32
    assert found.cells["Name "][2999] == "2999.png"
    assert found.cells["when"][0] == "1970-01-01 00:00:00"
    assert found.about == {"shapes": '{"fc7": [4]}'}


def test_narrow_columns_are_numbers_and_truth_values() -> None:
    table = arrow.table({"long": ["x"], "a": [True], "b": [1.5], "c": [None], "d": [[1]]})
    assert parquet.read(content(table), narrow=True).cells == {"a": [True], "b": [1.5]}
    assert parquet.read(content(arrow.table({"long": ["x"]})), narrow=True).cells == {"long": ["x"]}
    with pytest.raises(Broken, match="more than 0 rows"):
        parquet.read(content(table), rows=0)
    with pytest.raises(Broken, match="two columns of one name"):
        parquet.read(content(arrow.Table.from_arrays([table["a"], table["a"]], ["a", "a"])))


def _peak(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith(name)).split()[1])


def numbers() -> bytes:
    """300 million equal numbers, 1.2 GB."""
    return content(lists(100_000, 100), 30)


def columns() -> bytes:
    table = arrow.table({"file": ["a.png"] * 100_000} | {f"c{i}": np.zeros(100_000, np.int8) for i in range(200)})
    return content(table, 5)


def long_lists() -> bytes:
    labels = arrow.ListArray.from_arrays([0, 10**7, 2 * 10**7], arrow.array(np.zeros(2 * 10**7, np.int8)))
    return content(arrow.table({"file": ["a.png", "b.png"], "labels": labels}), 8)


def long_names() -> bytes:
    name = arrow.DictionaryArray.from_arrays(np.zeros(2500, np.int32), ["a" * 10**6])
    return content(arrow.table({"file": name, "label": ["b"] * 2500}), store_schema=False)


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="the peak is read from Linux's /proc")
@pytest.mark.parametrize("make", [numbers, columns, long_lists, long_names])
def test_a_small_file_of_many_rows_is_refused(make: Any, tmp_path: Path) -> None:
    path = tmp_path / "f.parquet"
    path.write_bytes(make())
    assert path.stat().st_size < 3 * 2**20
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = _peak("VmRSS")
    with pytest.raises(InputError) as error:
        read(path) if make is numbers else list_table(path, tmp_path)
    assert str(error.value).isprintable()
    assert "claims" in str(error.value) or "damaged" in str(error.value)
    assert _peak("VmHWM") - before < 2**30


def test_damaged_ones_are_one_line(tmp_path: Path) -> None:
    whole, path = content(lists(10, 4)), tmp_path / "f.parquet"
    for damaged in (whole[:50], whole[-50:], whole.replace(b"fc7", b"f\xff7"), b"PAR1PAR1", b""):
        path.write_bytes(damaged)
        for reading in (lambda: read(path), lambda: list_table(path, tmp_path)):
            with pytest.raises(InputError) as error:
                reading()
            assert str(error.value).isprintable()
