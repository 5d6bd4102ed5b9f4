import dataclasses
import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from alexnet.artifacts import card as cards
from alexnet.artifacts.figures import Figures
from alexnet.artifacts.predictions import Predictions
from alexnet.artifacts.run import Run
from alexnet.device import environment
from alexnet.errors import InputError
from alexnet.inference.metrics import Paired
from alexnet.insight import epochs, paired
from alexnet.insight.compare import HEAD, compare, line, write_comparison
from alexnet.models import catalog
from alexnet.recipes.recipe import load, to_toml

DATA = {"name": "cifar10", "path": None, "fingerprint": "ab" * 32, "train": 800, "validation": 100, "test": 100}
PUBLISHED = [
    {"name": "test accuracy", "value": 0.9, "unit": "accuracy", "note": "<300 epochs>"},
    {"name": "training accuracy", "value": 0.99, "unit": "accuracy", "note": ""},
]
ENVIRONMENT = environment(torch.device("cpu"), "fp32")


@pytest.fixture
def runs(tmp_path: Path) -> list[Path]:
    """Two runs: one that validated on the test split as its source did, one that has a test figure."""
    folders = []
    for name, on_test, test in (("one", True, None), ("two", False, Figures(top1=0.7, top5=0.9, loss=1.0, count=100))):
        folder = tmp_path / name
        folder.mkdir()
        figures = Figures(top1=0.65, top5=0.9, loss=1.0, count=100)
        network = catalog.create("alexnet-cifar10")
        card = cards.make(
            network,
            tuple("0123456789"),
            network.spec.preprocessing,
            recipe="cifar10",
            seed=0,
            data=DATA | {"validation_is_test": on_test},
            figures={
                "epochs": 2, "epoch": 2, "selection": "last epoch" if on_test else "validation", "seconds": 61.0,
                "in_training": figures, "validation": None if on_test else figures, "test": test or figures,
            },
            published=PUBLISHED,
            environment=ENVIRONMENT,
            sha256={},
        )  # fmt: skip
        (folder / "card.json").write_text(json.dumps(card.to_json()))
        rows = [
            {"epoch": e, "seconds": 30.0 * e, "train_loss": 1.0, "train_accuracy": 0.5, "val_loss": 1.0}
            | {"val_accuracy": 0.65, "val_top5": 0.9, "lr": 0.1, "images_per_second": 9.0}
            for e in (1, 2)
        ]
        (folder / "recipe.toml").write_text(to_toml(load("cifar10", {"train.seed": len(folders)})))
        (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        folders.append(folder)
    return folders


def test_what_was_validated_on_the_test_split_is_a_test_figure(runs: list[Path]) -> None:
    one, two = compare(runs)
    assert (one["val_accuracy"], one["test_accuracy"]) == (None, 0.65)
    assert (two["val_accuracy"], two["test_accuracy"]) == (0.65, 0.7)


def test_the_published_figure_is_not_that_of_training(runs: list[Path]) -> None:
    assert compare(runs)[0]["published"] == 0.9
    assert dict(zip(HEAD, line(compare(runs)[1]), strict=True))["published"] == "90.00%"


def test_the_page_holds_both_curves(runs: list[Path], tmp_path: Path) -> None:
    write_comparison(runs, tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert page.count("data:image/png;base64,") == 2
    assert "1 min 01 s" in page
    assert "&lt;300 epochs&gt;" in page


def test_a_folder_that_is_no_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"card\.json"):
        compare([tmp_path])


def test_runs_of_one_name_are_refused(runs: list[Path], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="same name"):
        write_comparison([runs[0], runs[0]], tmp_path / "page.html")


def said(correct: np.ndarray, names: Sequence[str]) -> Predictions:
    """Predictions that are right where `correct` says."""
    n = len(correct)
    labels = np.arange(n) % 10
    none = np.zeros((0, 8, 8, 3), np.uint8)
    predictions = np.where(correct, labels, (labels + 1) % 10)
    return Predictions(
        split="test",
        names=tuple(names),
        labels=labels,
        predictions=predictions,
        probabilities=np.full(n, 0.5, np.float32),
        losses=np.ones(n, np.float32),
        confusion=np.bincount(labels * 10 + predictions, minlength=100).reshape(10, 10),
        shown=np.zeros(0, np.int64),
        thumbnails=none,
        samples=none,
        sample_labels=np.zeros(0, np.int64),
    )


def test_the_same_images_are_compared_in_pairs_whatever_their_order(runs: list[Path], tmp_path: Path) -> None:
    n, names = 200, [f"image{i}" for i in range(200)]
    first, second = np.arange(n) < 150, np.arange(n) < 120
    Run(runs[0]).write_predictions(said(first, names))
    shuffled = said(second, names)
    order = np.random.default_rng(0).permutation(n)
    columns = {name: getattr(shuffled, name)[order] for name in ("labels", "predictions", "probabilities", "losses")}
    Run(runs[1]).write_predictions(dataclasses.replace(shuffled, names=tuple(names[i] for i in order), **columns))
    (pair,), warnings = paired.pairs([Run(run) for run in runs])
    assert (warnings, pair.count, pair.found.only_first, pair.found.only_second) == ([], n, 30, 0)
    assert pair.found.difference == pytest.approx(0.15)
    assert pair.verdict() == "one is better on these images"
    write_comparison(runs, tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "one is better on these images" in page
    assert "train.seed" in page
    assert "Recall by class" in page


def test_other_images_are_compared_under_a_warning_only(runs: list[Path], tmp_path: Path) -> None:
    for run, name in zip(runs, ("a", "b"), strict=True):
        Run(run).write_predictions(said(np.ones(50, bool), [f"{name}{i}" for i in range(50)]))
    tested, warnings = paired.pairs([Run(run) for run in runs])
    assert tested == []
    assert "do not say which is better" in warnings[0]
    write_comparison(runs, tmp_path / "page.html")
    assert "do not say which is better" in (tmp_path / "page.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        (Paired(-0.1, -0.2, -0.01, 1, 11, 0.01), "two is better on these images"),
        (Paired(0.1, -0.01, 0.2, 11, 1, 0.04), "no difference is shown"),  # the interval holds 0
        (Paired(0.1, 0.01, 0.2, 11, 4, 0.12), "no difference is shown"),  # McNemar's test does not reject
    ],
)
def test_both_tests_must_show_a_difference(found: Paired, verdict: str) -> None:
    assert paired.Pair("one", "two", "test", 100, found).verdict() == verdict


def test_no_difference_is_claimed_from_few_images(runs: list[Path]) -> None:
    names = [f"image{i}" for i in range(20)]
    Run(runs[0]).write_predictions(said(np.arange(20) < 15, names))
    Run(runs[1]).write_predictions(said(np.arange(20) < 13, names))
    assert paired.pairs([Run(run) for run in runs])[0][0].verdict() == "no difference is shown"


def test_runs_that_differ_in_their_seed_only_belong_together(runs: list[Path], tmp_path: Path) -> None:
    opened = [Run(run) for run in runs]
    assert epochs.together(opened) == [[0, 1]]
    assert epochs.title(opened, [0, 1]) == "cifar10 (2 runs)"
    ((recipe, numbers, last, test),) = epochs.seeds(opened)
    assert (recipe, numbers) == ("cifar10", "seeds 0, 0")
    assert test.startswith("67.50% ± 3.54% (n = 2;")
    assert last.startswith("65.00% ± 0.00% (n = 2;")
    for fold, run in enumerate(runs, 1):
        (run / "recipe.toml").write_text(to_toml(load("cifar10", {"data.folds": 2, "data.fold": fold})))
    assert epochs.seeds(opened)[0][1] == "folds 1, 2 of 2"
    write_comparison(runs, None, tmp_path / "plots")
    assert sorted(path.name for path in (tmp_path / "plots").iterdir()) == ["epoch.png", "seconds.png"]
    (runs[1] / "recipe.toml").write_text(to_toml(load("cifar10", {"optimizer.lr": 0.5})))
    assert epochs.together(opened) == [[0], [1]]
    assert epochs.seeds(opened) == []


def test_the_same_weights_are_one_seed(runs: list[Path], tmp_path: Path, command: Callable[..., Any]) -> None:
    """It was a mean of two ± 0 with an interval."""
    for number, run in enumerate(runs):
        card = json.loads((run / "card.json").read_text())
        (run / "card.json").write_text(json.dumps(card | {"sha256": {"last": f"{number:064}"}}))
    copy, again = tmp_path / "copy", tmp_path / "again"
    for place in (copy, again):
        shutil.copytree(runs[0], place)
    # Trained again: the weights' file names another duration, and every figure is equal.
    (again / "card.json").write_text((again / "card.json").read_text().replace("0" * 64, "7" * 64))
    rows = Run(again).metrics
    Run(again).write_rows("metrics.jsonl", [row | {"seconds": row["seconds"] + 1} for row in rows])
    given = [runs[0], copy, again, runs[1], runs[0]]
    assert [row["repeats"] for row in compare(given)] == [None, "one", "one", None, "one"]
    assert epochs.together([Run(run) for run in given]) == [[0, 3]]
    assert epochs.seeds([Run(run) for run in given[:3]]) == []
    said = command("compare", *given).out
    assert "(n = 2;" in said
    assert "warning: copy has the weights of one, so that it is no other seed; they count once\n" in said
    assert "warning: one is named twice; it counts once\n" in said
    alone = command("compare", runs[0], copy, "--out", tmp_path / "page.html").out
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "n = " not in alone
    assert "n = 2" not in page
    assert "copy has the weights of one" in page
    (copy / "recipe.toml").write_text(to_toml(load("cifar10", {"optimizer.lr": 0.5})))  # its own group
    assert epochs.together([Run(run) for run in given[:2]]) == [[0], [1]]


def test_accuracy_at_equal_epochs_and_at_equal_seconds() -> None:
    def rows(accuracies: Sequence[float], seconds: float) -> list[dict]:
        return [{"epoch": e, "seconds": e * seconds, "val_accuracy": a} for e, a in enumerate(accuracies, 1)]

    quick, slow = rows([0.5, 0.6, 0.65, 0.66], 1), rows([0.7, 0.8], 3)
    one, two = epochs.equal({"quick": quick, "slow": slow})
    assert one == ("quick", "2", "60.00%", "4.0 s", "66.00% (epoch 4)")
    assert two == ("slow", "2", "80.00%", "4.0 s", "70.00% (epoch 1)")
    assert epochs.equal({"quick": quick, "slower": rows([0.7], 9)})[1][-1] == "no epoch had ended"
    assert epochs.equal({"quick": quick}) == []


def test_overfitting_is_read_off_the_gap_the_loss_and_what_was_found(runs: list[Path]) -> None:
    finding = {"kind": "overfitting", "epoch": 2, "step": 9, "seen": "s", "cause": "c", "fix": "f"}
    Run(runs[1]).write_rows("findings.jsonl", [finding])
    one, two = epochs.fit([Run(run) for run in runs])
    assert one[-1] == "no overfitting"
    assert one[1:4] == ("50.00%", "65.00%", "-15.00%")
    assert two[-1] == "overfitting, epoch 2"


def test_the_page_has_the_cost_and_what_equal_time_bought(runs: list[Path], tmp_path: Path) -> None:
    (runs[0] / "best.safetensors").write_bytes(bytes(2_500_000))
    write_comparison(runs, tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    for heading in ("At equal epochs, and at equal seconds", "Seeds", "Overfitting", "Size and speed"):
        assert heading in page
    assert "2.5 MB" in page
    assert compare(runs)[0]["bytes"] == 2_500_000
    assert compare(runs)[1]["images_per_second"] == 9
