"""Settings of a caller in Python, {'optimizer.lr': 0.01}, as a recipe takes them."""

import os
from collections.abc import Mapping
from typing import Any

from alexnet import arguments
from alexnet.arguments import shown
from alexnet.errors import InputError
from alexnet.recipes.schema import PLACES


def given(*several: Mapping[str, Any]) -> dict[str, Any]:
    """All settings together: NumPy's numbers become Python's own, and a path becomes a string where a file is named.

    InputError for an array, and for a key that has two values.
    """
    found: dict[str, Any] = {}
    for settings in several:
        for key, value in settings.items():
            key, own = str(key), _own(str(key), value)
            if key in found and found[key] != own:
                raise InputError(f"recipe key {key!r} is given twice, as {shown(found[key])} and as {shown(own)}")
            found[key] = own
    return found


def lasting(settings: Mapping[str, Any], epochs: int | None, steps: int | None) -> dict[str, Any]:
    """The settings with the length of a run in epochs, or in steps; None: as they and the recipe say.

    InputError for both, and for settings that say otherwise.
    """
    if steps is not None and epochs is not None:
        raise InputError("give a number of epochs or a number of steps, not both")
    if steps is None and epochs is None:
        return dict(settings)
    if steps is not None:
        name, own = "steps", {"train.steps": arguments.whole("steps", steps)}
    else:
        name, own = "epochs", {"train.epochs": arguments.whole("epochs", epochs), "train.steps": 0}
    for key in ("train.epochs", "train.steps"):
        if key in settings and settings[key] != own.get(key):
            raise InputError(
                f"{key} = {shown(settings[key])} contradicts {name} = {shown(own[f'train.{name}'])}; give one of them"
            )
    return {**settings, **own}


def _own(key: str, value: Any, depth: int = 6) -> Any:
    if isinstance(value, os.PathLike) and key in PLACES:
        return os.fspath(value)
    if isinstance(value, Mapping) and depth:
        return {arguments.plain(name): _own(key, each, depth - 1) for name, each in value.items()}
    if isinstance(value, list | tuple) and depth:
        return [_own(key, each, depth - 1) for each in value]
    array = hasattr(value, "ndim") and hasattr(value, "tolist")
    if array and (getattr(value, "ndim", 0) or arguments.plain(value) is value):
        raise InputError(
            f"recipe key {key!r} takes numbers, strings and lists, not {arguments.kind(value)}: call its tolist()"
        )
    return arguments.plain(value)
