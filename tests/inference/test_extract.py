"""Features in files: every format gives back what was computed, and says where it comes from."""

import json
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from PIL import Image
from scipy.io import loadmat
from sklearn.decomposition import PCA

from alexnet.artifacts.run import Run
from alexnet.errors import InputError
from alexnet.files import sha256
from alexnet.inference import extract as module
from alexnet.inference import feature_write
from alexnet.inference.extract import extract, partial_folder
from alexnet.inference.feature_read import read
from alexnet.inference.features import features, want
from alexnet.inference.images import Images, open_images
from alexnet.inference.opening import Opened, open_model
from alexnet.inference.recheck import recheck
from alexnet.inference.rows import Transform

LAYERS = ["conv5:pre", "fc7"]


@pytest.fixture
def digits_run(trained: Run) -> Opened:
    return open_model(trained)


@pytest.fixture
def folder(tmp_path: Path) -> Images:
    """21 images in two class folders."""
    random = np.random.default_rng(0)
    for number in range(21):
        place = tmp_path / "images" / "ab"[number % 2] / f"{number:02}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 256, (8, 8), np.uint8)).save(place)
    return open_images([tmp_path / "images"])


@pytest.mark.parametrize("name", ["f.npz", "f.h5", "f.mat", "f.parquet", "f.pt", "f.npy", "f.csv", "features.npy",
                                  "features.hdf5", "features.mat"])  # fmt: skip
def test_every_format_gives_back_what_was_computed(
    digits_run: Opened, folder: Images, tmp_path: Path, name: str
) -> None:
    layers = LAYERS if name.startswith("f.") and name not in ("f.npy", "f.csv") else ["conv5:pre"]
    wanted = want(digits_run.model, layers)
    done = extract(digits_run, folder, wanted, tmp_path / name, command="the command", batch_size=4)
    assert (done.count, done.failed, done.resumed) == (21, (), 0)
    found = read(tmp_path / name)
    expected = features(digits_run.model, folder, layers, batch_size=4)
    assert list(found.layers) == layers
    for layer, values in expected.items():
        np.testing.assert_array_equal(found.layer(layer), values.reshape(21, -1))
        if name != "f.csv":
            assert found.layers[layer].shape == values.shape
    assert found.names == list(folder.names)
    assert found.labels is not None
    assert found.labels.tolist() == [0] * 11 + [1] * 10
    assert found.classes == ("a", "b")
    assert found.digests == [sha256(tmp_path / "images" / each) for each in folder.names]
    said = found.provenance
    assert said is not None
    assert said["network"] == "alexnet-digits"
    assert said["weights"]["sha256"] == sha256(digits_run.model.path / "best.safetensors")
    assert said["lrn"][0]["k"] == 2
    assert said["preprocessing"]["colors"] == "L"
    assert (said["precision"], said["command"]) == ("fp32", "the command")
    assert said["environment"]["torch"] == torch.__version__
    assert {layer: each["tap"] for layer, each in said["layers"].items()} == dict(zip(layers, wanted.taps, strict=True))
    found.verify()
    assert not partial_folder(tmp_path / name).exists()
    assert recheck(digits_run, folder, tmp_path / name, 4).agree


def test_files_read_as_their_own_programs_read_them(digits_run: Opened, folder: Images, tmp_path: Path) -> None:
    expected = features(digits_run.model, folder, ["fc7"])["fc7"]
    for name in ("f.npz", "f.h5", "f.mat", "f.pt", "f.npy", "features.hdf5", "features.mat"):
        again = name == "features.mat"  # THINGSvision's list of names lies beside both of the last two
        extract(digits_run, folder, want(digits_run.model, ["fc7"]), tmp_path / name, force=again)
    np.testing.assert_allclose(np.load(tmp_path / "f.npy"), expected, rtol=1e-5, atol=1e-5)
    with np.load(tmp_path / "f.npz") as content:  # no pickle
        assert content["names"].tolist() == list(folder.names)
        assert json.loads(str(content["provenance"]))["network"] == "alexnet-digits"
        np.testing.assert_allclose(content["fc7"], expected, rtol=1e-5, atol=1e-5)
    with h5py.File(tmp_path / "f.h5") as file:
        assert set(file) == {"fc7", "names", "labels", "classes", "image_sha256"}
        assert json.loads(str(file.attrs["provenance"]))["network"] == "alexnet-digits"
    with h5py.File(tmp_path / "features.hdf5") as file:  # as thingsvision/utils/storing/helpers.py writes it
        assert list(file) == ["features"]
        assert file["features"].shape == (21, 128)  # pyright: ignore
    assert (tmp_path / "file_names.txt").read_text().splitlines() == list(folder.names)
    assert loadmat(tmp_path / "features.mat")["features"].shape == (21, 128)
    mat = loadmat(tmp_path / "f.mat")
    assert (mat["names"][3, 0][0], mat["fc7"].shape) == (folder.names[3], (21, 128))
    content = torch.load(tmp_path / "f.pt", weights_only=True)
    np.testing.assert_allclose(content["features"]["fc7"].numpy(), expected, rtol=1e-5, atol=1e-5)


