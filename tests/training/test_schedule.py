"""The learning rate at points that can be computed by hand, and in runs: by plateau, by step limit, by batch."""

import math
import re
from pathlib import Path
from typing import Any

import pytest

import alexnet
from alexnet.artifacts import store
from alexnet.artifacts.run import Run
from alexnet.errors import InputError
from alexnet.models import catalog
from alexnet.recipes import recipe as recipes
from alexnet.recipes.durations import resolved
from alexnet.recipes.schema import Drop, Optimizer, Schedule
from alexnet.training import optim
from alexnet.training.interrupts import Interrupted
from alexnet.training.learner import Learner
from alexnet.training.schedule import drops, factor, notes
from alexnet.training.setup import prepare


@pytest.mark.parametrize(
    ("schedule", "epoch", "expected"),
    [
        (Schedule("constant"), 7.5, 1.0),
        (Schedule("step", milestones=(3, 6)), 2.99, 1.0),
        (Schedule("step", milestones=(3, 6)), 3.0, 0.1),
        (Schedule("step", milestones=(3, 6), factor=0.5), 9.0, 0.25),
        (Schedule("cosine"), 0.0, 1.0),
        (Schedule("cosine"), 5.0, 0.5),
        (Schedule("cosine"), 10.0, 0.0),
        (Schedule("cosine", final=0.2), 5.0, 0.6),
        (Schedule("cosine", warmup=2), 1.0, 0.5),
        (Schedule("cosine", warmup=2), 2.0, 1.0),
        (Schedule("cosine", warmup=2), 6.0, 0.5),
        (Schedule("constant", warmup=1), 0.0, 0.001),
        (Schedule("constant", warmup=1), 0.25, 0.25),
        (Schedule("constant", warmup=0.0001), 0.0, 0.001),
        (Schedule("one-cycle"), 0.0, 0.04),
        (Schedule("one-cycle", warmup=2), 0.0, 0.04),  # a schedule made by hand: recipes refuse the two together
        (Schedule("one-cycle"), 3.0, 1.0),
        (Schedule("one-cycle"), 6.5, 0.5),
        (Schedule("one-cycle", final=0.1), 10.0, 0.1),
    ],
)
def test_known_points_of_ten_epochs(schedule: Schedule, epoch: float, expected: float) -> None:
    assert factor(schedule, epoch, 10) == pytest.approx(expected)


def test_the_rates_of_2012_by_epoch() -> None:
    """As the notes at the end of layer-params-145.cfg have them: conv1's weights step alone, biases keep theirs."""
    schedule = recipes.load("imagenet-2012").schedule
    network = catalog.create("alexnet-digits")
    optimizer = optim.build(Optimizer("velocity", lr=0.01, bias_lr=2), network, schedule)
    of = {id(p): group for group in optimizer.param_groups for p in group["params"]}
    layers = [of[id(network.get_parameter(name))] for name in ("conv1.weight", "conv2.weight", "fc8.weight")]
    biases = [of[id(network.get_parameter(name))] for name in ("conv1.bias", "conv2.bias")]
    expected = {0: (1e-2, 1e-2), 24: (1e-2, 1e-2), 25: (1e-3, 1e-3), 51: (1e-4, 1e-4), 66: (1e-4, 1e-4),
                67: (1e-5, 1e-4), 71: (1e-5, 1e-4), 79: (1e-6, 1e-5)}  # fmt: skip
    for epoch, (first, others) in expected.items():
        optim.set_rates(optimizer, 0.01 * factor(schedule, epoch, 91), 0.01, epoch)
        assert [group["lr"] for group in layers] == pytest.approx([first, others, others])
        assert [group["lr"] for group in biases] == pytest.approx([0.02, 0.02])
    following = optim.build(Optimizer("sgd", bias_lr=2), network, Schedule(layer_drops={"conv1": Drop(67, 0.1)}))
    optim.set_rates(following, 1e-4, 0.01, 67)
    rates = {id(p): group["lr"] for group in following.param_groups for p in group["params"]}
    assert rates[id(network.get_parameter("conv1.bias"))] == pytest.approx(2e-5)
    assert rates[id(network.get_parameter("conv2.bias"))] == pytest.approx(2e-4)


@pytest.mark.parametrize("name", ["constant", "step", "plateau", "cosine", "one-cycle"])
def test_it_never_leaves_zero_to_one(name: str) -> None:
    schedule = Schedule(name, milestones=(2.0,), warmup=0 if name == "one-cycle" else 3)
    assert all(0 <= factor(schedule, step / 10, 10) <= 1 for step in range(101))


