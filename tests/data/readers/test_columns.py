"""Several labels an image, in every form of a table; and what is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tables import numbered, opened, write

from alexnet.data.folds import folded
from alexnet.data.sources import list_images, open_splits
from alexnet.data.splits import stratified
from alexnet.errors import InputError

NAMES = ("cat", "dog", "emu")
OWN = [tuple(name for k, name in enumerate(NAMES) if (number >> k) & 1) for number in range(24)]
"""Of each image; every third or so has none of one, and each eighth none at all."""


@pytest.fixture
def images(tmp_path: Path) -> Path:
    return numbered(tmp_path / "images")


def columns() -> list[dict[str, Any]]:
    return [{"file": f"{n:02}.png"} | {name: int(name in own) for name in NAMES} for n, own in enumerate(OWN)]


def joined(separator: str = "|") -> list[dict[str, Any]]:
    return [{"file": f"{n:02}.png", "label": separator.join(own)} for n, own in enumerate(OWN) if own]


def lists() -> list[dict[str, Any]]:
    return [{"file": f"{n:02}.png", "tags": list(own)} for n, own in enumerate(OWN)]


def check(dataset: Any) -> None:
    assert dataset.multilabel
    for row, name in enumerate(dataset.names):
        image, target = dataset[row]
        number = int(name[:2])
        assert {dataset.classes[k] for k in np.flatnonzero(target)} == set(OWN[number])
        assert abs(int(image[0, 0, 0]) - 10 * number) <= 1


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_a_column_for_each_class(images: Path, tmp_path: Path, suffix: str) -> None:
    rows = [row | {"age": 3 + n} for n, row in enumerate(columns())]
    splits = opened(images, write(tmp_path / f"t{suffix}", rows), validation=None)
    assert splits.train.classes == NAMES  # in the table's order
    assert splits.train.targets.dtype == np.uint8
    check(splits.train)
    assert "file is the file, 3 columns are the labels: cat, dog, emu; not used: age" in " ".join(splits.notes)
    few = opened(images, tmp_path / f"t{suffix}", validation=None, label_columns=("emu", "cat"))
    assert few.train.classes == ("emu", "cat")
    assert few.protocol["label_columns"] == ("emu", "cat")
    for words in ("true", "True", "1.0"):
        said = [{k: words if v == 1 else v for k, v in row.items()} for row in columns()]
        check(opened(images, write(tmp_path / "words.csv", said), validation=None).train)


@pytest.mark.parametrize("separator", ["|", "; ", ","])
def test_a_separator_between_them(images: Path, tmp_path: Path, separator: str) -> None:
    table = write(tmp_path / "t.jsonl", joined(separator))
    splits = opened(images, table, label_separator=separator.strip(), validation=None)
    assert splits.train.classes == NAMES  # by name
    check(splits.train)
    assert splits.protocol["label_separator"] == separator.strip()
    beside = write(images / "t.jsonl", joined(separator))
    check(open_splits(None, beside, size=(8, 8), label_separator=separator.strip(), validation=None).train)


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_lists(images: Path, tmp_path: Path, suffix: str) -> None:
    splits = opened(images, write(tmp_path / f"t{suffix}", lists()), validation=None)
    check(splits.train)
    assert len(splits.train) == 24  # an empty list is an image without a label


def test_a_model_says_which_classes_are_wanted(images: Path, tmp_path: Path) -> None:
    """The images on which a model is measured come in its classes' order, also where no image has one of them."""
    wanted = ("emu", "yak", "cat", "dog")
    table = write(tmp_path / "t.csv", joined())
    splits = opened(images, table, label_separator="|", label_classes=wanted, validation=None)
    assert splits.train.classes == wanted
    assert not splits.train.targets[:, 1].any()
    check(splits.train)
    with pytest.raises(InputError, match="no column for 'yak', a class"):
        opened(images, write(tmp_path / "c.csv", columns()), label_classes=wanted)
    with pytest.raises(InputError, match="class 'dog', which training never saw"):
        opened(images, table, label_separator="|", label_classes=("cat", "emu"))
    with pytest.raises(InputError, match="say what separates them with --label-separator"):
        opened(images, table, label_classes=NAMES)


