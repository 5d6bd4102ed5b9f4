"""Every image validates once, and each part is like the whole."""

import numpy as np
import pytest

from alexnet.data.folds import folded, parts
from alexnet.data.sources import open_splits
from alexnet.errors import InputError


def test_parts_share_classes_and_images_evenly() -> None:
    labels = np.repeat([0, 1, 2, 3], [50, 23, 7, 1])
    np.random.default_rng(0).shuffle(labels)
    part = parts(labels, 5, seed=3)
    sizes = np.bincount(part)
    assert sizes.sum() == 81
    assert np.ptp(sizes) <= 1
    assert all(np.ptp(np.bincount(part[labels == label], minlength=5)) <= 1 for label in range(4))
    assert (part == parts(labels, 5, seed=3)).all()
    assert (part != parts(labels, 5, seed=4)).any()


def test_each_image_validates_exactly_once() -> None:
    whole = open_splits("digits", validation=None)
    folds = [folded(whole, number, 4, seed=0) for number in range(1, 5)]
    names = [name for fold in folds if fold.validation for name in fold.validation.names]
    assert sorted(names) == sorted(whole.train.names)
    assert all(fold.validation and not set(fold.train.names) & set(fold.validation.names) for fold in folds)
    assert all(len(fold.train) + len(fold.validation or ()) == 1797 for fold in folds)


def test_sets_that_cannot_be_folded_are_refused() -> None:
    with pytest.raises(InputError, match="its own validation images"):
        folded(open_splits("digits", validation=0.1), 1, 5, 0)
    with pytest.raises(InputError, match="no more than 1,797 training images"):
        folded(open_splits("digits", validation=None), 1, 2000, 0)
