"""Which images a model is measured on when nobody says."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import alexnet
from alexnet.artifacts.run import Run
from alexnet.data.dataset import ArrayDataset
from alexnet.errors import InputError
from alexnet.inference.data import LeftOut, dataset_for, fitted, measured_images, spread


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


@pytest.mark.usefixtures("bare")
def test_the_output_says_which_images_were_measured(tmp_path: Path, command: Callable[..., Any]) -> None:
    """60 images were given, 12 measured, and no word about the others."""
    place, random = tmp_path / "images", np.random.default_rng(0)
    place.mkdir()
    for number in range(30):
        Image.fromarray(random.integers(0, 256, (8, 8), np.uint8)).save(place / f"{number:02}.png")
    parts = ["train"] * 18 + ["validation"] * 8 + ["test"] * 4
    lines = [f"{number:02}.png,{'ab'[number % 2]},{part}" for number, part in enumerate(parts)]
    (tmp_path / "t.csv").write_text("file,label,split\n" + "\n".join(lines))
    plain = [line.rpartition(",")[0] for line in lines]
    (tmp_path / "plain.csv").write_text("file,label\n" + "\n".join(plain))
    wrong = ["00.png,b", *plain[1:]]
    (tmp_path / "wrong.csv").write_text("file,label\n" + "\n".join(wrong))
    settings = {"model.name": "alexnet-digits", "data.name": "table", "data.labels": str(tmp_path / "t.csv")}
    run = alexnet.train("folder", out=tmp_path / "run", data=place, steps=1, settings=settings)

    def said(*options: object) -> str:
        (line,) = [line for line in command("evaluate", run.path, *options).out.splitlines() if "measured" in line]
        return line

    of_test = "measured: the 4 test images; 26 others are left out, 18 of which trained the model"
    assert said() == of_test
    given = ("--data", place, "--labels")
    assert said(*given, tmp_path / "plain.csv") == of_test
    chose = "measured: the 8 validation images, which chose the epoch; 22 others are left out, 18 of which trained"
    assert said("--split", "validation") == f"{chose} the model"
    assert said("--split", "train") == "measured: the 18 train images, which trained the model; 12 others are left out"
    # Another label than the recorded table has: the given one holds, where the recorded one was measured by silently.
    told = "measured: the 12 images, 8 of which chose the epoch; 18 others are left out, which trained the model"
    assert said(*given, tmp_path / "wrong.csv") == told
    page = tmp_path / "page.html"
    content = json.loads(command("evaluate", run.path, "--json", "--page", page).out)
    assert content["measured"] == {
        "split": "test", "count": 4, "left_out": 26, "trained": 0, "chose_epoch": 0, "left_out_trained": 18
    }  # fmt: skip
    assert of_test in page.read_text(encoding="utf-8")
    weights = shutil.copy(run.path / "best.safetensors", tmp_path / "alone.safetensors")
    ended = command("evaluate", weights, *given, tmp_path / "t.csv")
    assert "measured: the 4 test images; 26 others are left out\n" in ended.out  # which trained it is not known


def test_several_labels_and_images_that_validate_and_test(
    tagged: Any, tmp_path: Path, command: Callable[..., Any]
) -> None:
    said = command("evaluate", tagged.run.path)
    trained = tagged.run.card.data.train
    assert f"measured: the 30 test images; 120 others are left out, {trained} of which trained the model\n" in said.out
    content = json.loads(command("evaluate", tagged.run.path, "--json").out)
    assert (content["measured"]["split"], content["measured"]["left_out"]) == ("test", 120)
    settings = {"data.name": "synthetic", "data.synthetic_images": 80, "data.validation": "test"}
    run = alexnet.train("digits", out=tmp_path / "run", epochs=1, settings=settings)
    _, measured = measured_images(alexnet.load(run))
    count = len(dataset_for(alexnet.load(run)))
    assert (measured.split, measured.count, measured.chose_epoch) == ("test", count, 0)  # the last epoch: not chosen
    assert measured.left_out == measured.left_out_trained == run.card.data.train


def test_fitted_to_the_classes_and_size_of_the_model(trained: Run) -> None:
    images = np.zeros((1, 20, 30, 3), np.uint8)
    dataset = fitted(alexnet.load(trained), ArrayDataset(images, np.array([0]), ["7"], ["one"]))
    assert dataset.batch(np.array([0])).shape == (1, 8, 8, 1)
    assert dataset.labels.tolist() == [7]


def test_spread() -> None:
    assert spread(10, 3).tolist() == [0, 4, 9]
    assert spread(2, 3).tolist() == [0, 1]
