"""k-fold cross-validation: the training images in k parts, each of which validates once."""

import dataclasses

import numpy as np

from alexnet.data.splits import Splits
from alexnet.errors import InputError


def folded(splits: Splits, fold: str, seed: int) -> Splits:
    """The splits with part i of k of the training images validating, for `fold` 'i/k'; the others train.

    The division depends on `seed` and k alone. Raises InputError when the set has validation images of its own, or
    too few images.
    """
    number, of = map(int, fold.split("/"))
    if splits.validation is not None:
        raise InputError(f"data.fold cuts validation from training, but {splits.set} has its own validation images")
    if of > len(splits.train):
        raise InputError(f"data.fold is {fold!r}, but there are only {len(splits.train)} images to train")
    part = parts(splits.train.labels, of, seed)
    train, held = (splits.train.subset(np.flatnonzero(chosen)) for chosen in (part != number - 1, part == number - 1))
    return dataclasses.replace(splits, train=train, validation=held)


def parts(labels: np.ndarray, of: int, seed: int) -> np.ndarray:
    """For each image, given its class (int64 [n]), the part from 0 to `of` − 1 that it falls into: int64 [n].

    Every part has the same share of each class and of all images, each to within one image. (scikit-learn's
    splitter refuses classes with fewer images than parts.)
    """
    shuffled = np.random.default_rng(seed).permutation(len(labels))
    by_class = shuffled[np.argsort(labels[shuffled], kind="stable")]
    part = np.empty(len(labels), np.int64)
    part[by_class] = np.arange(len(labels)) % of  # dealt out like cards, class after class
    return part
