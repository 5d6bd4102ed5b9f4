"""The layers that the family needs and PyTorch lacks: three published LRNs, SAME and ceil-mode padding, 2012's dropout.

Tensors are floating point, N × C × H × W, in either memory format; nothing works in place on a caller's tensor.
"""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from alexnet.models.kernels import convolve, dropout

Padding = int | str
"""Pixels on every side, or 'same' (TensorFlow's rule) or 'ceil' (the 2012 code's rule, which rounds the output up)."""


def pad_amounts(size: int, kernel: int, stride: int, padding: Padding) -> tuple[int, int]:
    """Pixels to add (before, after) along one side of `size` pixels.

    'same' makes the output ceil(size / stride) and puts the odd pixel after (https://www.tensorflow.org/api_docs/python/tf/nn).
    'ceil' adds just enough after the image for a last window: 1 + ceil((size − kernel) / stride) outputs, as
    layer.py:1004 of the 2012 code counts them, so that 224 pixels with an 11-pixel kernel and stride 4 give 55.
    """
    match padding:
        case "same":
            total = max((math.ceil(size / stride) - 1) * stride + kernel - size, 0)
            return total // 2, total - total // 2
        case "ceil":
            return 0, (kernel - size) % stride
        case int():
            return padding, padding
        case _:
            raise ValueError(f"padding is {padding!r}; choose a number of pixels, 'same' or 'ceil'")


def output_size(size: int, kernel: int, stride: int, padding: Padding) -> int:
    """Windows along one side of `size` pixels; 0 or less when the padded image is smaller than the kernel."""
    return (size + sum(pad_amounts(size, kernel, stride, padding)) - kernel) // stride + 1


class Conv2d(nn.Conv2d):
    """A square convolution with `padding` in pixels, 'same' or 'ceil'; copies its input only for lopsided padding."""

    def __init__(
        self,
        channels: int,
        out: int,
        kernel: int,
        stride: int = 1,
        padding: Padding = 0,
        groups: int = 1,
        bias: bool = True,
    ):
        super().__init__(channels, out, kernel, stride, padding=0, groups=groups, bias=bias)
        self.pad: Padding = padding

    def forward(self, input: Tensor) -> Tensor:
        x, kernel, stride = input, self.kernel_size[0], self.stride[0]
        top, bottom = pad_amounts(x.shape[-2], kernel, stride, self.pad)
        left, right = pad_amounts(x.shape[-1], kernel, stride, self.pad)
        if top != bottom or left != right:
            x = F.pad(x, (left, right, top, bottom))
            top = left = 0
        return convolve(x, self.weight, self.bias, stride, (top, left), self.groups)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, pad={self.pad!r}"


class MaxPool(nn.Module):
    """Max pooling with `padding` in pixels, 'same' or 'ceil', where the padding is −∞ and thus never wins."""

    def __init__(self, size: int, stride: int, padding: Padding = 0):
        super().__init__()
        self.size, self.stride, self.padding = size, stride, padding

    def forward(self, x: Tensor) -> Tensor:
        size, stride = self.size, self.stride
        pads = [pad_amounts(side, size, stride, self.padding) for side in x.shape[-2:]]
        (top, bottom), (left, right) = pads
        if stride == 1 and (top, left) != (bottom, right):
            x = F.pad(x, (0, right - left, 0, bottom - top), value=-math.inf)  # ceil_mode cannot add a stride-1 window
        # Padding is lopsided by less than a stride, so ceil_mode adds exactly the window that the odd pixels make
        # room for, without the copy of an explicit padding.
        lopsided = any(before != after for before, after in pads)
        return F.max_pool2d(x, size, stride, (top, left), ceil_mode=lopsided)

    def extra_repr(self) -> str:
        return f"{self.size}, stride={self.stride}, padding={self.padding!r}"


class AveragePool(nn.Module):
    """Mean over a grid of `size` × `size` nearly equal parts (torch's adaptive pooling); a map of that size passes."""

    def __init__(self, size: int):
        super().__init__()
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        return x if x.shape[-2:] == (self.size, self.size) else F.adaptive_avg_pool2d(x, self.size)

    def extra_repr(self) -> str:
        return str(self.size)


def _widened(x: Tensor) -> Tensor:
    """Normalization sums squares: in float32 when the activations are half as wide (autocast)."""
    return x.float() if x.dtype in (torch.bfloat16, torch.float16) else x


