"""The modules that the family needs and PyTorch lacks: three published LRNs, lopsided padding, 2012's dropout.

Tensors are floating point, N × C × H × W, in either memory format; nothing works in place on a caller's tensor.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class PaddedConv2d(nn.Conv2d):
    """A square convolution whose `pads` (left, right, top, bottom; pixels) differ between the sides."""

    def __init__(
        self,
        channels: int,
        out: int,
        kernel: int,
        stride: int,
        pads: tuple[int, int, int, int],
        groups: int = 1,
        bias: bool = True,
    ):
        super().__init__(channels, out, kernel, stride, groups=groups, bias=bias)
        self.pads = pads

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(F.pad(input, self.pads))

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, pads={self.pads}"


def widened(x: Tensor) -> Tensor:
    """Normalization sums squares: in float32 when the activations are half as wide (autocast)."""
    return x.float() if x.dtype in (torch.bfloat16, torch.float16) else x


def inverse_power(scale: Tensor, beta: float) -> Tensor:
    """scale^−beta; the published ¾ through roots, which vectorize where `pow` does not."""
    if beta != 0.75:
        return scale.pow(-beta)
    root = scale.rsqrt()
    return root * root.sqrt()


@torch.fx.wrap
def local_response_norm(x: Tensor, size: int, s: float, beta: float, k: float, groups: int) -> Tensor:
    """a / (k + s · Σ a²)^beta over the `size` channels around each, within its group; one node in a graph of torch.fx.

    The sum begins with the channel itself and grows outward, as in kernels.local_response_norm: the same to the bit.
    """
    wide, half = widened(x), size // 2
    squares = (wide * wide).unflatten(1, (groups, -1))
    count = squares.shape[2]
    padded = F.pad(squares, (0, 0, 0, 0, half, half))
    total = squares
    for offset in range(1, half + 1):
        total = total + padded[:, :, half - offset : half - offset + count]
        total = total + padded[:, :, half + offset : half + offset + count]
    return (wide * inverse_power(total.flatten(1, 2) * s + k, beta)).to(x.dtype)


@torch.fx.wrap
def spatial_response_norm(x: Tensor, size: int, alpha: float, beta: float) -> Tensor:
    """a / (1 + alpha / size² · Σ a²)^beta over the `size` × `size` pixels around each, in the same map."""
    wide = widened(x)
    mean = F.avg_pool2d(wide * wide, size, stride=1, padding=size // 2)  # the padding counts as zeros
    return (wide * inverse_power(mean * alpha + 1, beta)).to(x.dtype)


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

    @property
    def scale(self) -> float:
        """What multiplies the sum of squares."""
        return self.alpha / self.size if self.divide else self.alpha

    def forward(self, x: Tensor) -> Tensor:
        return local_response_norm(x, self.size, self.scale, self.beta, self.k, self.groups)

    def extra_repr(self) -> str:
        form = f"{self.size}, alpha={self.alpha:g}, beta={self.beta:g}, k={self.k:g}, divide={self.divide}"
        return form + (f", groups={self.groups}" if self.groups > 1 else "")


class SpatialResponseNorm(nn.Module):
    """cuda-convnet's `rnorm` layer, which the paper does not mention and the 2012 runs had after norm2.

    b = a / (1 + alpha / size² · Σ a²)^beta over the pixels around each: layer.py:1183 divides alpha by the window's
    area, and src/layer.cu:1569 passes no minimum for the divisor, which leaves 1.
    """

    def __init__(self, size: int = 5, alpha: float = 1e-3, beta: float = 0.75):
        super().__init__()
        self.size, self.alpha, self.beta = size, alpha, beta

    def forward(self, x: Tensor) -> Tensor:
        return spatial_response_norm(x, self.size, self.alpha, self.beta)

    def extra_repr(self) -> str:
        return f"{self.size}, alpha={self.alpha:g}, beta={self.beta:g}"


class ScaledDropout(nn.Module):
    """The paper's dropout (section 4.2; the 2012 code's `hs` layer): training drops, testing multiplies by 1 − p."""

    def __init__(self, p: float = 0.5):
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.p, self.training) * (1 - self.p)

    def extra_repr(self) -> str:
        return f"p={self.p}"
