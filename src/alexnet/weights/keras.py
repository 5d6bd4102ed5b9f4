"""Keras's .h5 (versions 1 to 3), .weights.h5 and .keras files, and Caffe's .caffemodel.h5, read by `hdf5`.

Facts: keras/src/saving and keras/src/legacy/saving of github.com/keras-team/keras. Kernels are HWIO and dense layers
in × out; files of the Theano backend (kernels OIHW) hold kernels turned by 180°, because Theano convolves where all
others correlate, and flatten NCHW. With TensorFlow's backend kernels are HWIO whatever the data format is; it decides
in which order the first dense layer counts its inputs, and only the model's configuration tells it. The lineage of
`alexnet_weights.h5` stores a layer's groups as conv_2_1 and conv_2_2. Caffe: `Net::ToHDF5` in src/caffe/net.cpp.
"""

import importlib.util
import io
import json
import re
import zipfile
from typing import Any

import numpy as np

from alexnet.errors import InputError
from alexnet.isolated import hdf5
from alexnet.isolated.child import Broken
from alexnet.weights.foreign import MAX_NUMBERS, Arrays, Foreign, Source, named, natural

MAGIC = b"\x89HDF\r\n\x1a\n"
ARCHIVE = ("config.json", "model.weights.h5")
LAYOUTS = {"channels_last": "NHWC", "channels_first": "NCHW"}
_ATTRIBUTES = ("layer_names", "weight_names", "model_config", "data_format", "backend")
_NO_WEIGHTS = ("optimizer", "optimizer_weights", "_layer_checkpoint_dependencies", "diff")
_MAX_CONFIG = 4 * 2**20
_MAX_WEIGHTS = 4 * MAX_NUMBERS + 2**24


def read_keras(source: Source) -> Foreign:
    """Reads every layer's weights. InputError when the file is damaged or reaches outside of itself."""
    if importlib.util.find_spec("h5py") is None:
        raise InputError("reading Keras files needs h5py: pip install 'alexnet[keras]'")
    try:
        if source.content.startswith(MAGIC):
            return _file(_read(source.content), {})
        content, config = _unzipped(source.content)
        return _file(_read(content), config)
    except Broken as broken:
        raise source.wrong(str(broken)) from None
    except Exception as error:  # damage makes zip and JSON raise nearly anything
        raise source.damaged(error) from None


def _read(content: bytes) -> hdf5.Contents:
    return hdf5.read(content, _ATTRIBUTES, MAX_NUMBERS, _NO_WEIGHTS)


