"""Folds and seeds: each run in its folder, the spread of their figures, and going on after a stop."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from alexnet.artifacts.run import Run, finished
from alexnet.data.sources import open_splits
from alexnet.errors import InputError
from alexnet.experiments.repeat import repeat, spread
from alexnet.files import read_json
from alexnet.inference.data import dataset_for
from alexnet.inference.model import load_model
from alexnet.recipes import recipe as recipes
from alexnet.training.interrupts import Interrupted

TINY = {"data.name": "synthetic", "data.synthetic_images": 60, "train.batch_size": 16, "train.epochs": 2}


def test_the_spread_is_students() -> None:
    """By the table: t(0.975) is 4.303 for two degrees of freedom, 12.706 for one."""
    found = spread([0.70, 0.72, 0.77])
    assert (found.n, found.mean) == (3, pytest.approx(0.73))
    assert found.std == pytest.approx(0.0360555)
    assert found.high - found.mean == pytest.approx(4.303 * 0.0360555 / 3**0.5, rel=1e-3)
    assert found.mean - found.low == pytest.approx(found.high - found.mean)
    assert spread([0.50, 0.51]).high == pytest.approx(0.505 + 12.706 * 0.005, rel=1e-3)
    assert (spread([0.3, 0.7]).low, spread([0.3, 0.7]).high) == (0, 1)  # an accuracy is no less and no more
    assert spread([0.5, 0.5]).std == 0


@pytest.mark.usefixtures("bare")
def test_every_image_validates_once_and_the_summary_says_it_all(tmp_path: Path) -> None:
    recipe = recipes.load("digits", TINY)
    summary = repeat(recipe, tmp_path / "runs", folds=3)
    assert read_json(tmp_path / "runs" / "summary.json") == json.loads(json.dumps(summary))
    paths = [tmp_path / "runs" / f"fold-{number}" for number in (1, 2, 3)]
    names = [name for path in paths for name in read_json(path / "split.json")["validation"]]
    assert sorted(names) == sorted(
        open_splits("synthetic", channels=1, size=(8, 8), count=60, validation=None).train.names
    )
    assert (summary["kind"], [row["name"] for row in summary["runs"]]) == ("folds", ["fold-1", "fold-2", "fold-3"])
    last = [Run(path).metrics[-1]["val_accuracy"] for path in paths]
    assert summary["last_accuracy"]["mean"] == pytest.approx(sum(last) / 3)
    assert summary["val_accuracy"]["n"] == summary["test_accuracy"]["n"] == 3
    assert (tmp_path / "runs" / "compare.html").exists()
    # A fold is a run like any other: it is evaluated on its own validation images.
    assert (
        list(dataset_for(load_model(paths[1]), split="validation").names) == names[len(names) // 3 : -len(names) // 3]
    )


@pytest.mark.usefixtures("bare")
def test_seeds_go_on_where_they_stopped_and_what_is_finished_is_reused(tmp_path: Path) -> None:
    recipe = recipes.load("digits", TINY | {"data.validation": "test"})
    whole = repeat(recipe, tmp_path / "whole", seeds=2)
    assert [row["name"] for row in whole["runs"]] == ["seed-0", "seed-1"]
    assert whole["val_accuracy"] is whole["last_accuracy"] is None  # the test images validated
    assert whole["test_accuracy"]["n"] == 2
    out = tmp_path / "parts"
    with pytest.raises(Interrupted):
        repeat(recipe, out, seeds=2, stop_after=1)
    with pytest.raises(InputError, match="already holds runs; add --resume"):
        repeat(recipe, out, seeds=2)
    assert not finished(Run(out / "seed-0"), recipe)
    parts = repeat(recipe, out, seeds=2, resume_runs=True)
    assert parts["test_accuracy"] == whole["test_accuracy"]
    for name in ("seed-0", "seed-1"):
        weights = [(folder / name / "last.safetensors").read_bytes() for folder in (out, tmp_path / "whole")]
        assert weights[0] == weights[1]
    before = {path: path.stat().st_mtime_ns for path in out.glob("seed-*/*")}
    assert repeat(recipe, out, seeds=2, resume_runs=True) == parts
    assert before == {path: path.stat().st_mtime_ns for path in out.glob("seed-*/*")}
    with pytest.raises(InputError, match=r"started with another recipe: optimizer\.lr"):
        repeat(recipes.load(recipe, {"optimizer.lr": 0.5}), out, seeds=2, resume_runs=True)
    copies = tmp_path / "copies"
    for name in ("seed-0", "seed-1"):
        shutil.copytree(out / "seed-0", copies / name)
    shutil.copy(out / "seed-1" / "recipe.toml", copies / "seed-1")
    same = repeat(recipe, copies, seeds=2, resume_runs=True)  # the same weights: of one seed there is no spread
    assert ([row["repeats"] for row in same["runs"]], same["test_accuracy"]) == ([None, "seed-0"], None)
    longer = repeat(recipes.load(recipe, {"train.epochs": 3}), out, seeds=2, resume_runs=True)
    assert [row["epochs"] for row in longer["runs"]] == [3, 3]


def test_what_cannot_be_repeated_is_refused(tmp_path: Path) -> None:
    recipe = recipes.load("digits", TINY)
    for folds, seeds in ((0, 0), (3, 3), (0, 1)):
        with pytest.raises(InputError, match="either a number of folds or a number of seeds"):
            repeat(recipe, tmp_path / "no", folds=folds, seeds=seeds)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "recipe.toml").touch()
    with pytest.raises(InputError, match="already holds a run"):
        repeat(recipe, tmp_path / "run", seeds=2, resume_runs=True)
    for fold, folds in ((6, 5), (1, 1), (2, 0)):
        with pytest.raises(InputError, match="give 2 folds or more, and one of them"):
            recipes.load("digits", {"data.fold": fold, "data.folds": folds})
    with pytest.raises(InputError, match="leave out data\\.validation"):
        recipes.load("digits", {"data.folds": 5, "data.validation": "test"})
    assert not (tmp_path / "no").exists()


@pytest.mark.usefixtures("bare")
def test_the_command_line_prints_the_interval_and_what_counts_once(
    command: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("alexnet.insight.compare.repetitions", lambda rows, words=None: ["it counts once"])
    settings = [f"--set={key}={value}" for key, value in TINY.items()]
    stopped = command("train", "digits", "--folds", 2, "--out", tmp_path / "cv", "--stop-after", 1, *settings)
    assert stopped.code == 130
    again = stopped.out.splitlines()[-1]
    assert again.startswith("interrupted; everything is saved. Resume with: alexnet train digits --folds 2 --out ")
    assert again.endswith(" --resume")
    ended = command("train", "digits", "--folds", 2, "--out", tmp_path / "cv", "--resume", *settings)
    assert ended.code == 0
    assert "95 % interval" in ended.out
    assert "warning: it counts once" in ended.out
    assert ended.out.splitlines()[-1] == f"page: {tmp_path / 'cv' / 'compare.html'}"
    refused = command("train", "digits", "--folds", 2, "--seeds", 2, "--out", tmp_path / "both")
    assert (refused.code, refused.err.count("\n")) == (2, 1)