def train(out: Path, settings: dict[str, Any], **more: Any) -> Run:
    tiny = {"data.name": "synthetic", "data.synthetic_images": 80, "train.batch_size": 16}  # 4 steps an epoch
    return alexnet.train("digits", out=out, settings=tiny | settings, **more)


def same(one: Run, other: Run) -> bool:
    """Equal bit for bit, in weights and rows."""
    timed = ("seconds", "images_per_second")
    rows = [[{k: v for k, v in row.items() if k not in timed} for row in run.metrics] for run in (one, other)]
    weights = [(run.path / "last.safetensors").read_bytes() for run in (one, other)]
    return rows[0] == rows[1] and weights[0] == weights[1]


def test_a_plateau_is_so_many_epochs_without_a_better_score() -> None:
    rising, flat = [(0.1 * n, 0.0) for n in range(5)], [(0.4, 0.0)] * 7
    assert drops(rising, 2) == 0
    assert [drops(rising + flat[:n], 2) for n in range(8)] == [0, 0, 1, 1, 2, 2, 3, 3]
    assert drops([(0.5, -2.0), (0.5, -1.0), (0.5, -0.5)], 1) == 0  # the loss decides between equal accuracies
    assert (
        drops([(0.5, 0.0), (0.1, 0.0), (0.2, 0.0), (0.3, 0.0)], 3) == 1
    )  # better than the last is not better than all
    plateau = Schedule("plateau", factor=0.1, patience=1, final=0.005)
    assert [factor(plateau, n, 9, flat[:n]) for n in range(5)] == pytest.approx([1, 1, 0.1, 0.01, 0.005])


@pytest.mark.usefixtures("bare")
def test_the_rate_falls_on_a_plateau_also_in_a_resumed_run(tmp_path: Path) -> None:
    settings = {"schedule.name": "plateau", "schedule.patience": 1, "schedule.factor": 0.5, "schedule.final": 0.2}
    settings |= {"train.epochs": 6, "optimizer.lr": 1e-30}  # nothing is learned: every epoch but the first is a plateau
    whole = train(tmp_path / "whole", settings)
    assert [row["lr"] / 1e-30 for row in whole.metrics] == pytest.approx([1, 1, 0.5, 0.25, 0.2, 0.2])
    with pytest.raises(Interrupted):
        train(tmp_path / "parts", settings, stop_after=3)
    assert same(whole, alexnet.train(out=tmp_path / "parts", resume_run=True))


@pytest.mark.usefixtures("bare")
def test_a_plateau_is_judged_by_accuracy_and_then_by_loss() -> None:
    settings = {"schedule.name": "plateau", "schedule.patience": 1, "schedule.factor": 0.1, "optimizer.lr": 1.0}
    settings |= {"data.name": "synthetic", "data.synthetic_images": 40}
    for losses, expected in (((1.0, 0.9, 0.8), 1.0), ((1.0, 1.1, 1.2), 0.01)):
        learner = Learner(prepare(recipes.load("digits", settings), None, "cpu"))
        for loss in losses:
            learner.validated(0.5, loss)
        assert learner.learning_rate() == pytest.approx(expected)


def test_a_step_limit_ends_in_mid_epoch_with_the_schedule_laid_over_it(tmp_path: Path) -> None:
    settings = {"schedule.name": "cosine", "schedule.final": 0.1, "train.epochs": 99, "train.steps": 10}
    whole = train(tmp_path / "whole", settings)
    assert [row["epoch"] for row in whole.metrics] == [1, 2, 3]
    assert whole.recipe.train.steps == 10
    last = 0.1 + 0.9 * (1 + math.cos(math.pi * 9 / 10)) / 2  # of ten steps
    assert whole.metrics[-1]["lr"] == pytest.approx(whole.recipe.optimizer.lr * last)
    assert whole.card.figures.epochs == 3
    assert whole.report.exists()
    with pytest.raises(Interrupted):
        train(tmp_path / "parts", settings, stop_after=2)
    assert same(whole, alexnet.train(out=tmp_path / "parts", resume_run=True))


def test_a_run_lasts_epochs_or_steps() -> None:
    with pytest.raises(InputError, match="not both"):
        alexnet.train("digits", epochs=2, steps=9)


