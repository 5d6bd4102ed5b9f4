"""Which pictures a model is measured on when nobody says."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import alexnet
from alexnet.data.pictures import ArrayPictures
from alexnet.evaluation.pictures import fitted, pictures_for, spread
from alexnet.training.run import Run


@pytest.mark.parametrize(
    ("there", "taken"),
    [(("train", "val", "test"), "test"), (("train", "val"), "val"), (("train",), "train")],
)
def test_test_pictures_before_validation_before_all(
    trained: Run, tmp_path: Path, there: tuple[str, ...], taken: str
) -> None:
    for split in there:
        for name in "01":
            (tmp_path / split / name).mkdir(parents=True)
            Image.new("L", (8, 8)).save(tmp_path / split / name / "x.png")
    pictures = pictures_for(alexnet.open(trained.path), tmp_path)
    assert pictures.names == (f"{taken}/0/x.png", f"{taken}/1/x.png")


def test_fitted_to_the_classes_and_size_of_the_model(trained: Run) -> None:
    images = np.zeros((1, 20, 30, 3), np.uint8)
    pictures = fitted(alexnet.open(trained), ArrayPictures(images, np.array([0]), ["7"], ["one"]))
    assert pictures.batch(np.array([0])).shape == (1, 8, 8, 1)
    assert pictures.labels.tolist() == [7]


def test_spread() -> None:
    assert spread(10, 3).tolist() == [0, 4, 9]
    assert spread(2, 3).tolist() == [0, 1]
