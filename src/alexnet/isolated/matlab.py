"""MATLAB files of version 5, read by a process of their own (`child`): damaged ones have ended SciPy's reader."""

from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

from alexnet.isolated.child import Broken, Sink, ask


@dataclass(frozen=True)
class Variables:
    numbers: dict[str, np.ndarray]
    texts: dict[str, list[str]]
    """Of texts, and of cells the first text or number of each."""


def read(file: BinaryIO) -> Variables:
    """A file's variables by name; the file is open at its beginning. Broken says what is wrong with it."""
    found = ask(__name__, file)
    return Variables(found.arrays, found.about)


def find(file: BinaryIO, give: Sink) -> dict[str, list[str]]:
    """What the process does."""
    from scipy.io import loadmat

    try:
        variables: dict[str, Any] = loadmat(file)
    except NotImplementedError:
        raise Broken("is a MATLAB file of version 7.3, which is HDF5: name it .h5") from None
    texts = {}
    for name, value in variables.items():
        if name.startswith("__"):
            continue
        if value.dtype.kind in "OU":
            texts[name] = [str(np.asarray(cell).reshape(-1)[0]) for cell in value.reshape(-1)]
        else:
            give(name, value.shape, value.dtype, [value])
    return texts
