"""The processes that train one run together. Mostly there is one; then nothing here costs anything.

Several make the steps that one makes, up to the order of summation: a batch is cut into slices, the gradients are
weighed by the number of images, augmentation is drawn for the whole batch, and each image is evaluated once. What
differs, and only while training: dropout masks and the partners of mixup and cutmix (each process draws its own, these
from its own slice), and BatchNorm normalizes by a slice's own statistics; the first process's running statistics are
those that are evaluated and kept. All processes read the same files: a run's folder must be visible to each.
"""

import contextlib
import os
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed, nn
from torch.distributed.algorithms.ddp_comm_hooks import default_hooks
from torch.nn.parallel import DistributedDataParallel

from alexnet.device import choose_device
from alexnet.errors import InputError
from alexnet.process import exchange

T = TypeVar("T")

RENDEZVOUS = "ALEXNET_RENDEZVOUS"  # where `alexnet train --processes` lets its processes meet; torchrun has its own way
_TIMEOUT = timedelta(minutes=30)  # for one that stands still, as the first does while it reads a large folder;
# one that is gone is noticed at once: its connections are closed
_ANSWER_SECONDS = 25.0  # for the process of rank 0 to start
_NUMBER = re.compile(r"[0-9]{1,9}")


class Lost(Exception):
    """Another process of the run is gone, or has stood still for half an hour."""


