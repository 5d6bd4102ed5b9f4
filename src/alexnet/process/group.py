"""The processes that train one run together. Mostly there is one; then nothing here costs anything.

Several make the steps that one makes, up to the order of summation: a batch is cut into slices, the gradients are
weighed by the number of images, augmentation is drawn for the whole batch, and each image is evaluated once. What
differs, and only while training: dropout masks and the partners of mixup and cutmix (each process draws its own, these
from its own slice), and BatchNorm normalizes by a slice's own statistics; the first process's running statistics are
those that are evaluated and kept. All processes read the same files: a run's folder must be visible to each.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed, nn
from torch.distributed.algorithms.ddp_comm_hooks import default_hooks
from torch.nn.parallel import DistributedDataParallel

from alexnet.errors import InputError
from alexnet.process import exchange

T = TypeVar("T")


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

    def same(self, facts: Mapping[str, object]) -> None:
        """InputError in the writer, and a silent end of the others, where a process has other `facts` than the first:
        what they are, and the value."""
        if self.size == 1:
            return
        everyone: list[Any] = [None] * self.size
        distributed.all_gather_object(everyone, {name: str(value) for name, value in facts.items()})
        for rank, theirs in enumerate(everyone):
            for name in dict.fromkeys([*everyone[0], *theirs]):
                here, there = everyone[0].get(name), theirs.get(name)
                if here != there:
                    told = f"{name}: rank {rank} has {there or 'none'}, rank 0 has {here or 'none'}"
                    text = f"{told}; start all processes with the same command, images and versions"
                    raise InputError(text) if self.is_writer else SystemExit(2)

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
