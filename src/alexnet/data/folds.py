"""k-fold cross-validation: the training images in k parts, each of which validates once."""

import dataclasses

import numpy as np

from alexnet.data import groups
from alexnet.data.splits import Splits, strata
from alexnet.errors import InputError, counted


def folded(splits: Splits, fold: int, folds: int, seed: int, group_by: str | None = None) -> Splits:
    """The splits with part `fold` (from 1) of `folds` of the training images for validation.

    The division depends on `seed` and `folds` alone. `group_by`: a regular expression; images in whose names it finds
    the same group lie in one part. Raises InputError when the dataset has a validation split, or too
    few images.
    """
    if splits.validation is not None:
        raise InputError(f"data.folds validates on training images, but {splits.name} has its own validation images")
    if folds > len(splits.train):
        raise InputError(
            f"data.folds is {folds}, but there is no more than {counted(len(splits.train), 'training image')}"
        )
    numbers = groups.of(splits.train.names, splits.groups, group_by)
    if numbers is None:
        part = parts(splits.train.targets, folds, seed)
    else:
        part = groups.parts(splits.train.targets, numbers, folds, seed)
    train, held = (splits.train.subset(np.flatnonzero(chosen)) for chosen in (part != fold - 1, part == fold - 1))
    return dataclasses.replace(splits, train=train, validation=held)


def parts(labels: np.ndarray, of: int, seed: int) -> np.ndarray:
    """For each image, given its class (as `Dataset.targets`), its part, from 0 to `of` − 1: int64 [n].

    Every part has the same share of each class and of all images, each to within one image. (scikit-learn's
    splitter refuses classes with fewer images than parts.)
    """
    labels = strata(labels)
    shuffled = np.random.default_rng(seed).permutation(len(labels))
    by_class = shuffled[np.argsort(labels[shuffled], kind="stable")]
    part = np.empty(len(labels), np.int64)
    part[by_class] = np.arange(len(labels)) % of  # dealt out like cards, class after class
    return part