@dataclass(frozen=True)
class World:
    """Process `rank` (from 0) of `size`, each with the same weights and its own slice of every batch.

    Rank 0 is the writer: it alone prints and writes files.
    """

    rank: int = 0
    size: int = 1

    @property
    def is_writer(self) -> bool:
        return self.rank == 0

    # Who does what

    def own(self, count: int) -> int:
        """How many of a batch's `count` images are this process's; 0 is possible in a small last batch."""
        return count // self.size + (self.rank < count % self.size)

    def span(self, count: int) -> slice:
        """Which ones, in the batch's order. Where `own` is 0, the first image: something to run, to be weighed 0."""
        start = self.rank * (count // self.size) + min(self.rank, count % self.size)
        return slice(start, start + self.own(count)) if self.own(count) else slice(0, 1)

    def part_of(self, count: int) -> tuple[int, slice]:
        """What Augmenter.train must know to draw the same for an image whichever process has it."""
        return count, self.span(count)

    def part(self, batch: Tensor) -> Tensor:
        """This process's span of a batch."""
        return batch if self.size == 1 else batch[self.span(len(batch))]

    def stretch(self, count: int, batch_size: int) -> range:
        """Which of `count` images it evaluates: whole batches, those that a single process would make, so that each
        image meets the same company and gets the same figures to the last bit."""
        batches = -(-count // batch_size)
        first, last = (-(-rank * batches // self.size) * batch_size for rank in (self.rank, self.rank + 1))
        return range(min(first, count), min(last, count))

    def use(self, name: str) -> str:
        """The name, for derive_seed, of randomness that differs between processes; a single one's for rank 0."""
        return f"{name} of process {self.rank}" if self.rank else name

    def use_of_images(self, name: str) -> str:
        """The same, of randomness that differs where the images do."""
        return self.use(name)

    # What they tell each other

    def sum(self, *values: Tensor) -> tuple[Tensor, ...]:
        """Each scalar's sum over the processes; float64 where there are several."""
        return values if self.size == 1 else tuple(self.total(torch.stack([value.double() for value in values])))

    def total(self, values: Tensor) -> Tensor:
        """`values`, summed in place over the processes."""
        return exchange.total(values) if self.size > 1 else values

    def figures(self, loss: Tensor, correct: Tensor, count: int) -> tuple[Tensor, Tensor]:
        """A batch's mean loss and number of correct answers, from the same of this process's part of it."""
        if self.size == 1:
            return loss, correct
        loss, correct = self.sum(loss * (self.own(count) / count), correct)
        return loss, correct.long()

    def any(self, flag: bool) -> bool:
        """Whether it is so in any process; through the CPU, so that no GPU is waited for."""
        return self.flags(flag)[0]

    def flags(self, *flags: bool) -> tuple[bool, ...]:
        """The same for several."""
        return flags if self.size == 1 else tuple(map(bool, self.total(torch.tensor([*map(int, flags)]))))

    def copy_buffers(self, module: nn.Module) -> None:
        """The writer's buffers for all: each process's BatchNorm has seen its own slices."""
        if self.size > 1:
            for buffer in module.buffers():
                distributed.broadcast(buffer, 0)

    # What the writer does for all, or does first. (No `act` may itself talk to the others.)

    def first(self, act: Callable[[], T]) -> T:
        """What `act` gives the writer, for all. Its InputError ends them all."""
        if self.size == 1:
            return act()
        told: list[Any] = [self._agreed(act if self.is_writer else None)]
        distributed.broadcast_object_list(told, 0)
        return told[0]

    def each(self, act: Callable[[], T]) -> T:
        """What `act` gives every process, the writer first: what it downloads, the others find. As for InputError:
        the writer raises the first of them, the others end silently."""
        if self.size == 1:
            return act()
        results = [self._agreed(act if self.is_writer == turn else None) for turn in (True, False)]
        return results[0 if self.is_writer else 1]

    def _agreed(self, act: Callable[[], Any] | None) -> Any:
        result, error = None, None
        try:
            result = act() if act else None
        except InputError as raised:
            error = str(raised)
        errors: list[str | None] = [None] * self.size
        distributed.all_gather_object(errors, error)
        told = next((text for text in errors if text is not None), None)
        if told is not None:
            raise InputError(told) if self.is_writer else SystemExit(2)
        return result

    def wait(self) -> None:
        """Until all are here."""
        self.any(False)


ALONE = World()


class SameImages(World):
    """Processes that each compute a part of the network for a whole batch; rank 0 answers for all of its images."""

    def own(self, count: int) -> int:
        return 0 if self.rank else count

    def span(self, count: int) -> slice:
        return slice(0, count)

    def use_of_images(self, name: str) -> str:
        return name


class Parallel:
    """A network's forward pass, whose backward pass leaves in every process the mean of all gradients.

    torch's DistributedDataParallel, made anew when other parameters begin or cease to learn.
    """

    def __init__(self, world: World, forward: Callable[[Tensor], Tensor]):
        self.world, self._plain, self.module = world, forward, forward
        self._learning: list[bool] | None = None

    @property
    def weight(self) -> int:
        """What the loss over a process's images, as a share of the batch's, is multiplied by: the mean halves it."""
        return self.world.size

    def __call__(self, inputs: Tensor, count: int) -> Tensor:
        """inputs: this process's of a batch of `count` images."""
        return self.module(inputs)

    def renew(self) -> None:
        """To be called before the next forward pass when `requires_grad` has changed."""
        if self.world.size == 1:
            return
        assert isinstance(self._plain, nn.Module)
        learning = [parameter.requires_grad for parameter in self._plain.parameters()]
        if learning != self._learning:
            self.module = self._plain  # the last one's hooks go with it
            if any(learning):
                self.module = DistributedDataParallel(self._plain, gradient_as_bucket_view=True)
                self.module.register_comm_hook(distributed.group.WORLD, _counted)
            self._learning = learning

    @contextlib.contextmanager
    def gradients(self, last: bool = True) -> Iterator[None]:
        """For one of several backward passes whose gradients add up: the last one's takes the mean over processes."""
        if last or not isinstance(self.module, DistributedDataParallel):
            yield
        else:
            with self.module.no_sync():
                yield


def _counted(group: distributed.ProcessGroup, bucket: distributed.GradBucket) -> torch.futures.Future[Tensor]:
    """DistributedDataParallel's own mean of a bucket of gradients, whose bytes are counted."""
    exchange.count(exchange.ring(bucket.buffer().nbytes, group.size()))
    return default_hooks.allreduce_hook(group, bucket)


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
    except distributed.DistError as error:
        raise InputError(f"the processes do not find each other: {str(error).splitlines()[0]}") from None
    try:
        yield World(rank, size)
    except RuntimeError as error:
        if isinstance(error, distributed.DistError) or "gloo" in str(error):  # gloo has no type of its own
            raise Lost from error
        raise
    distributed.destroy_process_group()  # not after an error: it would wait for those that are gone


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
