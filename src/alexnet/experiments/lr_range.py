"""Learning rate range test: the rate rises exponentially, step by step, and the loss tells which rates learn.

Source: Smith 2017, 'Cyclical Learning Rates for Training Neural Networks', section 3.3, arXiv 1506.01186.
"""

import itertools
import math
import statistics
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from alexnet.device import derive_seed
from alexnet.files import make_folder, write_json
from alexnet.insight import plots
from alexnet.training.learner import Learner
from alexnet.training.setup import Setup

LOW, HIGH = 1e-6, 10.0
STEPS = 400  # of one epoch, or of several when they are short: 57 a decade
_WIDTH = 0.15  # decades: the standard deviation of the smoothing; losses of single batches jump
_RECENT = 5  # losses, whose mean …
_BURST = 4.0  # … may be so many times its lowest; what comes after tells nothing
_FALL = 0.05  # of the first loss: a smaller fall is chance


@dataclass(frozen=True)
class LrRange:
    """What was seen; lists have one entry per step that was made."""

    recipe: str
    rates: list[float]
    losses: list[float]
    """Cross-entropy of each batch before its step, in nats."""
    smoothed: list[float]
    """The same, averaged with a Gaussian over the logarithm of the rate."""
    suggestion: float | None
    """The rate at which the smoothed loss falls most steeply; None: it hardly fell, more steps may tell."""
    lowest: float
    """The rate at which the smoothed loss is lowest: beyond it, learning breaks down."""


def lr_range(setup: Setup, steps: int = STEPS, progress: Callable[[int, int], None] | None = None) -> LrRange:
    """Trains `setup`'s network for `steps` with rates from 1e-6 to 10; writes nothing.

    It ends early when the loss bursts. `setup` is used up: its network has changed.
    """
    rates: list[float] = []
    losses: list[float] = []
    best = math.inf
    learner = Learner(setup)
    for step, (images, labels) in enumerate(itertools.islice(_batches(setup), steps)):
        rate = LOW * (HIGH / LOW) ** (step / max(steps - 1, 1))
        loss = learner.step(images, labels, rate=rate).loss.item()
        recent = statistics.fmean([*losses[1 - _RECENT :], loss])
        if not math.isfinite(loss) or recent > _BURST * best:
            break
        best = min(best, recent)
        rates.append(rate)
        losses.append(loss)
        if progress:
            progress(step + 1, steps)
    smoothed = _smoothed(np.log10(rates), np.array(losses))
    lowest = int(smoothed.argmin())
    suggestion = None
    if smoothed[lowest] < (1 - _FALL) * smoothed[0]:
        suggestion = rates[int(np.gradient(smoothed[: lowest + 1]).argmin())]
    return LrRange(setup.recipe.name, rates, losses, smoothed.tolist(), suggestion, rates[lowest])


def write(found: LrRange, folder: Path) -> None:
    """Writes lr_range.json and lr_range.png into `folder`, which is made if need be."""
    make_folder(folder)
    write_json(folder / "lr_range.json", asdict(found))
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    axes.plot(found.rates, found.losses, color=plots.FAINT, linewidth=0.8, label="batch")
    axes.plot(found.rates, found.smoothed, color=plots.BLUE, linewidth=1.8, label="smoothed")
    if found.suggestion is not None:
        label = f"steepest at {found.suggestion:.1e}"
        axes.axvline(found.suggestion, color=plots.VERMILION, linestyle=(0, (5, 3)), linewidth=1.2, label=label)
    axes.set_xscale("log")
    axes.set_ylim(0, 1.5 * found.smoothed[0])
    axes.set_xlabel("learning rate")
    axes.set_ylabel("training loss")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=9)
    plots.save(figure, folder / "lr_range.png")


def _smoothed(at: np.ndarray, values: np.ndarray) -> np.ndarray:
    """float64 [n] → float64 [n]: Gaussian means of `values` over `at`."""
    kernel = np.exp(-0.5 * ((at[:, None] - at) / _WIDTH) ** 2)
    return kernel @ values / kernel.sum(1)


def _batches(setup: Setup) -> Iterator[tuple[Tensor, Tensor]]:
    """Training batches without end, each round in an order of its own."""
    settings = setup.recipe.train
    for epoch in itertools.count():
        draws = torch.Generator().manual_seed(derive_seed(settings.seed, "lr-range", epoch))
        order = torch.randperm(len(setup.train.dataset), generator=draws)
        yield from setup.train.batches(order, settings.batch_size)
