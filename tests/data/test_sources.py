"""Every set by name: found, recognized, split."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from makers import tar_gz

from alexnet.data.sources import SETS, open_splits, recognize
from alexnet.errors import InputError

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
    with pytest.raises(InputError, match=rf"train-images-idx3-ubyte.*{cached} \(\$ALEXNET_DATA is not set\)"):
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
        ({"name": "folder", "size": (8, 8)}, "needs data, the path to a folder with"),
        ({"name": "folder", "data": root}, "need a size"),
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
