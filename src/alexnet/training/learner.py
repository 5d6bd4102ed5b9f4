"""One training step: a network, its objective, its optimizer and the average of its weights."""

import contextlib
import gc
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from alexnet.data.transforms.augment import Augmenter
from alexnet.device import autocast, derive_seed, seeded
from alexnet.process.group import ALONE, World
from alexnet.training import optim, schedule
from alexnet.training.finetune import Freezing
from alexnet.training.objective import Batch
from alexnet.training.parallel import divided
from alexnet.training.rounded import Rounded
from alexnet.training.setup import Setup


@dataclass(frozen=True)
class Outcome:
    """What one step found, over the whole batch; tensors on the device, so that a GPU is not waited for."""

    loss: Tensor
    """The mean cross-entropy before the step, in nats."""
    correct: Tensor
    """How many answers were right, int64: one an image, or of several labels an image one a class."""
    count: int
    """The images of the batch."""
    norm: Tensor | None
    """The norm of the gradients before clipping; None in the steps that were not asked to measure it."""


class Learner:
    """Makes the steps of a recipe, one after the other. It needs no run folder and writes nothing.

        learner = Learner(prepare(recipe, data, "auto"))
        for images, labels in batches:
            loss = learner.step(images, labels).loss

    `done` counts its steps; an epoch is as many steps as the training images make batches. Several processes make
    them together, as `train.parallel` says: `network` is then what this one has of the network, and `world` tells
    which images of a batch are its own.
    """

    def __init__(self, setup: Setup, world: World = ALONE):
        self.recipe, self.device, self.precision = setup.timed, setup.device, setup.precision
        self.objective, self.mixing = setup.objective, setup.mixing
        self.division = divided(setup, world)
        self.world, self.network, self.forward = self.division.world, self.division.network, self.division.forward
        self.optimizer = optim.build(self.recipe.optimizer, self.network, self.recipe.schedule)
        self.rounded = self._rounded()
        self.l2 = optim.L2(self.recipe.optimizer, self.network)
        self.freezing = Freezing(self.recipe, self.network)
        self.average = optim.MovingAverage(self.network, self.recipe.train.ema) if self.recipe.train.ema else None
        self.augmenter = Augmenter(setup.preprocessing, **setup.augmentation)
        self.steps, self.length = setup.steps, setup.length
        self.done = 0
        self._scores: list[schedule.Score] = []
        self._entered: int | None = None

    @property
    def epoch(self) -> int:
        """Of the next step, from 0."""
        return self.done // self.steps

    @property
    def position(self) -> int:
        """Of the next step within its epoch, from 0."""
        return self.done % self.steps

    def step(
        self,
        images: Tensor,
        labels: Tensor,
        *,
        count: int | None = None,
        rate: float | None = None,
        measure_norm: bool = False,
    ) -> Outcome:
        """One step. images: uint8 N×H×W×C, labels: int64 N (several labels an image: uint8 N×K), on the device.

        count: the images of the whole batch, where these are this process's part of it. rate: the learning rate, in
        place of the schedule's. measure_norm: for `Outcome.norm`, which costs a pass
        over the gradients. Raises torch.OutOfMemoryError, as torch does.
        """
        settings, epoch = self.recipe.train, self.epoch
        self._enter(epoch)
        rate = self.learning_rate() if rate is None else rate
        optim.set_rates(self.optimizer, rate, self.recipe.learning_rate, epoch)
        loss, correct, count = self._gradients(images, labels, count)
        norm = None
        if settings.clip_norm or measure_norm:
            self._gather()
            norm = self.division.clip(settings.clip_norm or float("inf"))
        (self.rounded or self.optimizer).step()
        if self.average:
            self.average.update(self.network)
        self.done += 1
        return Outcome(loss, correct, count, norm if measure_norm else None)

    def gradients(
        self, images: Tensor, labels: Tensor, count: int | None = None, parts: int = 1
    ) -> tuple[Tensor, Tensor, int]:
        """Leaves the next step's gradients in the network; returns the batch's mean loss, its number of correct
        answers and its size. parts: computes it in this many parts, times `train.accumulate`."""
        found = self._gradients(images, labels, count, parts)
        self._gather()
        return found

    def _gradients(
        self, images: Tensor, labels: Tensor, count: int | None = None, parts: int = 1
    ) -> tuple[Tensor, Tensor, int]:
        """`gradients`, of which some may still lie with the weights' copies."""
        world = self.world
        parts *= self.recipe.train.accumulate
        batch = self._batch(images, labels, len(labels) if count is None else count, cut=parts > 1)
        pieces = list(batch.parts(parts))
        losses, correct = [], []
        self.optimizer.zero_grad(set_to_none=True)
        with seeded(self._seed(world.use("dropout")), self.device):
            for part in pieces:
                last = part is pieces[-1]
                with self.forward.gradients(last):
                    with self._in_place(len(pieces)), autocast(self.device, self.precision):
                        logits = self.forward(part.inputs, batch.count)
                    aim, loss = self.objective(logits.float(), part)
                    share = part.own * self.forward.weight / batch.count
                    ((aim if share == 1 else aim * share) + (self.l2() if last else 0.0)).backward()
                # Nothing is computed that only a batch in parts, or one with padding, needs.
                loss, right = loss.detach(), self.objective.right(logits.detach(), part.labels)
                losses.append(loss if part.own == batch.own else loss * (part.own / max(batch.own, 1)))
                correct.append((right if part.own == len(right) else right[: part.own]).sum())
        return *world.figures(sum(losses[1:], losses[0]), sum(correct[1:], correct[0]), batch.count), batch.count

    def release(self) -> None:
        """Gives back the memory of gradients and of what an interrupted step left."""
        self.optimizer.zero_grad(set_to_none=True)
        if self.rounded:
            self.rounded.clear()
        gc.collect()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def learning_rate(self) -> float:
        """The schedule's rate for the next step."""
        at = self.epoch + self.position / self.steps
        return self.recipe.learning_rate * schedule.factor(self.recipe.schedule, at, self.length, self._scores)

    def augmented(self, images: Tensor, count: int | None = None) -> Tensor:
        """The images (uint8 N×H×W×C) augmented and normalized as the next step will: float32 N×C×h×w."""
        count = len(images) if count is None else count
        draws = torch.Generator().manual_seed(self._seed("augment"))
        return self.augmenter.train(images, draws, self.epoch, self.world.part_of(count))

    def validated(self, accuracy: float, loss: float) -> None:
        """Takes note of an epoch's validation, which the schedule 'plateau' follows."""
        self._scores.append((accuracy, -loss))

    @contextlib.contextmanager
    def averaged(self) -> Iterator[nn.Module]:
        """The whole network with the weights that are evaluated and kept: their moving average, where there is one."""
        with self.average.in_place(self.network) if self.average else contextlib.nullcontext():
            self.world.copy_buffers(self.network)
            yield self.division.whole()

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next step depends on: tensors, numbers, and lists and dicts of them.

        To be called by all processes; whole in the writer.
        """
        gathered = self.division.gathered
        average = self.average.state_dict() if self.average else None
        return {
            "network": gathered(self.network.state_dict()),
            "optimizer": optim.mapped(self.optimizer.state_dict(), self._names, gathered),
            "average": average and average | {"average": gathered(average["average"])},
            "done": self.done,
            "scores": [list(score) for score in self._scores],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continues from `state`, a whole one, however it was divided when it was saved.

        Raises RuntimeError or ValueError when it is of another network or optimizer.
        """
        own = self.division.own
        self.network.load_state_dict(own(state["network"]))
        self.optimizer.load_state_dict(optim.mapped(state["optimizer"], self._names, own))
        if self.average:
            average = state["average"]
            self.average.load_state_dict(average | {"average": own(average["average"])})
        self.done = state["done"]
        self._scores = [(accuracy, loss) for accuracy, loss in state["scores"]]
        self._entered = None

    @property
    def _names(self) -> list[str]:
        """Of the optimizer's parameters, in its order."""
        name = {id(parameter): name for name, parameter in self.network.named_parameters()}
        return [name[id(parameter)] for group in self.optimizer.param_groups for parameter in group["params"]]

    def _rounded(self) -> Rounded | None:
        """Where it makes the same steps quicker: one process in bfloat16 on a CPU, without torch.compile."""
        plain = self.device.type == "cpu" and self.world.size == 1 and not self.recipe.train.compile
        serves = plain and self.precision == "bf16" and Rounded.serves(self.optimizer)
        return Rounded(self.network, self.optimizer) if serves else None

    def _in_place(self, parts: int) -> contextlib.AbstractContextManager[None]:
        # The sum over parts is one of float32.
        return self.rounded.in_place() if self.rounded and parts == 1 else contextlib.nullcontext()

    def _gather(self) -> None:
        if self.rounded:
            self.rounded.gather()

    def _enter(self, epoch: int) -> None:
        """Puts the network into training mode, all but the layers that are frozen in this epoch."""
        if self._entered != epoch:
            self.freezing.train(epoch)
            self.forward.renew()
            self._entered = epoch

    def _batch(self, images: Tensor, labels: Tensor, count: int, cut: bool) -> Batch:
        """The batch as the network gets it: augmented, normalized and mixed. cut: it will be computed in parts."""
        inputs = self.augmented(images, count)
        inputs, mix = self.mixing(inputs, labels, self._seed(self.world.use_of_images("mixing")))
        batch = Batch(inputs, labels, mix, count, self.world.own(count))
        weights = self.objective.masses(batch)
        if weights is None or not (cut or self.world.size > 1):
            return batch
        (mass,) = self.world.sum(weights[: batch.own].sum())
        return Batch(inputs, labels, mix, count, batch.own, mass)

    def _seed(self, use: str) -> int:
        """Each step draws from its own seeds: a resumed run needs no generator state."""
        return derive_seed(self.recipe.train.seed, use, self.epoch, self.position)
