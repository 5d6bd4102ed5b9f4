"""One split of a set, by name."""

from pathlib import Path

import pytest

from alexnet.data.pick import dataset, pick
from alexnet.data.sources import open_splits
from alexnet.errors import InputError


def test_a_set_is_given_whole() -> None:
    assert len(dataset("digits")) == 1797
    assert dataset("synthetic", "test", count=100, classes=4).classes == ("class0", "class1", "class2", "class3")


def test_a_split_that_is_not_there_is_refused_with_those_that_are() -> None:
    with pytest.raises(InputError, match="synthetic has no split 'validation'; it has: train, test"):
        dataset("synthetic", "validation")
    splits = open_splits("synthetic", count=50, validation=0.2)
    assert [len(pick(splits, split)) for split in ("train", "validation", "test")] == [40, 10, 10]


def test_an_unknown_set_is_refused() -> None:
    with pytest.raises(InputError, match="did you mean digits"):
        dataset("digit")


def test_a_folder_is_not_taken_for_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my-images").mkdir()
    for name in ("my-images", str(tmp_path / "my-images"), tmp_path / "my-images"):
        with pytest.raises(InputError, match=r"no dataset is called '.*my-images'; what lies there is read with data="):
            dataset(name)  # pyright: ignore[reportArgumentType]
