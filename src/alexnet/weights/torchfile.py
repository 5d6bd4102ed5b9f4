"""Files of torch: safetensors, and what torch.save wrote (.pth, .pt, .ckpt), of which no code runs.

torch's files are a pickle that names storages, and the storages' bytes: in a zip archive, or one after the other in
files of before version 1.6 (torch/serialization.py, `_save` and `_legacy_save`; tensors: torch/_utils.py).
"""

import io
import json
import math
import struct
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import safetensors.torch
import torch
from safetensors import SafetensorError

from alexnet.errors import InputError
from alexnet.files import ARCHIVE_ERRORS, parsed_json
from alexnet.weights import inert
from alexnet.weights.checkpoints import Tensors, pick
from alexnet.weights.foreign import Budget, Foreign, Source

_HEADER = 8  # safetensors begin with the length of their header
_MAX_HEADER = 8 * 2**20  # ResNet-1202's has 700 kB; ours hold a card of at most 2 MiB, escaped
_MAX_ENTRIES = 100_000
_LEGACY = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # torch.save before version 1.6

_STORAGES = {
    "FloatStorage": "f4",
    "DoubleStorage": "f8",
    "HalfStorage": "f2",
    "BFloat16Storage": "bf16",
    "LongStorage": "i8",
    "IntStorage": "i4",
    "ShortStorage": "i2",
    "CharStorage": "i1",
    "ByteStorage": "u1",
    "BoolStorage": "?",
}


def is_safetensors(content: bytes) -> bool:
    length = int.from_bytes(content[:_HEADER], "little")
    return content[_HEADER : _HEADER + 1] == b"{" and length <= 100_000_000


def is_legacy(content: bytes) -> bool:
    return content.startswith(_LEGACY)


def read_safetensors(source: Source) -> Foreign:
    try:
        if int.from_bytes(source.content[:_HEADER], "little") > _MAX_HEADER:
            raise ValueError("its header is larger than any network's of this family")
        tensors = safetensors.torch.load(source.content)
    except (SafetensorError, ValueError, KeyError, TypeError, AttributeError, json.JSONDecodeError) as error:
        raise source.wrong(f"is not a readable safetensors file: {error}") from None
    budget = Budget(source)
    return pick(source, {"": {name: _reading(source, name, value, budget) for name, value in tensors.items()}})


def metadata(source: Source) -> dict[str, str]:
    """What a safetensors file says of itself; nothing where it is another file."""
    length = int.from_bytes(source.content[:_HEADER], "little")
    if not is_safetensors(source.content) or length > _MAX_HEADER:
        return {}
    said = parsed_json(source.content[_HEADER : _HEADER + length], repr(str(source.path))).get("__metadata__")
    return {str(key): value for key, value in said.items() if isinstance(value, str)} if isinstance(said, dict) else {}


def _reading(source: Source, name: str, value: torch.Tensor, budget: Budget) -> Callable[[], np.ndarray]:
    if value.is_complex() or value.is_quantized:
        raise source.wrong(f"holds {name!r}, which is no plain tensor of numbers")

    def read() -> np.ndarray:
        budget.take(value.numel())
        return value.float().numpy()

    return read


def read_torch(source: Source) -> Foreign:
    """A state dict, wherever in a checkpoint it lies, or a whole pickled module's. InputError for anything else."""
    try:
        content, storages = (_legacy if is_legacy(source.content) else _archive)(source)
        budget = Budget(source)

        def reader(name: str, tensor: "_Tensor | inert.Record") -> Callable[[], np.ndarray]:
            def read() -> np.ndarray:
                if isinstance(tensor, inert.Record) or not tensor.storage.kind:
                    raise inert.Refused(f"holds {name!r}, which is no plain tensor of numbers")
                return tensor.read(storages, budget)

            return read

        return pick(source, _state_dicts(content, reader))
    except inert.Refused as refused:
        raise source.wrong(str(refused)) from None
    except InputError:
        raise
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, EOFError, RecursionError) as error:
        raise source.damaged(error) from None
    except ARCHIVE_ERRORS as error:
        raise source.damaged(error) from None


