"""`alexnet what-if` as one picture: what the network takes the image for, what it answers, how far each layer moves."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from alexnet.inference.model import Model
from alexnet.insight import view as views
from alexnet.insight.fonts import drawable
from alexnet.insight.plots import BLUE, FAINT, INK, PALETTE
from alexnet.insight.what_if import Outcome, WhatIf

COLUMN = 2.3  # inches
_MARKS = ("o", "s", "^", "D", "v", "P", "X", "<")


def taken_for(model: Model, outcome: Outcome) -> np.ndarray:
    """uint8 H×W×3: the image for which the unchanged preprocessing gives the input that the network got."""
    how, x = model.preprocessing, outcome.input[0].float().cpu().numpy().transpose(1, 2, 0)
    mean = np.array(how.mean, np.float32)
    if how.mean_image is not None:
        pixels, (height, width) = how.mean_image.pixels, how.size
        top, left = (pixels.shape[0] - height) // 2, (pixels.shape[1] - width) // 2
        mean = pixels[top : top + height, left : left + width]
    pixels = np.rint((x * np.array(how.std, np.float32) + mean) / how.scale).clip(0, 255).astype(np.uint8)
    return views.rgb(pixels[:, :, ::-1] if how.colors == "BGR" else pixels)


def draw(model: Model, found: WhatIf, out: Path | str, title: str = "") -> None:
    """A column for the network as it is and for each change: the image as the network takes it, and its answer; below,
    the cosine of each layer's features with the unchanged ones."""
    columns = [found.before, *found.after]
    figure = Figure(figsize=(max(5.2, COLUMN * len(columns)), 6.4))
    figure.set_layout_engine("constrained", h_pad=0.06, w_pad=0.06)
    if title:
        figure.suptitle(drawable(title, 120), x=0.01, ha="left", size=10, color=INK, weight="bold")
    grid = figure.add_gridspec(3, len(columns), height_ratios=(2.1, 1.4, 2.3))
    for place, each in enumerate(columns):
        axes = figure.add_subplot(grid[0, place])
        axes.imshow(taken_for(model, each), interpolation="nearest")
        axes.set_axis_off()
        color = PALETTE[place % len(PALETTE)] if place else INK
        axes.set_title(drawable(each.change or "as it is", 26), size=9, color=color, weight="bold", pad=4)
        _answers(figure.add_subplot(grid[1, place]), each, found.label)
    _layers(figure.add_subplot(grid[2, :]), found)
    views.write(figure, out)


def _answers(axes, outcome: Outcome, label: str) -> None:
    """The likeliest classes as bars with their names inside the panel."""
    rows = outcome.predictions
    for place, each in enumerate(rows):
        right = each.label == label
        axes.barh(place, each.score, height=0.86, color=BLUE if right else "#b8c4ce", alpha=0.55 if right else 0.7)
        axes.text(0.02, place, drawable(each.label, 22), va="center", size=7.5, color=INK)
        axes.text(0.99, place, f"{each.score:.1%}", va="center", ha="right", size=7.5, color=INK)
    axes.set_xlim(0, 1)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    axes.set_facecolor("#f4f6f8")


def _layers(axes, found: WhatIf) -> None:
    layers = list(found.before.cosines)
    for place, each in enumerate(found.after):
        values = [np.nan if each.cosines[layer] is None else each.cosines[layer] for layer in layers]
        color, mark = PALETTE[(place + 1) % len(PALETTE)], _MARKS[place % len(_MARKS)]
        axes.plot(layers, values, color=color, marker=mark, markersize=5, lw=1.6, label=drawable(each.change, 26))
    values = [v for each in found.after for v in each.cosines.values() if v is not None]
    axes.set_ylim(min(0, *values, 0) - 0.04, 1.04)
    axes.axhline(1, color=FAINT, lw=0.8, ls=(0, (5, 3)))
    axes.set_ylabel("cosine with the features as they are", size=8, color=INK)
    axes.tick_params(labelsize=8, colors=INK, length=0)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#eef1f4")
    axes.legend(frameon=False, fontsize=8, labelcolor=INK, ncols=min(4, len(found.after)), loc="lower left")
