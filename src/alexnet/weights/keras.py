"""Keras's .h5 (versions 1 to 3), .weights.h5 and .keras files, through h5py.

HDF5 files can point into other files and into themselves; nothing of that is followed. Facts: keras/src/saving and
keras/src/legacy/saving of github.com/keras-team/keras. Kernels are HWIO and dense layers in × out, and the flatten
order is NHWC; files of the Theano backend (kernels OIHW) hold kernels turned by 180°, because Theano convolves where
all others correlate, and flatten NCHW. The lineage of `alexnet_weights.h5` stores a layer's groups as conv_2_1 and
conv_2_2.
"""

import importlib
import io
import json
import re
import zipfile
from typing import Any

import numpy as np

from alexnet.errors import InputError
from alexnet.weights.foreign import MAX_BYTES, MAX_NUMBERS, Arrays, Foreign, Source, named, natural

MAGIC = b"\x89HDF\r\n\x1a\n"
ARCHIVE = ("config.json", "model.weights.h5")
_MAX_NODES, _MAX_DEPTH = 10_000, 12
_MAX_CONFIG = 16 * 2**20


class _Broken(Exception):
    """The file is damaged, or does what no weights need."""


def read_keras(source: Source) -> Foreign:
    """Reads every layer's weights. InputError when the file is damaged or reaches outside of itself."""
    try:
        h5py = importlib.import_module("h5py")
    except ImportError:
        raise InputError("reading Keras files needs h5py: pip install 'alexnet[keras]'") from None
    try:
        if source.content.startswith(MAGIC):
            return _file(h5py, source.content, [])
        content, order = _unzipped(source.content)
        return _file(h5py, content, order)
    except _Broken as broken:
        raise source.wrong(str(broken)) from None
    except Exception as error:  # damage makes HDF5 and zip raise nearly anything
        raise source.wrong(f"is damaged or cut short ({error})") from None


