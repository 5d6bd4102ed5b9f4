"""What training minimizes: cross-entropy with the labels, that together with a teacher's answers, or binary
cross-entropy of each of several labels."""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from alexnet.data.transforms.mixing import Mix, cross_entropy, masses
from alexnet.training.distill import Teacher


@dataclass(frozen=True)
class Batch:
    """What one forward pass is made of: a batch, or a part of one (of a process, or of `train.accumulate`)."""

    inputs: Tensor
    """float32 N×C×h×w, as the network gets them."""
    labels: Tensor
    """int64 N; of several labels an image uint8 N×K."""
    mix: Mix | None
    """With what mixup or cutmix mixed each image."""
    count: int
    """The images of the whole batch."""
    own: int
    """How many of the images here count: N, or 0 for those of a process that answers for none."""
    mass: Tensor | None = None
    """The sum of the class weights over the whole batch; None where this is the whole batch or nothing is weighted."""

    def parts(self, number: int) -> Iterator["Batch"]:
        """The batch in at most `number` parts, for memory that the whole of it would not fit into."""
        size = -(-len(self.labels) // number)
        if size >= len(self.labels):
            yield self
            return
        for start in range(0, len(self.labels), size):
            at = slice(start, start + size)
            mix = self.mix and Mix(self.mix.labels[at], self.mix.share[at])
            labels = self.labels[at]
            own = len(labels) if self.own else 0
            yield dataclasses.replace(self, inputs=self.inputs[at], labels=labels, mix=mix, own=own)


class Objective(Protocol):
    """A loss over a batch. The means of a batch's parts, weighted by their number of images, are the batch's mean."""

    def __call__(self, logits: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """What to minimize and the cross-entropy to report, two scalars. logits: float32 N×K."""
        ...

    def masses(self, batch: Batch) -> Tensor | None:
        """What each image weighs in the mean, float32 N; None: all the same."""
        ...

    def right(self, logits: Tensor, labels: Tensor) -> Tensor:
        """How many answers about each image are right, bool or int64 N."""
        ...


@dataclass(frozen=True)
class CrossEntropy:
    """Cross-entropy with the labels, in nats.

    weights: float32 K, one per class, or None; the mean is weighted by them, as in torch.nn.CrossEntropyLoss.
    smoothing: the share of each target that is spread over all classes.
    """

    weights: Tensor | None = None
    smoothing: float = 0.0

    def __call__(self, logits: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        loss = cross_entropy(logits, batch.labels, batch.mix, self.weights, self.smoothing)
        if batch.mass is not None and (weight := self.masses(batch)) is not None:
            # A mean over the part, to be weighted by its number of images, of a batch whose mean is weighted by class.
            share = weight[: batch.own].sum() / batch.mass
            loss = loss * (share * (batch.count / max(batch.own, 1))).to(loss.dtype)
        return loss, loss

    def masses(self, batch: Batch) -> Tensor | None:
        return None if self.weights is None else masses(batch.labels, batch.mix, self.weights)

    def right(self, logits: Tensor, labels: Tensor) -> Tensor:
        return logits.argmax(1) == labels


@dataclass(frozen=True)
class BinaryCrossEntropy:
    """Binary cross-entropy of each label by itself, in nats: the mean over images and classes.

    smoothing s: a target y becomes (1 − s) · y + s / 2, as Keras's BinaryCrossentropy has it.
    """

    smoothing: float = 0.0

    def __call__(self, logits: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        wanted = batch.labels.to(logits.dtype)
        if batch.mix is not None:
            wanted = torch.lerp(batch.mix.labels.to(logits.dtype), wanted, batch.mix.share[:, None].to(logits.dtype))
        wanted = wanted * (1 - self.smoothing) + self.smoothing / 2
        loss = functional.binary_cross_entropy_with_logits(logits, wanted)
        return loss, loss

    def masses(self, batch: Batch) -> Tensor | None:
        return None

    def right(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Named from a probability of 0.5 on."""
        return ((logits >= 0) == (labels > 0)).sum(1)


@dataclass(frozen=True)
class Distillation:
    """Knowledge distillation: the student learns from the teacher's logits, softened by a temperature T.

        loss = (1 − weight) · cross-entropy + weight · T² · KL(softmax(teacher / T) ‖ softmax(student / T))

    T² keeps the gradients of the second part at the same scale whatever T is. The teacher sees the very images that
    the student sees. Source: Hinton, Vinyals and Dean 2015, arXiv 1503.02531, section 2.
    """

    labels: CrossEntropy
    teacher: Teacher
    weight: float = 0.5
    temperature: float = 4.0

    def __call__(self, logits: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        _, loss = self.labels(logits, batch)
        t = self.temperature
        softened = functional.kl_div(
            functional.log_softmax(logits / t, 1),
            functional.log_softmax(self.teacher.logits(batch.inputs) / t, 1),
            reduction="batchmean",
            log_target=True,
        )
        return (1 - self.weight) * loss + self.weight * t**2 * softened, loss

    def masses(self, batch: Batch) -> Tensor | None:
        return self.labels.masses(batch)

    def right(self, logits: Tensor, labels: Tensor) -> Tensor:
        return self.labels.right(logits, labels)
