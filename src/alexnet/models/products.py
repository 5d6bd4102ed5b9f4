"""Products of matrices, by the library that is the faster one on this processor. The same mathematics as torch's."""

import functools
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable


def product(a: Tensor, b: Tensor) -> Tensor:
    """a · bᵀ, of m × k and n × k in one dtype; not differentiable."""
    return torch.ops.mkldnn._linear_pointwise(a, b, None, "none", [], "") if _by_onednn(a) else a @ b.t()


def linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """`F.linear` of x, n × inputs. It can be differentiated once."""
    if x.ndim == 2 and x.dtype == weight.dtype and _by_onednn(x) and not torch.is_autocast_enabled("cpu"):
        result: Tensor = _Linear.apply(x, weight, bias)
        return result
    return F.linear(x, weight, bias)


@once_differentiable  # the products have no derivative of their own
def _derivatives(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
    x, weight = ctx.saved_tensors
    of_x, of_weight, of_bias = ctx.needs_input_grad
    return (
        product(gradient, weight.t()) if of_x else None,
        product(gradient.t(), x.t()) if of_weight else None,
        gradient.sum(0) if of_bias else None,
    )


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        return _derivatives(ctx, *gradients)


def _by_onednn(a: Tensor) -> bool:
    return a.dtype == torch.float32 and a.device.type == "cpu" and torch.backends.mkldnn.enabled and onednn_is_faster()


@functools.cache
def onednn_is_faster() -> bool:
    """Whether oneDNN multiplies float32 matrices faster than MKL, which torch takes: MKL is tuned for Intel's own
    processors. On an AMD EPYC with AVX-512 oneDNN is 2 to 2.5 times as fast for a batch of 64, and mostly 1.1 to 1.6
    times held to AVX2 (docs/LOG.md). torch's bf16 products are oneDNN's already."""
    processor = torch.cpu.get_capabilities()
    return (
        processor.get("architecture") == "x86_64"
        and "Intel" not in processor.get("cpu_name", "Intel")
        and torch.backends.mkl.is_available()
        and hasattr(torch.ops.mkldnn, "_linear_pointwise")
    )
