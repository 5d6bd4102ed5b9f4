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
    assert "same images" in refused("rsa", tmp_path / "a.npy", tmp_path / "short.npy", "--out", out, "--force")
    assert "no dissimilarity matrix" in refused("rsa", *given, "--rdm", tmp_path / "a.npy", "--out", out, "--force")


def test_intervals_and_the_noise_band_hold_what_they_must() -> None:
    found = rsa.analyze({"a": X, "b": Y, "c": Y + 0.01}, draws=50)
    value, bounds = found.value("a", "b")
    assert bounds
    assert bounds[0] < value < bounds[1]
    assert bounds == rsa.bootstrap(rsa.rdm(X), rsa.rdm(Y), draws=50)
    assert rsa.analyze({"a": X, "b": Y}).intervals is None
    with pytest.raises(InputError, match="intervals are those of RSA"):
        rsa.analyze({"a": X, "b": Y}, "cka", draws=10)
    seeds = [{"fc7": X + 0.3 * np.random.default_rng(n).standard_normal(X.shape), "conv1": X} for n in range(3)]
    band = rsa.noise(seeds)
    pairs = [rsa.compare(rsa.rdm(seeds[i]["fc7"]), rsa.rdm(seeds[j]["fc7"])) for i, j in ((0, 1), (0, 2), (1, 2))]
    assert band == {"fc7": pytest.approx((min(pairs), max(pairs))), "conv1": pytest.approx((1, 1))}
    with pytest.raises(InputError, match="two seeds or more"):
        rsa.noise(seeds[:1])
    with pytest.raises(InputError, match="numbers 1 and 3 of the seeds have the same features"):
        rsa.noise([seeds[0], seeds[1], seeds[0]])


def test_files_are_compared_layer_by_layer(tmp_path: Path, command: Callable, refused: Callable[..., str]) -> None:
    random = np.random.default_rng(0)
    for place in ("one/f", "two/f", "seed1", "seed2"):
        (tmp_path / place).parent.mkdir(exist_ok=True)
        layers = {layer: X + 0.2 * random.standard_normal(X.shape) for layer in ("conv1", "fc7")}
        np.savez(tmp_path / f"{place}.npz", **layers)  # pyright: ignore[reportArgumentType]
    np.save(tmp_path / "human.npy", rsa.rdm(Y))
    files = [tmp_path / "one" / "f.npz", tmp_path / "two" / "f.npz"]  # two files of one name
    seeds = ["--seed-file", tmp_path / "seed1.npz", "--seed-file", tmp_path / "seed2.npz"]
    options = [*seeds, "--rdm", tmp_path / "human.npy", "--bootstrap", 20, "--out", tmp_path / "r.png", "--force"]
    said = json.loads(command("rsa", *files, *options, "--json").out)
    assert len(said["names"]) == len(set(said["names"])) == 5
    assert np.shape(said["intervals"]) == (5, 5, 2)
    assert set(said["noise"]) == {"conv1", "fc7"}
    plain = command("rsa", *files, *options).out
    assert plain.count("between seeds") == 6  # the two layers of the second file, and four with the matrix
    low, high = said["intervals"][0][1]
    first, other = said["names"][:2]
    assert f"{first} – {other}  " in plain
    assert f"{said['table'][0][1]:.3f}  {low:.3f} to {high:.3f}\n" in plain
    assert plain.count(" to ") == 10 + 6
    one = command("rsa", files[0], "--bootstrap", 20, "--out", tmp_path / "r.png", "--force").out
    assert one.count(" to ") == 1  # two layers of one file are a pair, too
    assert "95 %" not in command("rsa", files[0], "--out", tmp_path / "r.png", "--force").out
    assert "two seeds or more" in refused("rsa", *files, "--seed-file", tmp_path / "seed1.npz")
    assert "two of the sets have the same name" in refused(
        "rsa", files[0], "--rdm", tmp_path / "human.npy", "--rdm", tmp_path / "human.npy"
    )


def test_only_pairs_of_different_images_are_compared() -> None:
    one, other = np.zeros((3, 3)), np.zeros((3, 3))
    one[np.triu_indices(3, 1)], other[np.triu_indices(3, 1)] = (1, 2, 3), (3, 2, 1)
    assert rsa.compare(one, other) == pytest.approx(-1)  # the zeros of the diagonal agree
    upper = np.triu(np.arange(1.0, 65).reshape(8, 8), 1)
    one = upper + upper.T
    other = np.where(one > 0, 65 - one, 0.0)
    assert rsa.bootstrap(one, other, draws=50) == pytest.approx((-1, -1))  # drawn twice, an image is no pair
