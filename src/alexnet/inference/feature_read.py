"""Reading what `feature_write` writes, and bare arrays of other programs; nothing is unpickled."""

import csv
import json
import pickle
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from alexnet.errors import InputError, escaped
from alexnet.files import read_object, regular
from alexnet.inference.feature_table import Features
from alexnet.inference.feature_write import matlab, needs, sidecar
from alexnet.isolated import hdf5, parquet
from alexnet.isolated import matlab as mat_files
from alexnet.isolated.child import Broken, most_of

_RECORD = ("names", "labels", "classes", "image_sha256", "provenance")


def read(path: Path | str) -> Features:
    """A feature file, or a bare array (.npy, .npz, .mat, .h5, .csv) of another program. InputError when it is none.

    Large arrays of .npy stay on the disk. Nothing is unpickled.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"no feature file {str(path)!r}")
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise InputError(f"{str(path)!r} is no feature file; read are: {', '.join(_READERS)}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what NumPy warns of is an error here, or a file without rows
            found = reader(path)
    except InputError:
        raise
    except Broken as broken:
        raise InputError(f"{str(path)!r} {escaped(' '.join(str(broken).split()))}") from None
    except Exception as error:  # a damaged file makes each library raise its own
        why = (str(error) or type(error).__name__).splitlines()[0][:200]
        raise InputError(f"{str(path)!r} cannot be read as {path.suffix} ({escaped(why)})") from None
    if not found.layers:
        raise InputError(f"{str(path)!r} holds no features")
    if (claimed := sum(values.nbytes for values in found.layers.values())) > most_of(path.stat().st_size):
        raise InputError(f"{str(path)!r} claims {claimed:,} bytes of numbers, more than such a file can hold")
    for name, values in found.layers.items():
        for what, each in (("names", found.names), ("labels", found.labels), ("digests", found.digests)):
            if each is not None and len(values) != len(each):
                raise InputError(f"{str(path)!r} has {len(values)} rows of {escaped(name)} and {len(each)} {what}")
    return found


def _with(path: Path, layers: dict[str, np.ndarray], record: dict[str, Any]) -> Features:
    provenance = record.get("provenance")
    if isinstance(provenance, (str, bytes)):
        provenance = json.loads(provenance)
    return Features(
        path,
        layers,
        _strings(record.get("names")),
        None if record.get("labels") is None else np.asarray(record["labels"], np.int64).reshape(-1),
        tuple(_strings(record.get("classes")) or ()),
        _strings(record.get("image_sha256")),
        provenance if isinstance(provenance, dict) else None,
    )


def _strings(values: Any) -> list[str] | None:
    if values is None:
        return None
    return [each.decode() if isinstance(each, bytes) else str(each) for each in np.asarray(values, object).reshape(-1)]


def _beside(path: Path, values: np.ndarray) -> Features:
    """A bare array with the record that its sidecar gives it, where there is one."""
    record = read_object(sidecar(path)) if sidecar(path).is_file() else {}
    layers = (record.get("provenance") or {}).get("layers") if isinstance(record, dict) else None
    name = next(iter(layers)) if isinstance(layers, dict) and len(layers) == 1 else path.stem
    return _with(path, {str(name): values}, record)


def _read_npy(path: Path) -> Features:
    return _beside(path, _numeric(path, np.load(path, mmap_mode="r", allow_pickle=False)))


def _read_npz(path: Path) -> Features:
    with zipfile.ZipFile(path) as archive:
        claimed = sum(member.file_size for member in archive.infolist())
    if claimed > most_of(path.stat().st_size):
        raise InputError(f"{str(path)!r} claims {claimed:,} bytes of numbers, more than such a file can hold")
    with np.load(path, allow_pickle=False) as content:
        arrays = {name: content[name] for name in content.files}
    record = {name: arrays.pop(name) for name in _RECORD if name in arrays}
    if "provenance" in record:
        record["provenance"] = str(record["provenance"])
    return _with(path, {name: _numeric(path, values) for name, values in arrays.items()}, record)


def _read_h5(path: Path) -> Features:
    needs("h5py", "keras")
    with regular(path) as file:
        found = hdf5.read(file, ("provenance",))
    record: dict[str, Any] = {**found.texts, **found.attributes.get("", {})}
    layers = {}
    for name, values in found.tensors.items():
        if name in _RECORD:
            record[name] = values
        else:
            layers[name] = _numeric(path, values)
    if strange := found.texts.keys() - set(_RECORD):
        raise InputError(f"{str(path)!r} holds text in {escaped(min(strange))}; features are rows of numbers")
    if set(layers) == {"features"}:
        return _beside(path, layers["features"])
    return _with(path, layers, record)


def _read_mat(path: Path) -> Features:
    with regular(path) as file:
        found = mat_files.read(file)
    texts, numbers = found.texts, found.numbers
    record: dict[str, Any] = {name: texts[name] for name in ("names", "classes", "image_sha256") if name in texts}
    record["labels"] = numbers.pop("labels", None)
    if texts.get("provenance"):
        record["provenance"] = texts["provenance"][0]
    named = {matlab(name): name for name in texts.get("layers", ())}
    layers = {named.get(name, name): _numeric(path, value) for name, value in numbers.items() if value.ndim >= 2}
    return _beside(path, layers["features"]) if set(layers) == {"features"} else _with(path, layers, record)


def _read_parquet(path: Path) -> Features:
    needs("pyarrow", "tables")
    with regular(path) as file:
        found = parquet.read(file, ("name", "label", "image_sha256"), lists=True)
    layers = {}
    for name, shape in json.loads(found.about.get("shapes", "{}")).items():
        layers[name] = found.numbers[name].reshape(-1, *shape)
    classes = json.loads(found.about.get("classes", "[]"))
    record: dict[str, Any] = {"provenance": found.about.get("provenance"), "classes": classes}
    for key, column in (("names", "name"), ("labels", "label"), ("image_sha256", "image_sha256")):
        record[key] = found.cells.get(column)
    return _with(path, layers, record)


def _read_csv(path: Path) -> Features:
    with path.open(encoding="utf-8", newline="") as file:
        lines = csv.reader(file)
        first = next(lines, [])
        if first[:2] == ["name", "label"]:
            return _beside(path, np.array([line[2:] for line in lines], np.float32))
    headed = any(not _is_number(cell) for cell in first)
    values = np.loadtxt(path, np.float32, delimiter=",", skiprows=int(headed), ndmin=2, encoding="utf-8")
    return _beside(path, values)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _read_pt(path: Path) -> Features:
    import torch

    try:
        content = torch.load(path, weights_only=True, mmap=True)
    except pickle.UnpicklingError:  # whose text tells how to load what is not to be trusted
        raise InputError(f"{str(path)!r} is damaged, or holds more than tensors: it is not read") from None
    if isinstance(content, torch.Tensor):  # as THINGSvision writes it
        return _beside(path, content.numpy())
    layers = {str(name): value.numpy() for name, value in content.pop("features").items()}
    return _with(path, layers, content)


def _numeric(path: Path, values: np.ndarray) -> np.ndarray:
    if values.dtype.kind not in "fiu" or values.ndim < 2:
        raise InputError(f"{str(path)!r} holds {values.dtype} {values.shape}; features are rows of numbers")
    return values


_READERS: dict[str, Callable[[Path], Features]] = {
    ".npz": _read_npz,
    ".npy": _read_npy,
    ".h5": _read_h5,
    ".hdf5": _read_h5,
    ".mat": _read_mat,
    ".parquet": _read_parquet,
    ".csv": _read_csv,
    ".pt": _read_pt,
}
