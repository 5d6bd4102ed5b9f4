"""The learning rate as a pure function of where the run stands."""

import math

from alexnet.recipes.schema import Schedule


def factor(schedule: Schedule, epoch: float, epochs: float) -> float:
    """What the base learning rate is multiplied by, at `epoch` (fractional, 0 at the start) of a run of `epochs`."""
    if schedule.warmup and epoch < schedule.warmup and schedule.name != "one-cycle":
        return max(epoch / schedule.warmup, 1e-3)  # never exactly 0: the first step should count
    match schedule.name:
        case "constant":
            return 1.0
        case "step":
            return schedule.factor ** sum(epoch >= milestone for milestone in schedule.milestones)
        case "cosine":
            done = (epoch - schedule.warmup) / max(epochs - schedule.warmup, 1e-9)
            return _cosine(1.0, schedule.final, done)
        case _:  # one-cycle: Smith 2018, with cosine flanks; starts at 1/25 of the peak as torch's OneCycleLR does
            done = epoch / epochs
            if done < schedule.peak:
                return _cosine(1 / 25, 1.0, done / schedule.peak)
            return _cosine(1.0, schedule.final, (done - schedule.peak) / (1 - schedule.peak))


def _cosine(start: float, end: float, done: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * min(max(done, 0.0), 1.0))) / 2
