"""Where the processes of a training meet: what torchrun, or `alexnet train --processes`, says in the environment."""

import contextlib
import os
import re
import socket
import threading
import time
from collections.abc import Iterator
from datetime import timedelta

import torch
from torch import distributed

from alexnet.device import choose_device
from alexnet.errors import InputError
from alexnet.process.group import World
from alexnet.process.heartbeat import Heartbeat

RENDEZVOUS = "ALEXNET_RENDEZVOUS"  # where `alexnet train --processes` lets its processes meet; torchrun has its own way
_TIMEOUT = timedelta(minutes=30)  # for one that stands still, as the first does while it reads a large folder;
# one that is gone is noticed at once: its connections are closed
_ANSWER_SECONDS = 25.0  # for the process of rank 0 to start
_NUMBER = re.compile(r"[0-9]{1,9}")


class Lost(Exception):
    """Another process of the run is gone, or has stood still for half an hour; the text says which, or is empty."""


@contextlib.contextmanager
def joined(device: str) -> Iterator[World]:
    """The world that torchrun or `alexnet train --processes` describes in the environment; else a world of one.

    On GPUs each process takes the one that its number on this machine names. Raises InputError when there are too few,
    and Lost in the block when another process is gone.
    """
    rank, size, local = _place()
    if size == 1:
        yield World()
        return
    if distributed.is_initialized():  # by a program that trains more than once
        yield World(rank, size)
        return
    backend = _backend(device, local)
    meeting = os.environ.get(RENDEZVOUS, "env://")
    if meeting == "env://":
        _check_address(rank)
    try:
        distributed.init_process_group(backend, meeting, timeout=_TIMEOUT, world_size=size, rank=rank)
    except RuntimeError as error:
        if not _is_lost(error):
            raise
        raise InputError(f"the processes do not find each other: {str(error).splitlines()[0]}") from None
    # Where `alexnet train --processes` started them, it sees how each of them ends.
    beat = Heartbeat(rank, size) if meeting == "env://" else None
    try:
        yield World(rank, size)
    except RuntimeError as error:
        if _is_lost(error):
            raise Lost(beat.after_error() if beat else "") from error
        raise
    else:
        if beat:
            beat.stop(done=True)
        distributed.destroy_process_group()  # not after an error: it would wait for those that are gone
    finally:
        if beat:
            beat.stop(done=False)


def _is_lost(error: RuntimeError) -> bool:
    return isinstance(error, distributed.DistError) or "gloo" in str(error)  # gloo has no type of its own


def _place() -> tuple[int, int, int]:
    """This process's rank, the number of processes, and its number on this machine, as torchrun's variables say.

    Raises InputError for variables that make no sense.
    """
    if "RANK" not in os.environ:
        return 0, 1, 0
    found = {name: os.environ.get(name, default) for name, default in (("RANK", ""), ("WORLD_SIZE", "1"))}
    found["LOCAL_RANK"] = os.environ.get("LOCAL_RANK", found["RANK"])
    found["LOCAL_WORLD_SIZE"] = os.environ.get("LOCAL_WORLD_SIZE", "1")
    wrong = next((name for name, text in found.items() if not _NUMBER.fullmatch(text)), None)
    if wrong:
        raise InputError(f"the environment variable {wrong} is {found[wrong]!r}, not a number; torchrun sets it")
    rank, size, local, beside = map(int, found.values())
    if not beside:
        raise InputError("the environment says LOCAL_WORLD_SIZE=0; it counts the processes of this machine")
    if rank >= size:
        raise InputError(f"the environment says RANK={rank} of WORLD_SIZE={size}; the ranks are 0 to {size - 1}")
    return rank, size, local


def _check_address(rank: int) -> None:
    """InputError unless MASTER_ADDR and MASTER_PORT name an address and, for all but the first, somebody answers."""
    host, port = os.environ.get("MASTER_ADDR", ""), os.environ.get("MASTER_PORT", "")
    if not host or not _NUMBER.fullmatch(port) or not 0 < int(port) < 2**16:
        raise InputError(
            f"the environment says MASTER_ADDR={host!r} and MASTER_PORT={port!r}; they must name the address where the "
            "processes meet, as torchrun sets them, or unset RANK to train in one process"
        )
    first, until = True, time.monotonic() + _ANSWER_SECONDS
    while rank and (first or time.monotonic() < until):
        first = False
        try:
            socket.create_connection((host, int(port)), timeout=max(until - time.monotonic(), 1)).close()
            _check_store(host, int(port), max(until - time.monotonic(), 1))
            return
        except socket.gaierror as error:
            raise InputError(f"MASTER_ADDR={host!r} is not an address: {error.strerror}") from None
        except OSError:
            time.sleep(0.2)
    if rank:
        raise InputError(
            f"nobody answers at MASTER_ADDR={host}, MASTER_PORT={port} within {_ANSWER_SECONDS:g} seconds; "
            "start the process of rank 0 there"
        )


def _check_store(host: str, port: int, seconds: float) -> None:
    """InputError when what answers there is something else: torch would ask it again for half an hour."""
    answered: list[bool] = []

    def ask() -> None:
        how = {"is_master": False, "timeout": timedelta(seconds=seconds), "wait_for_workers": False}
        with contextlib.suppress(distributed.DistError):
            distributed.TCPStore(host, port, **how)
            answered.append(True)

    asking = threading.Thread(target=ask, daemon=True)  # torch waits without a bound for one that is silent
    asking.start()
    asking.join(seconds)
    if not answered:
        raise InputError(
            f"what answers at MASTER_ADDR={host}, MASTER_PORT={port} is not the process of rank 0; "
            "choose a port that nothing else uses"
        )


def _backend(device: str, local: int) -> str:
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise InputError("torch finds no GPU here; --processes N trains with N processes on the CPU")
    chosen = choose_device(device)
    if chosen.type == "cpu":
        return "gloo"
    count = torch.cuda.device_count()
    if chosen.type != "cuda" or chosen.index is not None:
        raise InputError(f"several processes cannot share --device {device}; choose one of: auto, cpu, cuda")
    if local >= count:
        raise InputError(
            f"each process needs a GPU of its own, and this machine has {count}; start fewer, or add --device cpu"
        )
    torch.cuda.set_device(local)
    return "cpu:gloo,cuda:nccl"
