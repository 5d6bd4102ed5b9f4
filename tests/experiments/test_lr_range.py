"""The rate rises, the loss is recorded, a rate is suggested, and nothing else is touched."""

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from alexnet.experiments import lr_range as lr_ranges
from alexnet.experiments.lr_range import HIGH, LOW, LrRange, lr_range
from alexnet.files import read_json
from alexnet.recipes import recipe as recipes
from alexnet.training.setup import prepare

QUICK = {"model.init": "keras-he", "train.batch_size": 32, "augment.shift": 0.0}


def found(steps: int, **settings: object) -> LrRange:
    changes = {key.replace("__", "."): value for key, value in settings.items()}
    return lr_range(prepare(recipes.load("digits", QUICK | changes), None, "cpu"), steps)


def test_rates_rise_exponentially_and_the_steepest_is_suggested() -> None:
    seen = found(120)
    assert seen.rates[0] == LOW
    np.testing.assert_allclose(np.diff(np.log(seen.rates)), np.log(HIGH / LOW) / 119)
    assert len(seen.rates) == len(seen.losses) == len(seen.smoothed) < 120  # it ended when the loss burst
    assert seen.suggestion is not None
    assert LOW < seen.suggestion < seen.lowest < HIGH
    assert min(seen.smoothed) < 0.9 * seen.smoothed[0]


def test_a_loss_that_does_not_fall_suggests_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same batch again and again, at rates too small to learn from it."""
    batches = lr_ranges._batches  # pyright: ignore[reportPrivateUsage]
    monkeypatch.setattr(lr_ranges, "_batches", lambda setup: itertools.repeat(next(batches(setup))))
    monkeypatch.setattr(lr_ranges, "HIGH", 10 * LOW)
    assert found(5, model__dropout=0.0).suggestion is None


def test_the_rate_is_what_changes_not_the_recipes() -> None:
    """A frozen or warm schedule, or another rate in the recipe, does not matter."""
    plain, other = found(30), found(30, optimizer__lr=0.5, schedule__name="one-cycle")
    assert plain.losses == other.losses


def test_the_command_writes_two_files_and_says_what_to_try(
    command: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = [f"--set={key}={value}" for key, value in QUICK.items()]
    ended = command("train", "digits", "--lr-range", "--steps", 80, *settings)
    assert ended.code == 0
    folder = Path("runs") / "digits-lr-range"
    assert sorted(path for path in tmp_path.rglob("*") if path.is_file()) == [
        tmp_path / folder / "lr_range.json",
        tmp_path / folder / "lr_range.png",
    ]
    written = read_json(folder / "lr_range.json")
    assert f"--set optimizer.lr={written['suggestion']:.1e}" in ended.out
    assert ended.out.splitlines()[-1] == f"plot: {folder / 'lr_range.png'}"
    with Image.open(folder / "lr_range.png") as image:
        assert image.size[0] > 500
