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


def notes(schedule: Schedule, length: float) -> list[str]:
    """What a user should know about the schedule before the run starts, a line each."""
    warmup = float(schedule.warmup)
    if schedule.name == "one-cycle" or not 0 < length <= warmup:
        return []
    return [
        f"the warm-up lasts the whole run ({warmup:g} of {length:g} epochs): "
        f"its learning rate only rises; lower schedule.warmup, or train longer"
    ]


def extended(schedule: Schedule, rate: float, before: float, now: float, last: float) -> list[str]:
    """What to say when a run of `before` epochs, all done, is resumed for `now`. last: its last learning rate."""
    if schedule.name not in ("cosine", "one-cycle"):
        return []
    at = rate * factor(schedule, before, now)
    return [
        f"the schedule {schedule.name!r} now spans {now:g} epochs, not {before:g}: the learning rate resumes at "
        f"{at:.1e} (it was {last:.1e} when the run ended) and falls to {rate * factor(schedule, now, now):.1e}"
    ]


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
