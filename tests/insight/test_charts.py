"""Curves as numbers: the same as in metrics.jsonl, of several seeds their mean."""

from typing import Any

from alexnet.insight import charts
from alexnet.pages.text import Words


def rows(accuracies: list[float], seconds: float, **more: Any) -> list[dict[str, Any]]:
    return [
        {
            "epoch": i + 1,
            "seconds": seconds * (i + 1),
            "train_loss": 2.0 - i,
            "val_loss": 2.5 - i,
            "train_accuracy": each + 0.1,
            "val_accuracy": each,
            **more,
        }
        for i, each in enumerate(accuracies)
    ]


def test_of_one_run_both_sides_by_epoch() -> None:
    loss, accuracy = charts.curves(rows([0.25, 0.5], 3), Words())
    assert (loss.x, loss.series) == ([1, 2], {"training": [2.0, 1.0], "validation": [2.5, 1.5]})
    assert accuracy.series["validation"] == [0.25, 0.5]
    assert (loss.percent, accuracy.percent, accuracy.title) == (False, True, "Accuracy")


def test_map_is_not_measured_in_training() -> None:
    _, score = charts.curves([{"epoch": 1, "train_loss": 2.0, "val_loss": 2.5, "val_map": 0.75}], Words())
    assert (score.title, score.series) == ("mAP", {"validation": [0.75]})


def test_runs_of_other_lengths_share_an_axis_of_seconds() -> None:
    runs = {"quick": [rows([0.25, 0.5], 2)], "slow": [rows([0.75], 3)]}
    _, accuracy = charts.side_by_side(runs, Words(), "seconds")
    assert accuracy.x == [2, 3, 4]
    assert accuracy.series["quick"] == [0.25, None, 0.5]
    assert accuracy.series["slow"] == [None, 0.75, None]
    assert accuracy.dotted == {"quick, training", "slow, training"}
    assert list(accuracy.series)[1] == "quick, training"  # it takes the color of the one before it


def test_of_several_seeds_the_mean_over_the_epochs_that_all_have() -> None:
    _, accuracy = charts.side_by_side({"both": [rows([0.25, 0.5, 1], 2), rows([0.75, 0.5], 4)]}, Words())
    assert (accuracy.x, accuracy.series["both"]) == ([1, 2], [0.5, 0.5])
    assert all(isinstance(x, int) for x in accuracy.x)
    loss, _ = charts.side_by_side({"both": [rows([0.25], 2), rows([0.75], 4)]}, Words(), "seconds")
    assert loss.x == [3.0]


def test_an_epoch_that_one_seed_did_not_measure_has_no_mean() -> None:
    _, accuracy = charts.side_by_side({"both": [rows([0.25], 2), rows([0.75], 4, val_accuracy=None)]}, Words())
    assert accuracy.series["both"] == [None]