def _unzipped(content: bytes) -> tuple[bytes, list[str]]:
    """A .keras archive's weights, and its layers in their order. Nothing is unpacked to the disk."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        limits = dict(zip(ARCHIVE, (_MAX_CONFIG, MAX_BYTES), strict=True))
        parts = {}
        for name, limit in limits.items():
            if archive.getinfo(name).file_size > limit:
                raise _Broken(f"claims {archive.getinfo(name).file_size:,} bytes of {name}")
            with archive.open(name) as member:
                parts[name] = member.read(limit)
    return parts[ARCHIVE[1]], _order(json.loads(parts[ARCHIVE[0]]))


def _order(config: Any) -> list[str]:
    """The groups of the weights file in the network's order: Keras 3 names them after the layers' classes."""
    seen: dict[str, int] = {}
    names = []
    for layer in config["config"]["layers"]:
        name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r"\W+", "", str(layer["class_name"])))
        name = re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()
        names.append(f"{name}_{seen[name]}" if seen.get(name) else name)
        seen[name] = seen.get(name, 0) + 1
    return names


def _file(h5py: Any, content: bytes, order: list[str]) -> Foreign:
    with h5py.File(io.BytesIO(content), "r") as file:
        root = file["model_weights"] if _kind(h5py, file, "model_weights") else file
        found: dict[str, list[tuple[str, np.ndarray]]] = {}
        _walk(h5py, root, (), found, [0, 0])
        names = [_text(name) for name in root.attrs.get("layer_names", [])] or order
        layers = _sorted(found, names)
        listed = {name: [_text(n) for n in root[name].attrs.get("weight_names", [])] for name in layers if name in root}
    arrays = {name: _in_order(parts, listed.get(name, [])) for name, parts in layers.items()}
    return _foreign(arrays)


def _kind(h5py: Any, group: Any, name: str) -> str:
    """'group' or 'dataset', for what lies in the file itself; '' for what is not there."""
    link = group.get(name, getlink=True)
    if link is None:
        return ""
    if not isinstance(link, h5py.HardLink):
        raise _Broken(
            f"points elsewhere at {name!r} ({type(link).__name__}); weights lie in one file, nothing was read"
        )
    return "group" if group.get(name, getclass=True) is h5py.Group else "dataset"


def _walk(h5py: Any, group: Any, path: tuple[str, ...], found: dict[str, Any], spent: list[int]) -> None:
    """Gathers datasets by the group they belong to. `spent`: nodes and numbers so far."""
    if len(path) > _MAX_DEPTH:
        raise _Broken("nests deeper than any weights: a loop?")
    for name in group:
        spent[0] += 1
        if spent[0] > _MAX_NODES:
            raise _Broken("has more entries than any weights: a loop?")
        if not path and name in ("optimizer", "optimizer_weights", "_layer_checkpoint_dependencies"):
            continue
        if _kind(h5py, group, name) == "group":
            _walk(h5py, group[name], (*path, name), found, spent)
            continue
        data = group[name]
        if data.external or data.is_virtual:
            raise _Broken(f"keeps the numbers of {data.name!r} in another file; nothing was read")
        spent[1] += data.size or 0
        if spent[1] > MAX_NUMBERS:
            raise _Broken(f"claims {spent[1]:,} numbers, more than any network of this family")
        if data.dtype.kind != "f" and (data.shape == () or data.dtype.kind not in "iu"):
            continue  # a seed or a step counter
        # The layer: in Keras 3 the group above 'vars', in older files the outermost one.
        layer = path[-2] if len(path) > 1 and path[-1] == "vars" else path[0] if path else ""
        found.setdefault(layer, []).append(("/".join((*path, name)), np.asarray(data[()], np.float32)))


def _sorted(found: dict[str, Any], order: list[str]) -> dict[str, Any]:
    places = {name: place for place, name in enumerate(order)}
    return {name: found[name] for name in sorted(found, key=lambda n: (places.get(n, len(places)), natural(n)))}


def _in_order(parts: list[tuple[str, np.ndarray]], listed: list[str]) -> list[np.ndarray]:
    """A layer's arrays as Keras lists them; names of old files end as those listed."""
    by_end = [next((a for path, a in parts if path.endswith(name)), None) for name in listed]
    if listed and len(by_end) == len(parts) and all(array is not None for array in by_end):
        return [array for array in by_end if array is not None]
    # Keras 1 names a kernel ..._W and its bias ..._b, Keras 2 kernel:0 and bias:0; Keras 3 numbers them.
    rank = ("kernel", "_W", "gamma", "bias", "_b", "beta", "moving_mean", "moving_variance")
    ends = {path: next((i for i, end in enumerate(rank) if end in path.rsplit("/")[-1]), -1) for path, _ in parts}
    return [array for _, array in sorted(parts, key=lambda part: (ends[part[0]], natural(part[0])))]


def _foreign(listed: dict[str, list[np.ndarray]]) -> Foreign:
    layers: dict[str, Arrays] = {}
    for name, arrays in listed.items():
        found = named(arrays)
        if found is None:
            raise _Broken(f"holds {len(arrays)} tensors in {name!r}, which are no layer of this family")
        layers[name] = found
    kernels = [found["weight"] for found in layers.values() if found["weight"].ndim == 4]
    theano = any(kernel.shape[0] != kernel.shape[1] for kernel in kernels)
    for found in layers.values():
        weight = found["weight"]
        if weight.ndim == 4:
            found["weight"] = weight[:, :, ::-1, ::-1] if theano else weight.transpose(3, 2, 0, 1)
        elif weight.ndim == 2:
            found["weight"] = weight.T
    joined = _joined(layers)
    prefer = ("alexnet-keras",) if len(joined) < len(layers) else ()
    return Foreign("keras", joined, flatten="NCHW" if theano else "NHWC", prefer=prefer)


def _joined(layers: dict[str, Arrays]) -> dict[str, Arrays]:
    """Groups that were stored as layers of their own (conv_2_1, conv_2_2) put together."""
    joined: dict[str, Arrays] = {}
    for name, arrays in layers.items():
        match = re.fullmatch(r"(.*\d)_(\d+)", name)
        parts = [f"{match[1]}_{i}" for i in (1, 2)] if match else []
        if not match or not all(part in layers for part in parts):
            joined[name] = arrays
        elif match[2] == "1":
            both = [layers[part] for part in parts]
            joined[match[1]] = {role: np.concatenate([part[role] for part in both]) for role in arrays}
    return joined


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
