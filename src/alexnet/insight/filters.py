"""What the units of a layer respond to: kernels, an image that excites one, the images of a dataset that do."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from alexnet.data.loading.decode import stored_size
from alexnet.device import own_settings
from alexnet.errors import InputError
from alexnet.inference.features import network_of, run, want
from alexnet.inference.images import Images
from alexnet.inference.model import Model
from alexnet.insight import view as views
from alexnet.insight.explain import cut
from alexnet.insight.fonts import drawable
from alexnet.insight.plots import FAINT, INK, PALETTE
from alexnet.models import aliases
from alexnet.models.mode import evaluating
from alexnet.models.network import Network
from alexnet.models.structure import pad_amounts

COLOR_BLIND = 0.1
"""A kernel is called color-blind when less than this share of its energy is in the differences of its channels."""


@dataclass(frozen=True)
class Kernels:
    """Kernels of a convolution, and what is measured of each."""

    layer: str
    weights: np.ndarray
    """float32 filters × channels × k × k."""
    towers: int
    """2 where the network stands for two GPUs, each of which had half of the filters."""
    color: np.ndarray
    """float [filters]: the share of the energy in differences between the channels; 0 where nothing is `colored`."""
    half_frequency: np.ndarray
    """float [filters]: the spatial frequency below which half of the energy lies, in cycles per pixel (0 to ½·√2)."""
    sparsity: float
    """The share of weights below a hundredth of the largest."""
    colored: bool
    """Whether the kernels see the three colors of the input."""

    @property
    def color_blind(self) -> np.ndarray:
        return self.color < COLOR_BLIND

    def to_json(self) -> dict[str, object]:
        """color_blind_share only of kernels that see colors, color_blind_share_by_tower only of two towers."""
        told: dict[str, object] = {
            "layer": self.layer,
            "filters": len(self.weights),
            "kernel": list(self.weights.shape[2:]),
            "half_frequency_median": float(np.median(self.half_frequency)),
            "sparsity": self.sparsity,
        }
        if self.colored:
            told["color_blind_share"] = float(self.color_blind.mean())
            if self.towers > 1:
                halves = np.array_split(self.color_blind, self.towers)
                told["color_blind_share_by_tower"] = [float(half.mean()) for half in halves]
        return told

    def lines(self) -> list[tuple[str, str]]:
        """What was measured, as a name and a rounded text each."""
        found = [
            (f"{self.layer}", f"{len(self.weights)} kernels of {self.weights.shape[2]} × {self.weights.shape[3]}"),
            ("half-energy frequency", f"{np.median(self.half_frequency):.3f} cycles per pixel (median)"),
            ("sparsity", f"{self.sparsity:.1%} of weights below a hundredth of the largest"),
        ]
        if self.colored:
            halves = np.array_split(self.color_blind, self.towers)
            towers = ", ".join(f"tower {number} {half.mean():.0%}" for number, half in enumerate(halves, 1))
            share = f"{self.color_blind.mean():.0%} of kernels"
            found.append(("color-blind", f"{share} ({towers})" if self.towers > 1 else share))
        return found


def kernels(network: Network, layer: str = "conv1") -> Kernels:
    """The kernels of a convolution. InputError for another layer."""
    name = aliases.resolve(network.layer_names, layer).partition(":")[0]
    part = network.get_submodule(name)
    if not isinstance(part, nn.Conv2d):
        raise InputError(f"{layer!r} has no kernels; choose a convolution: {', '.join(_convolutions(network))}")
    weights = part.weight.detach().float().cpu().numpy()
    grouped = any(getattr(each, "groups", 1) == 2 for each in network.modules() if isinstance(each, nn.Conv2d))
    colored = weights.shape[1] == 3 and name == _convolutions(network)[0]
    energy = (weights**2).sum((1, 2, 3))
    differences = ((weights - weights.mean(1, keepdims=True)) ** 2).sum((1, 2, 3))
    color = differences / np.maximum(energy, 1e-20) if colored else np.zeros(len(weights))
    sparse = float((np.abs(weights) < 0.01 * np.abs(weights).max()).mean())
    return Kernels(name, weights, 2 if grouped else 1, color, _half_frequency(weights), sparse, colored)


def _convolutions(network: Network) -> list[str]:
    return [name for name, part in network.named_children() if isinstance(part, nn.Conv2d)]


def _half_frequency(weights: np.ndarray) -> np.ndarray:
    side = weights.shape[-1]
    power = (np.abs(np.fft.fft2(weights, (32, 32))) ** 2).sum(1).reshape(len(weights), -1)
    axis = np.fft.fftfreq(32)
    distance = np.hypot(axis[:, None], axis[None]).reshape(-1)
    order = np.argsort(distance, kind="stable")
    below = np.cumsum(power[:, order], 1)
    at = (below < 0.5 * below[:, -1:]).sum(1).clip(max=len(order) - 1)
    return distance[order][at] if side > 1 else np.zeros(len(weights))


def tiles(found: Kernels) -> list[np.ndarray]:
    """Each kernel as uint8 k×k×3, its own range of values as 0 to 255; deeper ones as their channels' mean."""
    weights = found.weights if found.weights.shape[1] in (1, 3) else found.weights.mean(1, keepdims=True)
    result = []
    for kernel in weights:
        low, high = float(kernel.min()), float(kernel.max())
        scaled = (kernel - low) / max(high - low, 1e-12)
        image = np.rint(255 * scaled).astype(np.uint8).transpose(1, 2, 0)
        result.append(views.rgb(image))
    return result