class Killed(Exception):
    pass


def test_a_killed_extraction_is_resumed(digits_run: Opened, folder: Images, tmp_path: Path) -> None:
    wanted, out = want(digits_run.model, LAYERS), tmp_path / "f.npz"

    def kill(done: int, _: int) -> None:
        if done >= 8:
            raise Killed

    with pytest.raises(Killed):
        extract(digits_run, folder, wanted, out, batch_size=4, progress=kill)
    assert not out.exists()
    with pytest.raises(InputError, match="--resume continues it"):
        extract(digits_run, folder, wanted, out, batch_size=4)
    partial = partial_folder(out)
    with (partial / "0.f32").open("ab") as file:  # half a row, and half a line, as a power cut leaves them
        file.write(b"\0" * 7)
    with (partial / "rows.jsonl").open("ab") as file:
        file.write(b'{"row": 8, "sha')
    asked: list[int] = []
    once = Images(folder.names, lambda row, how: (asked.append(row), folder.read(row, how))[1], folder.labels,
                  folder.classes, folder.place)  # fmt: skip
    done = extract(digits_run, once, wanted, out, batch_size=4, resume=True)
    assert (done.resumed, sorted(asked)) == (8, list(range(8, 21)))
    whole = tmp_path / "whole.npz"
    extract(digits_run, folder, wanted, whole, batch_size=4)
    for layer in LAYERS:
        np.testing.assert_array_equal(read(out).layers[layer], read(whole).layers[layer])
    assert read(out).digests == read(whole).digests
    again = extract(digits_run, folder, wanted, out, resume=True)  # it is complete: nothing is computed
    assert (again.count, again.resumed) == (21, 21)
    with pytest.raises(InputError, match="holds other features"):
        extract(digits_run, folder, want(digits_run.model, ["fc7"]), out, resume=True)
    with pytest.raises(InputError, match="add --force to replace it"):
        extract(digits_run, folder, wanted, out)


@pytest.mark.parametrize(
    ("lost", "left"),
    [
        ("0.f32", b""),
        ("rows.jsonl", b""),
        ("rows.jsonl", bytes(300)),
        ("rows.jsonl", b"{}\n[1]\n"),
        ("rows.jsonl", b"{\n"),
    ],
)
def test_what_a_partial_extraction_lost_is_computed_again(
    digits_run: Opened, folder: Images, tmp_path: Path, lost: str, left: bytes
) -> None:
    wanted, out = want(digits_run.model, LAYERS), tmp_path / "f.npz"

    def kill(done: int, _: int) -> None:
        if done >= 8:
            raise Killed

    with pytest.raises(Killed):
        extract(digits_run, folder, wanted, out, batch_size=4, progress=kill)
    (partial_folder(out) / lost).write_bytes(left)
    done = extract(digits_run, folder, wanted, out, batch_size=4, resume=True)
    assert (done.resumed, done.count) == (0, 21)
    assert recheck(digits_run, folder, out, 21).agree


def test_another_extraction_is_not_continued(digits_run: Opened, folder: Images, tmp_path: Path) -> None:
    out = tmp_path / "f.npz"

    def kill(*_: int) -> None:
        raise Killed

    with pytest.raises(Killed):
        extract(digits_run, folder, want(digits_run.model, ["fc7"]), out, progress=kill)
    other = Opened(digits_run.model, {"file": "best.safetensors", "sha256": "0" * 64})
    for opened, images, wanted, said in (
        (other, folder, want(digits_run.model, ["fc7"]), "weights differs"),
        (digits_run, folder.subset(range(5)), want(digits_run.model, ["fc7"]), "images differs"),
        (digits_run, folder, want(digits_run.model, ["fc6"]), "layers differs"),
        (digits_run, folder, want(digits_run.model, ["fc7"], pool="mean", flatten=True), "pool, flatten differ"),
    ):
        with pytest.raises(InputError, match=said):
            extract(opened, images, wanted, out, resume=True)
    assert extract(digits_run, folder, want(digits_run.model, ["fc6"]), out, force=True).count == 21


