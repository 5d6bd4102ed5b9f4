"""Class folders: how they are read, what is left out, and what stops a run before it starts."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from makers import bomb, png

from alexnet.data import dataset as sets
from alexnet.data.dataset import ArrayDataset, Dataset
from alexnet.data.loading.containers import READ
from alexnet.data.loading.decode import decode
from alexnet.data.loading.stored import StoredDataset
from alexnet.data.readers.folder import Folder
from alexnet.data.readers.source import Request
from alexnet.errors import InputError

Maker = Callable[..., Path]
FORM = {"channels": 3, "size": (8, 8)}


def read_folder(root: Path, **form: Any) -> tuple[dict[str, Dataset], list[tuple[str, str]]]:
    opened = Folder().open(Request(root, **form))
    return opened.splits, opened.skipped


def test_flat_folder(folder: Maker) -> None:
    root = folder("dog", "cat", "Ému 1")
    splits, skipped = read_folder(root, **FORM)
    train = splits["train"]
    assert (set(splits), skipped) == ({"train"}, [])
    assert isinstance(train, ArrayDataset)
    assert train.classes == ("cat", "dog", "Ému 1")
    assert train.labels.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert train.names[4] == "dog/001.png"
    assert np.array_equal(train[4][0], decode(root / "dog" / "001.png", 3, (8, 8)))


@pytest.mark.parametrize("validation", ["val", "valid", "validation"])
def test_splits_inside(folder: Maker, validation: str) -> None:
    root = folder("train/cat", "train/dog", "train/owl", f"{validation}/dog", "test/cat", "test/owl")
    (root / "test" / "dog").mkdir()  # a split may lack a class
    splits, _ = read_folder(root, **FORM)
    assert list(splits) == ["train", "validation", "test"]
    assert {own.classes for own in splits.values()} == {("cat", "dog", "owl")}
    assert splits["validation"].labels.tolist() == [1, 1, 1]
    assert splits["test"].labels.tolist() == [0, 0, 0, 2, 2, 2]
    assert splits["validation"].names[0] == f"{validation}/dog/000.png"


def test_a_class_may_be_called_train(folder: Maker) -> None:
    assert read_folder(folder("bus", "train"), **FORM)[0]["train"].classes == ("bus", "train")
    assert read_folder(folder("bus", "train", "train/freight"), **FORM)[0]["train"].labels.sum() == 6


def test_other_folders_beside_the_splits_are_left_alone(folder: Maker) -> None:
    splits, _ = read_folder(folder("train/cat", "train/dog", "test/cat", "originals"), **FORM)
    assert {split: len(own) for split, own in splits.items()} == {"train": 6, "test": 3}


def test_a_split_without_images_is_no_split(folder: Maker) -> None:
    root = folder("train/cat", "train/dog")
    (root / "test" / "cat").mkdir(parents=True)
    assert set(read_folder(root, **FORM)[0]) == {"train"}


def test_a_name_that_cannot_be_shown_is_listed_escaped(folder: Maker) -> None:
    root = folder("cat", "dog")
    (root / "cat" / "two\nlines.png").write_text("text")
    assert read_folder(root, **FORM)[1][0][0] == "'cat/two\\nlines.png'"


def test_what_is_no_image_is_left_alone(folder: Maker) -> None:
    root = folder("cat", "dog/deeper", "__MACOSX")
    for name in ("notes.txt", ".DS_Store", "._000.png", "Thumbs.db"):
        (root / "cat" / name).write_bytes(b"x")
    (root / "README.png.md").write_text("x")
    shutil.copy(root / "cat" / "000.png", root / "cat" / "UPPER.PNG")
    splits, skipped = read_folder(root, **FORM)
    assert splits["train"].names[:4] == ("cat/000.png", "cat/001.png", "cat/002.png", "cat/UPPER.PNG")
    assert splits["train"].names[4] == "dog/deeper/000.png"
    assert skipped == [("__MACOSX", "a folder of the system or of a tool")]


def test_links_are_followed_but_not_in_circles(folder: Maker, tmp_path: Path) -> None:
    outside = folder("owl", root=tmp_path / "outside") / "owl"
    root = folder("cat", "dog")
    (root / "owl").symlink_to(outside)
    (root / "cat" / "loop").symlink_to(root / "cat")
    (root / "cat" / "above").symlink_to(root)
    (root / "dog" / "far above").symlink_to(tmp_path.parent)
    (root / "dog" / "dangling.png").symlink_to(root / "nowhere.png")
    (root / "cat" / "pipe.png").mkdir()
    splits, skipped = read_folder(root, **FORM)
    assert splits["train"].labels.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert skipped == [("dog/dangling.png", "no such file")]


def test_few_unreadable_images_are_left_out_and_listed(folder: Maker) -> None:
    root = folder("train/cat", "train/dog", "test/cat", count=20)
    (root / "train" / "cat" / "000.png").write_text("text")
    content = (root / "test" / "cat" / "003.png").read_bytes()
    (root / "test" / "cat" / "003.png").write_bytes(content[:50])
    (root / "train" / "dog" / "bomb.png").write_bytes(bomb())
    splits, skipped = read_folder(root, **FORM)
    assert [name for name, _ in skipped] == ["train/cat/000.png", "train/dog/bomb.png", "test/cat/003.png"]
    assert skipped[0][1] == f"not an image ({READ})"
    assert (len(splits["train"]), len(splits["test"])) == (39, 19)
    assert np.array_equal(splits["train"][0][0], decode(root / "train" / "cat" / "001.png", 3, (8, 8)))


def test_one_unreadable_image_is_few_in_a_small_set(folder: Maker) -> None:
    root = folder("cat", "dog")
    (root / "cat" / "000.png").write_text("text")
    assert read_folder(root, **FORM)[1] == [("cat/000.png", f"not an image ({READ})")]


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (
            ["cat/000.png", "dog/001.png"],
            "2 of 6 images in .* cannot be read, too many to leave out; the first: cat/000",
        ),
        (
            ["cat/000.png", "cat/001.png", "cat/002.png", "dog/000.png", "dog/001.png", "dog/002.png"],
            "0 of 6 train images",
        ),
    ],
)
def test_many_unreadable_images_stop(folder: Maker, broken: list[str], said: str) -> None:
    root = folder("cat", "dog")
    for name in broken:
        (root / name).write_text("text")
    with pytest.raises(InputError, match=said):
        read_folder(root, **FORM)


def test_an_emptied_class_stops(folder: Maker) -> None:
    root = folder("dog", count=30)
    folder("cat", count=1)
    (root / "cat" / "000.png").write_text("text")
    with pytest.raises(InputError, match=r"no training image of class 'cat' in .* can be read"):
        read_folder(root, **FORM)


def test_missing_and_empty_folders(folder: Maker, tmp_path: Path) -> None:
    def said() -> str:
        with pytest.raises(InputError) as caught:
            read_folder(root, **FORM)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    root = tmp_path / "images"
    assert "no folder" in said()
    root.mkdir()
    assert "no class folders" in said()
    (root / "loose.png").write_bytes(png(np.zeros((4, 4), np.uint8)))
    assert "such as cat/001.jpg" in said()
    (root / "cat").mkdir()
    assert "no images in the class folders" in said()
    folder("dog")
    assert "no image in class folder 'cat'" in said()
    (root / "cat").rmdir()
    assert "only one class in" in said()


def test_splits_that_do_not_fit_together(folder: Maker) -> None:
    root = folder("train/cat", "train/dog", "test/owl")
    with pytest.raises(InputError, match=r"test images in .* have class 'owl', which training never saw"):
        read_folder(root, **FORM)
    shutil.rmtree(root)
    folder("val/cat", "test/cat")
    with pytest.raises(InputError, match="holds val, test but no train"):
        read_folder(root, **FORM)
    folder("train/cat", "train/dog", "valid/cat")
    with pytest.raises(InputError, match="holds both val and valid"):
        read_folder(root, **FORM)
    shutil.rmtree(root)
    (root / "train").mkdir(parents=True)
    with pytest.raises(InputError, match=r"no class folders in .*train"):
        read_folder(root, **FORM)


def test_large_sets_are_decoded_on_demand_and_look_the_same(folder: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    root = folder("cat", "dog")
    (root / "cat" / "001.png").write_text("text")
    small = read_folder(root, **FORM)[0]["train"]
    monkeypatch.setattr(sets, "MEMORY_LIMIT", 0)
    large = read_folder(root, **FORM)[0]["train"]
    assert isinstance(small, ArrayDataset)
    assert isinstance(large, StoredDataset)
    assert large.fingerprint == small.fingerprint
    order = np.array([4, 0, 4])
    assert np.array_equal(large.batch(order), small.batch(order))
    assert np.array_equal(large.subset(order).batch(np.array([1])), small.batch(order[1:2]))
    assert large.batch(np.array([], int)).shape == (0, 8, 8, 3)


def test_fingerprint_follows_content_and_not_the_place(folder: Maker, tmp_path: Path) -> None:
    root = folder("cat", "dog")
    before = read_folder(root, **FORM)[0]["train"].fingerprint
    copy = tmp_path / "copy"
    shutil.copytree(root, copy)
    assert read_folder(copy, channels=1, size=(4, 4))[0]["train"].fingerprint == before
    shutil.copy(copy / "cat" / "000.png", copy / "cat" / "001.png")
    assert read_folder(copy, **FORM)[0]["train"].fingerprint != before


def test_progress_counts_every_image(folder: Maker) -> None:
    seen: list[tuple[int, int]] = []
    read_folder(folder("train/cat", "train/dog", "val/dog"), **FORM, progress=lambda *now: seen.append(now))
    assert seen == [(done, 9) for done in range(1, 10)]
