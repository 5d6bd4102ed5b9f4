"""RDMs, their agreement, and CKA, against what is known of them. rsatoolbox: parity/."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from alexnet.errors import InputError
from alexnet.insight import rsa

X = np.random.default_rng(0).standard_normal((20, 30))
Y = X[:, :15] + np.random.default_rng(1).standard_normal((20, 15))


def test_dissimilarities_are_their_formulas() -> None:
    assert rsa.rdm(X)[2, 5] == pytest.approx(1 - np.corrcoef(X[2], X[5])[0, 1])
    cosine = X[2] @ X[5] / np.linalg.norm(X[2]) / np.linalg.norm(X[5])
    assert rsa.rdm(X, "cosine")[2, 5] == pytest.approx(1 - cosine)
    assert rsa.rdm(X, "euclidean")[2, 5] == pytest.approx(np.linalg.norm(X[2] - X[5]))
    for distance in rsa.DISTANCES:
        np.testing.assert_array_equal(np.diag(rsa.rdm(X, distance)), 0)


def test_agreement_ignores_what_it_should() -> None:
    one, other = rsa.rdm(X), rsa.rdm(Y)
    for how in ("spearman", "kendall", "pearson"):
        assert rsa.compare(one, one, how) == pytest.approx(1)
        assert -0.5 < rsa.compare(one, other, how) < 0.9
    assert rsa.compare(one, one**3, "spearman") == pytest.approx(1)
    assert rsa.compare(one, one**3, "pearson") < 0.999
    low, high = rsa.bootstrap(one, other)
    assert low < rsa.compare(one, other) < high


@pytest.mark.parametrize("kernel", ["linear", "rbf"])
def test_cka_sees_rotations_and_scales_as_equal_and_noise_as_nothing(kernel: str) -> None:
    turned = 3 * X @ np.linalg.qr(np.random.default_rng(2).standard_normal((30, 30)))[0]
    assert rsa.cka(X, turned, kernel) == pytest.approx(1)
    random = np.random.default_rng(3)
    others = [rsa.cka(X, random.standard_normal((20, 500)), kernel) for _ in range(20)]
    assert abs(np.mean(others)) < 0.1  # debiased: not near 1 however many the features


def test_bad_input_is_refused() -> None:
    for call, said in (
        (lambda: rsa.rdm(X, "manhattan"), "unknown distance"),
        (lambda: rsa.rdm(X[:2]), "3 to 5,000"),
        (lambda: rsa.rdm(np.ones((4, 3))), "constant features"),
        (lambda: rsa.compare(rsa.rdm(X), rsa.rdm(X[:5])), "same ones"),
        (lambda: rsa.cka(X, Y[:9]), "same images"),
        (lambda: rsa.analyze({"a": X, "b": Y[:9]}), "same images: a 20, b 9"),
        (lambda: rsa.analyze({"a": X}, "mantel"), "unknown comparison"),
        (lambda: rsa.analyze({"a": rsa.rdm(X)}, "cka", given=["a"]), "CKA needs features"),
        (lambda: rsa.checked_rdm(X, "x.npy"), "square, symmetric"),
    ):
        with pytest.raises(InputError, match=said):
            call()


def test_files_are_compared(tmp_path: Path, command: Callable, refused: Callable) -> None:
    for name, values in (("a", X), ("b", Y), ("short", Y[:9]), ("mine", rsa.rdm(X))):
        np.save(tmp_path / f"{name}.npy", values.astype(np.float64))
    out = tmp_path / "r.png"
    given = (tmp_path / "a.npy", tmp_path / "b.npy")
    said = json.loads(command("rsa", *given, "--rdm", tmp_path / "mine.npy", "--out", out, "--json").out)
    assert said["names"] == ["a:a", "b:b", "mine"]
    assert said["table"][0][2] == pytest.approx(1)
    assert said["table"][0][1] == pytest.approx(rsa.compare(rsa.rdm(X), rsa.rdm(Y)))
    assert out.stat().st_size > 1_000
    assert "same images" in refused("rsa", tmp_path / "a.npy", tmp_path / "short.npy", "--out", out)
    assert "no dissimilarity matrix" in refused("rsa", *given, "--rdm", tmp_path / "a.npy", "--out", out)
