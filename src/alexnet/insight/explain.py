"""Where in an image the evidence for a class lies: six published attributions, each a few lines.

Every function takes a network (in evaluation mode, sequential), an input float32 1 × C × H × W and a class, and gives a
map float32 H × W. Attributions of the logit, not of the probability; of networks that end in a log-softmax, of what
enters it. parity/test_explain.py compares them with captum.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from alexnet.device import own_settings
from alexnet.errors import InputError, unknown
from alexnet.models import aliases
from alexnet.models.mode import evaluating
from alexnet.models.network import Network

Function = Callable[[Tensor], Tensor]


def logits_of(network: nn.Sequential) -> nn.Sequential:
    """The network without a final log-softmax; it shares the weights."""
    parts = list(network.named_children())
    kept = parts[:-1] if isinstance(parts[-1][1], nn.LogSoftmax) else parts
    plain = nn.Sequential()
    for name, part in kept:
        plain.add_module(name, part)
    return plain.eval()


def last_maps(network: Network) -> str:
    """The tap that Grad-CAM looks at unless told otherwise: the last convolution's, after its non-linearity."""
    convolutions = [name for name in network.layer_names if name.startswith("conv")]
    stages = [name for name in network.layer_names if name.startswith("stage")]
    return (stages or convolutions)[-1]


def cut(network: Network, layer: str) -> tuple[nn.Sequential, nn.Sequential]:
    """The network in two: up to and with a tap, and the rest to the logits."""
    tap = aliases.resolve(network.layer_names, layer)
    plain = logits_of(network)
    names = [name for name, _ in plain.named_children()]
    name, _, pre = tap.partition(":")
    number = name.removeprefix("conv").removeprefix("fc")
    if not pre and number.isdigit():
        name = next((each for each in (f"relu{number}", f"tanh{number}") if each in names), name)
    at = names.index(name) + 1
    parts = list(plain.children())
    return nn.Sequential(*parts[:at]).eval(), nn.Sequential(*parts[at:]).eval()


def gradcam(network: Network, x: Tensor, target: int, layer: str | None = None) -> Tensor:
    """Grad-CAM (Selvaraju et al. 2017, arXiv 1610.02391): the maps weighted by their mean gradients, positive part."""
    maps, gradient = _maps(network, x, target, layer)
    return _enlarged((maps * gradient.mean((2, 3), keepdim=True)).sum(1).relu(), x)


def layercam(network: Network, x: Tensor, target: int, layer: str | None = None) -> Tensor:
    """LayerCAM (Jiang et al. 2021): each place of each map weighted by its own positive gradient; any layer."""
    maps, gradient = _maps(network, x, target, layer)
    return _enlarged((maps * gradient.relu()).sum(1).relu(), x)


def guided(network: Network, x: Tensor, target: int) -> Tensor:
    """Guided backpropagation (Springenberg et al. 2014, arXiv 1412.6806): ReLUs pass positive gradients alone back.

    Its maps are sharp, and hardly change when the last layers are randomized (Adebayo et al. 2018, arXiv 1810.03292).
    """
    replaced = copy.deepcopy(logits_of(network))
    for parent in list(replaced.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.ReLU):
                setattr(parent, name, _GuidedReLU())
    return _gradient(replaced, x, target).abs().amax(1)[0]


def smoothgrad(
    network: Network, x: Tensor, target: int, samples: int = 25, noise: float = 0.15, seed: int = 0
) -> Tensor:
    """SmoothGrad (Smilkov et al. 2017, arXiv 1706.03825): the mean gradient at `samples` noisy inputs.

    `noise` is the standard deviation in shares of the input's range.
    """
    function, generator = logits_of(network), torch.Generator().manual_seed(seed)
    deviation = noise * float(x.max() - x.min())
    total = torch.zeros_like(x)
    for _ in range(samples):
        drawn = torch.randn(x.shape, generator=generator).to(x.device)
        total += _gradient(function, x + deviation * drawn, target)
    return (total / samples).abs().amax(1)[0]


def integrated_gradients(network: Network, x: Tensor, target: int, steps: int = 50) -> Tensor:
    """Integrated gradients (Sundararajan et al. 2017, arXiv 1703.01365) from the mean image (an input of zeros).

    Signed, C × H × W summed over the channels; all of it sums to the difference of the logits (`completeness`).
    """
    return integrated(network, x, target, steps).sum(1)[0]


