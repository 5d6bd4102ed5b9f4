"""Where the time of a training step goes."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional

from alexnet.data.augment import Augmenter
from alexnet.device import autocast, environment
from alexnet.training import optim
from alexnet.training.setup import Setup

PHASES = ("data", "augmentation", "forward", "backward", "optimizer")
_WARM_UP = 3  # first steps allocate memory and choose kernels


@dataclass(frozen=True)
class StepTimes:
    """Medians over `steps` steps."""

    recipe: str
    network: str
    batch_size: int
    steps: int
    seconds: dict[str, float]
    """Per step and phase."""
    environment: dict[str, Any]

    @property
    def images_per_second(self) -> float:
        return self.batch_size / sum(self.seconds.values())

    @property
    def shares(self) -> dict[str, float]:
        total = sum(self.seconds.values())
        return {phase: seconds / total for phase, seconds in self.seconds.items()}

    def to_json(self) -> dict[str, Any]:
        return {**vars(self), "images_per_second": self.images_per_second, "shares": self.shares}


def measure(setup: Setup, steps: int = 20, progress: Callable[[int, int], None] | None = None) -> StepTimes:
    """Trains `setup`'s network for a few steps, each phase timed on its own (a GPU is waited for after each)."""
    recipe, device, model = setup.recipe, setup.device, setup.model
    optimizer = optim.build(recipe.optimizer, model)
    augmenter = Augmenter(setup.preprocessing, **setup.augmentation)
    generator = torch.Generator().manual_seed(recipe.train.seed)
    forward = setup.forward()
    size = recipe.train.batch_size
    order = torch.randint(len(setup.train.pictures), ((steps + _WARM_UP) * size,), generator=generator)
    times: dict[str, list[float]] = {phase: [] for phase in PHASES}
    model.train()
    batches = setup.train.batches(order, size)
    for number in range(steps + _WARM_UP):
        clock = _Clock(device)
        images, labels = next(batches)
        clock.lap("data")
        inputs = augmenter.train(images, generator)
        clock.lap("augmentation")
        with autocast(device, setup.precision):
            scores = forward(inputs)
        loss = functional.cross_entropy(scores.float(), labels)
        clock.lap("forward")
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        clock.lap("backward")
        optimizer.step()
        clock.lap("optimizer")
        if number >= _WARM_UP:
            for phase, seconds in clock.laps.items():
                times[phase].append(seconds)
            if progress:
                progress(number + 1 - _WARM_UP, steps)
    medians = {phase: statistics.median(laps) for phase, laps in times.items()}
    described = environment(device, setup.precision)
    return StepTimes(recipe.name, setup.spec.name, size, steps, medians, described)


class _Clock:
    def __init__(self, device: torch.device):
        self.device = device
        self.laps: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, phase: str) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        now = time.perf_counter()
        self.laps[phase] = now - self._last
        self._last = now