def test_validation_and_folds_keep_every_label_in_training(images: Path, tmp_path: Path) -> None:
    whole = opened(images, write(tmp_path / "t.csv", columns()), validation=None)
    for seed in range(5):
        splits = opened(images, tmp_path / "t.csv", validation=0.25, seed=seed)
        assert len(splits.validation) == 6
        assert splits.train.targets.any(0).all()
        assert (splits.train.targets == 0).any(0).all()
    parts = [folded(whole, fold, 4, 0).validation for fold in (1, 2, 3, 4)]
    assert sorted(name for part in parts if part is not None for name in part.names) == sorted(whole.train.names)
    grouped = [row | {"group": n // 4} for n, row in enumerate(columns())]
    splits = opened(images, write(tmp_path / "g.csv", grouped), validation=0.3)
    groups = [{int(name[:2]) // 4 for name in part.names} for part in (splits.train, splits.validation)]
    assert not groups[0] & groups[1]
    assert groups[1]


def test_the_only_image_with_a_label_stays_in_training() -> None:
    targets = np.zeros((20, 3), np.uint8)
    targets[:, 0] = np.arange(20) % 2
    targets[3] = (1, 1, 1)
    targets[4, 2] = 1
    for seed in range(20):
        train, held = stratified(targets, 0.4, seed)
        assert 3 in train
        assert targets[train].any(0).all()
        assert sorted([*train, *held]) == list(range(20))


def test_what_takes_one_label_an_image_says_so(images: Path, tmp_path: Path) -> None:
    table = write(images / "t.csv", columns())
    dataset = opened(images, table, validation=None).train
    with pytest.raises(InputError, match="these images have several labels each"):
        _ = dataset.labels
    with pytest.raises(InputError, match="has several labels an image"):
        list_images("auto", table)
    with pytest.raises(InputError, match=r"data.label_separator is for a table of labels, not for digits"):
        open_splits("digits", label_separator="|")
    with pytest.raises(InputError, match=r"data.first_classes is for images of one class"):
        opened(images, table, first_classes=2)


def changed(rows: list[dict[str, Any]], number: int, **values: Any) -> list[dict[str, Any]]:
    return [row | values if n == number else row for n, row in enumerate(rows)]


@pytest.mark.parametrize(
    ("rows", "how", "said"),
    [
        (joined(), {}, "labels such as 'cat.dog' look like several; --label-separator '|' reads them so"),
        (joined(), {"label_separator": ";"}, "no label holds the separator ';', such as"),
        (joined(), {"label_separator": "|", "label_columns": ("cat", "dog")}, "give one of them"),
        (changed(joined(), 2, label=""), {"label_separator": "|"}, "row 3: no label; no label at all is said by"),
        (changed(joined(), 2, label="cat|"), {"label_separator": "|"}, "row 3: an empty label in 'cat|'"),
        (changed(columns(), 4, dog=""), {}, "row 5: column dog is empty, neither 0 nor 1"),
        (changed(columns(), 4, dog="maybe"), {}, "row 5: column dog is 'maybe', neither 0 nor 1"),
        (changed(columns(), 4, dog=-1), {}, "row 5: column dog is '-1', neither 0 nor 1"),
        (
            [{"file": row["file"], "cat": row["cat"]} for row in columns()],
            {},
            "nor a column of 0 and 1 for each of two",
        ),
        ([row | {"yak": 0} for row in columns()], {}, "no training image has the label 'yak'"),
        ([row | {"yak": 1} for row in columns()], {}, "every training image has the label 'yak'"),
        (columns(), {"label_columns": ("cat", "cow")}, "no column for 'cow', a class; it has: file, cat, dog, emu"),
        ([*columns(), columns()[1] | {"emu": 1}], {}, "gives 01.png two labels, 'cat' and 'cat, emu'"),
        ([row | {"label": "cat"} for row in columns()], {}, "labels in two forms: the column label, and columns of 0 "),
        (changed(columns(), 0, file="gone.png"), {}, "1 of 24 files that are not in"),
    ],
)
def test_a_table_that_cannot_be_right_is_refused_in_one_line(
    images: Path, tmp_path: Path, rows: list[dict[str, Any]], how: dict[str, Any], said: str
) -> None:
    with pytest.raises(InputError, match=said.replace("|", r"\|")) as error:
        opened(images, write(tmp_path / "t.csv", rows), **how)
    assert "\n" not in str(error.value)


def test_lists_and_texts_are_two_forms(images: Path, tmp_path: Path) -> None:
    table = write(tmp_path / "t.jsonl", changed(lists(), 3, tags="cat"))
    with pytest.raises(InputError, match="labels in two forms: row 1 has a list, row 4 has none"):
        opened(images, table)


def test_class_names_with_marks_in_them_stay_classes(images: Path, tmp_path: Path) -> None:
    """ImageNet's 'tench, Tinca tinca' is one class: its parts occur nowhere else."""
    names = ("tench, Tinca tinca", "goldfish, Carassius auratus", "ox")
    rows = [{"file": f"{n:02}.png", "label": names[n % 3]} for n in range(24)]
    splits = opened(images, write(tmp_path / "t.jsonl", rows), validation=None)
    assert set(splits.train.classes) == set(names)
    assert not splits.train.multilabel
    taken = opened(images, write(tmp_path / "j.csv", joined()), label_separator="", validation=None)
    assert "cat|dog" in taken.train.classes
