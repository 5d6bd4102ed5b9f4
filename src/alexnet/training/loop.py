"""The training loop: epochs of steps, validated, watched and saved."""

import math
import time
from collections.abc import Callable
from typing import Any, NoReturn

import torch
from torch import Tensor, nn

from alexnet.artifacts.run import Run, write_recipe
from alexnet.data.loading.order import order as image_order
from alexnet.data.loading.shard_order import shards_of
from alexnet.device import derive_seed
from alexnet.errors import InputError
from alexnet.files import sweep
from alexnet.process.group import ALONE, World
from alexnet.process.memory import oom_kills
from alexnet.recipes.durations import passes
from alexnet.training import checkpoint
from alexnet.training.card import Keeper
from alexnet.training.dead import dead_fractions
from alexnet.training.interrupts import Interrupted
from alexnet.training.learner import Learner, Outcome
from alexnet.training.log import Log
from alexnet.training.reporter import Reporter
from alexnet.training.setup import Setup
from alexnet.training.shortage import advice, is_shortage
from alexnet.training.watch import Finding, Watch

SAMPLE_STEPS = 20  # the watch looks, and a GPU is waited for, once in this many steps


class Diverged(Exception):
    """The loss is no longer a number; the text says the likely cause and the fix."""


class Trainer:
    """One run: its learner, its folder, and where it stands; the same in every process of its world."""

    def __init__(self, setup: Setup, run: Run, reporter: Reporter, world: World = ALONE):
        self.setup, self.run, self.reporter, self.world = setup, run, reporter, world
        self.recipe, self.device, self.task = setup.recipe, setup.device, setup.task
        self.learner = Learner(setup, world)
        self.watch = Watch(
            setup.classes,
            init=setup.init,
            learning_rate=self.recipe.learning_rate,
            train_counts=setup.train_counts,
            intended=setup.spec.preprocessing,
            weighted=self.recipe.train.class_weights,
            several=self.task.answers > 1,
        )
        self.seconds = self.epoch_seconds = 0.0
        self._reset_sums()
        self.best: dict[str, float] = {self.task.score: -1.0, "val_loss": float("inf"), "epoch": 0}
        self.log = Log(run, world.is_writer)
        self.keeper = Keeper(setup, run, self.log)
        self.remarks: list[str] = []
        self._clock = self._saved = time.monotonic()

    @property
    def epoch(self) -> int:
        """The epochs that are done and validated."""
        return len(self.log.rows)

    @property
    def position(self) -> int:
        """The steps that are done in the current epoch."""
        return self.learner.done - self.epoch * self.setup.steps

    @property
    def steps(self) -> int:
        """The steps of the current epoch: fewer in the last one when the recipe limits the steps."""
        whole, limit = self.setup.steps, self.recipe.train.steps
        return min(whole, limit - self.epoch * whole) if limit else whole

    def fit(self, asked: Callable[[], bool], stop_after: int | None = None) -> None:
        """Trains from where the run stands to its last epoch.

        asked: whether to save and stop after the current step. stop_after: the same after this number of epochs.
        """
        facts = self.setup.facts()
        facts |= {
            "processes": self.world.size,
            "parallel": self.recipe.train.parallel,
            "remarks": [*facts["remarks"], *self.remarks],
        }
        self.reporter.begin(self.run, facts)
        self._clock = self._saved = time.monotonic()
        self.log.open(self.epoch)
        try:
            if self.learner.done == 0:
                self.world.first(lambda: self.setup.write_records(self.run))
                self._tell(self.watch.labels())
                self.save()
            last = math.ceil(self.setup.length)
            while self.epoch < last and not self._out_of_patience():
                self.train_epoch(asked)
                self.end_epoch()
                if self.epoch < last and (self.world.any(asked()) or (stop_after and self.epoch >= stop_after)):
                    self._stop()
        finally:
            self.log.close()

    def train_epoch(self, asked: Callable[[], bool]) -> None:
        """The rest of this epoch's steps. Every image once in each pass, in an order that seed and epoch decide."""
        number, shuffle = len(self.setup.train.dataset), self.recipe.data.shuffle
        shards, size = shards_of(self.setup.train.dataset), self.recipe.train.batch_size
        times = passes(self.recipe, number)
        numbered = range(self.epoch * times, (self.epoch + 1) * times)
        order = torch.cat([image_order(number, shuffle, each, self._draws, shards, size) for each in numbered])
        order = order[: self.steps * size]
        for images, labels in self.setup.train.batches(order, size, self.position, self.learner.world.part):
            count = min(size, len(order) - self.position * size)
            if self.learner.done == 0:
                self._tell(self.watch.first_batch(self.learner.augmented(images, count)))
            self._record(self._step(images, labels, count))
            late = time.monotonic() - self._saved > self.recipe.train.checkpoint_seconds
            stops, saves = self.world.flags(asked(), self.world.is_writer and late)
            if stops:
                self._stop()
            if saves:
                self.save()

    def _draws(self, epoch: int) -> torch.Generator:
        return torch.Generator().manual_seed(derive_seed(self.recipe.train.seed, "order", epoch))

    def end_epoch(self) -> None:
        """Validates, keeps the best weights, and writes the epoch's row and the state."""
        loss = self.loss_sum.item() / self.seen
        if not math.isfinite(loss):  # since the last sampled step
            self._look(loss, math.nan)
        self._tick()
        validation, precision = self.setup.validation, self.setup.precision
        with self.learner.averaged() as model:
            seen, confusion = self.task.evaluate(model, validation, self.learner.augmenter, precision, self.world)
            images, _ = next(validation.batches(torch.arange(min(64, len(validation.dataset))), 64))
            dead = dead_fractions(model, self.learner.augmenter.evaluate(images))
            self.seconds += time.monotonic() - self._clock
            row = {
                "epoch": self.epoch + 1,
                "seconds": round(self.seconds, 3),
                "lr": self.learner.optimizer.param_groups[0]["lr"],
                "train_loss": loss,
                self.task.trained: self.correct.item() / (self.seen * self.task.answers),
                **seen,
                "images_per_second": round(self.seen / self.epoch_seconds, 1),
            }
            self.log.row(row)
            self._keep_weights(row, model)
        self.learner.validated(row[self.task.score], row["val_loss"])
        self._reset_sums()
        self._clock = time.monotonic()
        self.reporter.epoch(row)
        self._tell(self.watch.activations(dead) + self.watch.epoch(row, confusion))
        self.save(training=self.epoch < math.ceil(self.setup.length) and not self._out_of_patience())

    # Where the run stands, on disk

    def save(self, training: bool = True) -> None:
        """Writes state.pt: everything that the next step depends on, in one file. training: the run continues."""
        self._tick()
        state = self.state_dict() | {"training": training, "oom_kills": oom_kills()}
        if self.world.is_writer:
            checkpoint.save(self.run.state, state)
        self._saved = time.monotonic()

    def tidy(self) -> None:
        """On resuming: removes what a kill left in the run's folder, and writes the recipe to continue with."""
        sweep(self.run.path)
        write_recipe(self.run, self.recipe)

    def state_dict(self) -> dict[str, Any]:
        """Where the run stands: tensors, numbers, strings, and lists and dicts of them; see Learner.state_dict."""
        return {
            "data": self.setup.data,
            "fingerprint": self.setup.fingerprint,
            "index": self.setup.splits.index,
            "start": self.setup.start,
            "learner": self.learner.state_dict(),
            "seconds": self.seconds,
            "epoch_seconds": self.epoch_seconds,
            "loss_sum": self.loss_sum,
            "correct": self.correct,
            "seen": self.seen,
            "best": self.best,
            "watch": self.watch.state_dict(),
            "rows": self.log.rows,
            "findings": self.log.findings,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continues from `state`. Raises InputError when it is of other images or of another network."""
        run = repr(str(self.run.path))
        began, index = state.get("index"), self.setup.splits.index
        if began and index and began != index:
            raise InputError(
                f"{run} was trained on the shards that {self.setup.splits.place} listed then (SHA-256 of its index "
                f"{began[:16]}…); the list was changed since ({index[:16]}…): put it back, or train again"
            )
        if state["fingerprint"] != self.setup.fingerprint:
            raise InputError(
                f"{run} was trained on other images: some were added, removed or changed since; resume it with --data "
                "where its own are, or train again"
            )
        try:
            self.learner.load_state_dict(state["learner"])
        except (RuntimeError, ValueError) as error:
            raise InputError(f"{run} holds another network: {str(error).splitlines()[0]}") from None
        for name in ("seconds", "epoch_seconds", "seen", "best"):
            setattr(self, name, state[name])
        self.loss_sum.copy_(state["loss_sum"])
        self.correct.copy_(state["correct"])
        self.watch.load_state_dict(state["watch"])
        self.log.rows, self.log.findings = state["rows"], state["findings"]

    def _keep_weights(self, row: dict[str, Any], model: nn.Module) -> None:
        """Writes the card, last.safetensors, and best.safetensors when `row` is the best so far."""
        names, score = ["last"], self.task.score
        # A published experiment may validate on the test split; then that split must not choose: the last epoch counts.
        better = (row[score], -row["val_loss"]) > (self.best[score], -self.best["val_loss"])
        if better or self.setup.validation_is_test:
            names.append("best")
            self.best = {name: row[name] for name in ("epoch", score, "val_loss")}
        if self.world.is_writer:
            self.keeper.epoch(self.best, model.state_dict(), names)

    def _out_of_patience(self) -> bool:
        return 0 < int(self.setup.timed.train.patience) <= self.epoch - self.best["epoch"]

    def _stop(self) -> NoReturn:
        self.save(training=False)
        self.world.wait()  # no process ends before everything is saved
        raise Interrupted(self.run.path)

    # Small things

    def _step(self, images: Tensor, labels: Tensor, count: int) -> Outcome:
        """The learner's; InputError says which batch would fit where this one does not fit into memory."""
        try:
            return self.learner.step(images, labels, count=count, measure_norm=self.position % SAMPLE_STEPS == 0)
        except (RuntimeError, MemoryError) as error:
            if not is_shortage(error):
                raise
        # Out here nothing holds the failed step's tensors any more.
        raise InputError(advice(self.learner, images, labels))

    def _record(self, outcome: Outcome) -> None:
        """Adds a step to the epoch's sums, and shows it to the watch and the reporter."""
        self.loss_sum += outcome.loss * outcome.count
        self.correct += outcome.correct
        self.seen += outcome.count
        if outcome.norm is not None:
            self._look(outcome.loss.item(), outcome.norm.item())
        self._report_step()

    def _look(self, loss: float, norm: float) -> None:
        self._tell(self.watch.step(self.learner.done, loss, norm))
        if not math.isfinite(loss):
            raise Diverged(Finding(**self.log.findings[-1]).line)

    def _tell(self, findings: list[Finding]) -> None:
        for finding in findings:
            self.log.finding(finding)
            self.reporter.finding(finding)

    def _report_step(self) -> None:
        # On a GPU, reading the sums would wait for it: they are read at every 20th step only.
        if self.device.type == "cuda" and self.position % SAMPLE_STEPS and self.position != self.steps:
            return
        self._tick()
        speed = self.seen / max(self.epoch_seconds, 1e-9)
        figures = {
            "loss": self.loss_sum.item() / self.seen,
            "accuracy": self.correct.item() / (self.seen * self.task.answers),
            "images_per_second": speed,
            "seconds_left": (min(self.steps * self.recipe.train.batch_size, self._of_epoch()) - self.seen) / speed,
        }
        self.reporter.step(self.epoch + 1, self.position, self.steps, figures)

    def _of_epoch(self) -> int:
        """The images of a whole epoch, each as often as it is passed over."""
        images = len(self.setup.train.dataset)
        return images * passes(self.recipe, images)

    def _tick(self) -> None:
        """Adds the time since the last tick to the run's and the epoch's."""
        now = time.monotonic()
        self.seconds += now - self._clock
        self.epoch_seconds += now - self._clock
        self._clock = now

    def _reset_sums(self) -> None:
        exact = torch.float32 if self.device.type == "mps" else torch.float64  # Apple's GPUs have no float64
        self.loss_sum = torch.zeros((), device=self.device, dtype=exact)
        self.correct = torch.zeros((), device=self.device, dtype=torch.int64)
        self.seen, self.epoch_seconds = 0, 0.0
