"""torch.compile, believed only after it was checked."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from alexnet.device import autocast
from alexnet.errors import InputError
from alexnet.models.mode import evaluating

# bf16 rounds to 3 digits, so that gradients differ by some per cent; what is wrong differs by all of it.
_TOLERANCE = 0.2


def compiled(model: nn.Module, inputs: Tensor, labels: Tensor, precision: str) -> Callable[[Tensor], Tensor]:
    """`model` compiled, once its gradients on one batch are those of the plain network.

    torch 2.13.0 compiles some small convolutional networks for CPUs into code whose gradients are silently zero
    (docs/LOG.md), which no loss curve would explain. inputs: float N×C×H×W; labels: int64 N, or uint8 N×K.
    Compared without dropout, which would differ. Raises InputError when a parameter's gradient is off; leaves gradients
    and mode as they were.
    """
    fast = torch.compile(model)
    try:
        with evaluating(model):
            expected, got = (_gradients(model, forward, inputs, labels, precision) for forward in (model, fast))
    finally:
        model.zero_grad(set_to_none=True)
    for name, gradient in expected.items():
        difference = float((got[name] - gradient).norm() / gradient.norm().clamp_min(1e-12))
        if not difference <= _TOLERANCE:
            raise InputError(
                f"train.compile: the compiled network is wrong on this machine with torch {torch.__version__} (the "
                f"gradient of {name} is off by {difference:.0%}); set train.compile=false"
            )
    return fast


def _gradients(
    model: nn.Module, forward: Callable[[Tensor], Tensor], inputs: Tensor, labels: Tensor, precision: str
) -> dict[str, Tensor]:
    model.zero_grad(set_to_none=True)
    with autocast(inputs.device, precision):
        logits = forward(inputs)
    if labels.ndim == 2:
        functional.binary_cross_entropy_with_logits(logits.float(), labels.float()).backward()
    else:
        functional.cross_entropy(logits.float(), labels).backward()
    return {name: p.grad.float().clone() for name, p in model.named_parameters() if p.grad is not None}
