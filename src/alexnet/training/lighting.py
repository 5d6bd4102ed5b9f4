"""The lighting of a run: from its training pictures, or from another run's card."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from alexnet.data.colour import Lighting, Spectrum
from alexnet.data.splits import Splits
from alexnet.data.statistics import spectrum
from alexnet.errors import InputError
from alexnet.files import read_json
from alexnet.recipes.schema import Augment
from alexnet.weights.store import CARD


def lighting(augment: Augment, splits: Splits, own: Mapping[str, Any] | None = None) -> Lighting | None:
    """What the recipe asks for, None when that is nothing. InputError for a matrix that is not of these pictures.

    `own`: the fields of the run's own matrix, when it is resumed.

    A matrix from a card is taken when its run had the same picture set with the same classes (another split or seed
    will do), and it has these pictures' channels and is the spectrum of a covariance.
    """
    if not augment.lighting:
        return None
    if own:
        found = Spectrum(**own)
    else:
        found = spectrum(splits.train) if augment.lighting_from is None else _read(Path(augment.lighting_from), splits)
    until = math.inf if augment.lighting_until is None else augment.lighting_until
    return Lighting(found, augment.lighting, augment.lighting_form, until)


def _read(path: Path, splits: Splits) -> Spectrum:
    path = path / CARD if path.is_dir() else path
    try:
        card = read_json(path)
    except FileNotFoundError:
        raise InputError(f"augment.lighting_from: no card at {str(path)!r}") from None
    except (json.JSONDecodeError, UnicodeDecodeError, OSError) as error:
        raise InputError(f"augment.lighting_from: {str(path)!r} is not a card: {error}") from None
    own = f"the lighting of {str(path)!r}"
    try:
        values = card["lighting"]
        vectors = tuple(tuple(float(entry) for entry in vector) for vector in values["eigenvectors"])
        found = Spectrum(tuple(float(value) for value in values["eigenvalues"]), vectors, int(values["pictures"]))
        where = card["data"]["set"]
        same = where == splits.set and list(card["classes"]) == list(splits.train.classes)
    except InputError as error:
        raise InputError(f"{own} cannot be used: {error}") from None
    except (KeyError, TypeError, ValueError):
        raise InputError(f"{str(path)!r} holds no lighting: its run was trained without") from None
    if found.channels != splits.train.channels:
        raise InputError(f"{own} is for {found.channels} channels, these pictures have {splits.train.channels}")
    if not same:
        raise InputError(
            f"{own} was computed from {where!r} with {_few(card['classes'])}, not from these pictures "
            f"({splits.set!r} with {_few(splits.train.classes)}); leave augment.lighting_from out to compute it anew"
        )
    return found


def _few(classes: Sequence[str]) -> str:
    return ", ".join(map(repr, classes[:3])) + (f" and {len(classes) - 3:,} more" if len(classes) > 3 else "")