@pytest.mark.usefixtures("bare")
def test_whole_epochs_as_steps_are_the_same_run(tmp_path: Path) -> None:
    epochs, steps = train(tmp_path / "epochs", {}, epochs=2), train(tmp_path / "steps", {}, steps=8)
    assert same(epochs, steps)


@pytest.mark.usefixtures("bare")
def test_the_rate_is_scaled_by_the_batch(tmp_path: Path) -> None:
    settings = {"optimizer.lr": 0.01, "optimizer.lr_batch": 32, "schedule.name": "constant"}
    run = train(tmp_path / "run", settings, epochs=1)
    assert run.metrics[0]["lr"] == pytest.approx(0.005)  # a batch of 16 where the rate is meant for 32
    assert run.recipe.optimizer.lr == 0.01


@pytest.mark.usefixtures("bare")
def test_a_layer_stops_learning_late(tmp_path: Path) -> None:
    settings = {"schedule.freeze.conv1": 1, "schedule.name": "constant", "optimizer.name": "velocity"}
    one, two = (train(tmp_path / str(epochs), settings, epochs=epochs) for epochs in (1, 2))
    first, second = (store.load_tensors(run.path / "last.safetensors") for run in (one, two))
    assert first["conv1.weight"].equal(second["conv1.weight"])  # neither gradient nor what lingers of the velocity
    assert first["conv1.bias"].equal(second["conv1.bias"])
    assert not first["conv2.weight"].equal(second["conv2.weight"])


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"schedule.freeze": ["conv1"]}, "'schedule.freeze' takes a table, not ['conv1']"),
        (
            {"schedule.freeze.conv1": "soon"},
            "'schedule.freeze.conv1' takes a number of epochs, '500 steps' or '5%', not",
        ),
        ({"schedule.layer_drops.conv1": 67}, "takes a table such as {after = 67, factor = 0.1}, not 67"),
        ({"schedule.layer_drops.conv1.after": 67}, "'schedule.layer_drops.conv1.factor' is missing"),
        ({"schedule.layer_drops.conv1.at": 67}, "unknown recipe key 'schedule.layer_drops.conv1.at'"),
        ({"schedule.name": "plateau", "data.validation": "test"}, "would set the rate by test images"),
        ({"schedule.name": "plateau", "schedule.patience": 0}, "must be above 0"),
    ],
)
def test_impossible_schedules_are_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=re.escape(said)):
        recipes.load("digits", settings)


def test_a_number_of_steps_scales_the_warm_up_and_the_milestones() -> None:
    """8 steps of a recipe of 4 epochs of 4 steps: half of each."""
    settings: dict[str, Any] = {
        "data.name": "synthetic",
        "data.synthetic_images": 80,
        "train.batch_size": 16,
        "train.epochs": 4,
    }
    settings |= {"schedule.name": "step", "schedule.warmup": 1, "schedule.milestones": [2], "optimizer.lr": 1.0}
    for changes in ({"train.steps": 8}, {"train.epochs": 4}):
        learner = Learner(prepare(recipes.load("digits", settings | changes), None, "cpu"))
        rates = []
        for _ in range(round(learner.length * 4)):
            rates.append(learner.learning_rate())
            learner.done += 1
        scale = 2 if "train.steps" in changes else 1
        expected = [0.001, 0.25, 0.5, 0.75, 1, 1, 1, 1, *[0.1] * 8][::scale]
        assert rates == pytest.approx(expected)


def test_a_limit_within_the_last_epoch_only_cuts_it() -> None:
    """Caffe's 450,000 steps are 89.9 of its 90 epochs; its milestones stay where they are."""
    caffe = recipes.load("imagenet-caffe", {"schedule.milestones": [19.98, "100 steps", "50%"]})
    assert resolved(caffe, 5005, 89.91).schedule.milestones == (19.98, pytest.approx(100 / 5005), pytest.approx(44.955))
    halved = resolved(caffe, 5005, 45).schedule.milestones
    assert halved == (pytest.approx(9.99), pytest.approx(100 / 5005), pytest.approx(22.5))


def test_a_warm_up_that_lasts_the_whole_run_is_said() -> None:
    assert notes(Schedule(warmup=1), 0.5) != []
    assert "its learning rate only rises" in notes(Schedule(warmup=1), 1)[0]
    assert notes(Schedule(warmup=1), 1.5) == notes(Schedule(), 1) == notes(Schedule("one-cycle"), 1) == []
