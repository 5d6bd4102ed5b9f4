"""The table of re-run experiments: what runs, what is reused, what goes on, what is left out and why."""

import json
from pathlib import Path
from typing import Any

import pytest

from alexnet.artifacts.run import Run
from alexnet.errors import InputError
from alexnet.experiments import runs, table
from alexnet.experiments.published import EXPERIMENTS, Experiment, choose
from alexnet.experiments.reproduce import reproduce, seconds_of
from alexnet.experiments.train import train
from alexnet.recipes import recipe as recipes
from alexnet.training.interrupts import Interrupted
from alexnet.training.reporter import Reporter
from alexnet.training.setup import Setup

pytestmark = pytest.mark.usefixtures("bare")
TINY = """
title = "tiny"
source = "nobody"
[model]
name = "alexnet-digits"
[data]
name = "synthetic"
synthetic_images = 60
[train]
epochs = 2
batch_size = 16
[[published]]
name = "training accuracy"
value = 0.99
[[published]]
name = "test accuracy"
value = 0.5
note = "made up"
"""


@pytest.fixture
def experiments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Experiment]:
    """One with both recipes, and one whose data is not here."""
    monkeypatch.setenv("ALEXNET_DATA", str(tmp_path / "nowhere"))
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "seed.toml").write_text(TINY)
    (tmp_path / "ours.toml").write_text(TINY.replace("epochs = 2", "epochs = 1"))
    paths = [str(tmp_path / f"{name}.toml") for name in ("seed", "ours")]
    return [
        Experiment("tiny-net", paths[0], paths[1]),
        Experiment("tiny-far", "cifar100-as-published", None, "far away"),
    ]


class Count(Reporter):
    def __init__(self) -> None:
        self.epochs: list[int] = []

    def epoch(self, row: dict[str, Any]) -> None:
        self.epochs.append(row["epoch"])


def test_it_runs_writes_and_reuses(
    experiments: list[Experiment], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def expected(setup: Setup, *_: object) -> float:  # where a clock would say which is shorter, the epochs do
        return float(setup.recipe.train.epochs)

    monkeypatch.setattr(runs, "expected_seconds", expected)
    out, count, lines = tmp_path / "out", Count(), []
    rows = reproduce(["tiny"], out=out, seeds=2, reporter=count, tell=lines.append, experiments=experiments)
    assert count.epochs == [1, 1, 2, 1, 1, 2]  # seed by seed, the shorter run first
    net, far = rows
    assert (net["published"], net["conditions"]) == (0.5, "test accuracy; made up")
    assert (net["ours"]["n"], net["ours"]["seeds"], net["ours"]["epochs"]) == (2, [0, 1], 1)
    values = net["as_published"]["values"]
    assert net["as_published"]["mean"] == pytest.approx(sum(values) / 2)
    assert net["as_published"]["std"] == pytest.approx(abs(values[0] - values[1]) / 2**0.5)
    assert far["as_published"]["left_out"] == ["data for cifar100 not here"]
    assert any(line.startswith("cifar100-as-published: no data for cifar100") for line in lines)
    assert json.loads((out / "reproduction.json").read_text()) == rows
    text = (out / "reproduction.md").read_text()
    assert "| tiny-net | .5000 | " in text
    assert "- tiny-far: validation accuracy after epoch 5; Keras, CPU, 301 s an epoch ('Classic" in text
    assert str(tmp_path) not in text.replace(str(tmp_path / "seed.toml"), "").replace(str(tmp_path / "ours.toml"), "")
    assert (out / "synthetic.html").is_file()

    again = Count()
    assert reproduce(["tiny-net"], out=out, seeds=2, reporter=again, experiments=experiments) == rows[:1]
    assert again.epochs == []


def test_an_interrupted_run_goes_on_and_another_recipe_is_not_taken_for_it(
    experiments: list[Experiment], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    with pytest.raises(Interrupted):
        train(experiments[0].published, out=out / "begun", stop_after=1)
    train(experiments[0].ours, out=out / "other", settings={"optimizer.lr": 0.5})
    count = Count()
    rows = reproduce(["tiny-net"], out=out, reporter=count, experiments=experiments)
    assert sorted(count.epochs) == [1, 2]  # ours anew, as published its second epoch
    assert rows[0]["as_published"]["runs"] == ["begun"]
    assert rows[0]["ours"]["runs"] == ["ours-0"]


def test_what_does_not_fit_the_budget_is_left_out_with_its_time(experiments: list[Experiment], tmp_path: Path) -> None:
    lines: list[str] = []
    rows = reproduce(["tiny-net"], out=tmp_path / "out", budget=0, tell=lines.append, experiments=experiments)
    timed = [line for line in lines if line.endswith(": timing a few steps, to know how long it takes")]
    assert len(timed) == 2
    assert all(", seed 0: " in line for line in timed)
    said = table.left_out(rows)
    assert len(said) == 2
    assert all("seed 0 would take about " in line and line.endswith(", 0.0 s left") for line in said)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"reproduction.md", "reproduction.json"}


def test_what_diverges_or_is_stopped_does_not_take_the_table_with_it(
    experiments: list[Experiment], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ours.toml").write_text(TINY + "[optimizer]\nname = 'sgd'\nlr = 1e12\n")
    rows = reproduce(["tiny-net"], out=tmp_path / "out", experiments=experiments)
    assert rows[0]["ours"]["n"] == 0
    assert "seed 0 failed: epoch 1, step " in rows[0]["ours"]["left_out"][0]
    assert rows[0]["as_published"]["n"] == 1

    def stop(*_: object) -> Run:
        raise Interrupted(tmp_path)

    monkeypatch.setattr("alexnet.experiments.runs.run", stop)
    with pytest.raises(Interrupted):
        reproduce(["tiny-net"], out=tmp_path / "stopped", experiments=experiments)
    assert "was interrupted" in (tmp_path / "stopped" / "reproduction.md").read_text()


def test_times_are_written_as_people_write_them() -> None:
    assert [seconds_of(text) for text in ("30m", "2h", "1h30m", "90s", "0")] == [1800, 7200, 5400, 90, 0]
    for wrong in ("", "30", "m", "1d", "-5m", "1m1h"):
        with pytest.raises(InputError, match="written as 30m"):
            seconds_of(wrong)


def test_experiments_are_called_by_name_or_by_how_they_begin() -> None:
    assert [each.name for each in choose(["mnist"])] == ["mnist-alexnet", "mnist-resnet56", "mnist-resnet20"]
    assert [each.name for each in choose(["cifar10-as-published"])] == ["cifar10-as-published"]
    assert choose([]) == list(EXPERIMENTS)
    with pytest.raises(InputError, match="did you mean mnist-alexnet"):
        choose(["mnist-alexnett"])


def test_every_recipe_that_an_experiment_names_is_shipped_with_its_source() -> None:
    names = [name for each in EXPERIMENTS for name in each.arms.values()]
    assert len(names) == len(set(names))
    assert set(names) <= set(recipes.names())
    for each in EXPERIMENTS:
        assert each.first.source
        assert each.figure or each.claim, f"{each.name}: nothing published?"
        models = {recipes.load(name).model.name for name in each.arms.values()}
        assert len(models) == 1, f"{each.name}: ours keeps the network"
