"""The training loop: images in, weights and figures out."""

import contextlib
import math
import time
from collections.abc import Callable
from typing import Any, NoReturn

import torch
from torch import Tensor, nn

from alexnet.artifacts import store
from alexnet.artifacts.run import Run, write_recipe
from alexnet.data.transforms.augment import Augmenter
from alexnet.data.transforms.mixing import cross_entropy, masses
from alexnet.device import autocast, derive_seed
from alexnet.files import sweep
from alexnet.inference import evaluate
from alexnet.process.group import ALONE, Parallel, World
from alexnet.training import checkpoint, optim, schedule
from alexnet.training.card import write_card
from alexnet.training.dead import dead_fractions
from alexnet.training.finetune import Freezing
from alexnet.training.interrupts import Interrupted
from alexnet.training.log import Log
from alexnet.training.reporter import Reporter
from alexnet.training.setup import Setup
from alexnet.training.watch import Finding, Watch

_SAMPLE_STEPS = 20  # the watch looks, and a GPU is waited for, once in so many steps


class Diverged(Exception):
    """The loss is no longer a number; the text says the likely cause and the fix."""


class Trainer:
    """One run: its network, its optimizer, and where it stands; the same in every process of its world."""

    def __init__(self, setup: Setup, run: Run, reporter: Reporter, world: World = ALONE):
        self.setup, self.run, self.reporter, self.world = setup, run, reporter, world
        self.recipe, self.device = setup.recipe, setup.device
        self.model = setup.model
        self.forward = setup.forward()
        self.parallel = Parallel(world, self.forward)
        self.optimizer = optim.build(self.recipe.optimizer, self.model, self.recipe.schedule)
        self.l2 = optim.L2(self.recipe.optimizer, self.model)
        self.freezing = Freezing(self.recipe, self.model)
        self.ema = optim.MovingAverage(self.model, self.recipe.train.ema) if self.recipe.train.ema else None
        self.augmenter = Augmenter(setup.preprocessing, **setup.augmentation)
        self.watch = Watch(
            setup.classes,
            init=setup.init,
            learning_rate=self.recipe.learning_rate,
            train_counts=setup.train_counts,
            intended=setup.spec.preprocessing,
        )
        # Where the run stands. `position`: steps done in this epoch.
        self.epoch = self.position = 0
        self.seconds = self.epoch_seconds = 0.0
        self._reset_sums()
        self.best: dict[str, float] = {"val_accuracy": -1.0, "val_loss": float("inf"), "epoch": 0}
        self.log = Log(run, world.is_writer)
        self._clock = self._saved = time.monotonic()

    def fit(self, asked: Callable[[], bool], stop_after: int | None = None) -> None:
        """Trains from where the run stands to its last epoch."""
        self.reporter.begin(self.run, self.setup.facts() | {"processes": self.world.size})
        self._clock = self._saved = time.monotonic()
        self.log.open(self.epoch)
        try:
            if self.epoch == self.position == 0:
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
        """The rest of this epoch's steps. Every image once, in an order that the seed and the epoch decide."""
        self.freezing.train(self.epoch)
        self.forward = self.parallel()
        order = torch.randperm(len(self.setup.train.dataset), generator=self._generator("order", self.epoch))
        size = self.recipe.train.batch_size
        order = order[: self.steps * size]
        for images, labels in self.setup.train.batches(order, size, self.position, self.world.part):
            self.step(images, labels)
            if self.world.any(asked()):
                self._stop()
            if time.monotonic() - self._saved > self.recipe.train.checkpoint_seconds:
                self.save()

    def step(self, images: Tensor, labels: Tensor) -> None:
        """One step: images uint8 N×H×W×C, labels int64 N, both on the device: this process's part of the batch."""
        settings, world = self.recipe.train, self.world
        count = min(settings.batch_size, len(self.setup.train.dataset) - self.position * settings.batch_size)
        optim.set_rates(self.optimizer, self.learning_rate(), self.recipe.learning_rate, self.epoch)
        # Dropout draws from torch's global generator, augmentation from its own; both start anew at each step.
        torch.manual_seed(derive_seed(settings.seed, world.use("dropout"), self.epoch, self.position))
        at = (self.epoch, self.position)
        inputs = self.augmenter.train(images, self._generator("augment", *at), self.epoch, world.part_of(count))
        if self.epoch == self.position == 0:
            self._tell(self.watch.first_batch(inputs))
        inputs, mix = self.setup.mixing(inputs, labels, derive_seed(settings.seed, world.use("mixing"), *at))
        with autocast(self.device, self.setup.precision):
            logits = self.forward(inputs)
        logits = logits.float()
        loss = cross_entropy(logits, labels, mix, self.setup.class_weights, settings.label_smoothing)
        if world.size > 1 and self.setup.class_weights is not None:
            loss = world.weighted(loss, count, masses(labels, mix, self.setup.class_weights))
        self.optimizer.zero_grad(set_to_none=True)
        aim = self.setup.teacher(loss, inputs, logits) if self.setup.teacher else loss
        world.backward(aim, self.l2(), count)
        loss, right = world.figures(loss.detach(), logits.detach().argmax(1) == labels, count)
        sampled = self.position % _SAMPLE_STEPS == 0
        if settings.clip_norm or sampled:
            norm = nn.utils.clip_grad_norm_(self.model.parameters(), settings.clip_norm or float("inf"))
            if sampled:
                self._look(loss.item(), norm.item())
        self.optimizer.step()
        if self.ema:
            self.ema.update(self.model)
        self.loss_sum += loss * count
        self.correct += right
        self.seen += count
        self.position += 1
        self._report_step()

    def learning_rate(self) -> float:
        """The rate of the step that comes next."""
        at = self.epoch + self.position / self.setup.steps
        scores = [(row["val_accuracy"], -row["val_loss"]) for row in self.log.rows]
        return self.recipe.learning_rate * schedule.factor(self.recipe.schedule, at, self.setup.length, scores)

    @property
    def steps(self) -> int:
        """Of this epoch: fewer in the last one when the recipe limits the steps."""
        whole, limit = self.setup.steps, self.recipe.train.steps
        return min(whole, limit - self.epoch * whole) if limit else whole

    def end_epoch(self) -> None:
        """Validates, keeps the best weights, writes the row and the state, and begins the next epoch."""
        if not math.isfinite(loss := self.loss_sum.item() / self.seen):  # between two looks, or in the last steps
            self._look(loss, math.nan)
        self._tick()
        validation = self.setup.validation
        with self.ema.in_place(self.model) if self.ema else contextlib.nullcontext():
            self.world.copy_buffers(self.model)
            seen = evaluate.run(
                self.model, validation, self.augmenter, precision=self.setup.precision, world=self.world
            )
            images, _ = next(validation.batches(torch.arange(min(64, len(validation.dataset))), 64))
            dead = dead_fractions(self.model, self.augmenter.evaluate(images))
            self.seconds += time.monotonic() - self._clock
            row = {
                "epoch": self.epoch + 1,
                "seconds": round(self.seconds, 3),
                "lr": self.optimizer.param_groups[0]["lr"],
                "train_loss": loss,
                "train_accuracy": self.correct.item() / self.seen,
                "val_loss": seen.figures.loss,
                "val_accuracy": seen.figures.top1,
                "val_top5": seen.figures.top5,
                "images_per_second": round(self.seen / self.epoch_seconds, 1),
            }
            self._keep_weights(row)
        self.log.row(row)
        self.epoch, self.position = self.epoch + 1, 0
        self._reset_sums()
        self._clock = time.monotonic()
        self.reporter.epoch(row)
        self._tell(self.watch.activations(dead) + self.watch.epoch(row, seen.confusion))
        if self.world.is_writer:
            write_card(self.setup, self.run, self.log, self.best)
        self.save()

    # Where the run stands, on disk

    def save(self) -> None:
        """Writes state.pt: everything that the next step depends on, in one file."""
        self._tick()
        if self.world.is_writer:
            checkpoint.save(self.run.state, checkpoint.of(self))
        self._saved = time.monotonic()

    def tidy(self) -> None:
        """When a run is resumed: what a kill left in its folder goes, the recipe there is the one to go on with."""
        sweep(self.run.path)
        write_recipe(self.run, self.recipe)

    def load(self, state: dict[str, Any]) -> None:
        """Goes to where `state`, as `save` wrote it, stands. Raises InputError when it is of other images."""
        checkpoint.restore(self, state)

    def _keep_weights(self, row: dict[str, Any]) -> None:
        """Writes last.safetensors, and best.safetensors when `row` is the best so far."""
        names = ["last"]
        # A published experiment may validate on the test split; then that split must not choose: the last epoch counts.
        better = (row["val_accuracy"], -row["val_loss"]) > (self.best["val_accuracy"], -self.best["val_loss"])
        if better or self.setup.validation_is_test:
            names.append("best")
            self.best = {name: row[name] for name in ("epoch", "val_accuracy", "val_loss")}
        for name in names if self.world.is_writer else ():
            store.save(self.run.path / f"{name}.safetensors", self.model.state_dict())

    def _out_of_patience(self) -> bool:
        return 0 < self.recipe.train.patience <= self.epoch - self.best["epoch"]

    def _stop(self) -> NoReturn:
        self.save()
        self.world.wait()  # no process ends before everything is saved
        raise Interrupted(self.run.path)

    # Small things

    def _look(self, loss: float, norm: float) -> None:
        self._tell(self.watch.step(self.epoch * self.setup.steps + self.position, loss, norm))
        if not math.isfinite(loss):
            raise Diverged(Finding(**self.log.findings[-1]).line)

    def _tell(self, findings: list[Finding]) -> None:
        for finding in findings:
            self.log.finding(finding)
            self.reporter.finding(finding)

    def _report_step(self) -> None:
        # On a GPU, reading the sums would wait for it: they are read at every 20th step only.
        if self.device.type == "cuda" and self.position % _SAMPLE_STEPS and self.position != self.steps:
            return
        self._tick()
        speed = self.seen / max(self.epoch_seconds, 1e-9)
        figures = {
            "loss": self.loss_sum.item() / self.seen,
            "accuracy": self.correct.item() / self.seen,
            "images_per_second": speed,
            "seconds_left": (min(self.steps * self.recipe.train.batch_size, len(self.setup.train.dataset)) - self.seen)
            / speed,
        }
        self.reporter.step(self.epoch + 1, self.position, self.steps, figures)

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

    def _generator(self, *use: object) -> torch.Generator:
        return torch.Generator().manual_seed(derive_seed(self.recipe.train.seed, *use))
