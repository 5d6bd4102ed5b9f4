"""A dataset laid out in a plane: images whose features are alike lie side by side (t-SNE, UMAP)."""

import importlib
import io
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.offsetbox import AnnotationBbox, OffsetImage
from PIL import Image

from alexnet.device import own_settings
from alexnet.errors import InputError, counted, unknown
from alexnet.inference.features import want
from alexnet.inference.images import Images
from alexnet.inference.model import Model
from alexnet.insight import view as views
from alexnet.insight.collect import collect
from alexnet.insight.fonts import drawable
from alexnet.insight.plots import FAINT, INK, PALETTE
from alexnet.insight.similar_picture import seen
from alexnet.pages.map import Point, Sheet

METHODS = ("tsne", "umap")
COLORS = (*PALETTE, "#F0E442", "#7A5195", "#8C564B", "#5B6C7D")
"""Of the ten most frequent classes; the others are gray."""
THUMBNAIL = 64
"""Pixels of an image on the page."""
_COMPONENTS = 50


@dataclass(frozen=True)
class Layout:
    images: Images
    """Those that could be read."""
    points: np.ndarray
    """float64 n × 2, in 0 to 1, right and up."""
    method: str
    layer: str
    parameter: int
    """t-SNE's perplexity, UMAP's number of neighbors."""
    failed: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        labels, classes = self.images.labels, self.images.classes
        return {
            "method": self.method,
            "layer": self.layer,
            "parameter": self.parameter,
            "images": [
                {"path": name, "label": classes[label] if label >= 0 else None, "x": float(x), "y": float(y)}
                for name, label, (x, y) in zip(self.images.names, labels, self.points, strict=True)
            ],
        }


