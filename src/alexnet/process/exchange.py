"""What the processes of a training hand each other, differentiably where it is activations; every byte is counted.

Built on torch.distributed's point-to-point operations and all-reduce, which gloo (CPU) and NCCL (GPUs) both have.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, distributed

_sent = 0


def sent() -> int:
    """The bytes that this process has sent to others since it began.

    A sum over all processes (all-reduce) of S bytes counts as 2·(P − 1)/P · S in each of P, as a ring sends.
    """
    return _sent


def count(size: float) -> None:
    """Notes `size` bytes that are sent elsewhere."""
    global _sent
    _sent += round(size)


def total(values: Tensor) -> Tensor:
    """`values`, summed in place over the processes."""
    count(ring(values.nbytes, distributed.get_world_size()))
    distributed.all_reduce(values)
    return values


def ring(size: int, processes: int) -> float:
    """The bytes that each of the processes sends for a sum of `size` bytes over all of them."""
    return 2 * (processes - 1) / processes * size


def gather(
    x: Tensor, dim: int, sizes: Sequence[int], receivers: Sequence[bool] | None = None, scale: float = 1.0
) -> Tensor:
    """The processes' tensors side by side along `dim`, where that of process r has `sizes[r]`.

    receivers: which processes get it, None: all; any other keeps its own x. Backward, each process's gradient is the
    sum of what the receivers have for its part, times `scale`.
    """
    return _Gather.apply(x, dim, tuple(sizes), tuple(receivers or [True] * len(sizes)), scale)  # pyright: ignore


def regroup(x: Tensor, rows: Sequence[int], columns: Sequence[int]) -> Tensor:
    """From all rows of this process's columns to its own rows of all columns.

    x: sum(rows) × columns[rank] → rows[rank] × sum(columns). Backward goes the same way back.
    """
    return _Regroup.apply(x, tuple(rows), tuple(columns))  # pyright: ignore


def swap(pieces: Sequence[Tensor | None], incoming: Sequence[tuple[int, ...] | None], like: Tensor) -> list[Tensor]:
    """Sends `pieces[r]` to process r and returns what came, in the order of the processes.

    None: nothing is sent there, or comes from there; nor where a shape is empty. This process's own piece is handed
    through. like: dtype and device of what comes.
    """
    me = distributed.get_rank()
    buffers = {
        rank: like.new_empty(_moved(shape)) for rank, shape in enumerate(incoming) if shape is not None and rank != me
    }
    operations = []
    for rank, piece in enumerate(pieces):
        if rank != me and piece is not None and piece.numel():
            count(piece.nbytes)
            operations.append(distributed.P2POp(distributed.isend, _dense(piece), rank))
        if rank in buffers and buffers[rank].numel():
            operations.append(distributed.P2POp(distributed.irecv, buffers[rank], rank))
    for work in distributed.batch_isend_irecv(operations) if operations else ():
        work.wait()
    result = []
    for rank, shape in enumerate(incoming):
        if shape is not None:
            own = pieces[me]
            if rank == me:
                assert own is not None, "a process that expects its own piece hands it in"
            result.append(own if rank == me else _restored(buffers[rank]))
    return result


def _moved(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Maps travel with their channels last, as training keeps them."""
    return (shape[0], *shape[2:], shape[1]) if len(shape) == 4 else shape


def _dense(x: Tensor) -> Tensor:
    return (x.permute(0, 2, 3, 1) if x.ndim == 4 else x).contiguous()


def _restored(x: Tensor) -> Tensor:
    return x.permute(0, 3, 1, 2) if x.ndim == 4 else x


def _resized(shape: torch.Size, dim: int, size: int) -> tuple[int, ...]:
    return (*shape[:dim], size, *shape[dim + 1 :])


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, dim: int, sizes: tuple[int, ...], receivers: tuple[bool, ...], scale: float
    ) -> Tensor:
        ctx.how, ctx.shape = (dim, sizes, receivers, scale), x.shape
        gets = receivers[distributed.get_rank()]
        shapes = [_resized(x.shape, dim, size) if gets else None for size in sizes]
        came = swap([x if each else None for each in receivers], shapes, x)
        return torch.cat(came, dim) if gets else x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (dim, sizes, receivers, scale), (gradient,), me = ctx.how, gradients, distributed.get_rank()
        pieces: list[Tensor | None] = [None] * len(sizes)
        if receivers[me]:
            pieces = list(gradient.split(sizes, dim))
        pieces[me] = pieces[me] if receivers[me] else gradient
        came = swap(
            pieces, [tuple(ctx.shape) if each or r == me else None for r, each in enumerate(receivers)], gradient
        )
        result = sum(came[1:], came[0])
        return (result if scale == 1 else result * scale), None, None, None, None


class _Regroup(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, rows: tuple[int, ...], columns: tuple[int, ...]) -> Tensor:
        ctx.how = rows, columns
        mine = rows[distributed.get_rank()]
        return torch.cat(swap(list(x.split(rows)), [(mine, each) for each in columns], x), 1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (rows, columns), (gradient,) = ctx.how, gradients
        mine = columns[distributed.get_rank()]
        return torch.cat(swap(list(gradient.split(columns, 1)), [(each, mine) for each in rows], gradient)), None, None
