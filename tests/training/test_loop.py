"""Training learns; the same command gives the same numbers; a stopped run ends as if it had not been stopped."""

import math
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import alexnet
from alexnet.artifacts import store
from alexnet.artifacts.figures import score
from alexnet.artifacts.run import Run, finished
from alexnet.data.loading.loader import Loader
from alexnet.errors import InputError
from alexnet.recipes import recipe as recipes
from alexnet.training.interrupts import Interrupted
from alexnet.training.loop import Diverged
from alexnet.training.reporter import Reporter
from alexnet.training.watch import Finding

TINY = {"data.name": "synthetic", "data.synthetic_images": 80, "train.batch_size": 16, "train.epochs": 4}
EVERYTHING = {
    "optimizer.name": "velocity", "optimizer.nesterov": True, "optimizer.lr": 0.01, "optimizer.l2": 1e-4,
    "schedule.name": "step", "schedule.milestones": [1, 3],
    "augment.flip": 0.5, "augment.shift": 0.2, "augment.interpolate": True, "augment.cutout": 3,
    "augment.pca_color": 0.1, "augment.pca_color_form": "code", "augment.pca_color_until": 2,
    "augment.randaugment_ops": 1, "augment.random_erasing": 0.3, "augment.mixup": 0.2, "augment.cutmix": 1.0,
    "train.ema": 0.9, "train.label_smoothing": 0.1, "train.clip_norm": 1.0, "train.class_weights": True,
}  # fmt: skip
VARIANTS = {
    "as shipped": {},
    "everything on": EVERYTHING,
    "BatchNorm": {"model.name": "resnet-20", "optimizer.name": "sgd", "optimizer.nesterov": True, "train.ema": 0.9},
    "a plateau and a step limit": {
        "schedule.name": "plateau",
        "schedule.patience": 1,
        "schedule.layer_drops": {"conv1..conv2": {"after": 1, "factor": 0.1}},
        "schedule.biases": False,
        "data.resize": 12,
        "data.normalize": "pixel-at-crop",
        "augment.flip": 0.5,
        "augment.shared": 4,
        "schedule.freeze": {"conv1": 2},
        "train.steps": 15,
        "optimizer.name": "velocity",
        "optimizer.bias_lr": 2.0,
        "optimizer.lr_batch": 32,
    },
    "bf16": {"train.precision": "bf16", "optimizer.name": "adadelta", "optimizer.lr": 1.0},
}


def train(out: Path, **more: Any) -> Run:
    settings = TINY | more.pop("settings", {})
    if "epochs" in more:
        del settings["train.epochs"]
    return alexnet.train("digits", out=out, settings=settings, **more)


def ended(run: Run) -> dict[str, Any]:
    """What must be equal, bit for bit, whenever the same was trained."""
    weights = {name: (run.path / f"{name}.safetensors").read_bytes() for name in ("last", "best")}
    rows = [{k: v for k, v in row.items() if k not in ("seconds", "images_per_second")} for row in run.metrics]
    figures = {name: value for name, value in run.card.figures.to_json().items() if name != "seconds"}
    return {"rows": rows, "figures": figures, "findings": findings(run), **weights}


def findings(run: Run) -> str:
    file = run.path / "findings.jsonl"
    return file.read_text() if file.exists() else ""


class At(Reporter):
    """Does something after so many steps of this process."""

    def __init__(self, step: int, act: Callable[[], object]) -> None:
        self.left, self.act = step, act

    def step(self, epoch: int, step: int, steps: int, figures: dict[str, float]) -> None:
        self.left -= 1
        if self.left == 0:
            self.act()