def draw_kernels(found: Kernels, out: Path, title: str = "") -> None:
    """The kernels as in Figure 3 of the paper (the two towers apart), beside what was measured of them."""
    small = tiles(found)
    scale = max(1, round(24 / small[0].shape[0]))
    big = [tile.repeat(scale, 0).repeat(scale, 1) for tile in small]
    parts = [list(part) for part in np.array_split(np.arange(len(big)), found.towers)]
    columns = 16 if len(big) > 64 or found.towers > 1 else 8
    sheets = [views.mosaic([big[i] for i in part], columns, gap=2) for part in parts]
    rows = sum(sheet.shape[0] for sheet in sheets) / sheets[0].shape[1]
    width = 5.4
    figure, _ = views.panels(1, 1, title, width + 2.6, max(2.4, width * rows + 0.25 * len(sheets)))
    figure.clear()
    if title:
        figure.suptitle(drawable(title, 120), x=0.01, ha="left", size=10, color=INK, weight="bold")
    grid = figure.add_gridspec(len(sheets), 2, width_ratios=(width, 2.6))
    for number, sheet in enumerate(sheets):
        axes = figure.add_subplot(grid[number, 0])
        axes.imshow(sheet, interpolation="nearest")
        axes.set_axis_off()
        if found.towers > 1:
            blind = float(np.array_split(found.color_blind, 2)[number].mean())
            said = f"tower {number + 1}" + (f": {blind:.0%} color-blind" if found.colored else "")
            axes.set_title(said, size=8, color=INK, loc="left", pad=3)
    axes = figure.add_subplot(grid[:, 1])
    if found.colored:
        shades = [PALETTE[0] if blind else PALETTE[1] for blind in found.color_blind]
        axes.scatter(found.half_frequency, found.color, c=shades, s=14, linewidths=0)
    else:
        axes.hist(found.half_frequency, bins=20, color=PALETTE[0])
    axes.set_xlabel("half-energy frequency (cycles/pixel)", size=7.5, color=INK)
    axes.set_ylabel("share of energy in color" if found.colored else "kernels", size=7.5, color=INK)
    axes.tick_params(labelsize=7, colors=FAINT)
    axes.spines[["top", "right"]].set_visible(False)
    told = f"{found.color_blind.mean():.0%} of {len(found.weights)} color-blind, " if found.colored else ""
    told += f"sparsity {found.sparsity:.0%}"
    axes.set_title(told, size=7.5, color=INK)
    views.write(figure, out)


# Maximizing a unit ----------------------------------------------------------------------------------------------------


