"""Feature files: .npz, .npy, .h5, .mat, .parquet, .csv and torch's .pt, written a block at a time and atomically.

Each carries its provenance as JSON, with names, labels and digests of the images: inside where the format has room,
else (.npy, .csv, and the files that THINGSvision reads) in a sidecar `F.json`. A file called `features.npy`,
`features.hdf5` or `features.mat` is what THINGSvision writes (thingsvision/utils/storing/helpers.py): one array,
called `features` in HDF5 and MATLAB, with `file_names.txt` beside it.
"""

import csv
import importlib
import io
import json
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO

import numpy as np

from alexnet.errors import InputError
from alexnet.files import atomic, atomic_path, check_target, write_json, write_text
from alexnet.inference.feature_table import Layer, Table

NAMES = "file_names.txt"
"""THINGSvision's list of the images, beside the features."""
_MAT_LIMIT = 2**31  # bytes of one variable in MATLAB's version 5 files, which SciPy writes


def extensions() -> str:
    return ", ".join(_WRITERS)


def check(path: Path, layers: int) -> None:
    """InputError when features of so many layers cannot become this file; before anything is computed."""
    suffix = path.suffix.lower()
    if suffix not in _WRITERS:
        raise InputError(f"--out is {str(path)!r}; its extension must be one of: {extensions()}")
    check_target(path)
    if suffix in (".h5", ".hdf5"):
        needs("h5py", "keras")
    if suffix == ".parquet":
        needs("pyarrow", "tables")
    if layers > 1 and (suffix in (".npy", ".csv") or thingsvision(path)):
        raise InputError(f"{path.name} holds one layer; for {layers} take .npz, .h5, .mat, .parquet or .pt")


def thingsvision(path: Path) -> bool:
    """Whether this is one of the files that THINGSvision knows by name."""
    return path.name in ("features.npy", "features.hdf5", "features.mat")


def write(path: Path, table: Table) -> list[Path]:
    """Writes the table; returns the files. InputError where the format cannot hold it."""
    check(path, len(table.layers))
    _, *beside = written = targets(path)
    if path.with_name(NAMES) in beside:
        write_text(path.with_name(NAMES), "".join(f"{name}\n" for name in table.names))
    if sidecar(path) in beside:
        write_json(sidecar(path), _record(table))
    _WRITERS[path.suffix.lower()](path, table)
    return written


def targets(path: Path) -> list[Path]:
    """The files that `write` makes."""
    beside = thingsvision(path) or path.suffix.lower() in (".npy", ".csv")
    return [path, *([path.with_name(NAMES)] if thingsvision(path) else []), *([sidecar(path)] if beside else [])]


def sidecar(path: Path) -> Path:
    return path.with_name(path.name + ".json")


def _record(table: Table) -> dict[str, Any]:
    return {
        "names": table.names,
        "labels": table.labels.tolist(),
        "classes": list(table.classes),
        "image_sha256": table.hex_digests,
        "provenance": table.provenance,
    }