@own_settings()
def lay_out(
    model: Model,
    images: Images,
    layer: str = "fc7",
    method: str = "tsne",
    *,
    pool: str = "mean",
    most: int = 1000,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Layout:
    """At most `most` images, evenly spread, by the first 50 principal components of their features.

    tsne: scikit-learn's, started from the principal components, perplexity 30 (a third of the images if they are
    fewer); umap: umap-learn's with 15 neighbors. One seed gives one layout on one machine. InputError for another
    method, for fewer than 4 images, and where umap-learn is missing.
    """
    if method not in METHODS:
        raise unknown("method", method, METHODS)
    umap = _umap() if method == "umap" else None
    found = collect(model, images, want(model, [layer], pool=pool), most, progress)
    count = len(found.images)
    if count < 4:
        raise InputError(f"a map needs 4 images or more, not {count}")
    rows = _reduced(found.layers[layer], seed)
    if umap:
        parameter = min(15, count - 1)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # umap's own about its threads
            points = umap.UMAP(n_neighbors=parameter, random_state=seed, n_jobs=1).fit_transform(rows)
    else:
        from sklearn.manifold import TSNE

        parameter = max(1, min(30, (count - 1) // 3))
        points = TSNE(perplexity=parameter, init="pca", random_state=seed).fit_transform(rows)
    points = np.asarray(points, np.float64)
    low, high = points.min(0), points.max(0)
    return Layout(found.images, (points - low) / np.maximum(high - low, 1e-12), method, layer, parameter, found.failed)


def _umap() -> Any:
    try:
        return importlib.import_module("umap")
    except ImportError:
        raise InputError("--method umap needs umap-learn: pip install 'alexnet[maps]'") from None


def _reduced(values: np.ndarray, seed: int) -> np.ndarray:
    from sklearn.decomposition import PCA

    most = min(_COMPONENTS, len(values) - 1, values.shape[1])
    return PCA(most, random_state=seed).fit_transform(values)


def colors_of(images: Images) -> tuple[list[str], list[tuple[str, str]]]:
    """A color for each image, and the legend: (class, color), the most frequent first, 'others' last."""
    numbers, counts = np.unique(images.labels, return_counts=True)
    order = [int(numbers[at]) for at in np.argsort(-counts, kind="stable") if numbers[at] >= 0]
    shade = dict(zip(order, COLORS, strict=False))
    legend = [(images.classes[label], color) for label, color in shade.items()]
    if len(order) > len(COLORS):
        legend.append((counted(len(order) - len(COLORS), "other"), FAINT))
    return [shade.get(int(label), FAINT) for label in images.labels], legend


def draw(model: Model, found: Layout, out: Path | str, title: str = "") -> None:
    """Thumbnails where they do not cover each other, framed in the color of their class; the others as dots."""
    colors, legend = colors_of(found.images)
    figure = Figure(figsize=(8.4, 7.4))
    axes = figure.add_axes((0.01, 0.01, 0.98, 0.9))
    axes.set_xlim(-0.04, 1.04)
    axes.set_ylim(-0.04, 1.04)
    axes.set_axis_off()
    axes.scatter(*found.points.T, c=colors, s=9, linewidths=0, alpha=0.8)
    reach = np.array([0.042, 0.052])
    for row in _apart(found.points, reach):
        pixels = seen(found.images, row, model.preprocessing)
        if pixels is None:
            continue
        small = Image.fromarray(pixels).resize((56, 56), Image.Resampling.LANCZOS)
        box = OffsetImage(np.asarray(small), zoom=0.4)
        frame = {"edgecolor": colors[row], "lw": 1.3, "boxstyle": "square,pad=0"}
        axes.add_artist(AnnotationBbox(box, tuple(found.points[row]), pad=0, bboxprops=frame))
    for name, color in legend:
        axes.scatter([], [], c=color, s=36, label=drawable(name, 18))
    if legend:
        figure.legend(
            *axes.get_legend_handles_labels(), loc="upper right", bbox_to_anchor=(0.99, 0.965),
            ncols=min(6, len(legend)), frameon=False, fontsize=8, labelcolor=INK, handletextpad=0.1, columnspacing=1,
        )  # fmt: skip
    figure.text(0.015, 0.985, drawable(title, 90), va="top", size=10, color=INK, weight="bold")
    views.write(figure, out)


def _apart(points: np.ndarray, reach: np.ndarray) -> list[int]:
    """Rows, in order, that are not within `reach` (a rectangle) of one that was taken before."""
    taken: list[int] = []
    for row, point in enumerate(points):
        if not taken or (np.abs(points[taken] - point) >= reach).any(1).all():
            taken.append(row)
    return taken


def page(model: Model, found: Layout, title: str) -> Sheet:
    """What the interactive page shows, with all thumbnails in one JPEG."""
    colors, legend = colors_of(found.images)
    columns = int(np.ceil(np.sqrt(len(colors))))
    sprite = Image.new("RGB", (columns * THUMBNAIL, -(-len(colors) // columns) * THUMBNAIL))
    for row in range(len(colors)):
        pixels = seen(found.images, row, model.preprocessing)
        if pixels is not None:
            small = Image.fromarray(pixels).resize((THUMBNAIL, THUMBNAIL), Image.Resampling.LANCZOS)
            sprite.paste(small, (row % columns * THUMBNAIL, row // columns * THUMBNAIL))
    file = io.BytesIO()
    sprite.save(file, "JPEG", quality=80)
    names, labels, classes = found.images.names, found.images.labels, found.images.classes
    points = [
        Point(round(float(x), 4), round(float(1 - y), 4), names[row], classes[labels[row]] if labels[row] >= 0 else "",
              colors[row]) for row, (x, y) in enumerate(found.points)
    ]  # fmt: skip
    method = {"tsne": "t-SNE, perplexity", "umap": "UMAP, neighbors"}[found.method]
    about = f"{len(points):,} images by {found.layer}: {method} {found.parameter}"
    return Sheet(title, about, points, legend, file.getvalue(), THUMBNAIL, columns)
