"""The modules of residual blocks, as `alexnet.models.resnet` describes them."""

import torch.nn.functional as F
from torch import Tensor, nn


class ZeroPadded(nn.Module):
    """Shortcut A: every `stride`-th pixel, and zeros for `missing` channels more than the input has."""

    def __init__(self, missing: int, stride: int):
        super().__init__()
        self.missing, self.stride = missing, stride

    def forward(self, x: Tensor) -> Tensor:
        return F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.missing))

    def extra_repr(self) -> str:
        return f"{self.missing}, stride={self.stride}"


class _Block(nn.Module):
    """Each ReLU is a module of its own, so that hooks (and captum) see every one."""

    def __init__(self, convs: list[nn.Module], norms: list[nn.Module], shortcut: nn.Module | None):
        super().__init__()
        self.convs, self.shortcut = nn.ModuleList(convs), shortcut
        self.norms = nn.ModuleList(norms)
        self.relus = nn.ModuleList(nn.ReLU() for _ in convs)


class Version1(_Block):
    """relu(shortcut(x) + branch(x)), each convolution followed by its BatchNorm."""

    def forward(self, x: Tensor) -> Tensor:
        *inner, last = self.relus
        y = x
        for i, (convolve, norm) in enumerate(zip(self.convs, self.norms, strict=True)):
            y = norm(convolve(y if i == 0 else inner[i - 1](y)))
        return last(y + (x if self.shortcut is None else self.shortcut(x)))


class Version2(_Block):
    """shortcut + branch(x), each convolution preceded by its BatchNorm and ReLU; a projection sees the activated x."""

    def forward(self, x: Tensor) -> Tensor:
        y = active = self.relus[0](self.norms[0](x))
        for i, convolve in enumerate(self.convs):
            y = convolve(y if i == 0 else self.relus[i](self.norms[i](y)))
        return y + (x if self.shortcut is None else self.shortcut(active))
