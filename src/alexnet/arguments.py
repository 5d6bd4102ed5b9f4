"""Checks of what a caller in Python passes: an InputError names the argument, what it takes, and what it was given."""

import math
import os
import reprlib
from collections.abc import Iterable
from numbers import Integral, Real
from pathlib import Path
from typing import Any

from alexnet.errors import InputError, unknown

_LONG = 10**30  # from which on reprlib shortens a number
_SHOWN = 8  # of a list: reprlib prints six of them, and six lists one in another
MOST = 2**31 - 1
"""The largest whole number that is taken where nothing else bounds it: torch counts in C's integers."""


def refusal(name: str, takes: str, value: object) -> InputError:
    """The error for a `value` of the argument `name`, which takes something else."""
    return InputError(f"{name} takes {takes}, not {shown(value)}")


def shown(value: object) -> str:
    """A value for a message, in one short line: 1,000 and not np.int64(1000)."""
    value = plain(value)
    if type(value) is int and abs(value) < _LONG:
        return f"{value:,}"
    try:
        return " ".join(reprlib.repr(value).split())
    except ValueError:  # a whole number of more digits than Python writes
        return "a number of thousands of digits"


def kind(value: object) -> str:
    """What a value is, for a message that must not print it: 'an int', 'a Path', 'None'."""
    name = type(value).__name__
    return "None" if value is None else f"{'an' if name[0].lower() in 'aeiou' or name == 'ndarray' else 'a'} {name}"


def plain(value: Any, depth: int = 6) -> Any:
    """A value for a message: of a NumPy scalar Python's own, 0 and not np.int64(0), also in a list or tuple."""
    if type(value) in (list, tuple) and depth:
        return type(value)(plain(each, depth - 1) for each in value[:_SHOWN])
    # NumPy is not imported for it, for which the command line would wait. Its dtypes have an ndim, too.
    scalar = type(value).__module__ == "numpy" and getattr(value, "ndim", 1) == 0 and hasattr(value, "item")
    found = value.item() if scalar else value
    return float(found) if scalar and type(found).__name__ == "longdouble" else found  # which has no Python type


def whole(name: str, value: Any, least: int = 1, most: int = MOST) -> int:
    """`value` as an int. NumPy's integers are whole numbers; True, 2.0 and '2' are not."""
    if isinstance(value, bool) or not isinstance(value, Integral) or (found := int(value)) < least:
        raise refusal(name, f"a whole number of at least {least:,}", value)
    if found > most:
        raise refusal(name, f"a whole number of at most {most:,}", value)
    return found


def number(name: str, value: Any, takes: str = "a finite number") -> float:
    """`value` as a finite float; `takes` says which ones the argument takes."""
    if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value):
        raise refusal(name, takes, value)
    return float(value)


def flag(name: str, value: Any) -> bool:
    """`value` as a bool, also of NumPy's; 1 is none."""
    found = plain(value)
    if not isinstance(found, bool):
        raise refusal(name, "True or False", value)
    return found


def choice(name: str, value: Any, choices: Iterable[str]) -> str:
    """One of `choices`; InputError names the nearest ones, or all."""
    if not isinstance(value, str):
        names = list(choices)
        raise refusal(name, f"one of {', '.join(names)}" if len(names) <= 12 else f"a name such as {names[0]!r}", value)
    if value not in choices:
        raise unknown(name, value, choices)
    return value


def path(name: str, value: Any, takes: str = "a path") -> Path:
    """A path that names something: '' would be the folder in which the program runs, and no system takes '\\0'."""
    said = os.fspath(value) if isinstance(value, str | os.PathLike) else None
    if not isinstance(said, str) or not said or "\0" in said:
        raise refusal(name, takes, value)
    return Path(said)


def text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise refusal(name, "a string", value)
    return value


def texts(name: str, value: Any, such: str) -> tuple[str, ...]:
    """A list of strings; `such`: an example. A string alone would be taken for its letters."""
    if not isinstance(value, str | bytes) and isinstance(value, Iterable):
        found = tuple(value)
        if all(isinstance(each, str) for each in found):
            return found
    raise refusal(name, f"a list of strings such as {such}", value)


def sides(name: str, value: Any, most: int = 2**16) -> tuple[int, int]:
    """(height, width) in pixels, of one number for both or of two."""
    pair = (value, value) if isinstance(value, Integral) else value
    if not isinstance(pair, tuple | list) or len(pair) != 2:
        raise refusal(name, "a number of pixels, or (height, width)", value)
    height, width = (whole(name, side, most=most) for side in pair)
    return height, width


def calls(name: str, value: Any) -> None:
    """InputError for what is neither None nor can be called."""
    if value is not None and not callable(value):
        raise refusal(name, "a function, or None", value)
