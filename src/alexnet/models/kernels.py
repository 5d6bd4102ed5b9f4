"""The same mathematics as the plain layers, computed in a way that suits a CPU better. `quick.quicken` applies them."""

import functools
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from alexnet.models.layers import inverse_power, widened
from alexnet.models.products import product

_FEW = {torch.float64: 9, torch.float32: 9, torch.bfloat16: 16}
"""Largest number of output pixels for which a convolution is one matrix product: below it, rearranging the weights
costs oneDNN more than the product itself (docs/LOG.md, 'where a CPU training step's time went')."""
_FILTERS = 128
"""… if it has this many filters: copying the windows costs as much for 64 of them, their product less."""


def convolve(
    x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, padding: tuple[int, int], groups: int
) -> Tensor:
    """`F.conv2d`, by one matrix product where the output is small: x N×C×H×W, weight out×C/groups×k×k."""
    if x.device.type == "cpu" and groups == 1 and len(weight) >= _FILTERS:
        kernel = weight.shape[-1]
        places = [(side + 2 * pad - kernel) // stride + 1 for side, pad in zip(x.shape[-2:], padding, strict=True)]
        dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else x.dtype
        most = _FEW.get(dtype, 0)
        if places[0] * places[1] <= (most if kernel <= 3 or _has_amx() else min(most, 9)):
            x, weight = x.to(dtype), weight.to(dtype)
            result: Tensor = _MatrixConvolution.apply(x, weight, stride, padding)
            return result if bias is None else result + bias.to(dtype)[:, None, None]
    return F.conv2d(x, weight, bias, stride, padding, 1, groups)


@functools.cache
def _has_amx() -> bool:
    """With AMX the product of 5 × 5 windows, too, is quicker than oneDNN on 16 pixels; without it is slower."""
    return bool(torch.cpu.get_capabilities().get("amx_bf16"))


class _MatrixConvolution(torch.autograd.Function):
    """Each window becomes a row, each filter a column. Rows are N × H × W × k × k × C: runs of C are copied whole."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, stride: int, padding: tuple[int, int]) -> Tensor:
        kernel, (top, left) = weight.shape[-1], padding
        padded = F.pad(x.permute(0, 2, 3, 1), (0, 0, left, left, top, top))
        count, height, width, channels = padded.shape
        high, wide = ((side - kernel) // stride + 1 for side in (height, width))
        windows = padded.new_empty(count, high, wide, kernel, kernel, channels)
        for row, column, place in _places(kernel, stride, high, wide):
            windows[:, :, :, row, column] = padded[place]
        rows, filters = windows.flatten(3).flatten(0, 2), weight.permute(0, 2, 3, 1).flatten(1)
        ctx.save_for_backward(rows, filters)
        ctx.shapes = padded.shape, windows.shape, weight.shape, stride, padding
        return product(rows, filters).view(count, high, wide, -1).permute(0, 3, 1, 2)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        rows, filters = ctx.saved_tensors
        padded_shape, windows_shape, weight_shape, stride, (top, left) = ctx.shapes
        _, high, wide, kernel, _, channels = windows_shape
        gradient = gradients[0].permute(0, 2, 3, 1).flatten(0, 2)
        of_x = of_weight = None
        if ctx.needs_input_grad[1]:
            out = weight_shape[0]
            of_weight = product(gradient.t(), rows.t()).view(out, kernel, kernel, channels).permute(0, 3, 1, 2)
        if ctx.needs_input_grad[0]:
            windows = product(gradient, filters.t()).view(windows_shape)
            padded = gradient.new_zeros(padded_shape)
            for row, column, place in _places(kernel, stride, high, wide):
                padded[place] += windows[:, :, :, row, column]
            height, width = padded_shape[1] - top, padded_shape[2] - left
            of_x = padded[:, top:height, left:width].permute(0, 3, 1, 2)
        return of_x, of_weight, None, None


def _places(kernel: int, stride: int, high: int, wide: int) -> list[tuple[int, int, tuple[slice, ...]]]:
    """For each pixel (row, column) of the kernel, where in the padded maps it lies under all windows."""
    down, right = stride * (high - 1) + 1, stride * (wide - 1) + 1
    return [
        (row, column, (slice(None), slice(row, row + down, stride), slice(column, column + right, stride)))
        for row in range(kernel)
        for column in range(kernel)
    ]


def dropout(x: Tensor, p: float, training: bool) -> Tensor:
    """`F.dropout`. In training on a CPU, sixteen random bits decide for each element, drawn sixty-four at a time: six
    times as fast as torch's draw per element; `p` is met to 1 / 65,536."""
    if not training or p == 0 or x.device.type != "cpu":
        return F.dropout(x, p, training)
    bits = torch.empty(-(-x.numel() // 4), dtype=torch.int64).random_(-(2**63), None).view(torch.int16)
    kept = bits[: x.numel()].view(x.shape) >= round(p * 2**16) - 2**15
    return x * kept.to(x.dtype).mul_(1 / (1 - p))


def local_response_norm(x: Tensor, size: int, s: float, beta: float, k: float, groups: int) -> Tensor:
    """`layers.local_response_norm` with its derivative by hand; once differentiable, and unknown to torch.func."""
    return _LRN.apply(x, size, s, beta, k, groups)[0]


def _window_sums(x: Tensor, size: int, groups: int) -> Tensor:
    """Sum over the `size` channels around each, within its group: shifted slices, quick in either memory format."""
    parts = x.unflatten(1, (groups, -1))
    total = parts.clone()
    for offset in range(1, min(size // 2, parts.shape[2] - 1) + 1):
        total[:, :, offset:] += parts[:, :, :-offset]
        total[:, :, :-offset] += parts[:, :, offset:]
    return total.flatten(1, 2)


@once_differentiable  # the saved scale hides a second derivative
def _first_derivative(ctx: Any, gradient: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
    (x, scale), (size, s, beta, _, groups) = ctx.saved_tensors, ctx.constants
    wide = widened(x)
    direct = widened(gradient) * inverse_power(scale, beta)
    shared = _window_sums((direct * wide).div_(scale), size, groups)
    return torch.addcmul(direct, wide, shared, value=-2 * s * beta).to(x.dtype), None, None, None, None, None


class _LRN(torch.autograd.Function):
    """a · scale^−beta with scale = k + s · Σ a², and its derivative by hand: several times quicker than autograd's.

    With g the gradient of the output, that of a_i is g_i scale_i^−beta − 2 s beta a_i Σ_j g_j a_j scale_j^(−beta − 1),
    over the channels j whose window holds i: the same window.
    """

    @staticmethod
    def forward(x: Tensor, size: int, s: float, beta: float, k: float, groups: int) -> tuple[Tensor, Tensor]:
        wide = widened(x)
        scale = _window_sums(wide * wide, size, groups).mul_(s).add_(k)
        return (wide * inverse_power(scale, beta)).to(x.dtype), scale

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
        x, *ctx.constants = inputs
        ctx.save_for_backward(x, output[1])
        ctx.mark_non_differentiable(output[1])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        return _first_derivative(ctx, *gradients)