def test_broken_images_are_left_out_and_named(digits_run: Opened, folder: Images, tmp_path: Path) -> None:
    (tmp_path / "images" / folder.names[2]).write_bytes(b"broken")
    done = extract(digits_run, folder, want(digits_run.model, ["fc7"]), tmp_path / "f.h5", batch_size=2)
    assert done.count == 20
    assert done.failed[0][0] == folder.names[2]
    assert "not an image" in done.failed[0][1]
    found = read(tmp_path / "f.h5")
    assert found.names == [name for name in folder.names if name != folder.names[2]]
    assert found.provenance is not None
    assert found.provenance["images"]["skipped"][0][0] == folder.names[2]
    for name in folder.names:
        (tmp_path / "images" / name).write_bytes(b"broken")
    with pytest.raises(InputError, match="0 of 21 images can be read"):
        extract(digits_run, folder, want(digits_run.model, ["fc7"]), tmp_path / "g.h5")


# What is done to rows -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layer", ["fc7", "conv5:pre"])  # fewer images than columns, and, pooled, more
def test_rows_are_transformed_as_scikit_learn_does(
    digits_run: Opened, folder: Images, tmp_path: Path, layer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ROWS", 5)
    wanted = want(digits_run.model, [layer])
    raw = features(digits_run.model, folder, [layer])[layer].reshape(21, -1)
    done = extract(digits_run, folder, wanted, tmp_path / "f.npz", transform=Transform(pca=3))
    ours = read(tmp_path / "f.npz").layers[layer]
    oracle = PCA(3, svd_solver="full")
    theirs = oracle.fit_transform(raw.astype(np.float64))
    np.testing.assert_allclose(np.abs(ours), np.abs(theirs), rtol=1e-3, atol=1e-3 * np.abs(theirs).max())
    said = read(tmp_path / "f.npz").provenance
    assert said is not None
    assert said["transform"]["variance_kept"][layer] == pytest.approx(oracle.explained_variance_ratio_.sum(), abs=1e-4)
    assert done.shapes == {layer: (3,)}
    assert recheck(digits_run, folder, tmp_path / "f.npz", 5).agree
    transform = Transform(center=True, l2=True)
    extract(digits_run, folder, wanted, tmp_path / "g.npz", transform=transform)
    centered = raw - raw.mean(0, dtype=np.float64)
    unit = centered / np.linalg.norm(centered, axis=1, keepdims=True)
    np.testing.assert_allclose(read(tmp_path / "g.npz").layer(layer), unit, atol=1e-5)
    assert recheck(digits_run, folder, tmp_path / "g.npz", 5).agree


def test_components_of_many_images_are_the_covariances(digits_run: Opened, tmp_path: Path) -> None:
    digits = open_images(["digits"]).subset(range(200))
    raw = features(digits_run.model, digits, ["conv5"], pool="mean")["conv5"]
    wanted = want(digits_run.model, ["conv5"], pool="mean")
    extract(digits_run, digits, wanted, tmp_path / "f.npy", transform=Transform(pca=4))
    theirs = PCA(4, svd_solver="full").fit_transform(raw.astype(np.float64))
    np.testing.assert_allclose(np.abs(read(tmp_path / "f.npy").layer()), np.abs(theirs), rtol=1e-3, atol=1e-3)
    with pytest.raises(InputError, match="have at most 64 components"):
        extract(digits_run, digits, wanted, tmp_path / "g.npy", transform=Transform(pca=65))
    with pytest.raises(InputError, match=r"3 images with 64 features \(conv5\) have at most 2 components"):
        extract(digits_run, digits.subset(range(3)), wanted, tmp_path / "g.npy", transform=Transform(pca=3))
    assert not list(tmp_path.glob("g.npy*"))  # it was refused before anything was computed


# A feature file that does not hold what it says -----------------------------------------------------------------------


def test_a_changed_file_is_found(digits_run: Opened, folder: Images, tmp_path: Path) -> None:
    path = tmp_path / "f.npy"
    extract(digits_run, folder, want(digits_run.model, ["fc7"]), path)
    values = np.load(path)
    values[3] += 0.01
    np.save(path, values)
    with pytest.raises(InputError, match="SHA-256 of fc7 does not fit"):
        recheck(digits_run, folder, path)
    feature_write.sidecar(path).unlink()
    with pytest.raises(InputError, match="does not say where its features come from"):
        recheck(digits_run, folder, path)


def test_other_weights_other_images_and_changed_images_are_found(
    digits_run: Opened, folder: Images, tmp_path: Path
) -> None:
    path = tmp_path / "f.npz"
    extract(digits_run, folder, want(digits_run.model, ["fc7"]), path)
    with pytest.raises(InputError, match="made with other weights"):
        recheck(open_model("alexnet-digits"), folder, path)
    with pytest.raises(InputError, match="not among the images given"):
        recheck(digits_run, folder.subset([0]), path)
    first = tmp_path / "images" / folder.names[0]
    shutil.copy(tmp_path / "images" / folder.names[1], first)
    found = recheck(digits_run, folder, path, 21)
    assert not found.agree
    assert found.changed == (folder.names[0],)
    assert found.differences["fc7"] > 1e-3


def test_the_digest_is_not_enough(digits_run: Opened, folder: Images, tmp_path: Path) -> None:
    """Rows that were exchanged before they were written: only computing them again tells."""
    path = tmp_path / "f.npz"
    original = Images(
        folder.names, lambda row, how: (folder.read(20 - row, how)[0], folder.read(row, how)[1]), folder.labels
    )
    extract(digits_run, original, want(digits_run.model, ["fc7"]), path)
    found = recheck(digits_run, folder, path)
    assert (found.agree, found.changed) == (False, ())


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("f.txt", "must be one of: .npz"),
        ("none/f.npz", "no folder"),
        ("f.npy", "holds one layer"),
        ("f.csv", "holds one layer"),
        ("features.hdf5", "holds one layer"),
    ],
)
def test_files_that_cannot_be_are_refused_before_anything_is_computed(
    digits_run: Opened, folder: Images, tmp_path: Path, name: str, said: str
) -> None:
    unread = Images(folder.names, lambda *_: pytest.fail("an image was read"), folder.labels)
    with pytest.raises(InputError, match=said):
        extract(digits_run, unread, want(digits_run.model, LAYERS), tmp_path / name)


