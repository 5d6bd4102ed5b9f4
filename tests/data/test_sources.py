"""Every set by name: found, recognized, split."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from makers import tar_gz

from alexnet.data.pick import dataset
from alexnet.data.public_sets import PUBLIC
from alexnet.data.sources import SETS, open_splits, recognize
from alexnet.errors import InputError, MissingData

Maker = Callable[..., Path]


def test_digits() -> None:
    splits = open_splits("digits")
    assert (len(splits.train), splits.test, splits.path, splits.name) == (1617, None, None, "digits")
    assert splits.validation is not None
    assert len(splits.validation) == 180
    assert splits.train.classes == tuple("0123456789")
    assert (splits.train.size, splits.train.channels) == ((8, 8), 1)
    pixels = splits.train.batch(np.arange(1617))
    assert (pixels.min(), pixels.max()) == (0, 255)
    assert len(np.unique(pixels)) == 17


def test_a_recorded_validation_split_is_cut_again() -> None:
    first = open_splits("digits", seed=5)
    assert first.validation is not None
    again = open_splits("digits", seed=6, validation_names=first.validation.names)
    assert again.validation is not None
    assert again.validation.fingerprint == first.validation.fingerprint
    assert again.train.fingerprint == first.train.fingerprint
    assert open_splits("digits", seed=6).train.fingerprint != first.train.fingerprint


def test_synthetic_is_seeded_and_learnable() -> None:
    splits = open_splits("synthetic", size=(20, 24), channels=1, classes=4, count=80, seed=1, validation=None)
    train, test = splits.train, splits.test
    assert test is not None
    assert splits.validation is None
    assert (len(train), len(test), train.size, train.channels, len(train.classes)) == (80, 16, (20, 24), 1, 4)
    again = open_splits("synthetic", size=(20, 24), channels=1, classes=4, count=80, seed=1, validation=None)
    assert again.train.fingerprint == train.fingerprint
    images = train.batch(np.arange(80)).reshape(80, -1).astype(float)
    means = np.stack([images[train.labels == label].mean(0) for label in range(4)])
    distances = ((test.batch(np.arange(16)).reshape(16, 1, -1) - means) ** 2).sum(2)
    assert (distances.argmin(1) == test.labels).all()


@pytest.mark.parametrize("name", ["idx", "auto", None])
def test_idx_by_name_and_by_content(idx_set: Maker, name: str | None) -> None:
    root = idx_set([1, 2] * 20, [2, 1])
    for place in (root, str(root), root / "train-images-idx3-ubyte"):
        splits = open_splits(name, place)
        assert splits.validation is not None
        assert splits.test is not None
        assert (splits.name, splits.train.classes) == ("idx", ("1", "2"))
        assert (len(splits.train), len(splits.validation), len(splits.test)) == (36, 4, 2)


def test_named_idx_sets_have_named_classes(idx_set: Maker) -> None:
    root = idx_set([0, 1] * 5, [1])
    assert open_splits("fashion-mnist", root).train.classes[0] == "T-shirt/top"
    assert open_splits("mnist", root).train.classes == tuple("0123456789")


def test_cifar_is_recognized(cifar_files: Callable[[str], dict[str, bytes]], tmp_path: Path) -> None:
    for name in ("cifar10", "cifar100"):
        archive = tar_gz(tmp_path / f"{name}.tar.gz", cifar_files(name))
        splits = open_splits(None, archive, validation="test")
        assert splits.name == name
        assert splits.validation is splits.test is not None
        assert splits.validation_is_test
    assert len(open_splits("cifar100-coarse", archive, validation=None).train.classes) == 20


def test_folder_with_its_own_validation(folder: Maker) -> None:
    root = folder("train/cat", "train/dog", "val/dog", count=4)
    for validation in (0.5, "given"):
        splits = open_splits("auto", root, size=(6, 6), resize=8, validation=validation)
        assert (splits.name, splits.path, splits.train.size) == ("folder", root, (8, 8))
        assert splits.validation is not None
        assert [name.split("/")[0] for name in splits.validation.names] == ["val"] * 4


def test_sizes_and_channels_are_made_to_fit() -> None:
    splits = open_splits("digits", size=(14, 14), resize=16, channels=3)
    assert splits.validation is not None
    assert splits.train.batch(np.arange(2)).shape == (2, 16, 16, 3)
    assert splits.validation.size == (16, 16)


def test_data_is_looked_for_in_the_environment_then_the_cache(
    idx_set: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = idx_set([0, 1] * 5)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("ALEXNET_DATA", raising=False)
    cached = tmp_path / "home" / ".cache" / "alexnet" / "mnist"
    told = (
        rf"run `alexnet data mnist`, give --data PATH, or put train-images-idx3-ubyte.*{cached} \(\$ALEXNET_DATA is not"
    )
    with pytest.raises(MissingData, match=told):
        open_splits("mnist")
    cached.parent.mkdir(parents=True)
    made.rename(cached)
    assert open_splits("mnist").path == cached
    monkeypatch.setenv("ALEXNET_DATA", str(tmp_path / "data"))
    assert open_splits("mnist").path == cached
    (tmp_path / "data").mkdir()
    cached.rename(tmp_path / "data" / "mnist")
    assert open_splits("mnist").path == tmp_path / "data" / "mnist"


def test_wrong_arguments_name_the_choices(tmp_path: Path, folder: Maker) -> None:
    root = folder("cat", "dog")
    wrong: list[tuple[dict[str, object], str]] = [
        ({"name": "cifar"}, "did you mean cifar10"),
        ({}, f"name a dataset \\({', '.join(SETS)}\\) or a path"),
        ({"name": "mnist", "data": tmp_path / "missing"}, "no file or folder .*missing"),
        ({"name": "mnist", "data": root}, "no IDX files in"),
        ({"name": "cifar10", "data": root}, "no cifar10 in"),
        ({"name": "folder", "size": (8, 8)}, "needs --data .*, the path to a folder with"),
        ({"name": "digits", "data": root}, "name another set"),
        ({"name": "digits", "fit": "stretch"}, "crop, squash"),
        ({"name": "digits", "channels": 4}, "1 channel or 3"),
        ({"name": "digits", "size": (8, 8), "resize": 4}, "resize is 4"),
        ({"name": "digits", "validation": "half"}, "'given' or 'test'"),
        ({"name": "digits", "validation": "test"}, "no such images"),
        ({"name": "digits", "validation": "given"}, "no such images"),
        ({"name": "digits", "validation": 1.5}, "between 0 and 1"),
        ({"name": "digits", "validation_names": ["x"]}, "recorded validation split"),
    ]
    for arguments, said in wrong:
        with pytest.raises(InputError, match=said) as caught:
            open_splits(**arguments)  # pyright: ignore[reportArgumentType]
        assert "\n" not in str(caught.value)
    (tmp_path / "some.txt").write_text("text")
    with pytest.raises(InputError, match="no dataset; expected"):
        recognize(tmp_path / "some.txt")


def test_of_a_set_with_test_images_of_its_own_fewer_train() -> None:
    whole = open_splits("synthetic", validation=None, count=200)
    fewer = open_splits("synthetic", validation=None, count=200, per_class=3)
    assert len(fewer.train) == 3 * len(whole.train.classes)
    assert whole.test is not None
    assert fewer.test is not None
    assert fewer.test.names == whole.test.names
    assert set(fewer.train.names) < set(whole.train.names)


def test_a_public_set_is_fetched_where_it_is_not_there(
    idx_set: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = idx_set([0, 1] * 5, [1, 0], packed=True)
    calls: list[tuple[Path, int]] = []

    def fetch(url: str, path: Path, *, attempts: int, **_: object) -> Path:
        calls.append((path, attempts))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes((made / path.name).read_bytes())
        return path

    monkeypatch.setattr("alexnet.data.public_sets.fetch", fetch)
    monkeypatch.setenv("ALEXNET_DATA", str(tmp_path / "data"))
    ask: dict[str, Any] = {"name": "mnist", "fetching": lambda done, total: None}
    for offline, fetching in (("1", ask["fetching"]), ("0", None)):
        monkeypatch.setenv("ALEXNET_OFFLINE", offline)
        with pytest.raises(MissingData, match="run `alexnet data mnist`"):
            open_splits("mnist", fetching=fetching)
    (tmp_path / "data" / "mnist").mkdir(parents=True)  # an empty folder is no set
    splits = open_splits(**ask)
    place = tmp_path / "data" / "mnist"
    assert [path for path, _ in calls] == [place / file for file in PUBLIC["mnist"].files]
    assert splits.path == place
    assert any("fetched mnist from https://" in note and "license: none stated" in note for note in splits.notes)
    calls.clear()
    assert open_splits(**ask).notes == []
    assert not calls
    (place / "t10k-images-idx3-ubyte.gz").unlink()  # cut between two files
    assert open_splits(**ask).test is not None
    (place / "t10k-images-idx3-ubyte.gz").rename(place / "t10k-images-idx3-ubyte.gz.part")
    assert open_splits(**ask).test is not None
    assert calls
    for file in PUBLIC["mnist"].files:
        (place / file).unlink()  # only a part is left, as of a fetch that was cut in its first file
    assert open_splits(**ask).test is not None
    assert dataset("mnist").classes == tuple("0123456789")


def test_without_a_network_one_line_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fetch(url: str, path: Path, **_: object) -> Path:
        raise InputError(f"{url} could not be fetched (no route to host)")

    monkeypatch.setattr("alexnet.data.public_sets.fetch", fetch)
    monkeypatch.setenv("ALEXNET_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("ALEXNET_OFFLINE", "0")
    with pytest.raises(MissingData, match=r"no route to host\); no data for mnist: run `alexnet data mnist`") as caught:
        open_splits("mnist", fetching=lambda done, total: None)
    assert "\n" not in str(caught.value)
    assert str(tmp_path / "data" / "mnist") in str(caught.value)


def test_the_first_images_are_a_published_protocol(folder: Maker) -> None:
    root = folder("a", "b", "c", count=10)
    splits = open_splits("folder", root, size=(4, 4), first_images=22, train_images=15, validation="test")
    assert splits.test is not None
    assert (len(splits.train), len(splits.test)) == (15, 7)
    whole = np.bincount(np.concatenate([splits.train.labels, splits.test.labels]))
    assert whole.tolist() == [10, 10, 2]
    assert splits.protocol["first_images"] == 22
    for wrong in (31, 1):
        with pytest.raises(InputError, match=f"the first {wrong} images are wanted, and there are 30"):
            open_splits("folder", root, size=(4, 4), first_images=wrong)


def test_sets_in_memory_are_resized_without_antialiasing_too() -> None:
    plain, other = (
        open_splits("digits", size=(4, 4), antialias=each).train.batch(np.arange(9)) for each in (True, False)
    )
    assert not np.array_equal(plain, other)
