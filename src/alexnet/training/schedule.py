"""The learning rate as a pure function of where the run stands, so that a resumed run needs no state of it."""

import math
from collections.abc import Sequence

from alexnet.recipes.schema import Schedule

Score = tuple[float, float]
"""An epoch's validation accuracy, and minus its loss, which decides between equal ones: higher is better."""


def factor(schedule: Schedule, epoch: float, epochs: float, scores: Sequence[Score] = ()) -> float:
    """What the base learning rate is multiplied by, at `epoch` (fractional, 0 at the start) of a run of `epochs`.

    `schedule`: with its durations in epochs, as `recipes.durations.resolved` gives them. `scores`: of the epochs that
    are done, which 'plateau' follows.
    """
    warmup = float(schedule.warmup)
    if warmup and epoch < warmup and schedule.name != "one-cycle":
        return max(epoch / warmup, 1e-3)  # never exactly 0: the first step should count
    match schedule.name:
        case "constant":
            return 1.0
        case "step":
            return schedule.factor ** sum(epoch >= float(milestone) for milestone in schedule.milestones)
        case "plateau":
            return max(schedule.factor ** drops(scores, int(schedule.patience)), schedule.final)
        case "cosine":
            done = (epoch - warmup) / max(epochs - warmup, 1e-9)
            return _cosine(1.0, schedule.final, done)
        case _:  # one-cycle: Smith 2018, with cosine flanks; starts at 1/25 of the peak as torch's OneCycleLR does
            done = epoch / epochs
            if done < schedule.peak:
                return _cosine(1 / 25, 1.0, done / schedule.peak)
            return _cosine(1.0, schedule.final, (done - schedule.peak) / (1 - schedule.peak))


def drops(scores: Sequence[Score], patience: int) -> int:
    """How often `patience` epochs in a row passed without a better score than all before them."""
    best, waited, count = (-math.inf, -math.inf), 0, 0
    for score in scores:
        waited = 0 if score > best else waited + 1
        best = max(best, score)
        if waited == patience:
            count, waited = count + 1, 0
    return count


def _cosine(start: float, end: float, done: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * min(max(done, 0.0), 1.0))) / 2
