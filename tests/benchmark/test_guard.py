"""What a training step costs, without a clock: it must not grow unseen.

One step of the training loop's own, after two that nobody counts. When a change is meant to cost more (or costs less),
write what the failing test prints, or `python tests/benchmark/test_guard.py`, into RECORDED.
"""

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any
from unittest import mock

import pytest
import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from alexnet.benchmark import cost
from alexnet.benchmark.workload import Session, of_network
from alexnet.models import products
from alexnet.models.summary import outline


@dataclass(frozen=True)
class Costs:
    flops: int
    """As torch's own counter has them."""
    kernels: int
    """Operators that reached the dispatcher."""
    written: int
    """Bytes of tensors that they made anew."""
    held: int
    """Bytes that the forward pass keeps for the backward pass, weights left out."""
    ran: Counter[str] = field(default_factory=Counter, compare=False, repr=False)


RECORDED = {
    ("alexnet-digits", 16, "fp32"): Costs(flops=416538624, kernels=286, written=9561104, held=1757956),
    ("alexnet-cifar10", 8, "bf16"): Costs(flops=1995374592, kernels=1277, written=53497056, held=45350644),
    ("alexnet-thinner-4", 8, "bf16"): Costs(flops=4538990592, kernels=344, written=30943908, held=15313556),
}


class _Count(TorchDispatchMode):
    """Operators by name, and the bytes of their outputs that are in no input's memory."""

    def __init__(self) -> None:
        super().__init__()
        self.ran: Counter[str] = Counter()
        self.written = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = {_memory(leaf) for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)}
        result = func(*args, **(kwargs or {}))
        self.ran[str(func)] += 1
        made = {_memory(leaf): leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor)}
        self.written += sum(leaf.untyped_storage().nbytes() for memory, leaf in made.items() if memory not in given)
        return result


def _memory(tensor: Tensor) -> int:
    return tensor.untyped_storage()._cdata


def costs(network: str, batch: int, precision: str) -> Costs:
    """Of the third step on synthetic images, with torch's own products on every processor: of oneDNN's it counts no
    FLOPs."""
    own = mock.patch.object(products, "onednn_is_faster", return_value=False)
    with own, Session(of_network(network, batch, precision), device="cpu") as session:
        session.seconds(2)
        weights = {_memory(parameter) for parameter in session.setup.model.parameters()}
        held: dict[int, int] = {}

        def hold(tensor: Tensor) -> Tensor:
            held.setdefault(_memory(tensor), tensor.untyped_storage().nbytes())
            return tensor

        with FlopCounterMode(display=False) as flops, _Count() as count, saved_tensors_hooks(hold, lambda x: x):
            session.step()
        kept = sum(size for memory, size in held.items() if memory not in weights)
        return Costs(flops.get_total_flops(), count.ran.total(), count.written, kept, count.ran)


@pytest.mark.parametrize(("network", "batch", "precision"), RECORDED)
def test_a_training_step_costs_no_more_than_it_did(network: str, batch: int, precision: str) -> None:
    recorded, now = RECORDED[network, batch, precision], costs(network, batch, precision)
    grown = [
        f"{name} grew from {old:,} to {new:,}"
        for (name, old), new in zip(asdict(recorded).items(), asdict(now).values(), strict=True)
        if name != "ran" and new > 1.01 * old
    ]
    often = ", ".join(f"{count} × {name}" for name, count in now.ran.most_common(12))
    assert not grown, f"{network}, {precision}: {'; '.join(grown)}. It is now {now}; most often run: {often}"


@pytest.mark.parametrize(("network", "batch"), [("alexnet-thinner-4", 4), ("alexnet-caltech", 2)])
def test_flops_are_counted_as_torch_counts_them(network: str, batch: int) -> None:
    assert costs(network, batch, "fp32").flops == batch * cost.training_flops(outline(network))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("recipe", ["alexnet-cifar10", "alexnet-owt"])
def test_a_step_on_a_gpu_never_waits_for_it(recipe: str) -> None:
    with Session(of_network(recipe, 64), device="cuda") as session:
        session.seconds(3)
        batch = session.batch()
        torch.cuda.set_sync_debug_mode("error")
        try:
            session.train_on(*batch)
        finally:
            torch.cuda.set_sync_debug_mode("default")
        assert session.learner.done == 4


if __name__ == "__main__":
    for key in RECORDED:
        print(f"    {key}: {costs(*key)},")