def test_it_learns_to_read_digits_and_leaves_everything_behind(trained: Run) -> None:
    assert [row["epoch"] for row in trained.metrics] == [1, 2, 3]
    assert trained.metrics[-1]["val_accuracy"] > 0.85
    assert trained.metrics[-1]["val_top5"] > 0.95
    assert trained.metrics[-1]["train_loss"] < trained.metrics[0]["train_loss"]
    assert trained.metrics[-1].keys() == {
        "epoch", "seconds", "lr", "train_loss", "train_accuracy", "val_loss", "val_accuracy", "val_top5",
        "images_per_second",
    }  # fmt: skip
    left = {path.name for path in trained.path.iterdir()}
    assert {"recipe.toml", "card.json", "metrics.jsonl", "last.safetensors", "best.safetensors", "state.pt"} <= left
    assert {"tensorboard", "plots", "report.html", "split.json"} <= left
    assert {path.name for path in trained.plot("x").parent.iterdir()} == {
        "samples.png", "curves.png", "confusion.png", "worst.png",
    }  # fmt: skip
    assert any(path.name.startswith("events.") for path in (trained.path / "tensorboard").iterdir())


def test_the_card_says_what_was_trained_on_what(trained: Run) -> None:
    card = trained.card
    best = max(trained.metrics, key=lambda row: row["val_accuracy"])
    assert (card.name, card.recipe, card.init) == ("alexnet-digits", "digits", "keras-he")
    assert card.classes == tuple("0123456789")
    assert card.data.train + card.data.validation == 1797
    assert card.figures.epoch == best["epoch"]
    figures = card.figures
    assert (figures.selection, figures.test) == ("validation", None)
    # The row was measured at the precision of training, the final figure in fp32: equal only where those are equal.
    assert (score(figures.in_training), figures.in_training.precision) == (
        best["val_accuracy"],
        card.environment.precision,
    )
    assert figures.validation is not None
    assert figures.validation.precision == "fp32"
    assert score(figures.validation) == pytest.approx(
        best["val_accuracy"], abs=1e-9 if card.environment.precision == "fp32" else 0.02
    )
    assert figures.validation.count == figures.in_training.count == card.data.validation
    assert set(card.sha256) == {"best", "last"}


@pytest.mark.usefixtures("bare")
@pytest.mark.parametrize("variant", VARIANTS)
def test_a_stopped_run_ends_as_one_that_was_not(variant: str, tmp_path: Path) -> None:
    """Also the proof that the same command gives the same numbers."""
    settings = VARIANTS[variant]
    whole = ended(train(tmp_path / "whole", settings=settings))
    assert len(whole["rows"]) == 4

    with pytest.raises(Interrupted):  # after an epoch
        train(tmp_path / "epoch", settings=settings, stop_after=2)
    assert len(Run(tmp_path / "epoch").metrics) == 2
    run = alexnet.train(out=tmp_path / "epoch", resume_run=True)
    assert ended(run) == whole

    stop = At(10, lambda: signal.raise_signal(signal.SIGTERM))
    with pytest.raises(Interrupted):  # in the middle of the third
        train(tmp_path / "step", settings=settings, reporter=stop)
    assert len(Run(tmp_path / "step").metrics) == 2
    assert ended(alexnet.train(out=tmp_path / "step", resume_run=True)) == whole


class Killed(BaseException):
    """What no handler expects."""


