"""Which device and which precision a computation runs on, and what to record about the machine."""

import contextlib
import hashlib
import os
import platform
import threading
from collections.abc import Iterator
from typing import Any

import numpy
import torch

from alexnet import __version__
from alexnet.errors import InputError, unknown


def choose_device(name: str | torch.device = "auto") -> torch.device:
    """The torch device called `name`; 'auto' takes the first of CUDA, MPS and CPU that is there."""
    if isinstance(name, str) and name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps") if torch.backends.mps.is_available() else torch.device("cpu")
    try:
        device = torch.device(name) if isinstance(name, str | torch.device) else None
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError):
        device = None
    if device is None and str(name).split(":")[0] == "cuda" and not torch.cuda.is_available():
        raise InputError(f"there is no CUDA device here; choose {' or '.join(available_devices())}")
    if device is None or device.type not in ("cpu", "cuda", "mps") or (device.type == "cpu" and device.index):
        raise unknown("device", str(name), available_devices())
    return device


def available_devices() -> list[str]:
    cuda = [f"cuda:{index}" for index in range(torch.cuda.device_count())]
    return ["auto", "cpu", *cuda, *(["mps"] if torch.backends.mps.is_available() else [])]


def choose_precision(name: str, device: torch.device) -> str:
    """'fp32' or 'bf16' for a recipe's precision; 'auto' is bf16 where `device` multiplies bf16 matrices natively.

    There, it was quicker for every network that was tried, the smallest too (docs/LOG.md). The choice follows from
    facts about the machine and never from a timing, so that the same command gives the same numbers.
    """
    if name != "auto":
        return name
    return "bf16" if _multiplies_bf16(device) else "fp32"


def emulated(precision: str, device: torch.device) -> str | None:
    """A line for a user who asked for bf16 on a device that only emulates it; None where `precision` is native."""
    if precision != "bf16" or _multiplies_bf16(device):
        return None
    return "this processor only emulates bf16, which is slower than fp32; precision 'auto' takes fp32 here"


def _multiplies_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type == "cpu":
        able = torch.cpu.get_capabilities()
        return bool(able.get("amx_bf16") or able.get("avx512_bf16"))
    return False


def autocast(device: torch.device, precision: str) -> contextlib.AbstractContextManager[Any]:
    """The context in which forward passes run at `precision`."""
    if precision == "fp32":
        return contextlib.nullcontext()
    if precision == "bf16":
        return _bf16(device)
    raise unknown("precision", precision, ("fp32", "bf16"))


@contextlib.contextmanager
def _bf16(device: torch.device) -> Iterator[None]:
    try:
        with torch.autocast(device.type, dtype=torch.bfloat16):
            yield
    finally:  # inside a caller's autocast torch keeps the rounded weights, and would use them after they have changed
        torch.clear_autocast_cache()


_IMPORTED_IN = os.getpid()
_changing = threading.Lock()
_inside: list[torch.dtype] = []
"""The caller's default dtype, once for each thread and call that is inside `own_settings`."""


@contextlib.contextmanager
def own_settings() -> Iterator[None]:
    """In the block, and in what is decorated with `@own_settings()`, torch computes as it does in a new process.

    A caller may have another default dtype or device, be inside autocast, `no_grad` or `inference_mode`: features would
    be rounded without a word, figures be of another precision than they say, and training would fail. Afterwards all
    is as it was. A default dtype belongs to the whole process: it returns when the last thread has left the block.
    In a process that was forked from one that computed, torch waits for ever for threads that are not there: it gets
    one thread.
    """
    with contextlib.ExitStack() as stack:
        if os.getpid() != _IMPORTED_IN and (threads := torch.get_num_threads()) > 1:
            torch.set_num_threads(1)
            stack.callback(torch.set_num_threads, threads)
        for kind in ("cpu", "cuda", "mps"):
            if torch.is_autocast_enabled(kind):
                stack.enter_context(torch.autocast(kind, enabled=False))
        if torch.get_default_device().type != "cpu":
            stack.enter_context(torch.device("cpu"))
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        stack.enter_context(_float32())
        yield


@contextlib.contextmanager
def _float32() -> Iterator[None]:
    with _changing:
        _inside.append(_inside[0] if _inside else torch.get_default_dtype())
        torch.set_default_dtype(torch.float32)
    try:
        yield
    finally:
        with _changing:
            before = _inside.pop()
            if not _inside:
                torch.set_default_dtype(before)


def derive_seed(seed: int, *path: object) -> int:
    """A 63-bit seed for one use of randomness, named by `path` such as ('augment', epoch, step).

    Each step draws from its own seed, so that a run resumed in mid-epoch needs no generator state to go on the same.
    """
    text = "/".join(map(str, (seed, *path)))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


@contextlib.contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """In the block, torch's global generators (the CPU's and `device`'s) draw from `seed`; afterwards they are as
    they were before, so that a caller's own random numbers do not depend on what was called."""
    generators = [torch.default_generator]
    if device.type == "cuda":
        torch.cuda.init()
        generators.append(torch.cuda.default_generators[device.index or torch.cuda.current_device()])
    elif device.type == "mps":
        generators.append(torch.mps._get_default_mps_generator())
    states = [generator.get_state() for generator in generators]
    for generator in generators:
        generator.manual_seed(seed)
    try:
        yield
    finally:
        for generator, state in zip(generators, states, strict=True):
            generator.set_state(state)


def environment(device: torch.device, precision: str) -> dict[str, Any]:
    """What a figure must name: versions and hardware."""
    described = {
        "alexnet": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": numpy.__version__,
        "platform": f"{platform.system()} {platform.machine()}",
        "cpu": _cpu_name(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "processes": torch.distributed.get_world_size() if torch.distributed.is_initialized() else 1,
        "device": device.type,
        "precision": precision,
    }
    if device.type == "cuda":
        described["gpu"] = torch.cuda.get_device_name(device)
    return described


def _cpu_name() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            return next(line.partition(":")[2].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
