"""RDMs and their agreement beside rsatoolbox's."""

import numpy as np
import pytest
from rsatoolbox.data import Dataset
from rsatoolbox.rdm import calc_rdm, compare

from alexnet.insight import rsa

X = np.random.default_rng(0).standard_normal((20, 30))
Y = X[:, :15] + np.random.default_rng(1).standard_normal((20, 15))


@pytest.mark.parametrize(("ours", "theirs"), [("correlation", "correlation"), ("euclidean", "euclidean")])
def test_dissimilarities(ours: str, theirs: str) -> None:
    found = calc_rdm(Dataset(X), method=theirs).get_matrices()[0]
    own = rsa.rdm(X, ours)
    np.testing.assert_allclose(own**2 / X.shape[1] if ours == "euclidean" else own, found, atol=1e-8)  # mean of squares


@pytest.mark.parametrize(("ours", "theirs"), [("pearson", "corr"), ("spearman", "spearman"), ("kendall", "tau-b")])
def test_agreement(ours: str, theirs: str) -> None:
    one, other = (calc_rdm(Dataset(each), method="correlation") for each in (X, Y))
    expected = float(compare(one, other, method=theirs)[0, 0])
    assert rsa.compare(rsa.rdm(X), rsa.rdm(Y), ours) == pytest.approx(expected, abs=1e-8)
