"""bfloat16 copies of a network's large weights, so that no step of a mixed-precision training casts them."""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.adam import adam
from torch.optim.sgd import sgd

from alexnet.models.quick import hooked
from alexnet.training.optim import VelocitySGD

_LARGE = 2**16
"""Fewest elements of a weight that gets a copy: below it, the calls cost what the memory traffic does."""
_PART = 2**20
"""Elements of a weight, its gradient and its state that are stepped at once: together they stay in the cache."""


@dataclass
class _Copy:
    layer: nn.Module
    weight: nn.Parameter
    copy: nn.Parameter
    version: int = -1
    """That of the weight of which `copy` is the rounding."""

    def is_current(self) -> bool:
        """Whether the layer still has this weight, in the memory format that it had."""
        return self.layer._parameters.get("weight") is self.weight and self.weight.stride() == self.copy.stride()


class Rounded:
    """A layer's weight stays float32; its bfloat16 copy takes its place while the network computes.

    Autocast makes that copy in every forward pass and widens the copy's gradient in every backward pass: 12 bytes of
    memory traffic for each weight. Here the optimizer's step, which reads and writes each weight anyway, does both,
    part by part in the processor's cache. The numbers are the same to the bit, and so is the optimizer's state.

    A weight that was changed in place elsewhere is rounded anew before the next step (changes through `.data`, which
    torch does not count, are not seen).
    """

    def __init__(self, network: nn.Module, optimizer: torch.optim.Optimizer):
        self.optimizer = optimizer
        layers = [each for each in network.modules() if isinstance(each, nn.Conv2d | nn.Linear)]
        found = {id(weight): (layer, weight) for layer in layers if (weight := _large(layer)) is not None}
        self._copies = [
            _Copy(layer, weight, nn.Parameter(weight.detach().to(torch.bfloat16))) for layer, weight in found.values()
        ]

    @staticmethod
    def serves(optimizer: torch.optim.Optimizer) -> bool:
        """Whether it can make the steps of this optimizer: those that treat each element of a weight by itself."""
        return isinstance(optimizer, VelocitySGD) or (
            type(optimizer) in (torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW)
            and all(group["fused"] for group in optimizer.param_groups)
        )

    @contextlib.contextmanager
    def in_place(self) -> Iterator[None]:
        """The copies in the place of the weights, for a forward pass under autocast; their gradients start anew."""
        self.clear()
        swapped = [each for each in self._copies if each.is_current() and not hooked(each.layer)]
        for each in swapped:
            if each.version != each.weight._version:
                with torch.no_grad():
                    each.copy.copy_(each.weight)
                each.version = each.weight._version
            each.copy.requires_grad_(each.weight.requires_grad)
            each.layer._parameters["weight"] = each.copy
        try:
            yield
        finally:
            for each in swapped:
                each.layer._parameters["weight"] = each.weight

    def clear(self) -> None:
        """Gives back the memory of the copies' gradients."""
        for each in self._copies:
            each.copy.grad = None

    @torch.no_grad()
    def gather(self) -> None:
        """Moves the copies' gradients to the weights, in float32, as autocast leaves them."""
        for each in self._copies:
            if each.copy.grad is not None:
                wide = each.copy.grad.float()
                each.weight.grad = wide if each.weight.grad is None else each.weight.grad.add_(wide)
                each.copy.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """The optimizer's step, from the copies' gradients where there are some and the weights' own."""
        copies = {id(each.weight): each for each in self._copies if each.copy.grad is not None}
        if not all(self._state(each.weight) for each in copies.values()):
            self.gather()  # the optimizer makes its state in its own first step
            copies.clear()
        own = {key: each.weight.grad for key, each in copies.items()}
        for each in copies.values():
            each.weight.grad = None
        self.optimizer.step()  # of the other weights; torch does not count what its fused optimizers change
        for each in self._copies:
            each.version = -1
        spare = torch.empty(_PART)
        for group in self.optimizer.param_groups:
            for weight in group["params"]:
                if each := copies.get(id(weight)):
                    self._step_in_parts(group, each, own[id(weight)], spare)
        self.clear()

    def _state(self, weight: Tensor) -> list[Tensor]:
        """What the optimizer keeps of each element of `weight`; none where it does not lie as the weight does."""
        values = [v for v in self.optimizer.state.get(weight, {}).values() if isinstance(v, Tensor) and v.ndim]
        return values if all(value.stride() == weight.stride() for value in values) else []

    def _step_in_parts(self, group: Mapping[str, Any], of: _Copy, own: Tensor | None, spare: Tensor) -> None:
        assert of.copy.grad is not None
        tensors = of.weight, of.copy, of.copy.grad, *self._state(of.weight)
        whole = [_flat(of.weight, tensor) for tensor in tensors]
        added = None if own is None else _flat(of.weight, own)
        count = self.optimizer.state[of.weight].get("step")
        for start in range(0, of.weight.numel(), _PART):
            weight, copy, narrow, *values = (tensor[start : start + _PART] for tensor in whole)
            gradient = spare[: len(weight)].copy_(narrow)
            if added is not None:
                gradient.add_(added[start : start + _PART])
            _stepped(self.optimizer, group, weight, gradient, values, count)
            copy.copy_(weight)
        if count is not None:
            count += 1
        of.version = of.weight._version


def _stepped(
    optimizer: torch.optim.Optimizer,
    group: Mapping[str, Any],
    weight: Tensor,
    gradient: Tensor,
    values: list[Tensor],
    count: Tensor | None,
) -> None:
    """One step of a part of a weight with its part of the state, by the optimizer's own fused function."""
    if isinstance(optimizer, VelocitySGD):
        optimizer.move(group, [weight], [gradient], list(values))
    elif isinstance(optimizer, torch.optim.SGD):
        sgd(
            [weight], [gradient], list(values), fused=True, lr=group["lr"], weight_decay=group["weight_decay"],
            momentum=group["momentum"], dampening=group["dampening"], nesterov=group["nesterov"],
            maximize=group["maximize"],
        )  # fmt: skip
    else:
        assert count is not None
        beta1, beta2 = group["betas"]
        # The function counts the step in a tensor; every part is at the same one.
        adam(
            [weight], [gradient], values[:1], values[1:], [], [count.clone()], fused=True, amsgrad=group["amsgrad"],
            beta1=beta1, beta2=beta2, lr=group["lr"], weight_decay=group["weight_decay"], eps=group["eps"],
            maximize=group["maximize"], decoupled_weight_decay=group["decoupled_weight_decay"],
        )  # fmt: skip


def _large(layer: nn.Module) -> nn.Parameter | None:
    """A layer's weight, where it is worth a copy and lies in memory without gaps; a parametrized weight is none."""
    weight = layer._parameters.get("weight")
    if weight is None or weight.dtype != torch.float32 or weight.numel() < _LARGE:
        return None
    dense = weight.is_contiguous() or weight.is_contiguous(memory_format=torch.channels_last)
    return weight if dense else None


def _flat(weight: Tensor, tensor: Tensor) -> Tensor:
    """`tensor` as one row, in the order in which `weight` lies in memory."""
    if not weight.is_contiguous():
        weight, tensor = weight.permute(0, 2, 3, 1), tensor.permute(0, 2, 3, 1)
    return tensor.detach().reshape(-1)
