"""How long a batch of inference takes as `alexnet predict` does it, against plain fp32 PyTorch, ONNX Runtime and
OpenVINO, and what it costs."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from alexnet.benchmark.machine import seconds
from alexnet.data.dataset import refitted
from alexnet.data.loading.decode import stored_size
from alexnet.data.transforms.augment import Augmenter
from alexnet.device import choose_device, choose_precision, environment
from alexnet.graphs import runtimes
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
    peers: list[float]
    """Seconds of a batch in each of the others, on the same turns."""

    @property
    def ratio(self) -> float:
        return statistics.median(self.ratios)


@dataclass(frozen=True)
class Agreement:
    """What a quicker form says against the plain network, on the model's own test (or validation) images."""

    form: str
    """A runtime and its precision; 'torch' is ours."""
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
    agreements: list[Agreement]
    """Of each form; none for a network without trained weights."""


@dataclass(frozen=True)
class Latencies:
    """What `alexnet bench --latency` measures."""

    environment: dict[str, Any]
    models: list[Latency]
    peers: list[tuple[str, str]]
    """The others: a runtime and its precision."""
    left_out: list[str]
    """A line for each runtime that was not timed: why."""

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
    """Times each of `what`, networks (at their initial weights) and trained models' paths: plain, quick, and in every
    runtime that is installed, in turn.

    what: none: alexnet-owt. batches: none: 1, 8 and 64 images, noise that lies on the device. A trained model's answers
    are compared on its own images, or on `data`. Raises InputError for what does not exist.
    """
    where = choose_device(device)
    chosen = choose_precision(precision, where)
    peers, left_out = _peers(where, chosen)
    names, sizes, measured = list(what or ["alexnet-owt"]), list(batches or (1, 8, 64)), list[Latency]()
    for name in names:

        def follow(done: int) -> None:
            if progress:
                progress(len(measured) * rounds * len(sizes) + done, len(names) * rounds * len(sizes))

        measured.append(_latency(name, sizes, precision, data, where, rounds, follow, peers))
    return Latencies(environment(where, chosen), measured, peers, left_out)


def _peers(where: torch.device, precision: str) -> tuple[list[tuple[str, str]], list[str]]:
    """The runtimes that can be timed, in our precision where they have it and in int8; and why the others cannot."""
    if where.type != "cpu":
        return [], [f"{', '.join(runtimes.EXTRAS)}: timed on the CPU only"]
    absent = {name: line for name in runtimes.EXTRAS if (line := runtimes.missing(name))}
    here = [name for name in runtimes.EXTRAS if name not in absent]
    able = {name: runtimes.precisions(name) for name in here}
    same = [(name, precision if precision in able[name] else "fp32") for name in here]
    return same + [(name, "int8") for name in here if "int8" in able[name]], list(absent.values())


def _latency(
    name: str,
    batches: Sequence[int],
    precision: str,
    data: Path | None,
    where: torch.device,
    rounds: int,
    follow: Callable[[int], None],
    peers: Sequence[tuple[str, str]],
) -> Latency:
    opened = None if name in catalog.CATALOG else load_model(name, where)
    plain = opened.module if opened else catalog.create(name).eval().to(where)
    both = (plain, quick(plain, precision))
    content = runtimes.graph_of(plain) if peers else b""
    others = [runtimes.Runner(content, peer, its) for peer, its in peers]
    rows = []
    for batch in batches:
        inputs = torch.randn(batch, *plain.input, device=where)  # pyright: ignore
        array = inputs.cpu().numpy()
        calls = [*(partial(module, inputs) for module in both), *(partial(run, array) for run in others)]
        for call in calls:
            _seconds(call, where)
        times = []
        for _ in range(rounds):
            times.append([_seconds(call, where) for call in calls])
            follow(len(rows) * rounds + len(times))
        exact, fast, *rest = (statistics.median(column) for column in zip(*times, strict=True))
        ratios = [turn[0] / turn[1] for turn in times]
        rows.append(Timed(batch, exact, fast, ratios, rest))
    if opened is None:
        return Latency(name, rows, [])
    forms = {f"torch {choose_precision(precision, where)}": both[1]}
    forms |= {" ".join(peer): _tensors(run) for peer, run in zip(peers, others, strict=True)}
    return Latency(name, rows, _agreements(opened, plain, forms, data, where))


def _tensors(run: runtimes.Runner) -> Callable[[torch.Tensor], torch.Tensor]:
    return lambda inputs: torch.from_numpy(run(inputs.numpy())[0])


@torch.inference_mode()
def _seconds(call: Callable[[], object], where: torch.device) -> float:
    """Of one batch: the median of three."""
    return statistics.median(seconds(where, call) for _ in range(3))


@torch.inference_mode()
def _agreements(
    opened: Model,
    plain: nn.Module,
    forms: Mapping[str, Callable[[torch.Tensor], torch.Tensor]],
    data: Path | None,
    device: torch.device,
) -> list[Agreement]:
    wants = opened.preprocessing
    dataset = refitted(dataset_for(opened, data), wants.channels, stored_size(wants.size, wants.resize), wants.fit)
    chosen = spread(len(dataset), _IMAGES)
    augmenter, parts = Augmenter(wants), []
    for start in range(0, len(chosen), 64):
        images = augmenter.evaluate(torch.from_numpy(dataset.batch(chosen[start : start + 64])).to(device))
        parts.append(torch.stack([call(images).float().softmax(1) for call in (plain, *forms.values())]))
    exact, *others = torch.cat(parts, 1).cpu()
    found = []
    for form, other in zip(forms, others, strict=True):
        difference, same = (exact - other).abs(), (exact.argmax(1) == other.argmax(1)).double().mean().item()
        found.append(Agreement(form, len(chosen), same, difference.max().item(), difference.mean().item()))
    return found
