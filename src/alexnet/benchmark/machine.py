"""What this machine can do: the quickest matrix product of the processor's libraries, and PyTorch's copy.

Of libraries, because the one that PyTorch's own product calls (MKL in the usual builds) is slow in fp32 on some
processors, and a network in another library would then exceed the 'peak'.
"""

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from alexnet.graphs import runtimes

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
    libraries: dict[str, str] = field(default_factory=dict)
    """Whose matrix product was the quickest, by precision."""


def peaks(device: torch.device, precisions: tuple[str, ...] = ("fp32", "bf16")) -> Peaks:
    """Measures both ceilings on `device`; takes one to three seconds on two cores."""
    found = {name: best_product(device, name) for name in precisions}
    flops = {name: flops for name, (flops, _) in found.items()}
    return Peaks(flops, copy_bandwidth(device), {name: library for name, (_, library) in found.items()})


def matrix_peak(device: torch.device, precision: str, repeats: int = _REPEATS) -> float:
    """FLOP/s of the quickest of `repeats` products of square matrices, of the best side and library."""
    return best_product(device, precision, repeats)[0]


def best_product(device: torch.device, precision: str, repeats: int = _REPEATS) -> tuple[float, str]:
    """The same, and the library: 'torch' (its own `mm`), 'oneDNN' or 'onnxruntime', where they are there."""
    best = 0.0, "torch"
    for side in _SIDES[device.type]:
        a, b = (torch.randn(side, side, device=device).to(_TYPES[precision]) for _ in range(2))
        for library, product in products(a, b):
            best = max(best, (2 * side**3 / min(_times(device, product, repeats)), library))
    return best


def products(a: Tensor, b: Tensor) -> Iterator[tuple[str, Callable[[], object]]]:
    """Every library's product of two square matrices by name; oneDNN's is a · bᵀ."""
    out = torch.empty_like(a)
    yield "torch", lambda: torch.mm(a, b, out=out)
    if a.device.type != "cpu" or a.dtype != torch.float32:  # torch's bf16 product is oneDNN's already
        return
    if torch.backends.mkldnn.is_available():
        laid_out = a.to_mkldnn()
        yield "oneDNN", lambda: nn.functional.linear(laid_out, b)
    if not runtimes.missing("onnxruntime"):
        run, array = runtimes.Runner(runtimes.product_of(b.numpy()), "onnxruntime"), a.numpy()
        yield "onnxruntime", lambda: run(array)


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