@dataclass(frozen=True, eq=False)
class _Storage:
    kind: str
    key: str
    count: int


@dataclass(frozen=True, eq=False)
class _Tensor:
    """What _rebuild_tensor_v2 would make: a view of a storage."""

    storage: _Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]

    def read(self, storages: Mapping[str, Callable[[], bytes | memoryview]], budget: Budget) -> np.ndarray:
        """The numbers as float32. ValueError when they do not lie in the storage."""
        sides = (*self.size, *self.stride, self.offset)
        if (
            len(self.size) != len(self.stride)
            or len(self.size) > 8
            or not all(type(n) is int and n >= 0 for n in sides)
        ):
            raise ValueError("a tensor's shape is none")
        count = math.prod(self.size)
        budget.take(count)
        last = self.offset + sum((n - 1) * step for n, step in zip(self.size, self.stride, strict=True))
        data = np.frombuffer(storages[self.storage.key](), "u2" if self.storage.kind == "bf16" else self.storage.kind)
        if count and last >= len(data):
            raise ValueError("a tensor reaches beyond its storage")
        if not count:
            return np.empty(self.size, np.float32)
        steps = tuple(step * data.itemsize for step in self.stride)
        view = np.lib.stride_tricks.as_strided(data[self.offset :], self.size, steps, writeable=False)
        if self.storage.kind == "bf16":
            return (view.astype("u4") << 16).view("f4")
        return np.ascontiguousarray(view, "f4").reshape(self.size)  # which gives a single number a dimension


def _rebuilt(storage: Any, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: Any) -> Any:
    return _Tensor(storage, offset, size, stride) if isinstance(storage, _Storage) else None


def _mapping(pairs: Any = ()) -> dict[Any, Any]:
    return {key: value for key, value in pairs if isinstance(key, str | int)}


_KNOWN: dict[tuple[str, str], Callable[..., Any]] = {
    ("torch._utils", "_rebuild_tensor"): _rebuilt,
    ("torch._utils", "_rebuild_tensor_v2"): _rebuilt,
    ("torch._utils", "_rebuild_parameter"): lambda data, *_: data,
    ("torch._utils", "_rebuild_parameter_with_state"): lambda data, *_: data,
    ("collections", "OrderedDict"): _mapping,
    ("collections", "defaultdict"): lambda *_: {},
    ("_codecs", "encode"): lambda text, encoding="latin1": text.encode("latin1"),  # bytes, as of a NumPy scalar
}


def _stored(pid: Any) -> Any:
    """('storage', its class, key, device, numbers), and in old files a view, which is None; or ('module', a class, its
    source), of which the class is named."""
    values = list(pid) if isinstance(pid, tuple) else []
    if len(values) == 4 and values[0] == "module":
        return values[1]
    if not 5 <= len(values) <= 6 or values[0] != "storage" or any(values[5:]):
        raise inert.Refused("names what is no storage of tensors")
    kind = values[1].name if isinstance(values[1], inert.Name) else ""
    return _Storage(_STORAGES.get(kind, ""), str(values[2]), int(values[4]))


Storages = Mapping[str, Callable[[], bytes | memoryview]]


def _archive(source: Source) -> tuple[Any, Storages]:
    archive = zipfile.ZipFile(io.BytesIO(source.content))
    entries = {entry.filename: entry for entry in archive.infolist()}
    # torch stores its tensors as they are; what is compressed could claim any size.
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries.values()):
        raise ValueError("compressed")
    if len(entries) > _MAX_ENTRIES or sum(entry.file_size for entry in entries.values()) > len(source.content):
        raise ValueError("entries lie over each other")
    root = next(name for name in entries if name.endswith("data.pkl")).removesuffix("data.pkl")
    if entries.get(f"{root}byteorder") and archive.read(f"{root}byteorder") != b"little":
        raise inert.Refused("was written on a big-endian machine; save it again on this one")
    content = inert.load(io.BytesIO(archive.read(f"{root}data.pkl")), _KNOWN, _stored)
    prefix = f"{root}data/"
    keys = [name.removeprefix(prefix) for name in entries if name.startswith(prefix)]
    return content, {key: lambda key=key: archive.read(prefix + key) for key in keys}