def _unzipped(content: bytes) -> tuple[bytes, Any]:
    """A .keras archive's weights and configuration. Nothing is unpacked to the disk."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        limits = dict(zip(ARCHIVE, (_MAX_CONFIG, min(_MAX_WEIGHTS, 4 * len(content) + 2**20)), strict=True))
        parts = {}
        for name, limit in limits.items():
            claimed = archive.getinfo(name).file_size
            if claimed > limit:
                raise Broken(f"claims {claimed:,} bytes of {name}, which it packs too well to be weights")
            with archive.open(name) as member:
                parts[name] = member.read(limit)
    return parts[ARCHIVE[1]], json.loads(parts[ARCHIVE[0]])


def _file(contents: hdf5.Contents, config: Any) -> Foreign:
    root = "model_weights/" if any(path.startswith("model_weights/") for path in contents.tensors) else ""
    if all(re.fullmatch(r"data/[^/]+/\d+", path) for path in contents.tensors) and contents.tensors:
        return _caffe(contents)
    about = contents.attributes
    own = about.get(root.rstrip("/"), {}) | about.get("", {}) if root else about.get("", {})
    if "model_config" in own:
        config = json.loads(own["model_config"][:_MAX_CONFIG])
    found: dict[str, list[tuple[str, np.ndarray]]] = {}
    for path, array in contents.tensors.items():
        if path.startswith(root):
            place = path.removeprefix(root)
            found.setdefault(_layer(place), []).append((place, array))
    names = list(about.get(root.rstrip("/"), {}).get("layer_names", [])) or _order(config)
    layers: dict[str, list[np.ndarray]] = {}
    for name, parts in _sorted(found, names).items():
        listed = about.get(f"{root}{name}", {}).get("weight_names", [])
        arrays = _in_order(parts, listed)
        layers |= {name: arrays} if named(arrays) else _nested(name, parts, listed)
    formats = _formats(config) | ({own["data_format"]} if "data_format" in own else set())
    return _foreign(layers, formats)


def _layer(path: str) -> str:
    """The layer of a tensor: in Keras 3 the groups above 'vars', in older files the outermost one."""
    parts = path.split("/")
    if len(parts) > 2 and parts[-2] == "vars":
        return "/".join(part for part in parts[:-2] if part != "layers")
    return parts[0] if len(parts) > 1 else ""


def _nested(name: str, parts: list[tuple[str, np.ndarray]], listed: list[str]) -> dict[str, list[np.ndarray]]:
    """The layers of a model that stands as one layer in another."""
    groups: dict[str, list[tuple[str, np.ndarray]]] = {}
    places = {each: place for place, each in enumerate(listed)}
    ordered = sorted(parts, key=lambda part: places.get(part[0].removeprefix(f"{name}/"), len(places)))
    for path, array in ordered:
        groups.setdefault(path.rpartition("/")[0], []).append((path, array))
    return {group: _in_order(inner, []) for group, inner in groups.items()}


def _order(config: Any, prefix: str = "") -> list[str]:
    """The groups of the weights file in the network's order: Keras 3 names them after the layers' classes."""
    seen: dict[str, int] = {}
    names = []
    for layer in _parts(config):
        name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r"\W+", "", str(layer.get("class_name"))))
        name = re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()
        group = f"{prefix}{name}_{seen[name]}" if seen.get(name) else prefix + name
        names += [group, *_order(layer, f"{group}/")]
        seen[name] = seen.get(name, 0) + 1
    return names


def _parts(config: Any) -> list[dict[str, Any]]:
    """The layers of a model's configuration; none of a layer's."""
    inner = config.get("config") if isinstance(config, dict) else None
    layers = inner if isinstance(inner, list) else inner.get("layers") if isinstance(inner, dict) else None
    return [layer for layer in layers if isinstance(layer, dict)] if isinstance(layers, list) else []


def _formats(config: Any) -> set[str]:
    """How the inputs of the first dense layer are counted, by each Flatten of a configuration.

    Keras's Flatten with 'channels_first' puts the channels last before it flattens (keras/src/layers/reshaping/
    flatten.py); with 'channels_last', its default, it leaves the order that the layers before it gave.
    """
    found: set[str] = set()
    before = "channels_last"
    stack = list(reversed(_parts(config)))
    while stack:
        layer = stack.pop()
        stack += reversed(_parts(layer))
        own = layer.get("config")
        said = own.get("data_format") if isinstance(own, dict) else None
        kind = str(layer.get("class_name"))
        if "Conv" in kind and said in LAYOUTS:
            before = said
        elif kind == "Flatten":
            if said == "channels_first" and before == "channels_last":
                raise Broken("flattens channels_first what its layers give channels_last; no network here does")
            found.add("channels_last" if said == "channels_first" else before)
    return found


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


def _foreign(listed: dict[str, list[np.ndarray]], formats: set[str]) -> Foreign:
    layers: dict[str, Arrays] = {}
    for name, arrays in listed.items():
        found = named(arrays)
        if found is None:
            raise Broken(f"holds {len(arrays)} tensors in {name!r}, which are no layer of this family")
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
    lineage = len(joined) < len(layers)
    flatten = LAYOUTS.get(next(iter(formats), ""), "") if len(formats) == 1 else ""
    if theano:
        flatten = "NCHW"
    return Foreign("keras", joined, flatten=flatten, prefer=("alexnet-keras",) if lineage else ())


def _caffe(contents: hdf5.Contents) -> Foreign:
    """A layer's blobs by their numbers, in Caffe's own layout, which is ours."""
    layers: dict[str, list[np.ndarray]] = {}
    for path in sorted(contents.tensors, key=natural):
        layers.setdefault(path.split("/")[1], []).append(contents.tensors[path])
    found = {name: named(arrays) for name, arrays in layers.items()}
    if None in found.values():
        raise Broken("holds a layer that is neither convolution nor dense: no network of the family")
    kept = {name: arrays for name, arrays in found.items() if arrays is not None}
    return Foreign("caffe", kept, prefer=("alexnet-bvlc", "caffenet"))


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