def integrated(network: Network, x: Tensor, target: int, steps: int = 50) -> Tensor:
    """As `integrated_gradients`, of each input number: 1 × C × H × W, by Gauss and Legendre's rule."""
    import numpy as np

    function, total = logits_of(network), torch.zeros_like(x)
    places, shares = np.polynomial.legendre.leggauss(steps)
    for place, share in zip((places + 1) / 2, shares / 2, strict=True):
        total += float(share) * _gradient(function, float(place) * x, target)
    return total * x


def occlusion(network: Network, x: Tensor, target: int, window: int | None = None, stride: int | None = None) -> Tensor:
    """Occlusion (Zeiler and Fergus 2013, arXiv 1311.2901): how much the logit falls when a square is the mean color.

    window: pixels, an eighth of the short side unless given; stride: half of it. Each pixel's value is the mean over
    the squares that hold it; 32 squares are run at a time.
    """
    function, (height, width) = logits_of(network), x.shape[2:]
    window = window or max(1, min(height, width) // 8)
    stride = stride or max(1, window // 2)
    if not 1 <= window <= min(height, width):
        raise InputError(f"an occluding square has 1 to {min(height, width)} pixels, not {window}")
    if not 1 <= stride <= window:
        raise InputError(f"occluding squares of {window} pixels need a stride of 1 to {window} pixels, not {stride}")
    tops = sorted({*range(0, height - window, stride), height - window})
    lefts = sorted({*range(0, width - window, stride), width - window})
    squares = [(top, left) for top in tops for left in lefts]
    total, count = torch.zeros(height, width), torch.zeros(height, width)
    with torch.no_grad():
        whole = float(function(x)[0, target])
        for start in range(0, len(squares), 32):
            some = squares[start : start + 32]
            batch = x.repeat(len(some), 1, 1, 1)
            for image, (top, left) in zip(batch, some, strict=True):
                image[:, top : top + window, left : left + window] = 0
            for (top, left), value in zip(some, function(batch)[:, target].tolist(), strict=True):
                total[top : top + window, left : left + window] += whole - value
                count[top : top + window, left : left + window] += 1
    return total / count


METHODS: dict[str, Callable[..., Tensor]] = {
    "gradcam": gradcam,
    "layercam": layercam,
    "guided": guided,
    "smoothgrad": smoothgrad,
    "ig": integrated_gradients,
    "occlusion": occlusion,
}
SIGNED = ("ig", "occlusion")
PIXELWISE = ("guided", "smoothgrad", "ig")
"""Gradients of single pixels."""


_SAME = {"integratedgradients": "ig", "guidedbackprop": "guided", "guidedbackpropagation": "guided"}


def method_named(name: str, others: tuple[str, ...] = ()) -> str:
    """The one of METHODS that 'Grad-CAM' or 'integrated-gradients' means. InputError, which also names `others`."""
    key = "".join(each for each in name.lower() if each.isalnum())
    if (method := _SAME.get(key, key)) not in METHODS:
        raise unknown("method", name, (*METHODS, *others))
    return method


@own_settings()
def explain(network: Network, x: Tensor, target: int, method: str = "gradcam", layer: str | None = None) -> Tensor:
    """The map of one of METHODS, float32 H × W on the CPU; `layer` is for gradcam and layercam.

    The network keeps its mode, and gets no gradients. InputError for another method, layer or class.
    """
    method = method_named(method)
    if layer is not None and method not in ("gradcam", "layercam"):
        raise InputError(f"layer is for gradcam and layercam; {method} looks at the input")
    if not 0 <= target < network.classes:
        raise InputError(f"class {target} is not one of 0 to {network.classes - 1}")
    if x.ndim != 4 or len(x) != 1:
        raise InputError(f"one image is explained at a time, not {tuple(x.shape)}")
    options = {} if layer is None else {"layer": layer}
    x = x.detach()
    wanted = [parameter.requires_grad for parameter in network.parameters()]
    network.requires_grad_(False)
    try:
        with torch.enable_grad(), evaluating(network):
            return METHODS[method](network, x, target, **options).detach().float().cpu()
    finally:
        for parameter, each in zip(network.parameters(), wanted, strict=True):
            parameter.requires_grad_(each)


@dataclass(frozen=True)
class Sanity:
    """Whether an attribution says something of the weights and of the image."""

    randomized: float
    """Rank correlation of the map with that of the network with random weights; near 1 would mean an edge detector."""
    completeness: float
    """|sum of the integrated gradients − difference of the logits|, in shares of that difference."""
    planted: float
    """The share of four corners in which occlusion finds the image that was planted there."""

    @property
    def passed(self) -> bool:
        return self.randomized < 0.7 and self.completeness < 0.05 and self.planted == 1

    def to_json(self) -> dict[str, float | bool]:
        return {**vars(self), "passed": self.passed}


@own_settings()
def sanity(network: Network, x: Tensor, target: int, method: str = "gradcam", seed: int = 0) -> Sanity:
    """The three checks of an explanation (Adebayo et al. 2018; Sundararajan et al. 2017; Zeiler and Fergus 2013)."""
    own = explain(network, x, target, method)
    other = explain(randomized(network, seed), x, target, method)
    return Sanity(rank_correlation(own, other), completeness(network, x, target), planted(network, x, target))


@own_settings()
def completeness(network: Network, x: Tensor, target: int, steps: int = 50) -> float:
    """How far the integrated gradients are from summing to the difference of the logits, in shares of it."""
    with evaluating(network), torch.no_grad():
        function = logits_of(network)
        difference = float(function(x)[0, target] - function(torch.zeros_like(x))[0, target])
    total = float(explain(network, x, target, "ig").double().sum())
    return abs(total - difference) / max(abs(difference), 1e-6)


@own_settings()
def planted(network: Network, x: Tensor, target: int) -> float:
    """The image at half its size in each corner of the mean color: how often occlusion's largest effect is there."""
    height, width = (side // 2 for side in x.shape[2:])
    small, found = F.interpolate(x, (height, width), mode="bilinear", antialias=True), 0
    for top in (0, x.shape[2] - height):
        for left in (0, x.shape[3] - width):
            scene = torch.zeros_like(x)
            scene[:, :, top : top + height, left : left + width] = small
            strength = explain(network, scene, target, "occlusion").abs()
            row, column = divmod(int(strength.argmax()), strength.shape[1])
            found += top <= row < top + height and left <= column < left + width
    return found / 4


@own_settings()
def randomized(network: Network, seed: int = 0) -> Network:
    """A copy whose weights are shuffled within each tensor: the same values, and nothing learned."""
    generator, other = torch.Generator().manual_seed(seed), copy.deepcopy(network)
    with torch.no_grad():
        for parameter in other.parameters():
            flat = parameter.flatten()
            order = torch.randperm(len(flat), generator=generator).to(flat.device)
            parameter.copy_(flat[order].view_as(parameter))
    return other


def rank_correlation(one: Tensor, other: Tensor) -> float:
    """Spearman's correlation of two maps' absolute values; 0 where one of them is constant."""
    ranks = [each.flatten().abs().argsort().argsort().double() for each in (one, other)]
    if any(float(each.std()) == 0 for each in (one, other)):
        return 0.0
    return float(torch.corrcoef(torch.stack(ranks))[0, 1])


class _Guided(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x.relu()

    @staticmethod
    def backward(ctx, *gradients: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return gradients[0].relu() * (x > 0)


class _GuidedReLU(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return _Guided.apply(x)


def _gradient(function: Function, x: Tensor, target: int) -> Tensor:
    x = x.detach().clone().requires_grad_()
    return torch.autograd.grad(function(x)[:, target].sum(), x)[0]


def _maps(network: Network, x: Tensor, target: int, layer: str | None) -> tuple[Tensor, Tensor]:
    head, tail = cut(network, layer or last_maps(network))
    with torch.no_grad():
        maps = head(x)
    if maps.ndim != 4:
        raise InputError(f"{layer!r} has no maps; choose a convolution or a pool")
    return maps, _gradient(tail, maps, target)


def _enlarged(heat: Tensor, x: Tensor) -> Tensor:
    return F.interpolate(heat[:, None], x.shape[2:], mode="bilinear", align_corners=False)[0, 0]