def needs(module: str, extra: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except ImportError:
        raise InputError(f"this format needs {module}: pip install 'alexnet[{extra}]'") from None


def _npy_into(file: BinaryIO, layer: Layer, rows: int) -> None:
    """An array in NumPy's format, a block at a time."""
    header = {"descr": "<f4", "fortran_order": False, "shape": (rows, *layer.shape)}
    np.lib.format.write_array_header_2_0(file, header)
    for block in layer.blocks():
        file.write(np.ascontiguousarray(block, "<f4").data)


def _write_npy(path: Path, table: Table) -> None:
    with atomic(path) as file:
        _npy_into(file, next(iter(table.layers.values())), len(table))


def _write_npz(path: Path, table: Table) -> None:
    small = {
        "names": np.array(_clean(table.names), np.str_),
        "labels": table.labels,
        "classes": np.array(_clean(table.classes), np.str_),
        "image_sha256": np.array(table.hex_digests, np.str_),
        "provenance": np.array(table.provenance_json, np.str_),
    }
    with atomic_path(path) as place, zipfile.ZipFile(place, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        for name, layer in table.layers.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                _npy_into(member, layer, len(table))  # pyright: ignore[reportArgumentType]
        for name, array in small.items():
            with archive.open(f"{name}.npy", "w") as member:
                np.lib.format.write_array(member, array, allow_pickle=False)  # pyright: ignore[reportArgumentType]


def _write_h5(path: Path, table: Table) -> None:
    h5py = needs("h5py", "keras")
    bare = thingsvision(path)
    with atomic_path(path) as place, h5py.File(place, "w") as file:
        for name, layer in table.layers.items():
            data = file.create_dataset("features" if bare else name, (len(table), *layer.shape), "<f4")
            row = 0
            for block in layer.blocks():
                data[row : row + len(block)] = block
                row += len(block)
        if not bare:
            text = h5py.string_dtype()
            file.create_dataset("names", data=_clean(table.names), dtype=text)
            file.create_dataset("labels", data=table.labels)
            file.create_dataset("classes", data=_clean(table.classes), dtype=text)
            file.create_dataset("image_sha256", data=table.hex_digests, dtype=text)
        file.attrs["provenance"] = table.provenance_json


def _write_mat(path: Path, table: Table) -> None:
    from scipy.io import savemat

    content: dict[str, Any] = {}
    for name, layer in table.layers.items():
        if len(table) * layer.width * 4 >= _MAT_LIMIT:
            raise InputError(f"{path.name}: a variable of a .mat file is below 2 GiB, {name} is larger; take .h5")
        rows = np.empty((len(table), *layer.shape), np.float32)
        at = 0
        for block in layer.blocks():
            rows[at : at + len(block)] = block
            at += len(block)
        content["features" if thingsvision(path) else matlab(name)] = rows
    if not thingsvision(path):
        content |= {
            "layers": np.array(list(table.layers), object),
            "names": np.array(_clean(table.names), object),
            "labels": table.labels,
            "classes": np.array(_clean(table.classes), object),
            "image_sha256": np.array(table.hex_digests, object),
            "provenance": table.provenance_json,
        }
    with atomic(path) as file:
        savemat(file, content, do_compression=False, oned_as="column")


def matlab(name: str) -> str:
    """conv5:pre → conv5_pre, which MATLAB takes for a name."""
    return re.sub(r"\W", "_", name)


def _write_parquet(path: Path, table: Table) -> None:
    arrow, parquet = needs("pyarrow", "tables"), needs("pyarrow.parquet", "tables")
    fields = [arrow.field("name", arrow.string()), arrow.field("label", arrow.int64())]
    fields.append(arrow.field("image_sha256", arrow.string()))
    fields += [arrow.field(n, arrow.list_(arrow.float32(), layer.width)) for n, layer in table.layers.items()]
    shapes = {name: list(layer.shape) for name, layer in table.layers.items()}
    more = {"shapes": json.dumps(shapes), "classes": json.dumps(list(table.classes))}
    schema = arrow.schema(fields, {"provenance": table.provenance_json, **more})
    names, digests, row = _clean(table.names), table.hex_digests, 0
    with atomic_path(path) as place, parquet.ParquetWriter(place, schema) as writer:
        for blocks in zip(*(layer.blocks() for layer in table.layers.values()), strict=True):
            here = slice(row, row + len(blocks[0]))
            columns = [arrow.array(names[here]), arrow.array(table.labels[here]), arrow.array(digests[here])]
            for block in blocks:
                flat = arrow.array(np.ascontiguousarray(block, np.float32).reshape(-1))
                columns.append(arrow.FixedSizeListArray.from_arrays(flat, block.size // len(block)))
            writer.write_batch(arrow.RecordBatch.from_arrays(columns, schema=schema))
            row = here.stop


def _write_csv(path: Path, table: Table) -> None:
    ((name, layer),) = table.layers.items()
    names, row = _clean(table.names), 0
    with atomic(path) as file:

        def put(cells: list[str]) -> None:
            line = io.StringIO()
            csv.writer(line, lineterminator="\n").writerow(cells)
            file.write(line.getvalue().encode())

        put(["name", "label", *(f"{name}_{number}" for number in range(layer.width))])
        for block in layer.blocks():
            for values in block.reshape(len(block), -1):
                label = int(table.labels[row])
                known = table.classes[label] if 0 <= label < len(table.classes) else ""
                put([names[row], known, *(f"{value:.9g}" for value in values)])  # nine digits are a float32
                row += 1


def _write_pt(path: Path, table: Table) -> None:
    import torch

    content: dict[str, Any] = {}
    for name, layer in table.layers.items():
        rows = torch.empty(len(table), *layer.shape)
        at = 0
        for block in layer.blocks():
            rows[at : at + len(block)] = torch.from_numpy(np.ascontiguousarray(block))
            at += len(block)
        content[name] = rows
    record = {**_record(table), "labels": torch.from_numpy(table.labels), "provenance": table.provenance_json}
    with atomic(path) as file:
        torch.save({"features": content, **record}, file)


def _clean(names: Any) -> list[str]:
    """File names that are not UTF-8 hold lone surrogates, which no format but JSON takes."""
    return [str(name).encode("utf-8", "backslashreplace").decode("utf-8") for name in names]


_WRITERS: dict[str, Callable[[Path, Table], None]] = {
    ".npz": _write_npz,
    ".npy": _write_npy,
    ".h5": _write_h5,
    ".hdf5": _write_h5,
    ".mat": _write_mat,
    ".parquet": _write_parquet,
    ".csv": _write_csv,
    ".pt": _write_pt,
}