def _inverse_power(scale: Tensor, beta: float) -> Tensor:
    """scale^−beta; the published ¾ through roots, which vectorize where `pow` does not."""
    if beta != 0.75:
        return scale.pow(-beta)
    root = scale.rsqrt()
    return root * root.sqrt()


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
    wide = _widened(x)
    direct = _widened(gradient) * _inverse_power(scale, beta)
    shared = _window_sums((direct * wide).div_(scale), size, groups)
    return torch.addcmul(direct, wide, shared, value=-2 * s * beta).to(x.dtype), None, None, None, None, None


class _LRN(torch.autograd.Function):
    """a · scale^−beta with scale = k + s · Σ a², and its derivative by hand: several times quicker than autograd's.

    With g the gradient of the output, that of a_i is g_i scale_i^−beta − 2 s beta a_i Σ_j g_j a_j scale_j^(−beta − 1),
    over the channels j whose window holds i: the same window.
    """

    @staticmethod
    def forward(x: Tensor, size: int, s: float, beta: float, k: float, groups: int) -> tuple[Tensor, Tensor]:
        wide = _widened(x)
        scale = _window_sums(wide * wide, size, groups).mul_(s).add_(k)
        return (wide * _inverse_power(scale, beta)).to(x.dtype), scale

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
        x, *ctx.constants = inputs
        ctx.save_for_backward(x, output[1])
        ctx.mark_non_differentiable(output[1])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        return _first_derivative(ctx, *gradients)


class LocalResponseNorm(nn.Module):
    """b_i = a_i / (k + s · Σ a_j²)^beta over the `size` channels j around i, cut off at the ends of the channels.

    The published forms: s = alpha in the paper (section 3.3), in TensorFlow (whose radius r is size = 2r + 1) and in
    the Keras lineage (`divide=False`); s = alpha / size in the 2012 code (layer.py:1183), Caffe and torch
    (`divide=True`). With `groups` the window stays within a group's channels: in 2012 each GPU normalized its own half.
    Half-precision activations (autocast) are normalized in float32.
    """

    def __init__(
        self,
        size: int = 5,
        alpha: float = 1e-4,
        beta: float = 0.75,
        k: float = 2.0,
        divide: bool = True,
        groups: int = 1,
    ):
        super().__init__()
        if size % 2 == 0:
            raise ValueError(f"an LRN window is centered, so its size must be odd, not {size}")
        self.size, self.alpha, self.beta, self.k, self.divide, self.groups = size, alpha, beta, k, divide, groups

    def forward(self, x: Tensor) -> Tensor:
        s = self.alpha / self.size if self.divide else self.alpha
        return _LRN.apply(x, self.size, s, self.beta, self.k, self.groups)[0]

    def extra_repr(self) -> str:
        form = f"{self.size}, alpha={self.alpha:g}, beta={self.beta:g}, k={self.k:g}, divide={self.divide}"
        return form + (f", groups={self.groups}" if self.groups > 1 else "")


class SpatialResponseNorm(nn.Module):
    """b = a / (1 + alpha / size² · Σ a²)^beta over the `size` × `size` pixels around each, in the same map.

    cuda-convnet's `rnorm` layer, which the paper does not mention and the 2012 runs had after norm2: layer.py:1183
    divides alpha by the window's area, and src/layer.cu:1569 passes no minimum for the divisor, which leaves 1.
    """

    def __init__(self, size: int = 5, alpha: float = 1e-3, beta: float = 0.75):
        super().__init__()
        self.size, self.alpha, self.beta = size, alpha, beta

    def forward(self, x: Tensor) -> Tensor:
        wide = _widened(x)
        mean = F.avg_pool2d(wide * wide, self.size, stride=1, padding=self.size // 2)  # the padding counts as zeros
        return (wide * _inverse_power(mean.mul(self.alpha).add(1), self.beta)).to(x.dtype)

    def extra_repr(self) -> str:
        return f"{self.size}, alpha={self.alpha:g}, beta={self.beta:g}"


class Dropout(nn.Dropout):
    """torch's dropout, drawn more quickly on a CPU."""

    def forward(self, input: Tensor) -> Tensor:
        return dropout(input, self.p, self.training)


class ScaledDropout(nn.Module):
    """The paper's dropout (section 4.2; the 2012 code's `hs` layer): training drops, testing multiplies by 1 − p."""

    def __init__(self, p: float = 0.5):
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        return dropout(x, self.p, self.training) * (1 - self.p)

    def extra_repr(self) -> str:
        return f"p={self.p}"
