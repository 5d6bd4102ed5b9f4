"""bvlc_alexnet.npy and its like: a Python dict, layer name → [weight, bias], that NumPy pickled.

A pickle is a program. This reader runs none: it knows the instructions that build plain values, and instead of NumPy's
own functions it hands out stand-ins that only note bytes, dtype and shape. Everything else is refused by name.
Facts: the format of .npy, numpy.org/neps/nep-0001-npy-format.html; weights HWIO and the flatten order NHWC, as
TensorFlow has them.
"""

import io
import pickle
import re
from collections.abc import Iterable
from typing import Any, ClassVar

import numpy as np

from alexnet.weights.foreign import Arrays, Foreign, Source, named, natural

MAGIC = b"\x93NUMPY"
_MAX_LAYERS = 1000


class _Refused(Exception):
    """The pickle asks for more than arrays in plain containers."""


class _Dtype:
    """Stands in for numpy.dtype(code, align, copy): numbers, or the object type of the outermost array."""

    def __init__(self, code: str, *_: object):
        if not (isinstance(code, str) and re.fullmatch(r"[fiuO]\d*", code)):
            raise _Refused(f"holds {str(code)[:20]!r} where weights are numbers")
        self.dtype = np.dtype(code)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.dtype = self.dtype.newbyteorder(state[1])


class _Array:
    """Stands in for numpy.ndarray, which is built empty and then given its state."""

    value: np.ndarray | list[Any]

    def __init__(self, *_: object):
        self.value = []

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, kind, fortran, data = state
        if kind.dtype.hasobject:
            self.value = list(data)
        else:
            content = data.encode("latin1") if isinstance(data, str) else data
            self.value = np.frombuffer(content, kind.dtype).reshape(shape, order="F" if fortran else "C")


def _encode(text: str, encoding: str = "latin1") -> bytes:
    """Stands in for _codecs.encode, by which Python 3 pickles bytes for Python 2."""
    return text.encode("latin1")


def _named(pairs: Iterable[tuple[Any, Any]]) -> dict[str, Any]:
    """A dict by strings: another key may take for ever to hash (tuples of tuples of the same tuples)."""
    result = {}
    for key, value in pairs:
        if not isinstance(key, str):
            raise _Refused("names something by other than a string")
        result[key] = value
    return result


_STAND_INS: dict[tuple[str, str], Any] = {
    ("numpy", "dtype"): _Dtype,
    ("numpy", "ndarray"): _Array,
    ("collections", "OrderedDict"): lambda pairs=(): _named(pairs),
    ("_codecs", "encode"): _encode,
}
for _module in ("numpy.core.multiarray", "numpy._core.multiarray"):
    _STAND_INS[_module, "_reconstruct"] = _Array

# Instructions that call constructors, load something persistent, or reserve memory on a mere claim.
_REFUSED = (
    *(pickle.PERSID, pickle.BINPERSID, pickle.INST, pickle.OBJ, pickle.NEWOBJ, pickle.NEWOBJ_EX),
    *(pickle.DICT, pickle.EMPTY_SET, pickle.ADDITEMS, pickle.FROZENSET),
    *(pickle.EXT1, pickle.EXT2, pickle.EXT4, pickle.BYTEARRAY8, pickle.NEXT_BUFFER, pickle.READONLY_BUFFER),
)


def _set_item(unpickler: Any) -> None:
    value, key = unpickler.stack.pop(), unpickler.stack.pop()
    unpickler.stack[-1].update(_named([(key, value)]))


def _set_items(unpickler: Any) -> None:
    items = unpickler.pop_mark()
    unpickler.stack[-1].update(_named(zip(items[::2], items[1::2], strict=True)))


class _Unpickler(pickle._Unpickler):  # Python's own, not C's: that one reserves memory for any memo number it is told
    dispatch: ClassVar[Any] = {
        **{code: method for code, method in pickle._Unpickler.dispatch.items() if bytes([code]) not in _REFUSED},
        pickle.SETITEM[0]: _set_item,
        pickle.SETITEMS[0]: _set_items,
    }

    def find_class(self, module: str, name: str) -> Any:
        try:
            return _STAND_INS[module, name]
        except KeyError:
            raise _Refused(f"asks for {module}.{name}, which no weights need: nothing of it was run") from None


def read_npy(source: Source) -> Foreign:
    """Reads the dict. InputError for anything but arrays of numbers in plain containers."""
    file = io.BytesIO(source.content)
    try:
        version = np.lib.format.read_magic(file)
        header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = header(file)
        if not dtype.hasobject or shape not in ((), (1,)):
            raise _Refused("is one array; a dict of layers was expected, as bvlc_alexnet.npy has it")
        content = _Unpickler(file, encoding="latin1").load()  # Python 2's strings are bytes
    except _Refused as refused:
        raise source.wrong(str(refused)) from None
    except Exception as error:  # a damaged pickle makes the unpickler raise nearly anything
        raise source.wrong(f"is damaged or cut short ({type(error).__name__}: {error})") from None
    return Foreign("npy", _layers(source, _unwrapped(content)), flatten="NHWC", prefer=("alexnet-tf",))


def _unwrapped(content: Any) -> Any:
    """The one object of the array that NumPy wraps around whatever it pickles; lists as they are."""
    content = content.value if isinstance(content, _Array) else content
    return content[0] if isinstance(content, list) and len(content) == 1 else content


def _layers(source: Source, content: Any) -> dict[str, Arrays]:
    if not isinstance(content, dict) or not 0 < len(content) <= _MAX_LAYERS:
        raise source.wrong("holds no dict of layers, as bvlc_alexnet.npy has it")
    layers: dict[str, Arrays] = {}
    for name in sorted(content, key=natural):  # Python 2's dicts have no order
        parts = content[name]
        if isinstance(parts, dict):  # caffe-tensorflow's form
            parts = [parts[key] for key in ("weights", "biases") if key in parts]
        parts = parts.value if isinstance(parts, _Array) else parts
        arrays = [part.value for part in parts if isinstance(part, _Array)] if isinstance(parts, list | tuple) else []
        found = named([array.astype(np.float32) for array in arrays if isinstance(array, np.ndarray)])
        if found is None or len(found) != len(parts):
            raise source.wrong(f"holds no [weight, bias] at {str(name)[:40]!r}")
        weight = found["weight"]
        found["weight"] = weight.transpose(3, 2, 0, 1) if weight.ndim == 4 else weight.T
        layers[str(name)] = found
    return layers