@pytest.mark.parametrize("name", ["f.npz", "f.npy", "f.h5", "f.mat", "f.parquet", "f.csv", "f.pt"])
def test_damaged_files_are_one_line(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"\x93NUMPY damaged, a string")
    with pytest.raises(InputError) as error:
        read(tmp_path / name)
    assert "\n" not in str(error.value)
    assert name in str(error.value)


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    np.save(tmp_path / "f.npy", np.array([[{}]], object), allow_pickle=True)
    with pytest.raises(InputError, match="cannot be read"):
        read(tmp_path / "f.npy")
    with pytest.raises(InputError, match=r"no feature file .*none\.npy"):
        read(tmp_path / "none.npy")


def test_a_bare_array_of_another_program_is_read(tmp_path: Path) -> None:
    values = np.arange(12, dtype=np.float32).reshape(4, 3)
    np.save(tmp_path / "a.npy", values)
    np.savetxt(tmp_path / "a.csv", values, delimiter=",")
    np.savez(tmp_path / "a.npz", mine=values)
    torch.save(torch.from_numpy(values), tmp_path / "a.pt")
    for name, layer in (("a.npy", "a"), ("a.csv", "a"), ("a.npz", "mine"), ("a.pt", "a")):
        found = read(tmp_path / name)
        np.testing.assert_array_equal(found.layer(layer), values)
        assert (found.names, found.provenance) == (None, None)
    with pytest.raises(InputError, match="has no layer 'fc6'; it has: mine"):
        read(tmp_path / "a.npz").layer("fc6")


def test_memory_does_not_grow_with_the_images(
    digits_run: Opened, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No more rows than ROWS are held, whichever format is written."""
    seen: list[int] = []
    real = np.fromfile

    def counted(file: object, kind: object, count: int) -> np.ndarray:
        seen.append(count)
        return real(file, kind, count)  # pyright: ignore

    monkeypatch.setattr(module.np, "fromfile", counted)
    monkeypatch.setattr(module, "ROWS", 16)
    digits = open_images(["digits"]).subset(range(50))
    extract(digits_run, digits, want(digits_run.model, ["fc7"]), tmp_path / "f.npz")
    assert max(seen) == 16 * 128
