"""Groups of images that no split cuts, and images that are left out."""

from pathlib import Path

import numpy as np
import pytest

from alexnet.data import groups
from alexnet.data.dataset import ArrayDataset
from alexnet.errors import InputError


def dataset(names: list[str], labels: list[int]) -> ArrayDataset:
    images = np.arange(len(names) * 12, dtype=np.uint8).reshape(-1, 2, 2, 3)
    return ArrayDataset(images, np.array(labels), [f"class{i}" for i in range(max(labels) + 1)], names)


def test_groups_are_numbered_and_images_without_one_stand_alone() -> None:
    names = ["a/p1-1.png", "a/p2-1.png", "b/p1-2.png", "b/other.png", "b/another.png"]
    assert groups.numbered(names, r"(p\d+)-").tolist() == [0, 1, 0, 2, 3]
    assert groups.numbered(names, r"p\d+-").tolist() == [0, 1, 0, 2, 3]
    with pytest.raises(InputError, match="occurs in no image"):
        groups.numbered(names, "patient")
    with pytest.raises(InputError, match="not a regular expression"):
        groups.grouping("(")


def test_a_cut_holds_out_whole_groups_near_the_share_of_every_class() -> None:
    random = np.random.default_rng(0)
    belong = random.integers(0, 60, 600)
    labels = (belong + random.integers(0, 2, 600)) % 4
    for seed in range(3):
        train, held = groups.cut(labels, belong, 0.2, seed)
        assert np.sort(np.r_[train, held]).tolist() == list(range(600))
        assert not np.isin(belong[held], belong[train]).any()
        shares = np.bincount(labels[held], minlength=4) / np.bincount(labels)
        assert shares == pytest.approx(0.2, abs=0.08)
    first, second = (groups.cut(labels, belong, 0.2, seed)[1] for seed in (0, 1))
    assert first.tolist() != second.tolist()


def test_every_class_keeps_an_image_to_train_on() -> None:
    labels, belong = np.array([0, 0, 0, 0, 1, 1]), np.array([0, 1, 2, 3, 4, 5])
    for seed in range(5):
        train, _ = groups.cut(labels, belong, 0.9, seed)
        assert set(labels[train]) == {0, 1}
    train, held = groups.cut(np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1]), 0.1, 0)  # all groups are too large
    assert len(train) == len(held) == 2
    with pytest.raises(InputError, match="no group can be held out"):
        groups.cut(np.array([0, 1]), np.array([0, 1]), 0.5, 0)


def test_folds_hold_whole_groups_and_as_many_images_each() -> None:
    random = np.random.default_rng(1)
    belong = random.integers(0, 40, 400)
    labels = random.integers(0, 3, 400)
    part = groups.parts(labels, belong, 5, 0)
    assert all(len(set(part[belong == group])) == 1 for group in range(40))
    assert np.bincount(part) == pytest.approx(80, abs=12)
    with pytest.raises(InputError, match="only 2 groups"):
        groups.parts(labels[:4], np.array([0, 0, 1, 1]), 3, 0)


def test_the_list_leaves_out_by_name_with_or_without_the_split(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("a/1.png\tdamaged\ntrain/b/3.png\n\nnowhere.png\n", encoding="utf-8")
    names = groups.read_quarantine(tmp_path / "list.txt")
    assert names == ("a/1.png", "train/b/3.png", "nowhere.png")
    kept, out = groups.without(dataset(["a/1.png", "a/2.png", "b/3.png", "b/4.png"], [0, 0, 1, 1]), names)
    assert (kept.names, out) == (("a/2.png", "b/4.png"), ("a/1.png", "b/3.png"))
    with pytest.raises(InputError, match="leaves class 'class1' without a training image"):
        groups.without(dataset(["a", "b"], [0, 1]), ["b"])
    with pytest.raises(InputError, match="no quarantine list"):
        groups.read_quarantine(tmp_path / "other.txt")


def test_an_image_is_no_quarantine_list(tmp_path: Path) -> None:
    (tmp_path / "list.png").write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR")
    with pytest.raises(InputError, match="is no quarantine list, which is text"):
        groups.read_quarantine(tmp_path / "list.png")
