"""How long a batch of inference takes as `alexnet predict` does it, against plain fp32 PyTorch, and what it costs."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from alexnet.benchmark.machine import seconds
from alexnet.data.dataset import refitted
from alexnet.data.loading.decode import stored_size
from alexnet.data.transforms.augment import Augmenter
from alexnet.device import choose_device, choose_precision, environment
from alexnet.inference.data import dataset_for, spread
from alexnet.inference.fast import quick
from alexnet.inference.model import Model, load_model
from alexnet.models import catalog

_IMAGES = 2000  # that the answers are compared on, at most


@dataclass(frozen=True)
class Timed:
    """One batch size; medians over the turns."""

    batch: int
    plain: float
    """Seconds of a batch in fp32 as PyTorch runs it without further ado."""
    quick: float
    ratios: list[float]
    """Of each turn, plain over quick."""

    @property
    def ratio(self) -> float:
        return statistics.median(self.ratios)


@dataclass(frozen=True)
class Agreement:
    """What the quick network says against the plain one, on the model's own test (or validation) images."""

    images: int
    same_top1: float
    largest_difference: float
    """Of any class's probability on any image."""
    mean_difference: float


@dataclass(frozen=True)
class Latency:
    """One network or trained model."""

    name: str
    rows: list[Timed]
    agreement: Agreement | None
    """None for a network without trained weights."""


@dataclass(frozen=True)
class Latencies:
    """What `alexnet bench --latency` measures."""

    environment: dict[str, Any]
    models: list[Latency]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def run(
    what: Sequence[str] = (),
    batches: Sequence[int] = (),
    precision: str = "auto",
    *,
    data: Path | None = None,
    device: str = "auto",
    rounds: int = 5,
    progress: Callable[[int, int], None] | None = None,
) -> Latencies:
    """Times each of `what`, networks (at their initial weights) and trained models' paths, plain and quick in turn.

    what: none: alexnet-owt. batches: none: 1 and 64 images, noise that lies on the device. A trained model's answers
    are compared on its own images, or on `data`. Raises InputError for what does not exist.
    """
    where = choose_device(device)
    names, sizes, measured = list(what or ["alexnet-owt"]), list(batches or (1, 64)), list[Latency]()
    for name in names:

        def follow(done: int) -> None:
            if progress:
                progress(len(measured) * rounds * len(sizes) + done, len(names) * rounds * len(sizes))

        measured.append(_latency(name, sizes, precision, data, where, rounds, follow))
    return Latencies(environment(where, choose_precision(precision, where)), measured)


def _latency(
    name: str,
    batches: Sequence[int],
    precision: str,
    data: Path | None,
    where: torch.device,
    rounds: int,
    follow: Callable[[int], None],
) -> Latency:
    opened = None if name in catalog.CATALOG else load_model(name, where)
    plain = opened.module if opened else catalog.create(name).eval().to(where)
    both = (plain, quick(plain, precision))
    rows = []
    for batch in batches:
        inputs = torch.randn(batch, *plain.input, device=where)  # pyright: ignore
        for module in both:
            _seconds(module, inputs)
        times = []
        for _ in range(rounds):
            times.append([_seconds(module, inputs) for module in both])
            follow(len(rows) * rounds + len(times))
        exact, fast = (statistics.median(column) for column in zip(*times, strict=True))
        rows.append(Timed(batch, exact, fast, [a / b for a, b in times]))
    return Latency(name, rows, _agreement(opened, both, data, where) if opened else None)


@torch.inference_mode()
def _seconds(module: nn.Module, inputs: Tensor) -> float:
    """Of one batch: the median of three."""
    return statistics.median(seconds(inputs.device, lambda: module(inputs)) for _ in range(3))


@torch.inference_mode()
def _agreement(model: Model, both: tuple[nn.Module, nn.Module], data: Path | None, device: torch.device) -> Agreement:
    wants = model.preprocessing
    dataset = refitted(dataset_for(model, data), wants.channels, stored_size(wants.size, wants.resize), wants.fit)
    chosen = spread(len(dataset), _IMAGES)
    augmenter, parts = Augmenter(wants), []
    for start in range(0, len(chosen), 64):
        images = augmenter.evaluate(torch.from_numpy(dataset.batch(chosen[start : start + 64])).to(device))
        parts.append(torch.stack([module(images).float().softmax(1) for module in both]))
    exact, fast = torch.cat(parts, 1).cpu()
    difference = (exact - fast).abs()
    same = (exact.argmax(1) == fast.argmax(1)).double().mean().item()
    return Agreement(len(chosen), same, difference.max().item(), difference.mean().item())
