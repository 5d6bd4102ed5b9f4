"""Which images a model is measured on when nobody says."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import alexnet
from alexnet.artifacts.run import Run
from alexnet.data.dataset import ArrayDataset
from alexnet.errors import InputError
from alexnet.inference.data import LeftOut, dataset_for, fitted, spread


@pytest.mark.parametrize(
    ("there", "taken"),
    [(("train", "val", "test"), "test"), (("train", "val"), "val"), (("train",), "train")],
)
def test_test_images_before_validation_before_all(
    trained: Run, tmp_path: Path, there: tuple[str, ...], taken: str
) -> None:
    for split in there:
        for name in "01":
            (tmp_path / split / name).mkdir(parents=True)
            Image.new("L", (8, 8)).save(tmp_path / split / name / "x.png")
    dataset = dataset_for(alexnet.load(trained.path), tmp_path)
    assert dataset.names == (f"{taken}/0/x.png", f"{taken}/1/x.png")


@pytest.mark.parametrize(
    ("settings", "measured"),
    [({}, "validation"), ({"data.train_images": 15}, "test"), ({"data.validation": "test"}, "test")],
)
@pytest.mark.usefixtures("bare")
def test_images_that_trained_are_not_measured_on(tmp_path: Path, settings: dict[str, object], measured: str) -> None:
    place, random = tmp_path / "images", np.random.default_rng(0)
    for name in ("cat", "dog"):
        (place / name).mkdir(parents=True)
        for index in range(12):
            Image.fromarray(random.integers(0, 256, (8, 8), np.uint8)).save(place / name / f"{index:02}.png")
    drawn = {"data.train_images": 15} if "data.validation" in settings else {}
    options = {"model.name": "alexnet-digits", "data.validation": 0.3} | settings | drawn
    run = alexnet.train("folder", out=tmp_path / "run", data=place, steps=1, settings=options)
    moved = shutil.copytree(place, tmp_path / "moved")
    model = alexnet.load(run)
    names = dataset_for(model, moved).names
    assert len(names) == getattr(run.card.data, measured) < 24
    assert names == dataset_for(model).names
    next(moved.glob("cat/*")).unlink()
    with pytest.warns(LeftOut, match=f"of 23 images of {moved} trained the model"):
        left = dataset_for(model, moved).names  # no longer the same images: told apart one by one
    assert 23 - run.card.data.train <= len(left) < 23
    place.rename(tmp_path / "elsewhere")
    with pytest.raises(InputError, match=r"the images of this run were in '.*/images', which is gone; add --data"):
        dataset_for(model)


def test_fitted_to_the_classes_and_size_of_the_model(trained: Run) -> None:
    images = np.zeros((1, 20, 30, 3), np.uint8)
    dataset = fitted(alexnet.load(trained), ArrayDataset(images, np.array([0]), ["7"], ["one"]))
    assert dataset.batch(np.array([0])).shape == (1, 8, 8, 1)
    assert dataset.labels.tolist() == [7]


def test_spread() -> None:
    assert spread(10, 3).tolist() == [0, 4, 9]
    assert spread(2, 3).tolist() == [0, 1]
