"""`alexnet pack`, and what other verbs make of packed images and of Caltech-256."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from alexnet.artifacts.card import Protocol
from alexnet.artifacts.run import Run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Twelve images of each of two classes, in Caltech-256's layout, one number wrong."""
    root = tmp_path / "256_ObjectCategories"
    random = np.random.default_rng(0)
    for number, name in ((1, "001.ak47"), (2, "002.american-flag")):
        (root / name).mkdir(parents=True)
        for index in range(1, 13):
            image = Image.fromarray(random.integers(0, 256, (20, 30, 3), np.uint8))
            image.save(root / name / f"{number:03}_{index:04}.jpg")
    (root / "002.american-flag" / "002_0012.jpg").rename(root / "002.american-flag" / "001_0012.jpg")
    return root


def test_pack_says_what_it_made_and_goes_on_where_it_stood(command: Callable, folder: Path, tmp_path: Path) -> None:
    said = command("pack", "--data", folder, "--out", tmp_path / "shards", "--size", 16).out.splitlines()
    assert said[0].startswith("train: 23 images in 1 shard, ")
    assert said[1] == (
        "left out: 002.american-flag/001_0012.jpg: its name has the number of another class: 001 in folder "
        "002.american-flag"
    )
    assert said[2] == f"next: alexnet train --data {tmp_path / 'shards'}"
    index = json.loads(command("pack", "--data", folder, "--out", tmp_path / "shards", "--size", 16, "--json").out)
    assert index == json.loads((tmp_path / "shards" / "index.json").read_text())


def test_pack_shuffles_when_told(command: Callable, folder: Path, tmp_path: Path) -> None:
    for name, more in (("listed", ()), ("shuffled", ("--shuffle",))):
        command("pack", "--data", folder, "--out", tmp_path / name, "--size", 16, *more)
    one, other = (json.loads((tmp_path / name / "train-000000.json").read_text()) for name in ("listed", "shuffled"))
    assert one["labels"] == sorted(one["labels"])
    assert other["labels"] != sorted(other["labels"])
    assert sorted(one["names"]) == sorted(other["names"])
    assert "pack of other images" in command("pack", "--data", folder, "--out", tmp_path / "listed", "--shuffle").err


@pytest.mark.usefixtures("bare")
@pytest.mark.parametrize("packed", [False, True])
def test_what_lies_at_data_decides_how_it_is_read(
    command: Callable, folder: Path, tmp_path: Path, packed: bool
) -> None:
    data = folder
    if packed:
        data = tmp_path / "shards"
        assert command("pack", "--data", folder, "--out", data, "--size", 32).code == 3  # one image left out
    small = [f"--set={setting}" for setting in ("model.name=alexnet-thinner-4", "data.per_class=8")]
    small += [f"--set={setting}" for setting in ("data.resize=32", "train.epochs=1", "train.batch_size=8")]
    ended = command("train", "--data", data, "--out", tmp_path / "run", *small)
    assert ended.code == (0 if packed else 3), ended.err  # packing left the misnamed image out already
    card = Run(tmp_path / "run").card
    assert card.data.name == ("shards" if packed else "caltech256")
    assert card.data.protocol == Protocol(per_class=8)
    assert (card.data.train + card.data.validation, card.data.test) == (16, 7)
    assert card.classes == ("001.ak47", "002.american-flag")
    measured = json.loads(command("evaluate", tmp_path / "run", "--json").out)
    assert card.figures.test is not None
    recorded = card.figures.test.to_json()
    assert {name: measured[name] for name in recorded} == recorded


def test_what_cannot_be_packed_is_said(refused: Callable[..., str], folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert "no file or folder" in refused("pack", "--data", tmp_path / "nowhere", "--out", out)
    assert "choose one of: table, caltech256, imagenet, folder" in refused(
        "pack", "--data", folder, "--out", out, "--format", "mnist"
    )
    assert "holds something else (001.ak47)" in refused("pack", "--data", folder, "--out", folder)
    assert "fit is 'stretch'; choose one of: crop, squash" in refused(
        "pack", "--data", folder, "--out", out, "--fit", "stretch"
    )
    assert "no ImageNet training images" in refused("pack", "--data", folder, "--out", out, "--format", "imagenet")
    (tmp_path / "file").write_text("x")
    assert "is a file" in refused("pack", "--data", folder, "--out", tmp_path / "file")
