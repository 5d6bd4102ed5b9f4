"""Errors that the user can correct, in one line each."""

import difflib
from collections.abc import Iterable, Sequence
from os import PathLike

_FEW = 6  # choices that are all named


class InputError(ValueError):
    """The user's input is wrong. Its text is one line that names the valid choices; the command line exits with 2."""


class MissingData(InputError):
    """Images or weights that are not on this machine; `what` names them in a few words, `otherwise` is the line for who
    cannot say where they are with an option."""

    def __init__(self, what: str, text: str, otherwise: str | None = None):
        super().__init__(text)
        self.what, self.otherwise = what, otherwise or text


def escaped(text: str) -> str:
    """A text out of somebody's file for a terminal: what cannot be printed as Python writes it, such as \\x1b."""
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)


def counted(count: int, one: str, many: str = "") -> str:
    """How many there are of what: '1 image', '1,200 images'; `many`: the plural that is not `one` with an s."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def agreeing(names: Sequence[str], one: str, many: str) -> str:
    """Names with the verb that they take: 'fc8 is', 'fc7, fc8 are'."""
    return f"{', '.join(names)} {one if len(names) == 1 else many}"


def unknown(kind: str, name: object, choices: Iterable[str]) -> InputError:
    """An InputError for a `name` that is not among `choices`: the nearest ones where there are any, and all when there
    are no more than six, or none is near."""
    names = list(choices)
    is_name, few = isinstance(name, str | PathLike), len(names) <= _FEW
    said = f"unknown {kind} {(str(name) if is_name else name)!r}"
    near = nearest(str(name), names, cutoff=0.6 if few else 0.5) if is_name else []
    listed = ", ".join(names) if len(names) <= 40 else ", ".join(names[:40]) + ", …"
    if not near:
        return InputError(f"{said}; choose one of: {listed}")
    return InputError(f"{said}; did you mean {' or '.join(near)}?" + (f" Choose one of: {listed}" if few else ""))


def nearest(name: str, choices: Iterable[str], cutoff: float = 0.5) -> list[str]:
    """Up to three of `choices` that are written much like `name`, the nearest first; capitals do not matter."""
    folded = {each.casefold(): each for each in choices}
    if name.casefold() in folded:
        return [folded[name.casefold()]]
    return [folded[each] for each in difflib.get_close_matches(name.casefold(), folded, n=3, cutoff=cutoff)]
