"""`alexnet similar` as a contact sheet: each query, and the images nearest to it, as the network sees them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from alexnet.data.loading.decode import DecodeError, stored_size
from alexnet.inference.images import Images
from alexnet.insight import view as views
from alexnet.insight.fonts import drawable
from alexnet.insight.plots import FAINT, INK
from alexnet.insight.similar import Neighbor
from alexnet.preprocessing import Preprocessing

_SIDE = 1.3  # inches


def seen(images: Images, row: int, how: Preprocessing) -> np.ndarray | None:
    """uint8 H×W×3 as the network's crop shows it; None where it cannot be read."""
    try:
        stored, _ = images.read(row, how)
    except DecodeError:
        return None
    top, left = ((a - b) // 2 for a, b in zip(stored_size(how.size, how.resize), how.size, strict=True))
    return views.rgb(stored[top : top + how.size[0], left : left + how.size[1]])


def draw(
    queries: Images,
    found: Sequence[Sequence[Neighbor]],
    images: Images,
    how: Preprocessing,
    out: Path | str,
    title: str = "",
) -> None:
    """A row for each query; the nearest from left to right with class (else name) and distance."""
    columns = 1 + max(len(each) for each in found)
    width, height = _SIDE * columns + 0.3, (_SIDE + 0.42) * len(found) + 0.35
    figure = Figure(figsize=(width, height))
    figure.text(0.012, 1 - 0.1 / height, drawable(title, 110), va="top", size=9, color=INK, weight="bold")
    place = {name: row for row, name in enumerate(images.names)}
    for number, row in enumerate(found):
        top = 1 - (0.35 + number * (_SIDE + 0.42)) / height
        said = Path(queries.names[number]).name
        _panel(figure, 0.08 / width, top, seen(queries, number, how), said, "query", INK)
        for column, near in enumerate(row, 1):
            left = (0.22 + column * _SIDE) / width
            pixels = seen(images, place[near.name], how) if near.name in place else None
            _panel(figure, left, top, pixels, near.label or Path(near.name).name, f"{near.distance:.3g}", FAINT)
    views.write(figure, out)


def _panel(figure: Figure, left: float, top: float, pixels: np.ndarray | None, name: str, below: str, edge: str):
    width, height = figure.get_size_inches()
    side = _SIDE - 0.08
    axes = figure.add_axes((left, top - side / height, side / width, side / height))
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_color(edge)
    axes.spines[:].set_linewidth(1.6 if below == "query" else 0.4)
    if pixels is None:
        axes.text(0.5, 0.5, "not there", ha="center", va="center", size=7, color=FAINT, transform=axes.transAxes)
    else:
        axes.imshow(pixels, interpolation="nearest" if pixels.shape[0] < 100 else "antialiased")
    axes.text(0.5, -0.03, drawable(name, 20), ha="center", va="top", size=7, color=INK, transform=axes.transAxes)
    axes.text(0.5, -0.14, below, ha="center", va="top", size=6.5, color=FAINT, transform=axes.transAxes)
