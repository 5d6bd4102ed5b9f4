"""A watch on the run: it names what goes wrong while it happens, with the likely cause and the fix in one line.

It sees numbers only (losses, norms, counts), never the loop, and its state is plain JSON: a resumed run goes on where
the watch stood. Every kind of finding is told once a run, and again only when it has become clearly worse.
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from torch import Tensor

from alexnet.errors import counted
from alexnet.preprocessing import Preprocessing
from alexnet.training import limits
from alexnet.training.findings import Finding, State


class Watch:
    """Watches one run.

    `classes`: the class names. `init`, `learning_rate`: the recipe's. `train_counts`: the training images of each
    label, int [classes], or longer when labels fall outside. `intended`: the preprocessing that the network was
    published with; without it, images scaled to 0–1 or normalized are taken as meant. `weighted`: the classes are.
    `several`: an image may have several labels, so that the loss is a mean over them.
    """

    def __init__(
        self,
        classes: Sequence[str],
        *,
        init: str,
        learning_rate: float,
        train_counts: Sequence[int] | np.ndarray,
        intended: Preprocessing | None = None,
        weighted: bool = False,
        several: bool = False,
    ) -> None:
        self.classes = tuple("".join(c if c.isprintable() else "·" for c in name[:60]) for name in classes)
        self.init = init
        self.learning_rate = learning_rate
        self.train_counts = [int(count) for count in train_counts]
        self.weighted = weighted
        self.several = several
        self.intended_std = limits.IMAGE_STD
        if intended is not None:
            self.intended_std *= 255 * intended.scale / statistics.fmean(intended.std)
        self._state = State()

    def state_dict(self) -> dict[str, Any]:
        return asdict(self._state)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._state = State(**state)

    # What is seen before the first step

    def labels(self) -> list[Finding]:
        """Looks at the training labels: labels outside the classes, and classes without an image."""
        k, counts = len(self.classes), self.train_counts
        missing = [i for i in range(k) if i >= len(counts) or counts[i] == 0]
        if sum(counts[k:]):
            seen = counted(sum(counts[k:]), "label is", "labels are")
            seen += f" {k} or more, where {k} classes are numbered 0 to {k - 1}"
            if missing and missing[0] == 0:
                seen += ", and class 0 is never used"
            cause = "the labels start at 1: class 0 is never used and the last label falls outside"
            return self._report(
                "labels out of range", seen, cause, "subtract 1 from every label, or join by class name"
            )
        if missing:
            named = ", ".join(repr(self.classes[i]) for i in missing[:5]) + (", …" if len(missing) > 5 else "")
            seen = f"{len(missing)} of {k} classes have no training image: {named}"
            cause, fix = "these classes are absent from the training split", "add images of them, or leave them out"
            if missing == [0]:
                cause, fix = "the labels start at 1, so that class 0 is never used", "subtract 1 from every label"
            return self._report("classes without images", seen, cause, fix, size=len(missing))
        return []

    def first_batch(self, inputs: Tensor) -> list[Finding]:
        """Looks at the first training batch, float N×C×H×W as the network gets it."""
        return self._constant(inputs) or self._scaled(inputs)

    def _constant(self, inputs: Tensor) -> list[Finding]:
        places = inputs.detach().flatten(2)
        constant = int((places == places[..., :1]).all(2).all(1).sum())
        if constant <= limits.CONSTANT_SHARE * len(inputs):
            return []
        seen = f"{constant} of the {len(inputs)} images of the first batch have the same value at every pixel"
        cause = "values cut off when the files were read (10 or 12 bits in 16-bit files), or blank images"
        return self._report("constant images", seen, cause, "look at the sample grid and at the files themselves")

    def _scaled(self, inputs: Tensor) -> list[Finding]:
        values, state = inputs.detach().float(), self._state
        mean, std = values.mean().item(), values.std().item()
        low, high = values.min().item(), values.max().item()
        ratio = std / self.intended_std
        if low >= 0 and high > limits.RAW_HIGH:
            state.unscaled = f"images that are not scaled (mean {mean:.3g}, std {std:.3g})"
        elif std > 0 and not 1 / limits.SCALE_RATIO <= ratio <= limits.SCALE_RATIO:
            state.unscaled = f"images {ratio:.2g} times as wide as those the network was published with (std {std:.3g})"
        else:
            return []
        takes_raw = self.intended_std > limits.RAW_HIGH  # Caffe's networks take 0–255 less the mean
        state.rescale = 'set data.normalize to "network"' + ("" if takes_raw else ' or "data"')
        seen = f"the first batch spans {low:.3g} to {high:.3g} with mean {mean:.3g} and std {std:.3g}"
        return self._report("images not scaled", seen, state.unscaled, state.rescale)

    # What is seen while it trains

    def step(self, step: int, loss: float, gradient_norm: float) -> list[Finding]:
        """Looks at one sampled step (counted over the run): its loss and its gradients' norm before any clipping."""
        self._state.step = step
        if not math.isfinite(loss):  # the gradients are not either, and would say nothing more
            return self._finite("training", loss)
        self._state.losses = [*self._state.losses, loss][-limits.STUCK_WINDOW :]
        return self._stuck() + self._gradients(gradient_norm)

    def _finite(self, split: str, loss: float) -> list[Finding]:
        if math.isfinite(loss):
            return []
        return self._report("loss not finite", f"the {split} loss is {loss}", *self._diverged())

    def _stuck(self) -> list[Finding]:
        k, losses = len(self.classes), self._state.losses
        patience = min(max(limits.STUCK_STEPS[0], limits.STUCK_STEPS_PER_CLASS * k), limits.STUCK_STEPS[1])
        if self._state.step < patience or len(losses) < limits.STUCK_WINDOW:
            return []
        mean = statistics.fmean(losses)
        if self.several or mean < limits.STUCK_SHARE * math.log(k):
            return []
        seen = f"the mean loss is {mean:.4f} after {self._state.step} steps; guessing gives ln({k}) = {math.log(k):.4f}"
        return self._report("loss stuck at ln(classes)", seen, *self._blind())

    def _gradients(self, norm: float) -> list[Finding]:
        state = self._state
        if not math.isfinite(norm):
            return self._report("exploding gradients", f"the gradients' norm is {norm}", *self._diverged())
        median = statistics.median(state.norms) if len(state.norms) >= limits.STUCK_WINDOW else math.inf
        spike = norm > max(limits.NORM_RATIO * median, limits.NORM_FLOOR)
        twice, state.spiked = spike and state.spiked, spike
        if not spike:  # a spike must not raise the median that it is measured by
            state.norms = [*state.norms, norm][-limits.NORM_WINDOW :]
        if norm <= limits.NORM_LIMIT and not twice:
            return []
        seen = f"the gradients' norm is {norm:.3g}"
        if math.isfinite(median):
            seen += f", {norm / max(median, 1e-12):.0f} times its median"
        return self._report("exploding gradients", seen, *self._diverged())

    def activations(self, dead: Mapping[str, float]) -> list[Finding]:
        """Looks at layer → fraction of units that gave 0 for a whole batch, as `dead_fractions` counts them."""
        layers = {name: fraction for name, fraction in dead.items() if fraction > limits.DEAD_FRACTION}
        self._state.silent = next((name for name, fraction in dead.items() if fraction == 1), "")
        if not layers:
            return []
        seen = ", ".join(f"{fraction:.0%} of {name}" for name, fraction in layers.items())
        seen = f"{seen} gave 0 for every image of a batch"
        return self._report("dead ReLUs", seen, *self._diverged(), size=len(layers))

    # What is seen after an epoch

    def epoch(self, metrics: Mapping[str, Any], confusion: np.ndarray | None) -> list[Finding]:
        """Looks at one line of metrics.jsonl and the validation's confusion matrix, int64 [k, k] with true rows; None
        where an image may have several labels."""
        state = self._state
        found = self._finite("training", metrics["train_loss"]) + self._finite("validation", metrics["val_loss"])
        if confusion is None:
            state.epoch = metrics["epoch"]
            return found + self._overfit_labels(metrics)
        found += self._silent(metrics) + self._shifted(confusion)
        if not state.shifted:  # it looks like both of these
            found += self._overfit(metrics, int(confusion.sum())) + self._majority(confusion)
            found += self._swallowed(confusion)
        state.epoch = metrics["epoch"]
        return found

    def _silent(self, metrics: Mapping[str, Any]) -> list[Finding]:
        """A layer without a live unit passes nothing on and nothing back: no need to wait until the loss is stuck."""
        chance = math.log(len(self.classes))
        if not self._state.silent or not metrics["val_loss"] >= limits.STUCK_SHARE * chance:
            return []
        seen = (
            f"the validation loss is {metrics['val_loss']:.4f}, guessing gives ln({len(self.classes)}) = {chance:.4f}, "
            f"and {self._state.silent} gives 0 whatever the image"
        )
        return self._report("loss stuck at ln(classes)", seen, *self._blind())

    def _majority(self, confusion: np.ndarray) -> list[Finding]:
        count, total = confusion.sum(1), int(confusion.sum())
        if not total:
            return []
        right = np.diagonal(confusion)
        share, accuracy = count.max() / total, right.sum() / total
        balanced = float((right[count > 0] / count[count > 0]).mean())
        misleads = share >= limits.MAJORITY_SHARE and accuracy - balanced > limits.MAJORITY_GAP
        hit = share * len(count) >= limits.MAJORITY and (accuracy <= share or misleads)
        self._state.majority = self._state.majority + 1 if hit else 0
        if self._state.majority < limits.MAJORITY_EPOCHS:
            return []
        name = repr(self.classes[int(count.argmax())])
        seen = (
            f"accuracy is {accuracy:.1%}, always answering {name} gives {share:.1%}, and the balanced accuracy (the "
            f"mean over classes) is {balanced:.1%}"
        )
        cause = f"imbalance: {share:.0%} of the validation images are of {name}"
        fix = "add images of the other classes" if self.weighted else "set train.class_weights = true"
        return self._report("majority class", seen, cause, f"{fix}, and judge by the balanced accuracy")

    def _overfit(self, metrics: Mapping[str, Any], count: int) -> list[Finding]:
        state, loss = self._state, metrics["val_loss"]
        train, val = metrics["train_accuracy"], metrics["val_accuracy"]
        state.val_accuracies = [*state.val_accuracies, val][-limits.GUESS_EPOCHS :]
        if not math.isfinite(loss):
            return []
        lowest = state.lowest_val_loss = min(loss, loss if state.lowest_val_loss is None else state.lowest_val_loss)
        state.overfit = (
            state.overfit + 1 if train - val > limits.OVERFIT_GAP and loss > limits.OVERFIT_RISE * lowest else 0
        )
        if state.overfit < limits.OVERFIT_EPOCHS:
            return []
        seen = (
            f"accuracy is {train:.1%} in training and {val:.1%} in validation, "
            f"and the validation loss rose from {lowest:.3f} to {loss:.3f}"
        )
        if self._guesses(count):
            cause = "labels that are not their images' (rows shifted or shuffled apart): they are learned by heart"
            fix = "compare images and labels in the sample grid, and check how they were paired"
        else:
            cause, fix = self._by_heart()
            cause = cause.replace("its training", f"its {sum(self.train_counts):,} training")
        return self._report("overfitting", seen, cause, fix, size=train - val)

    def _overfit_labels(self, metrics: Mapping[str, Any]) -> list[Finding]:
        state, loss, train = self._state, metrics["val_loss"], metrics["train_loss"]
        if not math.isfinite(loss):
            return []
        lowest = state.lowest_val_loss = min(loss, loss if state.lowest_val_loss is None else state.lowest_val_loss)
        rose = loss > limits.OVERFIT_RISE * lowest and loss > limits.OVERFIT_RISE * train
        state.overfit = state.overfit + 1 if rose else 0
        if state.overfit < limits.OVERFIT_EPOCHS:
            return []
        seen = f"the validation loss rose from {lowest:.3f} to {loss:.3f}, and the training loss is {train:.3f}"
        return self._report("overfitting", seen, *self._by_heart(), size=loss / lowest)

    def _by_heart(self) -> tuple[str, str]:
        cause = "overfitting: the network learns its training images by heart"
        return cause, (
            "more images, augment.flip, augment.shift, crops (data.resize above the network's size), "
            "model.dropout or optimizer.weight_decay, or stop early"
        )

    def _guesses(self, count: int) -> bool:
        """Whether the last epochs were no better than guessing, on `count` validation images that are enough to tell:
        a network with twice the odds of guessing would be above their mean, to two standard deviations."""
        accuracies = self._state.val_accuracies
        guess = max(self.train_counts) / max(sum(self.train_counts), 1)
        doubled = 2 * guess / (1 + guess)
        sure = doubled - 2 * math.sqrt(doubled * (1 - doubled) / max(count, 1))
        return len(accuracies) == limits.GUESS_EPOCHS and statistics.fmean(accuracies) < sure

    def _shifted(self, confusion: np.ndarray) -> list[Finding]:
        k, total = len(confusion), confusion.sum()
        if k < 2 or not total:
            return []
        rows = np.arange(k)
        right = confusion[rows, rows].sum() / total
        after, before = (confusion[rows, (rows + shift) % k].sum() / total for shift in (1, -1))
        share, side = max((after, "after"), (before, "before"))
        self._state.shifted = (
            self._state.shifted + 1 if share > max(limits.SHIFTED_SHARE, limits.SHIFTED_RATIO * right) else 0
        )
        if self._state.shifted < limits.SHIFTED_EPOCHS:
            return []
        seen = f"{share:.0%} of the validation images are predicted as the class {side} their label, {right:.0%} as it"
        cause = "the validation labels are shifted by one against the training labels (one counts from 1, one from 0)"
        return self._report(
            "labels shifted by one", seen, cause, "number both splits from 0, or join them by class name"
        )

    def _swallowed(self, confusion: np.ndarray) -> list[Finding]:
        rows = np.arange(len(confusion))
        count = confusion.sum(1)
        shares = confusion / np.maximum(count, 1)[:, None]
        recall = shares[rows, rows]
        others = np.where(rows[:, None] == rows, -1.0, shares)
        taker = others.argmax(1)
        hit = (
            (recall <= limits.SWALLOWED_RECALL)
            & (others[rows, taker] >= limits.SWALLOWED_SHARE)
            & (count >= limits.SWALLOWED_IMAGES)
        )
        pairs = [(int(i), int(taker[i])) for i in np.flatnonzero(hit)]
        before = self._state.swallowed
        self._state.swallowed = {f"{i}>{j}": before.get(f"{i}>{j}", 0) + 1 for i, j in pairs}
        pairs = [(i, j) for i, j in pairs if self._state.swallowed[f"{i}>{j}"] >= limits.SWALLOWED_EPOCHS]
        if not pairs:
            return []
        i, j = pairs[0]
        one, other = repr(self.classes[i]), repr(self.classes[j])
        seen = f"{shares[i, j]:.0%} of {one} is predicted as {other} and {recall[i]:.0%} as itself"
        if len(pairs) > 1:
            seen += f" ({len(pairs)} of {len(confusion)} classes are swallowed)"
        few, many = self.train_counts[i], self.train_counts[j]
        if len(pairs) > len(confusion) / 2:
            cause, fix = self._blind()
        elif many > limits.IMBALANCE * few and "majority class" in self._state.reported:
            return []  # it is named already
        elif many > limits.IMBALANCE * few:
            cause = f"imbalance: {few:,} training images of {one} against {many:,} of {other}"
            fix = f"set train.class_weights, or add images of {one}"
        else:
            cause = f"{one} and {other} look alike at this size, or images of {one} are labeled {other}"
            fix = "compare both among the samples and the worst images, then relabel, merge, or use larger images"
        return self._report("swallowed class", seen, cause, fix, size=len(pairs))

    # Causes and reports

    def _diverged(self) -> tuple[str, str]:
        """Cause and fix of a training that left its track, the surest cause first."""
        rate, lower = f"{self.learning_rate:g}", f"{self.learning_rate / 10:.3g}"
        if self._state.unscaled:
            return self._state.unscaled, self._state.rescale
        if self.init == "keras-uniform":
            cause = f"Keras 'uniform' U(-0.05, 0.05), the same for wide and narrow layers, with learning rate {rate}"
            return cause, f"lower optimizer.lr to {lower} or less, or take model.init keras-he"
        cause = f"a learning rate of {rate} that is too high"
        return cause, f"lower optimizer.lr to {lower}, or set schedule.warmup or train.clip_norm"

    def _blind(self) -> tuple[str, str]:
        """Cause and fix of a network that answers the same whatever the image."""
        cause, fix = self._diverged()
        if self._state.unscaled or self.init == "keras-uniform":
            return cause, fix
        if "dead ReLUs" in self._state.reported:
            return f"dead ReLUs, left by {cause}", fix
        cause = f"a learning rate of {self.learning_rate:g} that is wrong by far, or labels that are not their images'"
        return cause, "try a tenth and ten times of optimizer.lr, and compare images and labels in the sample grid"

    def _report(self, kind: str, seen: str, cause: str, fix: str, size: float = 1.0) -> list[Finding]:
        """The finding, unless its kind was told before at a similar size."""
        state = self._state
        if size < limits.WORSE * state.reported.get(kind, 0.0):
            return []
        state.reported[kind] = size
        return [Finding(kind, state.epoch + 1, state.step, seen, cause, fix)]
