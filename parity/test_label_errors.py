"""Likely label errors beside cleanlab's, from the same probabilities of the same digits."""

import numpy as np
import pytest

import alexnet
from alexnet.insight.check import labels

cleanlab = pytest.importorskip("cleanlab")


@pytest.mark.parametrize("share", [0.02, 0.1])
def test_confident_learning_is_that_of_cleanlab(share: float) -> None:
    digits = alexnet.dataset("digits", split="train")
    random = np.random.default_rng(0)
    given = digits.labels.copy()
    wrong = random.permutation(len(given))[: round(share * len(given))]
    given[wrong] = (given[wrong] + 1 + random.integers(9, size=len(wrong))) % 10
    pixels = digits.batch(np.arange(len(digits))).reshape(len(digits), -1).astype(np.float32)
    probabilities = labels.unseen_probabilities(pixels, given)
    ours = [row for row, _ in labels.confident(given, probabilities)]
    theirs = cleanlab.filter.find_label_issues(
        given, probabilities, return_indices_ranked_by="self_confidence", filter_by="confident_learning", n_jobs=1
    ).tolist()
    assert ours == theirs
    assert len(set(ours) & set(wrong)) > 0.7 * len(wrong)  # planted ones are found
    assert len(set(ours) & set(wrong)) > 0.7 * len(ours)  # and most of what is found was planted
