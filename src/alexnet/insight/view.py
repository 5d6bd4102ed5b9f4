"""One image as a network sees it, and sheets of panels to show what became of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from alexnet.data.transforms.augment import Augmenter
from alexnet.inference.images import fitted
from alexnet.inference.model import Model
from alexnet.insight.fonts import drawable as shown
from alexnet.insight.plots import FAINT, INK, save

PANEL = 2.1  # inches
LIMIT = 3_000_000
"""Bytes of a picture that a verb writes: photographs keep their colors."""


@dataclass(frozen=True)
class View:
    """`pixels` uint8 H×W×C is what lies under the network's input `x`, float32 1×C×H×W."""

    pixels: np.ndarray
    x: Tensor


def view(model: Model, image: Path | str | np.ndarray) -> View:
    """The image as the model's preprocessing crops it. InputError where it is none, or cannot be read."""
    how = model.preprocessing
    stored = fitted(image, how)
    top, left = ((have - want) // 2 for have, want in zip(stored.shape[:2], how.size, strict=True))
    device = next(model.module.parameters()).device
    with torch.no_grad():
        x = Augmenter(how).evaluate(torch.from_numpy(stored[None]).to(device))
    return View(stored[top : top + how.size[0], left : left + how.size[1]], x)


def rgb(pixels: np.ndarray) -> np.ndarray:
    return pixels.repeat(3, 2) if pixels.shape[2] == 1 else pixels


def panels(
    rows: int, columns: int, title: str = "", width: float = PANEL, height: float = PANEL
) -> tuple[Figure, list]:
    """A figure of bare panels, row by row."""
    figure = Figure(figsize=(columns * width + 0.1, rows * (height + 0.28) + (0.35 if title else 0.05)))
    figure.set_layout_engine("constrained", h_pad=0.03, w_pad=0.03)
    if title:
        figure.suptitle(shown(title, 120), x=0.01, ha="left", size=10, color=INK, weight="bold")
    axes = figure.subplots(rows, columns, squeeze=False).flatten().tolist()
    for each in axes:
        each.set_axis_off()
    return figure, axes


def label(axes: Axes, text: str, below: str = "") -> None:
    axes.set_title(shown(text, 34), size=8, color=INK, pad=3)
    if below:
        axes.text(0.5, -0.03, shown(below, 44), size=7, color=FAINT, ha="center", va="top", transform=axes.transAxes)


def write(figure: Figure, out: Path | str) -> None:
    save(figure, out, LIMIT)


def mosaic(tiles: Sequence[np.ndarray], columns: int | None = None, gap: int = 1, blank: int = 255) -> np.ndarray:
    """uint8 tiles h×w×3 of one size in a grid."""
    columns = columns or int(np.ceil(np.sqrt(len(tiles))))
    rows = -(-len(tiles) // columns)
    height, width = tiles[0].shape[:2]
    sheet = np.full((rows * (height + gap) + gap, columns * (width + gap) + gap, 3), blank, np.uint8)
    for number, tile in enumerate(tiles):
        top, left = gap + number // columns * (height + gap), gap + number % columns * (width + gap)
        sheet[top : top + height, left : left + width] = tile
    return sheet
