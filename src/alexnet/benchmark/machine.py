"""What this machine can do: the quickest matrix product and copy that PyTorch gets out of it."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

_SIDES = {"cpu": (1024, 2048, 3072), "cuda": (4096, 8192, 16384), "mps": (1024, 2048)}
_COPY_BYTES = {"cpu": 2**29, "cuda": 2**32, "mps": 2**28}  # beyond every cache
_REPEATS = 5
_TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


@dataclass(frozen=True)
class Peaks:
    """The ceilings that a network's figures are held against."""

    flops: dict[str, float]
    """FLOP/s of a square matrix product by precision, 2 × multiply-adds; the best of several sides."""
    bandwidth: float
    """Bytes/s read and written by a copy that no cache holds."""


def peaks(device: torch.device, precisions: tuple[str, ...] = ("fp32", "bf16")) -> Peaks:
    """Measures both ceilings on `device`; takes one to three seconds on two cores."""
    return Peaks({name: matrix_peak(device, name) for name in precisions}, copy_bandwidth(device))


def matrix_peak(device: torch.device, precision: str, repeats: int = _REPEATS) -> float:
    """FLOP/s of the quickest of `repeats` products of square matrices of the best side."""
    best = 0.0
    for side in _SIDES[device.type]:
        a, b = (torch.randn(side, side, device=device).to(_TYPES[precision]) for _ in range(2))
        out = torch.empty_like(a)
        times = _times(device, lambda a=a, b=b, out=out: torch.mm(a, b, out=out), repeats)
        best = max(best, 2 * side**3 / min(times))
    return best


def copy_bandwidth(device: torch.device) -> float:
    """Bytes/s of the median copy, each byte counted when it is read and when it is written."""
    size = _COPY_BYTES[device.type]
    source, target = (torch.ones(size // 4, device=device) for _ in range(2))
    return 2 * size / statistics.median(_times(device, lambda: target.copy_(source), _REPEATS))


def synchronize(device: torch.device) -> None:
    """Waits until `device` has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def seconds(device: torch.device, run: Callable[[], object]) -> float:
    """How long `run` takes on `device`, which is waited for before and after it."""
    synchronize(device)
    start = time.perf_counter()
    run()
    synchronize(device)
    return time.perf_counter() - start


def _times(device: torch.device, run: Callable[[], object], repeats: int) -> list[float]:
    """Seconds of each of `repeats` runs, after one that nobody counts."""
    return [seconds(device, run) for _ in range(repeats + 1)][1:]
