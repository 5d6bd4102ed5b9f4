"""A watch on the run: it names what goes wrong while it happens, with the likely cause and the fix in one line.

It sees numbers only (losses, norms, counts), never the loop, and its state is plain JSON: a resumed run goes on where
the watch stood. Every kind of finding is told once a run, and again only when it has become clearly worse.
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from torch import Tensor

from alexnet.preprocessing import Preprocessing

STUCK_SHARE = 0.99  # of ln(classes): what answers the same for every image stays there, or above when it shakes
STUCK_STEPS_PER_CLASS = 20  # a class must have been met some hundreds of times before 'stuck' is fair …
STUCK_STEPS = (200, 5000)  # … but never judged before 200 steps, and always after 5,000
STUCK_WINDOW = 10  # sampled losses in the running mean: about 200 steps when one in 20 is sampled
NORM_WINDOW = 50  # sampled gradient norms behind the median
NORM_RATIO = 20.0  # healthy norms vary by about 5 around their median; twice in a row above 20 is a departure
NORM_FLOOR = 50.0  # late in training the median nears 0 and one hard batch is 100 times it: harmless while small
NORM_LIMIT = 1e4  # no healthy network, not even one fed with 0–255, comes here
RAW_HIGH = 10.0  # a scaled or normalized image has no value above this; a raw one has many
SCALE_RATIO = 10.0  # inputs ten times wider or narrower than the network was published with
IMAGE_STD = 0.25  # of ordinary images whose pixels span 0 to 1
DEAD_FRACTION = 0.9  # sparse layers legitimately rest half of their units; above nine tenths little gets through
OVERFIT_GAP = 0.15  # train − validation accuracy, …
OVERFIT_RISE = 1.1  # … together with a validation loss 10 % above its lowest, …
OVERFIT_EPOCHS = 2  # … so many epochs in a row: at a high rate, any one may be bad
GUESS_EPOCHS = 3  # behind 'no better than guessing', for one may be bad luck
SWALLOWED_RECALL = 0.05  # a class is swallowed when at most this is recognized, …
SWALLOWED_SHARE = 0.5  # … at least this goes to one other class, …
SWALLOWED_IMAGES = 5  # … on at least so many validation images, …
SWALLOWED_EPOCHS = 3  # … in so many epochs in a row: in the first ones it happens to healthy networks
IMBALANCE = 10.0  # times as many training images
SHIFTED_SHARE = 0.5  # of the validation images are predicted as a neighbor of their label, …
SHIFTED_RATIO = 3.0  # … and so many times more than as the label itself, …
SHIFTED_EPOCHS = 3  # … in so many epochs in a row: one may be bad luck, above all on few images of two classes
WORSE = 1.5  # a finding is repeated when its size has grown by this factor


@dataclass(frozen=True)
class Finding:
    """One thing that goes wrong: what is seen (with numbers), the likely cause, the fix; each a piece of one line."""

    kind: str
    epoch: int
    step: int
    seen: str
    cause: str
    fix: str

    @property
    def line(self) -> str:
        return f"epoch {self.epoch}, step {self.step}: {self.kind}: {self.seen}. Likely: {self.cause}. Fix: {self.fix}."

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass
class _State:
    epoch: int = 0
    """Epochs that ended."""
    step: int = 0
    losses: list[float] = field(default_factory=list)
    norms: list[float] = field(default_factory=list)
    spiked: bool = False
    lowest_val_loss: float | None = None
    val_accuracies: list[float] = field(default_factory=list)
    overfit: int = 0
    """Epochs in a row."""
    shifted: int = 0
    """Epochs in a row."""
    swallowed: dict[str, int] = field(default_factory=dict)
    """'i>j' → epochs in a row."""
    unscaled: str = ""
    rescale: str = ""
    """Cause and fix when the first batch was not scaled as the network wants it."""
    reported: dict[str, float] = field(default_factory=dict)


class Watch:
    """Watches one run.

    `classes`: the class names. `init`, `learning_rate`: the recipe's. `train_counts`: the training images of each
    label, int [classes], or longer when labels fall outside. `intended`: the preprocessing that the network was
    published with; without it, images scaled to 0–1 or normalized are taken as meant.
    """

    def __init__(
        self,
        classes: Sequence[str],
        *,
        init: str,
        learning_rate: float,
        train_counts: Sequence[int] | np.ndarray,
        intended: Preprocessing | None = None,
    ) -> None:
        self.classes = tuple("".join(c if c.isprintable() else "·" for c in name[:60]) for name in classes)
        self.init = init
        self.learning_rate = learning_rate
        self.train_counts = [int(count) for count in train_counts]
        self.intended_std = IMAGE_STD
        if intended is not None:
            self.intended_std *= 255 * intended.scale / statistics.fmean(intended.std)
        self._state = _State()

    def state_dict(self) -> dict[str, Any]:
        return asdict(self._state)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._state = _State(**state)

    # What is seen before the first step

    def labels(self) -> list[Finding]:
        """Looks at the training labels: labels outside the classes, and classes without an image."""
        k, counts = len(self.classes), self.train_counts
        missing = [i for i in range(k) if i >= len(counts) or counts[i] == 0]
        if sum(counts[k:]):
            seen = f"{sum(counts[k:]):,} labels are {k} or more, where {k} classes are numbered 0 to {k - 1}"
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
        values, state = inputs.detach().float(), self._state
        mean, std = values.mean().item(), values.std().item()
        low, high = values.min().item(), values.max().item()
        ratio = std / self.intended_std
        if low >= 0 and high > RAW_HIGH:
            state.unscaled = f"images that are not scaled (mean {mean:.3g}, std {std:.3g})"
        elif std > 0 and not 1 / SCALE_RATIO <= ratio <= SCALE_RATIO:
            state.unscaled = f"images {ratio:.2g} times as wide as those the network was published with (std {std:.3g})"
        else:
            return []
        takes_raw = self.intended_std > RAW_HIGH  # Caffe's networks take 0–255 less the mean
        state.rescale = 'set data.normalize to "network"' + ("" if takes_raw else ' or "data"')
        seen = f"the first batch spans {low:.3g} to {high:.3g} with mean {mean:.3g} and std {std:.3g}"
        return self._report("images not scaled", seen, state.unscaled, state.rescale)

    # What is seen while it trains

    def step(self, step: int, loss: float, gradient_norm: float) -> list[Finding]:
        """Looks at one sampled step (counted over the run): its loss and its gradients' norm before any clipping."""
        self._state.step = step
        if not math.isfinite(loss):  # the gradients are not either, and would say nothing more
            return self._finite("training", loss)
        self._state.losses = [*self._state.losses, loss][-STUCK_WINDOW:]
        return self._stuck() + self._gradients(gradient_norm)

    def _finite(self, split: str, loss: float) -> list[Finding]:
        if math.isfinite(loss):
            return []
        return self._report("loss not finite", f"the {split} loss is {loss}", *self._diverged())

    def _stuck(self) -> list[Finding]:
        k, losses = len(self.classes), self._state.losses
        patience = min(max(STUCK_STEPS[0], STUCK_STEPS_PER_CLASS * k), STUCK_STEPS[1])
        if self._state.step < patience or len(losses) < STUCK_WINDOW:
            return []
        mean = statistics.fmean(losses)
        if mean < STUCK_SHARE * math.log(k):
            return []
        seen = f"the mean loss is {mean:.4f} after {self._state.step} steps; guessing gives ln({k}) = {math.log(k):.4f}"
        return self._report("loss stuck at ln(classes)", seen, *self._blind())

    def _gradients(self, norm: float) -> list[Finding]:
        state = self._state
        if not math.isfinite(norm):
            return self._report("exploding gradients", f"the gradients' norm is {norm}", *self._diverged())
        median = statistics.median(state.norms) if len(state.norms) >= STUCK_WINDOW else math.inf
        spike = norm > max(NORM_RATIO * median, NORM_FLOOR)
        twice, state.spiked = spike and state.spiked, spike
        if not spike:  # a spike must not raise the median that it is measured by
            state.norms = [*state.norms, norm][-NORM_WINDOW:]
        if norm <= NORM_LIMIT and not twice:
            return []
        seen = f"the gradients' norm is {norm:.3g}"
        if math.isfinite(median):
            seen += f", {norm / max(median, 1e-12):.0f} times its median"
        return self._report("exploding gradients", seen, *self._diverged())

    def activations(self, dead: Mapping[str, float]) -> list[Finding]:
        """Looks at layer → fraction of units that gave 0 for a whole batch, as `dead_fractions` counts them."""
        layers = {name: fraction for name, fraction in dead.items() if fraction > DEAD_FRACTION}
        if not layers:
            return []
        seen = ", ".join(f"{fraction:.0%} of {name}" for name, fraction in layers.items())
        seen = f"{seen} gave 0 for every image of a batch"
        return self._report("dead ReLUs", seen, *self._diverged(), size=len(layers))

    # What is seen after an epoch

    def epoch(self, metrics: Mapping[str, Any], confusion: np.ndarray) -> list[Finding]:
        """Looks at one line of metrics.jsonl and the validation's confusion matrix, int64 [k, k] with true rows."""
        state = self._state
        found = self._finite("training", metrics["train_loss"]) + self._finite("validation", metrics["val_loss"])
        found += self._shifted(confusion)
        if not state.shifted:  # it looks like both of these
            found += self._overfit(metrics, int(confusion.sum())) + self._swallowed(confusion)
        state.epoch = metrics["epoch"]
        return found

    def _overfit(self, metrics: Mapping[str, Any], count: int) -> list[Finding]:
        state, loss = self._state, metrics["val_loss"]
        train, val = metrics["train_accuracy"], metrics["val_accuracy"]
        state.val_accuracies = [*state.val_accuracies, val][-GUESS_EPOCHS:]
        if not math.isfinite(loss):
            return []
        lowest = state.lowest_val_loss = min(loss, loss if state.lowest_val_loss is None else state.lowest_val_loss)
        state.overfit = state.overfit + 1 if train - val > OVERFIT_GAP and loss > OVERFIT_RISE * lowest else 0
        if state.overfit < OVERFIT_EPOCHS:
            return []
        seen = (
            f"accuracy is {train:.1%} in training and {val:.1%} in validation, "
            f"and the validation loss rose from {lowest:.3f} to {loss:.3f}"
        )
        if self._guesses(count):
            cause = "labels that are not their images' (rows shifted or shuffled apart): they are learned by heart"
            fix = "compare images and labels in the sample grid, and check how they were paired"
        else:
            cause = f"overfitting: the network learns its {sum(self.train_counts):,} training images by heart"
            fix = (
                "more images, augment.flip, augment.shift, crops (data.resize above the network's size), "
                "model.dropout or optimizer.weight_decay, or stop early"
            )
        return self._report("overfitting", seen, cause, fix, size=train - val)

    def _guesses(self, count: int) -> bool:
        """Whether the last epochs were no better than guessing, on `count` validation images that are enough to tell:
        a network with twice the odds of guessing would be above their mean, to two standard deviations."""
        accuracies = self._state.val_accuracies
        guess = max(self.train_counts) / max(sum(self.train_counts), 1)
        doubled = 2 * guess / (1 + guess)
        sure = doubled - 2 * math.sqrt(doubled * (1 - doubled) / max(count, 1))
        return len(accuracies) == GUESS_EPOCHS and statistics.fmean(accuracies) < sure

    def _shifted(self, confusion: np.ndarray) -> list[Finding]:
        k, total = len(confusion), confusion.sum()
        if k < 2 or not total:
            return []
        rows = np.arange(k)
        right = confusion[rows, rows].sum() / total
        after, before = (confusion[rows, (rows + shift) % k].sum() / total for shift in (1, -1))
        share, side = max((after, "after"), (before, "before"))
        self._state.shifted = self._state.shifted + 1 if share > max(SHIFTED_SHARE, SHIFTED_RATIO * right) else 0
        if self._state.shifted < SHIFTED_EPOCHS:
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
        hit = (recall <= SWALLOWED_RECALL) & (others[rows, taker] >= SWALLOWED_SHARE) & (count >= SWALLOWED_IMAGES)
        pairs = [(int(i), int(taker[i])) for i in np.flatnonzero(hit)]
        before = self._state.swallowed
        self._state.swallowed = {f"{i}>{j}": before.get(f"{i}>{j}", 0) + 1 for i, j in pairs}
        pairs = [(i, j) for i, j in pairs if self._state.swallowed[f"{i}>{j}"] >= SWALLOWED_EPOCHS]
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
        elif many > IMBALANCE * few:
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
        if size < WORSE * state.reported.get(kind, 0.0):
            return []
        state.reported[kind] = size
        return [Finding(kind, state.epoch + 1, state.step, seen, cause, fix)]
