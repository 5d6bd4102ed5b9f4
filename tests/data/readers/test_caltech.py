"""Caltech-256: the official layout in both forms, its protocols, the label trap, and what else lies in its folders."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from makers import jpeg, tar

from alexnet.data.readers.caltech import FOLDER, list_caltech
from alexnet.data.sources import open_splits, recognize
from alexnet.data.splits import drawn
from alexnet.errors import InputError

CLASSES = ("001.ak47", "002.american-flag", "003.backpack")
EXTRA = {
    "002.american-flag/.DS_Store": b"x",
    "002.american-flag/RENAME2": b"x",
    "003.backpack/002_0001.jpg": b"x",
    "003.backpack/greg/vision309": b"",
    "257.clutter/257_0001.jpg": b"x",
}


@pytest.fixture
def files(random: np.random.Generator) -> dict[str, bytes]:
    """Three classes of 20 images, one of them gray, and what does not belong there."""
    found = {}
    for number, name in enumerate(CLASSES, 1):
        for index in range(1, 21):
            array = random.integers(0, 256, (12, 18) if index == 7 else (12, 18, 3), np.uint8)
            found[f"{FOLDER}/{name}/{number:03}_{index:04}.jpg"] = jpeg(array)
    return found | {f"{FOLDER}/{name}": content for name, content in EXTRA.items()}


@pytest.fixture
def place(files: dict[str, bytes], tmp_path: Path) -> Callable[[str], Path]:
    def make(kind: str) -> Path:
        if kind == "tar":
            return tar(tmp_path / f"{FOLDER}.tar", files)
        for name, content in files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_bytes(content)
        return tmp_path / FOLDER if kind == "folder" else tmp_path

    return make


@pytest.mark.parametrize("kind", ["tar", "folder", "above"])
def test_both_forms_give_the_same_set_and_name_what_is_left_out(place: Callable[[str], Path], kind: str) -> None:
    path = place(kind)
    assert recognize(path) == "caltech256"
    splits = open_splits("auto", path, size=(8, 8), validation=None)
    train = splits.train
    assert (splits.name, train.classes, len(train)) == ("caltech256", CLASSES, 60)
    assert train.names[0] == "001.ak47/001_0001.jpg"
    assert {name: why.split(":")[0] for name, why in splits.skipped} == {
        "002.american-flag/.DS_Store": "is not called NNN.name/NNN_XXXX.jpg",
        "002.american-flag/RENAME2": "is not called NNN.name/NNN_XXXX.jpg",
        "003.backpack/002_0001.jpg": "its name has the number of another class",
        "003.backpack/greg" + ("/vision309" if kind == "tar" else ""): "is not called NNN.name/NNN_XXXX.jpg",
        "257.clutter": "background, not a category",
    }
    gray = train[6][0]
    assert (gray[..., 0] == gray[..., 1]).all()


def test_the_label_trap(place: Callable[[str], Path]) -> None:
    """The number in a file's name starts at 1; the last class still has a place in a one-hot of its width."""
    split = list_caltech(place("folder")).splits["train"]
    numbers = np.array([int(name.split("/")[1][:3]) for name in split.names])
    assert np.array_equal(split.labels, numbers - 1)
    assert np.eye(3)[split.labels].sum(0).tolist() == [20, 20, 20]  # as indices, 3 would be out of bounds


def test_so_many_of_each_class_train_and_the_others_test(place: Callable[[str], Path]) -> None:
    path = place("tar")
    splits = open_splits("caltech256", path, size=(8, 8), per_class=15, validation=0.2, seed=3)
    assert splits.validation is not None
    assert splits.test is not None
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (36, 9, 15)
    assert np.bincount(splits.test.labels).tolist() == [5, 5, 5]
    names = {*splits.train.names, *splits.validation.names, *splits.test.names}
    assert len(names) == 60
    again = open_splits("caltech256", path, size=(8, 8), validation=None, **splits.protocol)
    assert again.test is not None
    assert again.test.fingerprint == splits.test.fingerprint
    assert (
        open_splits("caltech256", path, size=(8, 8), per_class=15, seed=4).train.fingerprint != again.train.fingerprint
    )


def test_the_first_classes_and_so_many_images(place: Callable[[str], Path]) -> None:
    """As published on 45 classes: 4,000 of 5,102 images train, the others test and validate."""
    splits = open_splits(
        "caltech256",
        place("folder"),
        size=(6, 8),
        fit="squash",
        first_classes=2,
        train_images=31,
        validation="test",
    )
    assert splits.test is not None
    assert splits.validation is splits.test
    assert (splits.train.classes, len(splits.train), len(splits.test)) == (CLASSES[:2], 31, 9)
    assert [name for name, _ in splits.skipped] == ["002.american-flag/.DS_Store", "002.american-flag/RENAME2"]
    assert splits.train.batch(np.array([0])).shape == (1, 6, 8, 3)


def test_draws_do_not_overlap_and_refuse_what_cannot_be() -> None:
    labels = np.repeat(np.arange(4), 25)
    for per_class, total in ((10, None), (None, 70)):
        train, test = drawn(labels, "abcd", per_class, total, seed=1)
        assert np.array_equal(np.sort(np.concatenate([train, test])), np.arange(100))
        assert np.array_equal(train, drawn(labels, "abcd", per_class, total, seed=1)[0])
    for per_class, total, said in (
        (25, None, "class 'a' has 25 in all"),
        (None, 100, "there are 100 images in all"),
        (None, 2, "none of them is of class"),
    ):
        with pytest.raises(InputError, match=said):
            drawn(labels, "abcd", per_class, total, seed=0)


def test_what_is_wrong_is_said(place: Callable[[str], Path], files: dict[str, bytes], tmp_path: Path) -> None:
    path = place("folder")
    wrongs: tuple[tuple[dict[str, Any], str], ...] = (
        ({"first_classes": 4}, "the first 4 classes are wanted"),
        ({"per_class": 5, "train_images": 5}, "exclude each other"),
        ({"per_class": 20}, "has 20 in all"),
    )
    for wrong, said in wrongs:
        with pytest.raises(InputError, match=said):
            open_splits("caltech256", path, size=(8, 8), **wrong)
    for index in range(1, 5):
        (path / CLASSES[0] / f"002_1{index:03}.jpg").write_bytes(b"x")
    with pytest.raises(InputError, match=r"5 images in .* do not have their folder's number"):
        list_caltech(path)
    with pytest.raises(InputError, match=r"no Caltech-256 in .*; expected 256_ObjectCategories"):
        list_caltech(tar(tmp_path / "other.tar", {"x/y.jpg": b"z"}))
    with pytest.raises(InputError, match=r"data\.first_classes is for shards, table, caltech256"):
        open_splits("digits", first_classes=5)
