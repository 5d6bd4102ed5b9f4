"""bvlc_alexnet.npy and its like: a Python dict, layer name → [weight, bias], that NumPy pickled.

The pickle is read by `inert`: NumPy's own functions are replaced by ones that note bytes, dtype and shape.
Facts: the format of .npy, numpy.org/neps/nep-0001-npy-format.html; weights HWIO and the flatten order NHWC, as
TensorFlow has them.
"""

import io
import re
import warnings
from typing import Any

import numpy as np

from alexnet.weights import inert
from alexnet.weights.foreign import Arrays, Budget, Foreign, Source, named, natural

MAGIC = b"\x93NUMPY"
_MAX_LAYERS = 1000


class _Dtype:
    """numpy.dtype(code, align, copy): numbers, or the object type of the outermost array."""

    def __init__(self, code: object, *_: object):
        if not (isinstance(code, str) and re.fullmatch(r"[fiuO]\d{0,2}", code)):
            raise inert.Refused(f"holds {str(code)[:20]!r} where weights are numbers")
        self.dtype = np.dtype(code)

    def build(self, state: tuple[Any, ...]) -> None:
        self.dtype = self.dtype.newbyteorder(state[1])


class _Array:
    """numpy.ndarray, which is built empty and then given its state."""

    value: np.ndarray | list[Any]

    def __init__(self, *_: object):
        self.value = []

    def build(self, state: tuple[Any, ...]) -> None:
        _, shape, kind, fortran, data = state
        if kind.dtype.hasobject:
            self.value = list(data)
        else:
            content = data.encode("latin1") if isinstance(data, str) else data
            self.value = np.frombuffer(content, kind.dtype).reshape(shape, order="F" if fortran else "C")


_KNOWN: dict[tuple[str, str], Any] = {
    ("numpy", "dtype"): _Dtype,
    ("numpy", "ndarray"): _Array,
    ("collections", "OrderedDict"): lambda pairs=(): {key: value for key, value in pairs if isinstance(key, str)},
    ("_codecs", "encode"): lambda text, encoding="latin1": text.encode("latin1"),  # how Python 3 writes Python 2 bytes
}
for _module in ("numpy.core.multiarray", "numpy._core.multiarray"):
    _KNOWN[_module, "_reconstruct"] = _Array


def read_npy(source: Source) -> Foreign:
    """Reads the dict. InputError for anything but arrays of numbers in plain containers."""
    file = io.BytesIO(source.content)
    try:
        version = np.lib.format.read_magic(file)
        header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # NumPy advises to write a header of Python 2 anew
            shape, _, dtype = header(file)
        if not dtype.hasobject or shape not in ((), (1,)):
            raise inert.Refused("is one array; a dict of layers was expected, as bvlc_alexnet.npy has it")
        content = inert.load(file, _KNOWN)
        layers = _layers(source, _unwrapped(content))
    except inert.Refused as refused:
        raise source.wrong(str(refused)) from None
    except Exception as error:  # a damaged pickle makes nearly anything go wrong
        raise source.damaged(error) from None
    return Foreign("npy", layers, flatten="NHWC", prefer=("alexnet-tf",))


def _unwrapped(content: Any) -> Any:
    """The one object of the array that NumPy wraps around whatever it pickles; lists as they are."""
    content = content.value if isinstance(content, _Array) else content
    return content[0] if isinstance(content, list) and len(content) == 1 else content


def _layers(source: Source, content: Any) -> dict[str, Arrays]:
    if not isinstance(content, dict) or not 0 < len(content) <= _MAX_LAYERS:
        raise inert.Refused("holds no dict of layers, as bvlc_alexnet.npy has it")
    budget, layers = Budget(source), {}
    for name in sorted(content, key=natural):  # Python 2's dicts have no order
        parts = content[name]
        if isinstance(parts, dict):  # caffe-tensorflow's form
            parts = [parts[key] for key in ("weights", "biases") if key in parts]
        parts = parts.value if isinstance(parts, _Array) else parts
        arrays = [part.value for part in parts if isinstance(part, _Array)] if isinstance(parts, list | tuple) else []
        found = named([budget.floats(array) for array in arrays if isinstance(array, np.ndarray)])
        if found is None or len(found) != len(parts):
            raise inert.Refused(f"holds no [weight, bias] at {str(name)[:40]!r}")
        weight = found["weight"]
        found["weight"] = weight.transpose(3, 2, 0, 1) if weight.ndim == 4 else weight.T
        layers[str(name)] = found
    return layers
