"""How quick a recipe's training and inference are, where a step's time goes, and how far that is from the floor."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from alexnet.benchmark import cost
from alexnet.benchmark.machine import Peaks, seconds, synchronize
from alexnet.benchmark.workload import Session
from alexnet.inference.fast import quick
from alexnet.process.group import Parallel

PHASES: tuple[str, ...] = ("data", "augmentation", "forward", "backward", "optimizer", "rest")
"""Backward begins with the loss; rest is the moving average, the sums and the report of a step."""
_WARM_UP = 3  # first steps allocate memory and choose kernels


@dataclass(frozen=True)
class Measured:
    """One kind of work: its median time against what it costs and what the machine can do."""

    images_per_second: float
    seconds: float
    """Of a step, or of a batch."""
    cost: cost.Cost
    floor_seconds: float
    share_of_peak: float
    """FLOP/s over the measured matrix peak of the precision."""
    share_of_bandwidth: float
    """Bytes/s, as cost.py counts them, over the measured bandwidth."""


@dataclass(frozen=True)
class Row:
    """A recipe (or a network on synthetic images) at one batch and precision; medians of `steps`."""

    name: str
    network: str
    batch: int
    precision: str
    steps: int
    training: Measured
    inference: Measured
    phases: dict[str, float]
    """Seconds of a training step by phase; on a GPU each is waited for, so that their sum exceeds `training`."""


def measure(session: Session, peaks: Peaks, steps: int = 10, progress: Callable[[int, int], None] | None = None) -> Row:
    """Times `steps` steps of the session's training whole, as many in phases, and as many batches of inference."""
    recipe, setup = session.setup.recipe, session.setup
    batch, precision = min(recipe.train.batch_size, len(setup.train.dataset)), setup.precision
    total, done = 3 * (steps + _WARM_UP), 0

    def medians(run: Callable[[], Any]) -> list[Any]:
        nonlocal done
        results = []
        for _ in range(steps + _WARM_UP):
            results.append(run())
            done += 1
            if progress:
                progress(done, total)
        return results[_WARM_UP:]

    step = statistics.median(medians(lambda: session.seconds(1)[0]))
    phased = _Phases(session)
    laps = medians(phased.step)
    phased.remove()
    forward = statistics.median(medians(_inference(session)))
    return Row(
        recipe.name,
        setup.spec.name,
        batch,
        precision,
        steps,
        _measured(step, batch, cost.training(setup.summary, batch, precision, recipe.optimizer), peaks, precision),
        _measured(forward, batch, cost.inference(setup.summary, batch, precision), peaks, precision),
        {phase: statistics.median(lap[phase] for lap in laps) for phase in PHASES},
    )


def _measured(seconds: float, batch: int, costs: cost.Cost, peaks: Peaks, precision: str) -> Measured:
    peak, bandwidth = peaks.flops[precision], peaks.bandwidth
    shares = costs.flops / seconds / peak, costs.bytes / seconds / bandwidth
    return Measured(batch / seconds, seconds, costs, costs.floor(peaks, precision), *shares)


def _inference(session: Session) -> Callable[[], float]:
    """Times the network, made quick as `alexnet predict` makes it, on one batch that is ready on the device."""
    setup = session.setup
    inputs = session.learner.augmenter.evaluate(session.batch()[0])
    model = quick(setup.model.eval(), setup.precision)
    return torch.inference_mode()(lambda: seconds(setup.device, lambda: model(inputs)))


class _Phases:
    """Takes the time at the seams of the training loop's own step: around the network and around the optimizer."""

    def __init__(self, session: Session):
        self.session, learner = session, session.learner
        assert isinstance(learner.forward, Parallel), "bench runs in one process"
        self._forward = learner.forward
        self._module = learner.forward.module
        learner.forward.module = self._timed_forward
        self._hooks = (
            learner.optimizer.register_step_pre_hook(lambda *_: self._lap("backward")),
            learner.optimizer.register_step_post_hook(lambda *_: self._lap("optimizer")),
        )

    def remove(self) -> None:
        self._forward.module = self._module
        for hook in self._hooks:
            hook.remove()

    def step(self) -> dict[str, float]:
        """Seconds of one step by phase."""
        self.laps, self._last = dict.fromkeys(PHASES, 0.0), time.perf_counter()
        batch = self.session.batch()
        self._lap("data")
        self.session.train_on(*batch)
        self._lap("rest")
        return self.laps

    def _timed_forward(self, inputs: torch.Tensor) -> torch.Tensor:
        self._lap("augmentation")
        logits = self._module(inputs)
        self._lap("forward")
        return logits

    def _lap(self, phase: str) -> None:
        synchronize(self.session.setup.device)
        now = time.perf_counter()
        self.laps[phase] += now - self._last
        self._last = now