def _legacy(source: Source) -> tuple[Any, Storages]:
    """Magic number, version, the machine's sizes, the pickle, the storages' keys; then each one's length and bytes."""
    file = io.BytesIO(source.content)
    inert.load(file, {})
    inert.load(file, {})
    if not inert.load(file, {}).get("little_endian", True):
        raise inert.Refused("was written on a big-endian machine; save it again on this one")
    kinds: dict[str, str] = {}

    def stored(pid: Any) -> Any:
        found = _stored(pid)
        if isinstance(found, _Storage):
            kinds[found.key] = found.kind
        return found

    content = inert.load(file, _KNOWN, stored)
    places: dict[str, tuple[int, int]] = {}
    for key in inert.load(file, {}):
        (count,) = struct.unpack("<q", file.read(8))
        size = count * (2 if kinds[str(key)] == "bf16" else np.dtype(kinds[str(key)] or "u1").itemsize)
        if not 0 <= size <= len(source.content) - file.tell():
            raise ValueError("a storage is cut short")
        places[str(key)] = (file.tell(), size)
        file.seek(size, io.SEEK_CUR)
    whole = memoryview(source.content)
    return content, {key: lambda at=at, size=size: whole[at : at + size] for key, (at, size) in places.items()}


_MAX_DEPTH = 6
_NO_MODEL = ("optimizer", "scheduler", "callbacks", "loops", "scaler", "amp")


def _is_tensor(value: Any) -> bool:
    """Also what is none of numbers: sparse, quantized, without memory."""
    return isinstance(value, _Tensor) or (isinstance(value, inert.Record) and value.kind.module == "torch._utils")


def _state_dicts(content: Any, reader: Callable[[str, Any], Callable[[], np.ndarray]]) -> dict[str, Tensors]:
    """Every mapping of names to tensors in a checkpoint, by where it lies in it; '' is the checkpoint itself."""
    found: dict[str, Tensors] = {}

    def walk(value: Any, path: tuple[str, ...]) -> None:
        if len(path) > _MAX_DEPTH or any(word in path[-1].lower() for word in _NO_MODEL if path):
            return
        if isinstance(value, inert.Record) and isinstance(value.state, dict) and "_modules" in value.state:
            tensors = _module(value)
        elif isinstance(value, dict):
            tensors = {name: each for name, each in value.items() if isinstance(name, str) and _is_tensor(each)}
            for name, each in value.items():
                if isinstance(each, dict | inert.Record):
                    walk(each, (*path, str(name)))
        else:
            return
        if tensors:
            found[".".join(path)] = {name: reader(name, tensor) for name, tensor in tensors.items()}

    walk(content, ())
    return found


def _module(record: inert.Record, prefix: str = "", depth: int = 0) -> dict[str, Any]:
    """The state dict of a module that was pickled whole (torch.nn.Module.__getstate__), by its names."""
    tensors: dict[str, Any] = {}
    for part in ("_parameters", "_buffers"):
        own = record.state.get(part)
        for name, value in own.items() if isinstance(own, dict) else ():
            if _is_tensor(value):
                tensors[f"{prefix}{name}"] = value
    parts = record.state.get("_modules")
    for name, value in parts.items() if isinstance(parts, dict) and depth < 12 else ():
        if isinstance(value, inert.Record) and isinstance(value.state, dict):
            tensors |= _module(value, f"{prefix}{name}.", depth + 1)
    return tensors