@own_settings()
def maximize(network: Network, layer: str, unit: int, steps: int = 200, seed: int = 0) -> tuple[Tensor, float]:
    """An input, 1 × C × H × W, that excites a unit, and the activation that it reaches (Erhan et al. 2009).

    The gradient is followed from faint noise with Adam, on a decaying image that is shifted by up to 4 pixels and
    now and then blurred (Yosinski et al. 2015, arXiv 1506.06579). Of a map the unit in the middle counts.
    """
    tap = aliases.resolve(network.layer_names, layer)
    pre = tap if ":" in tap or f"{tap}:pre" not in aliases.names(network.layer_names) else f"{tap}:pre"
    with evaluating(network):
        return _climbed(cut(network, pre)[0], network, layer, unit, steps, seed)


def _climbed(head: nn.Module, network: Network, layer: str, unit: int, steps: int, seed: int) -> tuple[Tensor, float]:
    generator = torch.Generator().manual_seed(seed)
    device = next(network.parameters()).device
    x = (0.1 * torch.randn(1, *network.input, generator=generator)).to(device).requires_grad_()
    with torch.no_grad():
        units = head(x).shape[1]
    if not 0 <= unit < units:
        raise InputError(f"{layer} has units 0 to {units - 1}, not {unit}")
    optimizer = torch.optim.Adam([x], lr=0.05)
    reach = max(1, min(4, min(network.input[1:]) // 16))
    for step in range(steps):
        shift = torch.randint(-reach, reach + 1, (2,), generator=generator).tolist()
        value = _unit(head(x.roll(shift, (2, 3))), unit)
        (gradient,) = torch.autograd.grad(value, x)
        x.grad = -gradient / (gradient.abs().mean() + 1e-12)
        optimizer.step()
        with torch.no_grad():
            x.mul_(0.995)
            if step % 8 == 0 and step < steps - 10:
                x.copy_(nn.functional.avg_pool2d(nn.functional.pad(x, (1, 1, 1, 1), mode="replicate"), 3, 1))
    with torch.no_grad():
        return x.detach(), float(_unit(head(x), unit))


def _unit(values: Tensor, unit: int) -> Tensor:
    if values.ndim == 2:
        return values[0, unit]
    return values[0, unit, values.shape[2] // 2, values.shape[3] // 2]


def as_image(model: Model, x: Tensor) -> np.ndarray:
    """An input as uint8 H×W×3, its contrast spread to what can be shown."""
    values = x[0].float().cpu().numpy()
    deviation = max(float(values.std()), 1e-6)
    image = np.clip(0.5 + values / (6 * deviation), 0, 1)
    if model.preprocessing.colors == "BGR":
        image = image[::-1]
    return views.rgb(np.rint(255 * image).astype(np.uint8).transpose(1, 2, 0))


# The images that excite a unit ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Excited:
    """An image, and where in it a unit's largest activation looks."""

    row: int
    name: str
    value: float
    box: tuple[int, int, int, int]
    """Top, left, bottom, right in pixels of the input: the receptive field, cut off at the border."""


@own_settings()
def top_images(
    model: Model, images: Images, layer: str, units: list[int], count: int = 9,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[dict[int, list[Excited]], list[str]]:  # fmt: skip
    """For each unit the `count` images with its largest activations, and the reasons of images that could not be read.

    Memory stays constant whatever the number of images.
    """
    network = network_of(model)
    wanted = want(model, [layer])
    field = receptive_field(network, wanted.taps[0])
    best: dict[int, list[Excited]] = {unit: [] for unit in units}
    failed: list[str] = []
    for chunk in run(model, images, wanted):
        failed += [reason for _, reason in chunk.failed]
        if layer in chunk.layers:
            values = chunk.layers[layer]
            wrong = next((unit for unit in units if not 0 <= unit < values.shape[1]), None)
            if wrong is not None:
                raise InputError(f"{layer} has units 0 to {values.shape[1] - 1}, not {wrong}")
            flat = values.reshape(*values.shape[:2], -1)
            for unit in units:
                at = flat[:, unit].argmax(1)
                for place, row in enumerate(chunk.good):
                    where = divmod(int(at[place]), values.shape[3]) if values.ndim == 4 else (0, 0)
                    strength = float(flat[place, unit, at[place]])
                    best[unit].append(Excited(row, images.names[row], strength, field(*where)))
                best[unit] = sorted(best[unit], key=lambda each: (-each.value, each.row))[:count]
        if progress:
            progress(chunk.rows.stop, len(images))
    return best, failed


def receptive_field(network: Network, tap: str) -> Callable[[int, int], tuple[int, int, int, int]]:
    """(row, column) of a map → the input pixels (top, left, bottom, right) that it depends on; the whole input for
    layers that see all of it, and for residual networks."""
    height, width = network.input[1:]
    name = tap.partition(":")[0]
    names = list(network.layer_names)
    steps: list[tuple[int, int, tuple[int, int]]] = []
    size = (height, width)
    for each in names[: names.index(name) + 1]:
        part = network.get_submodule(each)
        kernel = getattr(part, "kernel_size", getattr(part, "size", None))
        kernel = kernel[0] if isinstance(kernel, tuple) else kernel
        if each.startswith(("flatten", "fc", "stage", "avgpool")):
            return lambda row, column: (0, 0, height, width)
        if kernel is None or not each.startswith(("conv", "pool", "cnorm", "meanpool")):
            continue
        stride = getattr(part, "stride", 1)
        stride = stride[0] if isinstance(stride, tuple) else stride
        padding = getattr(part, "pad", getattr(part, "padding", 0))
        if each.startswith("cnorm"):
            stride, padding = 1, kernel // 2
        padding = padding[0] if isinstance(padding, tuple) else padding
        before = tuple(pad_amounts(side, kernel, stride, padding) for side in size)
        steps.append((kernel, stride, (before[0][0], before[1][0])))
        size = tuple((side + sum(pads) - kernel) // stride + 1 for side, pads in zip(size, before, strict=True))

    def field(row: int, column: int) -> tuple[int, int, int, int]:
        low, high = [row, column], [row + 1, column + 1]
        for kernel, stride, pads in reversed(steps):
            low = [start * stride - pad for start, pad in zip(low, pads, strict=True)]
            high = [(end - 1) * stride - pad + kernel for end, pad in zip(high, pads, strict=True)]
        return max(0, low[0]), max(0, low[1]), min(height, high[0]), min(width, high[1])

    return field


def draw_top(model: Model, images: Images, found: dict[int, list[Excited]], layer: str, out: Path) -> None:
    """A row for each unit: the images that excite it most, each with its receptive field framed."""
    from matplotlib.patches import Rectangle

    columns = max((len(row) for row in found.values()), default=1)
    figure, axes = views.panels(len(found), columns, f"{model.card.name} · {layer}", 1.15, 1.15)
    how = model.preprocessing
    for number, (unit, row) in enumerate(found.items()):
        for place, each in enumerate(row):
            stored, _ = images.read(each.row, how)
            top, left = ((a - b) // 2 for a, b in zip(stored_size(how.size, how.resize), how.size, strict=True))
            panel = axes[number * columns + place]
            panel.imshow(views.rgb(stored[top : top + how.size[0], left : left + how.size[1]]))
            up, start, down, end = each.box
            panel.add_patch(
                Rectangle((start - 0.5, up - 0.5), end - start, down - up, fill=False, ec="#E69F00", lw=1.2)
            )
            views.label(panel, f"unit {unit}: {each.value:.3g}" if place == 0 else f"{each.value:.3g}")
    views.write(figure, out)


def draw_maximized(images: dict[int, np.ndarray], out: Path, title: str) -> None:
    """The synthesized images, each with its unit's number."""
    columns = min(6, len(images))
    figure, axes = views.panels(-(-len(images) // columns), columns, title, 1.5, 1.5)
    for panel, (unit, image) in zip(axes, images.items(), strict=False):
        panel.imshow(image)
        views.label(panel, f"unit {unit}")
    views.write(figure, out)
