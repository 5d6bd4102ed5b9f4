"""Validation is cut from training by class, by seed, and again by name."""

import numpy as np
import pytest

from alexnet.data.splits import by_names, drawn, stratified
from alexnet.errors import InputError


def test_every_class_gives_its_share() -> None:
    labels = np.repeat([0, 1, 2], [100, 50, 10])
    train, held = stratified(labels, 0.1, seed=3)
    assert len(held) == 16
    assert sorted(np.concatenate([train, held])) == list(range(160))
    counts = np.bincount(labels[held])
    assert np.abs(counts - [10, 5, 1]).max() <= 1
    assert (np.diff(train) > 0).all()
    assert (np.diff(held) > 0).all()


def test_the_seed_decides() -> None:
    labels = np.arange(200) % 4
    assert np.array_equal(stratified(labels, 0.2, 1)[1], stratified(labels, 0.2, 1)[1])
    assert not np.array_equal(stratified(labels, 0.2, 1)[1], stratified(labels, 0.2, 2)[1])


def test_no_class_is_emptied() -> None:
    labels = np.array([0, 1, 2, 2, 2, 3, 3])
    for seed in range(20):
        train, held = stratified(labels, 0.9, seed)
        assert set(labels[train]) == {0, 1, 2, 3}
        assert set(labels[held]) == {2, 3}
    assert len(stratified(labels, 0.01, 0)[1]) == 1


def test_what_cannot_be_cut() -> None:
    with pytest.raises(InputError, match="one image only"):
        stratified(np.arange(5), 0.2, 0)
    for fraction in (0, 1, -0.1):
        with pytest.raises(InputError, match="between 0 and 1"):
            stratified(np.zeros(5, int), fraction, 0)


def test_so_many_of_each_class_train_and_each_class_keeps_one_to_test() -> None:
    labels = np.repeat([0, 1], [5, 4])
    train, test = drawn(labels, ("a", "b"), per_class=3, total=None, seed=0)
    assert np.bincount(labels[train]).tolist() == [3, 3]
    assert np.bincount(labels[test]).tolist() == [2, 1]
    with pytest.raises(InputError, match="4 of each class train, and class 'b' has 4 in all"):
        drawn(labels, ("a", "b"), per_class=4, total=None, seed=0)


def test_a_recorded_split_is_restored() -> None:
    train, held = by_names(["a", "b", "c"], ["c", "a"])
    assert (train.tolist(), held.tolist()) == ([1], [0, 2])
    with pytest.raises(InputError, match=r"1 image of .* such as d"):
        by_names(["a", "b"], ["a", "d"])