@pytest.mark.usefixtures("bare")
def test_a_run_killed_at_any_write_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed before each of its writes in turn, with a checkpoint after every step, a run ends the same."""
    settings = EVERYTHING | {"data.synthetic_images": 40, "train.epochs": 2, "train.checkpoint_seconds": 1e-9}
    whole = ended(train(tmp_path / "whole", settings=settings))
    replace, last, resumed = os.replace, 0, 0
    for number in range(100):
        out, writes = tmp_path / str(number), []

        def write(source: str, target: Path, number: int = number, writes: list[Path] = writes) -> None:
            if len(writes) == number:
                raise Killed
            writes.append(target)
            replace(source, target)

        with monkeypatch.context() as patched:
            patched.setattr(os, "replace", write)
            try:
                train(out, settings=settings)
            except Killed:
                pass
            else:
                last = number
                break
        (out / ".state.pt.x.tmp").touch()  # what a real kill leaves of the write
        # Without a state it starts anew: one command line ends what it began, whenever it was killed.
        resumed += (out / "state.pt").exists()
        assert ended(train(out, settings=settings, resume_run=True)) == whole
        assert not list(out.glob(".*.tmp"))
    assert last > 15
    assert resumed >= last - 3


KILLED = """
import os, signal, sys
from pathlib import Path
import torch
torch.set_num_threads({threads})
sys.path.insert(0, {tests!r})
from alexnet.insight import plots
from test_loop import At, train
plots.sample_grid = lambda *_: None
train(Path({out!r}), settings={settings!r}, reporter=At(10, lambda: os.kill(os.getpid(), signal.SIGKILL)))
"""


@pytest.mark.usefixtures("bare")
def test_a_run_killed_between_two_checkpoints_goes_on(tmp_path: Path) -> None:
    settings = EVERYTHING | {"train.checkpoint_seconds": 1e-9}
    out = tmp_path / "killed"
    here, threads = str(Path(__file__).parent), torch.get_num_threads()
    code = KILLED.format(threads=threads, tests=here, out=str(out), settings=settings)
    process = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert process.returncode == -signal.SIGKILL, process.stderr
    assert len(Run(out).metrics) == 2
    again = alexnet.train(out=out, resume_run=True)
    assert ended(again) == ended(train(tmp_path / "whole", settings=settings))


@pytest.mark.usefixtures("bare")
def test_a_finished_run_goes_on_for_more_epochs(tmp_path: Path) -> None:
    # A constant rate does not depend on the number of epochs.
    constant = {"schedule.name": "constant"}
    whole = train(tmp_path / "whole", settings=constant)
    train(tmp_path / "short", settings=constant, epochs=2)
    longer = alexnet.train(out=tmp_path / "short", resume_run=True, epochs=4)
    assert ended(longer) == ended(whole)
    assert longer.recipe.train.epochs == 4


@pytest.mark.usefixtures("bare")
def test_other_images_and_damaged_states_are_refused_and_the_run_stays(tmp_path: Path) -> None:
    run = train(tmp_path / "run", epochs=1)
    before = {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()}
    state = run.state.read_bytes()
    changed = recipes.to_toml(run.recipe).replace("synthetic_images = 80", "synthetic_images = 90")
    (run.path / "recipe.toml").write_text(changed, encoding="utf-8")
    with pytest.raises(InputError, match="was trained on other images"):
        alexnet.train(out=run.path, resume_run=True)
    (run.path / "recipe.toml").write_bytes(before[run.path / "recipe.toml"])
    run.state.write_bytes(state[:-1000])
    with pytest.raises(InputError, match="damaged"):
        alexnet.train(out=run.path, resume_run=True)
    run.state.write_bytes(state)
    assert before == {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()}


@pytest.mark.usefixtures("bare")
def test_a_loss_that_is_no_number_ends_the_run_with_its_cause(tmp_path: Path) -> None:
    told: list[Finding] = []

    class Ear(Reporter):
        def finding(self, finding: Finding) -> None:
            told.append(finding)

    settings = {"optimizer.name": "sgd", "optimizer.lr": 1e12, "data.normalize": "none"}
    with pytest.raises(Diverged, match="not finite"):
        train(tmp_path / "run", settings=settings, epochs=1, reporter=Ear())
    assert told[-1].kind == "loss not finite"
    assert "optimizer.lr" in told[-1].line or "data.normalize" in told[-1].line
    assert not (tmp_path / "run" / "best.safetensors").exists()


@pytest.mark.usefixtures("bare")
def test_patience_ends_a_run_that_no_longer_gets_better(tmp_path: Path) -> None:
    run = train(tmp_path / "run", settings={"optimizer.lr": 1e-30, "train.patience": 2, "train.epochs": 9})
    assert len(run.metrics) == 3
    assert run.card.figures.epoch == 1


@pytest.mark.usefixtures("bare")
def test_the_test_split_chooses_nothing_where_it_validates(tmp_path: Path) -> None:
    run = train(tmp_path / "run", settings={"data.validation": "test", "optimizer.lr": 1e-30}, epochs=2)
    assert run.card.data.validation_is_test is True
    assert run.card.figures.epoch == 2
    figures = run.card.figures
    assert (figures.selection, figures.validation) == ("last epoch", None)
    assert figures.test is not None
    assert "best" not in figures.chosen


@pytest.mark.usefixtures("bare")
def test_the_moving_average_is_what_is_kept(tmp_path: Path) -> None:
    settings = {"train.ema": 0.5, "schedule.name": "constant"}
    run = train(tmp_path / "run", settings=settings, epochs=1)
    plain = train(tmp_path / "plain", settings=settings | {"train.ema": 0.0}, epochs=1)
    kept, last = (store.load_tensors(r.path / "last.safetensors")["conv1.weight"] for r in (run, plain))
    assert not kept.equal(last)
    assert run.metrics[0]["train_loss"] == plain.metrics[0]["train_loss"]


@pytest.mark.usefixtures("bare")
def test_the_rate_follows_the_schedule_and_every_image_is_seen_once(tmp_path: Path) -> None:
    seen: list[tuple[int, int, int]] = []

    class Ear(Reporter):
        def step(self, epoch: int, step: int, steps: int, figures: dict[str, float]) -> None:
            seen.append((epoch, step, steps))
            assert math.isfinite(figures["seconds_left"])

    settings = {"schedule.name": "step", "schedule.milestones": [1], "data.synthetic_images": 50}
    run = train(tmp_path / "run", settings=settings, epochs=2, reporter=Ear())
    # 40 images in batches of 16 are three steps: the last, smaller one is not dropped.
    assert seen == [(epoch, step, 3) for epoch in (1, 2) for step in (1, 2, 3)]
    assert [row["lr"] for row in run.metrics] == pytest.approx([3e-3, 3e-4])


@pytest.mark.usefixtures("bare")
def test_a_small_dataset_is_passed_over_until_an_epoch_has_its_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """72 images in batches of 16: 11 steps want 3 passes, 14 steps; each image is trained on three times, and a run
    that was stopped within the epoch ends as one that was not."""
    seen: list[int] = []
    batches = Loader.batches

    def noted(self: Loader, order: torch.Tensor, size: int, *more: Any) -> Any:
        if len(order) > 72:
            seen.extend(order.tolist())
        return batches(self, order, size, *more)

    monkeypatch.setattr(Loader, "batches", noted)
    settings = {"train.least_steps": 11, "data.validation": 0.1, "train.epochs": 2}
    whole = train(tmp_path / "whole", settings=settings)
    first, second = seen[: 3 * 72], seen[3 * 72 :]
    for epoch in (first, second):
        assert sorted(epoch) == sorted(3 * list(range(72)))
        assert all(sorted(epoch[at : at + 72]) == list(range(72)) for at in (0, 72, 144))
    assert len({tuple(each[at : at + 72]) for each in (first, second) for at in (0, 72, 144)}) == 6  # orders of its own
    assert finished(whole, whole.recipe)
    assert len(whole.metrics) == 2
    with pytest.raises(Interrupted):
        train(tmp_path / "stopped", settings=settings, reporter=At(9, lambda: os.kill(os.getpid(), signal.SIGTERM)))
    assert ended(train(tmp_path / "stopped", settings=settings, resume_run=True)) == ended(whole)


@pytest.mark.usefixtures("bare")
def test_a_recipe_takes_overrides_as_a_name_does(tmp_path: Path) -> None:
    recipe = recipes.load("digits", TINY)
    run = alexnet.train(recipe, out=tmp_path / "run", epochs=1, optimizer__lr=0.5)
    assert (run.recipe.train.epochs, run.recipe.optimizer.lr) == (1, 0.5)
    with pytest.raises(InputError, match=r"did you mean optimizer\.lr"):
        alexnet.train(recipe, out=tmp_path / "other", optimizer__rl=0.5)
    assert not (tmp_path / "other").exists()
