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


def published_feature_cka(x: np.ndarray, y: np.ndarray) -> float:
    """Debiased linear CKA in feature space by the formula of Kornblith et al.'s published code (google-research,
    representation_similarity/Demo.ipynb, feature_space_linear_cka): another path than kernels of images."""
    x, y = x - x.mean(0), y - y.mean(0)
    n = len(x)

    def similarity(a: np.ndarray, b: np.ndarray) -> float:
        rows = np.einsum("ij,ij->i", a, a) @ np.einsum("ij,ij->i", b, b)
        norms = (a**2).sum() * (b**2).sum()
        return float(((a.T @ b) ** 2).sum() - n / (n - 2) * rows + norms / ((n - 1) * (n - 2)))

    return similarity(x, y) / np.sqrt(similarity(x, x) * similarity(y, y))


def published_gram_cka(k: np.ndarray, other: np.ndarray) -> float:
    """Debiased CKA of kernels as that notebook centers them (center_gram, unbiased=True; Székely and Rizzo 2014)."""

    def centered(gram: np.ndarray) -> np.ndarray:
        gram, n = gram.copy(), len(gram)
        np.fill_diagonal(gram, 0)
        means = gram.sum(0) / (n - 2)
        means -= means.sum() / (2 * (n - 1))
        gram -= means[:, None] + means[None, :]
        np.fill_diagonal(gram, 0)
        return gram

    k, other = centered(k), centered(other)
    return float((k * other).sum() / (np.linalg.norm(k) * np.linalg.norm(other)))


@pytest.mark.parametrize("other", [Y, X @ np.linalg.qr(X.T @ X)[0], X[::-1]])
def test_cka_is_that_of_its_published_formulas(other: np.ndarray) -> None:
    assert rsa.cka(X, other) == pytest.approx(published_feature_cka(X, other), abs=1e-9)
    assert rsa.cka(X, other) == pytest.approx(published_gram_cka(X @ X.T, other @ other.T), abs=1e-9)

    def rbf(x: np.ndarray) -> np.ndarray:
        distance = ((x[:, None] - x[None]) ** 2).sum(2)
        return np.exp(-distance / (2 * np.median(distance[~np.eye(len(x), dtype=bool)])))

    assert rsa.cka(X, other, "rbf") == pytest.approx(published_gram_cka(rbf(X), rbf(other)), abs=1e-9)
