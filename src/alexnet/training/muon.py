"""Muon: convolutions learn by orthogonalized momentum, everything else by SGD.

Source: K. Jordan et al., 'Muon: An optimizer for hidden layers in neural networks', 2024. There it takes all matrices;
here fully-connected layers stay with SGD, as orthogonalizing a 4,096 × 4,096 matrix costs more than a step.
"""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim.sgd import sgd

from alexnet.device import choose_precision
from alexnet.models.products import product

_QUINTIC = (3.4445, -4.7750, 2.0315)
"""Of the iteration x ← a·x + b·x³ + c·x⁵, which takes every singular value in (0, 1] to about 1 (0.7 to 1.2)."""
_ITERATIONS = 5


def orthogonalized(matrix: Tensor) -> Tensor:
    """The nearest matrix with all singular values about 1, m × n, in `matrix`'s dtype.

    Newton–Schulz in bf16, as published, where the hardware multiplies it. Elsewhere in float32, with most products of
    m × m: a processor that must emulate bf16 takes tens of times as long (docs/LOG.md).
    """
    tall = matrix.shape[0] > matrix.shape[1]
    native = choose_precision("auto", matrix.device) == "bf16"
    x = (matrix.t() if tall else matrix).to(torch.bfloat16 if native else torch.float32)
    x = x / (x.norm() + 1e-7)
    x = _newton_schulz(x) if native else product(_polynomial(product(x, x)), x.t())
    return (x.t() if tall else x).to(matrix.dtype)


def _newton_schulz(x: Tensor) -> Tensor:
    a, b, c = _QUINTIC
    for _ in range(_ITERATIONS):
        square = x @ x.t()
        x = a * x + torch.addmm(square, square, square, beta=b, alpha=c) @ x
    return x


def _polynomial(square: Tensor) -> Tensor:
    """The matrix P, m × m, for which P·x is what the iteration makes of x, given x·xᵀ; float32 is exact enough for it
    and bf16 is not. Each factor a + b·s + c·s² is symmetric and commutes with s = x·xᵀ, which becomes factor·s·factor.
    """
    a, b, c = _QUINTIC
    whole = torch.eye(len(square), dtype=square.dtype, device=square.device)
    for _ in range(_ITERATIONS):
        factor = torch.addmm(square, square, square, beta=b, alpha=c)
        factor.diagonal().add_(a)
        whole, square = factor @ whole, factor @ (square @ factor)
    return whole


class Muon(torch.optim.Optimizer):
    """v ← m·v + g;  w ← w − rate · step, with the Nesterov form g + m·v as the step.

    Filters (weights of four dimensions): the step is orthogonalized as a matrix of out × in·k·k and multiplied by
    √max(1, out / (in·k·k)), and rate = lr · `filters`; weight decay takes
    rate · decay · w beside it. All else: SGD as torch has it, with the decay in the gradient.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 0.05,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        filters: float = 0.4,
    ):
        defaults = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "filters": filters}
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """One step on the gradients at hand. It takes no closure."""
        assert closure is None
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is not None:
                    self._learn(weight, weight.grad, group)

    def _learn(self, weight: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        state = self.state[weight]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(weight)
        velocity, momentum, rate = state["momentum_buffer"], group["momentum"], group["lr"]
        if weight.ndim != 4:
            sgd(
                [weight], [gradient], [velocity], fused=True, weight_decay=group["weight_decay"], momentum=momentum,
                lr=rate, dampening=0.0, nesterov=True, maximize=False,
            )  # fmt: skip
            return
        velocity.mul_(momentum).add_(gradient)
        step = gradient.add(velocity, alpha=momentum).permute(0, 2, 3, 1)  # a view in channels_last memory
        matrix = step.flatten(1)
        scale = max(1.0, matrix.shape[0] / matrix.shape[1]) ** 0.5
        update = orthogonalized(matrix).view(step.shape).permute(0, 3, 1, 2)
        rate *= group["filters"]
        weight.mul_(1 - rate * group["weight_decay"]).add_(update, alpha=-rate * scale)
