"""The PCA color augmentation of a run: from its training images, or from another run's card."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from alexnet.artifacts import card as cards
from alexnet.artifacts.card import RunCard
from alexnet.artifacts.store import CARD
from alexnet.data.splits import Splits
from alexnet.data.statistics import spectrum
from alexnet.data.transforms.color import PCAColor, Spectrum
from alexnet.errors import InputError, counted
from alexnet.recipes.schema import Augment


def pca_color(augment: Augment, splits: Splits, own: Mapping[str, Any] | None = None) -> PCAColor | None:
    """What the recipe asks for, None when that is nothing. InputError for a matrix that is not of these images.

    `own`: the fields of the run's own matrix, when it is resumed.

    A matrix from a card is taken when its run had the same dataset with the same classes (another split or seed
    will do), and it has these images' channels and is the spectrum of a covariance.
    """
    if not augment.pca_color:
        return None
    if own:
        found = Spectrum(**own)
    else:
        found = (
            spectrum(splits.train) if augment.pca_color_from is None else _read(Path(augment.pca_color_from), splits)
        )
    until = math.inf if augment.pca_color_until is None else float(augment.pca_color_until)
    return PCAColor(found, augment.pca_color, augment.pca_color_form, until)


def _read(path: Path, splits: Splits) -> Spectrum:
    path = path / CARD if path.is_dir() else path
    try:
        card = cards.read(path)
    except OSError as error:
        raise InputError(f"augment.pca_color_from: {str(path)!r} cannot be read ({error.strerror})") from None
    except InputError as error:
        raise InputError(f"augment.pca_color_from: {error}") from None
    own = f"PCA color augmentation of {str(path)!r}"
    if not isinstance(card, RunCard) or card.pca_color is None:
        raise InputError(f"{str(path)!r} holds no PCA color augmentation: its run was trained without")
    kept = card.pca_color
    try:
        found = Spectrum(kept.eigenvalues, kept.eigenvectors, kept.images)
    except InputError as error:
        raise InputError(f"{own} cannot be used: {error}") from None
    if found.channels != splits.train.channels:
        raise InputError(
            f"{own} is for {counted(found.channels, 'channel')}, these images have {splits.train.channels}"
        )
    if (card.data.name, card.classes) != (splits.name, splits.train.classes):
        raise InputError(
            f"{own} was computed from {card.data.name!r} with {_few(card.classes)}, not from these images "
            f"({splits.name!r} with {_few(splits.train.classes)}); leave augment.pca_color_from out to compute it anew"
        )
    return found


def _few(classes: Sequence[str]) -> str:
    return ", ".join(map(repr, classes[:3])) + (f" and {len(classes) - 3:,} more" if len(classes) > 3 else "")
