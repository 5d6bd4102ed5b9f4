"""Training honors a quarantine list and groups, and evaluation honors what the run recorded."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from alexnet.artifacts.run import Run

SMALL = ["--epochs=1", "--set=model.name=alexnet-digits", "--set=train.batch_size=8", "--set=data.validation=0.3"]


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Two classes of 12 images each, of six patients."""
    random = np.random.default_rng(0)
    for label in ("cat", "dog"):
        for number in range(12):
            path = tmp_path / "images" / label / f"p{number // 2}-{label}{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(random.integers(0, 256, (12, 12), dtype=np.uint8)).save(path)
    return tmp_path / "images"


@pytest.mark.usefixtures("bare")
def test_quarantine_and_group_by(command: Callable, images: Path, tmp_path: Path) -> None:
    listed = tmp_path / "list.txt"
    listed.write_text("cat/p0-cat0.png\tlikely label error\nnowhere.png\twhy\n", encoding="utf-8")
    out = tmp_path / "run"
    settings = (f"--set=data.quarantine={listed}", "--set=data.group_by=(p\\d)-")
    assert command("train", "folder", "--data", images, "--out", out, *SMALL, *settings).code == 0
    run = Run(out)
    assert run.split is not None
    assert run.split.quarantined == ("cat/p0-cat0.png",)
    assert "1 training image in the quarantine list: left out" in run.card.data.notes
    assert "1 name is in the quarantine list and of no training image" in run.card.data.notes
    assert (run.card.data.train + run.card.data.validation) == 23
    held = {name.split("/")[1][:2] for name in run.split.validation}
    trained = {path.name[:2] for path in images.rglob("*.png")} - held
    assert len(held) in (1, 2)
    assert run.card.data.validation == sum(path.name[:2] in held for path in images.rglob("*.png")) - ("p0" in held)
    assert trained
    # Evaluated again, with and without --data: the images that validated, and not the one in the list.
    for place in ([], ["--data", images]):
        said = json.loads(command("evaluate", out, *place, "--json").out)
        assert said["count"] == run.card.data.validation, place


@pytest.mark.usefixtures("bare")
def test_groups_in_several_splits_are_said(command: Callable, images: Path, tmp_path: Path) -> None:
    for label in ("cat", "dog"):
        (images / "train").mkdir(exist_ok=True)
        (images / label).rename(images / "train" / label)
        (images / "val" / label).mkdir(parents=True)
        own = images / "train" / label / f"p0-{label}0.png"
        own.rename(images / "val" / label / own.name)
    out = tmp_path / "run"
    done = command("train", "folder", "--data", images, "--out", out, *SMALL, "--set=data.group_by=(p\\d)-")
    assert done.code == 0
    assert "1 group of data.group_by in several splits, such as p0 in train and validation" in done.out


def test_what_is_wrong_is_one_line(refused: Callable, images: Path, tmp_path: Path) -> None:
    start = ("train", "folder", "--data", images, "--out", tmp_path / "run", *SMALL)
    assert "no quarantine list" in refused(*start, "--set=data.quarantine=nowhere.txt")
    assert "occurs in no image's name" in refused(*start, "--set=data.group_by=patient")
    assert "not a regular expression" in refused(*start, "--set=data.group_by=(")
