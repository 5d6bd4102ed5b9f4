"""The images of a run, as PNG files: samples, curves, the confusion matrix, the worst mistakes.

Drawn on `matplotlib.figure.Figure` without pyplot, so that nothing global changes and any thread may draw. Names come
from folders and files of strangers: they are shortened, and never read as mathematics or left without a glyph.
"""

import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap, PowerNorm
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter
from PIL import Image

from alexnet.artifacts.card import Published
from alexnet.artifacts.rows import score_key
from alexnet.files import write_bytes
from alexnet.inference.metrics import Reliability
from alexnet.insight.fonts import drawable, families, quiet_about_weights, shortened

Images = Sequence[np.ndarray] | np.ndarray
"""uint8 H×W×C each, C 1 or 3: a list of any sizes, or one array N×H×W×C."""

# Okabe and Ito's palette, which color-blind readers tell apart: training, validation, then further runs.
BLUE, VERMILION, *_ = PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
INK, FAINT, BLANK = "#1f2933", "#8a949e", "#eef1f4"
BLUES = LinearSegmentedColormap.from_list(
    "blues", ["#ffffff", "#cfe3f1", "#5fa3d0", "#0072B2", "#06304d"]
).with_extremes(bad=BLANK)
DASHED = (0, (5, 3))  # what was published
LIMIT = 300_000  # bytes of one PNG: a report with five of them stays easy to mail
UNITS = 100  # layout units per inch of a sheet; drawn at twice that for dense screens
CELL, GAP, CAPTION = 104, 12, 15  # of a sheet: an image's side, the space between, a caption line
SHEET = 32  # images on a sheet
NUMBERED, NAMED, DOTS = 20, 100, 250  # classes up to which a matrix has numbers, names, and a dot for each class


def sample_grid(images: Images, labels: Sequence[str], path: Path | str) -> None:
    """The first 32 `images` with the names of their classes, in rows of up to 8."""
    sheet(images, [[(label, INK)] for label in labels], path)


def worst(
    images: Images,
    truths: Sequence[str],
    predictions: Sequence[str],
    probabilities: Sequence[float],
    path: Path | str,
) -> None:
    """Up to 32 mistakes as given, the surest first: each image's true class, and the predicted one's probability."""
    if len(images) == 0:
        figure = Figure(figsize=(6, 1.2))
        figure.text(0.5, 0.5, "No mistakes on these images.", ha="center", va="center", size=12, color=INK)
        return save(figure, path)
    captions = [
        [(truth, INK), (f"{shortened(prediction, 11)} · {probability:.0%}", VERMILION)]
        for truth, prediction, probability in zip(truths, predictions, probabilities, strict=True)
    ]
    sheet(images, captions, path)


def curves(metrics: Sequence[Mapping[str, Any]], path: Path | str, published: Sequence[Published] = ()) -> None:
    """Loss and accuracy (of several labels an image mAP) by epoch, from the lines of metrics.jsonl.

    The accuracy among the figures `published` is a dashed line.
    """
    key = score_key(metrics)
    epochs, best = _column(metrics, "epoch"), _column(metrics, key)
    figure, (loss, accuracy) = _panels("epoch", epochs, _TITLES[key])
    for split, name, color in (("train", "training", BLUE), ("val", "validation", VERMILION)):
        _line(loss, epochs, _column(metrics, f"{split}_loss"), name, color)
        if key == "val_accuracy" or split == "val":  # mAP is not measured in training
            _line(accuracy, epochs, _column(metrics, key.replace("val", split)), name, color)
    if np.isfinite(best).any():
        at = int(np.nanargmax(best))
        accuracy.plot(epochs[at], best[at], "o", color=VERMILION, markeredgecolor="white", label=f"best {best[at]:.2%}")
    if (figure_published := published_accuracy(published)) is not None:
        label = f"published {figure_published:.2%}"
        accuracy.axhline(figure_published, color=INK, linestyle=DASHED, linewidth=1.2, label=label)
    _legend(loss, accuracy)
    save(figure, path)


def published_accuracy(figures: Sequence[Published]) -> float | None:
    """Of a recipe's published figures the first accuracy that is not of training images, as a fraction."""
    accuracies = (f.value for f in figures if f.unit in ("accuracy", "top-1") and "train" not in f.name)
    return next(accuracies, None)


def curves_side_by_side(
    runs: Mapping[str, Sequence[Sequence[Mapping[str, Any]]]],
    path: Path | str,
    x: Literal["epoch", "seconds"] = "epoch",
    published: Mapping[str, float] | None = None,
) -> None:
    """Loss and accuracy of several runs, by epoch or by seconds of training: name → for each seed the lines of
    metrics.jsonl. Of several seeds the mean is drawn, over the epochs that all have, and a band from the lowest to the
    highest.

    Validation is drawn in full, training thin and dotted in the same color, the accuracy `published` for a run dashed.
    """
    ends = np.concatenate([_column(metrics, x) for seeds in runs.values() for metrics in seeds])
    longest = ends.max(initial=0)
    unit, name = (3600, "hours") if longest > 7200 else (60, "minutes") if longest > 300 else (1, "seconds")
    if x == "epoch":
        unit, name = 1, "epoch"
    key = score_key(row for seeds in runs.values() for rows in seeds for row in rows)
    figure, (loss, accuracy) = _panels(name, ends / unit, _TITLES[key])
    for i, (run, seeds) in enumerate(runs.items()):
        at, color = _over_seeds(seeds, x).mean(0) / unit, PALETTE[i % len(PALETTE)]
        for axes, what in ((loss, "val_loss"), (accuracy, key)):
            values = _over_seeds(seeds, what)
            _line(axes, at, values.mean(0), drawable(run, 40), color)
            if len(seeds) > 1:
                axes.fill_between(at, values.min(0), values.max(0), color=color, alpha=0.18, linewidth=0)
            if what != "val_map":
                axes.plot(at, _over_seeds(seeds, what.replace("val", "train")).mean(0), ":", color=color, linewidth=1)
        if published and run in published:
            accuracy.axhline(published[run], color=color, linestyle=DASHED, linewidth=1)
    _legend(loss, accuracy)
    save(figure, path)


def confusion(matrix: np.ndarray, classes: Sequence[str], path: Path | str) -> None:
    """The confusion matrix, int64 k×k with a row per true class, as shares of each row.

    Up to 20 classes have their numbers, up to 100 their names; beyond 250 each dot is the largest of several classes.
    """
    k = len(matrix)
    count = matrix.sum(1, keepdims=True)
    shares = np.ma.masked_where(np.broadcast_to(count == 0, matrix.shape), matrix / np.maximum(count, 1))
    side = 3 + 0.22 * k if k <= NUMBERED else 9.0
    figure = Figure(figsize=(side + 1.4, side), layout="constrained")
    axes = figure.subplots()
    pool = math.ceil(k / DOTS)
    extent = (-0.5, k - 0.5, k - 0.5, -0.5)
    image = axes.imshow(_pooled(shares, pool), cmap=BLUES, norm=PowerNorm(0.6, 0, 1), extent=extent)
    axes.set_xlabel("predicted" if pool == 1 else f"predicted (a dot is the largest of {pool} × {pool} classes)")
    axes.set_ylabel("true")
    axes.tick_params(length=0, colors=INK)
    axes.spines[:].set_visible(False)
    if k <= NAMED:
        size = min(9.0, 0.72 * 72 * side / (k + 2))
        names = [drawable(name, 18) for name in classes]
        upright = max(map(len, names), default=0) * k > 60
        axes.set_xticks(range(k), names, rotation=90 if upright else 0, size=size)
        axes.set_yticks(range(k), names, size=size)
    if k <= NUMBERED:
        for i, j in np.argwhere(matrix > 0):
            color = "white" if shares[i, j] > 0.4 else INK
            axes.text(j, i, f"{matrix[i, j]:,}", ha="center", va="center", size=min(9, 120 / k), color=color)
    else:
        figure.suptitle(_mistakes(shares, classes), x=0.01, ha="left", size=8, color=INK)
    bar = figure.colorbar(image, ax=axes, shrink=0.6, ticks=(0, 0.1, 0.25, 0.5, 1), format=PercentFormatter(1, 0))
    bar.set_label("share of the true class", size=8, color=FAINT)
    bar.outline.set_visible(False)  # pyright: ignore
    bar.ax.tick_params(length=0, labelsize=8, colors=FAINT)
    save(figure, path)


def reliability(found: Reliability, path: Path | str) -> None:
    """Accuracy by confidence, with a bar for each bin; the diagonal is perfect calibration."""
    figure = Figure(figsize=(5.2, 4.6), layout="constrained")
    axes = figure.subplots()
    bins = len(found.count)
    filled = found.count > 0
    middles = (np.arange(bins) + 0.5) / bins
    axes.bar(middles[filled], found.accuracy[filled], 0.92 / bins, color=BLUE, label="accuracy")
    axes.plot([0, 1], [0, 1], color=INK, linestyle=DASHED, linewidth=1.2, label="perfectly calibrated")
    axes.plot(
        found.confidence[filled],
        found.accuracy[filled],
        "o",
        color=VERMILION,
        markersize=4,
        label="mean confidence",
        clip_on=False,
    )
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="confidence", ylabel="accuracy")
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(colors=INK, labelsize=9, color=FAINT)
    axes.legend(frameon=False, fontsize=9, labelcolor=INK)
    save(figure, path)


def _pooled(shares: np.ma.MaskedArray, pool: int) -> np.ma.MaskedArray:
    """The largest share of every pool×pool block, so that a rare confusion among 1,000 classes is not lost."""
    if pool == 1:
        return shares
    k = len(shares)
    padded = np.pad(shares.filled(0), (0, -k % pool))
    return np.ma.array(padded.reshape(len(padded) // pool, pool, -1, pool).max((1, 3)))


def _mistakes(shares: np.ma.MaskedArray, classes: Sequence[str]) -> str:
    """The three most frequent confusions, in words."""
    off = shares.filled(0) * (1 - np.eye(len(shares)))
    pairs = [divmod(int(at), len(shares)) for at in np.argsort(off, axis=None)[::-1][:3]]
    told = [
        f"{drawable(classes[i], 14)} as {drawable(classes[j], 14)} {off[i, j]:.0%}" for i, j in pairs if off[i, j] > 0
    ]
    return "Most often mistaken: " + "  ·  ".join(told) if told else "No mistakes"


def sheet(images: Images, captions: Sequence[Sequence[tuple[str, str]]], path: Path | str) -> None:
    """Images in a grid, below each its lines of (text, color)."""
    images = images[:SHEET]
    columns = min(8, len(images))
    rows = math.ceil(len(images) / columns)
    lines = max((len(caption) for caption in captions), default=0)
    width, height = GAP + columns * (CELL + GAP), GAP + rows * (CELL + GAP + lines * CAPTION)
    figure = Figure(figsize=(width / UNITS, height / UNITS))
    axes = figure.add_axes((0, 0, 1, 1))
    for i, image in enumerate(images):
        left = GAP + i % columns * (CELL + GAP)
        top = GAP + i // columns * (CELL + GAP + lines * CAPTION)
        h, w = np.array(image.shape[:2]) * CELL / max(image.shape[:2])
        x, y = left + (CELL - w) / 2, top + (CELL - h) / 2
        axes.imshow(_fitted(image), extent=(x, x + w, y + h, y), interpolation="nearest")
        for j, (text, color) in enumerate(captions[i]):
            at = (left + CELL / 2, top + CELL + 11 + j * CAPTION)
            axes.text(*at, drawable(text, 17), ha="center", va="center", size=7.5, color=color)
    axes.set_xlim(0, width)
    axes.set_ylim(height, 0)
    axes.set_axis_off()
    save(figure, path)


def _fitted(image: np.ndarray) -> np.ndarray:
    """An image as RGB uint8, made smaller (well filtered) when it has more pixels than its place on a sheet."""
    drawn = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).convert("RGB")
    drawn.thumbnail((2 * CELL, 2 * CELL), Image.Resampling.LANCZOS)
    return np.asarray(drawn)


_TITLES = {"val_accuracy": "Accuracy", "val_map": "mAP"}


def _panels(x: str, at: np.ndarray, score: str = "Accuracy") -> tuple[Figure, tuple[Axes, Axes]]:
    """A figure with an axes for the loss and one for the accuracy, wide enough for the values `at` of x."""
    figure = Figure(figsize=(10, 4), layout="constrained")
    pad = 0.5 if at.max(initial=0) < 2 and x == "epoch" else 0.03 * at.max(initial=1)
    loss, accuracy = figure.subplots(1, 2)
    for axes, title in ((loss, "Loss"), (accuracy, score)):
        axes.set_title(title, size=12, color=INK, loc="left", weight="bold")
        axes.set_xlabel(x, size=9.5, color=INK)
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["left", "bottom"]].set_color(FAINT)
        axes.tick_params(colors=INK, labelsize=9, color=FAINT)
        axes.grid(axis="y", color="#e3e7eb", linewidth=0.8)
        axes.set_axisbelow(True)
        axes.set_xlim((1 if x == "epoch" else 0) - pad, at.max(initial=1) + pad)
        if x == "epoch":
            axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    accuracy.yaxis.set_major_formatter(PercentFormatter(1))
    loss.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    return figure, (loss, accuracy)


def _line(axes: Axes, x: np.ndarray, y: np.ndarray, label: str, color: str) -> None:
    axes.plot(x, y, color=color, linewidth=1.8, label=label, marker="o" if len(x) < 3 else "", markersize=5)


def _legend(*all_axes: Axes) -> None:
    for axes in all_axes:
        if axes.get_legend_handles_labels()[0]:
            axes.legend(frameon=False, fontsize=9, labelcolor=INK)


def _column(metrics: Sequence[Mapping[str, Any]], name: str) -> np.ndarray:
    """One quantity over the epochs, float64; not a number where it is absent."""
    return np.array([math.nan if line.get(name) is None else line[name] for line in metrics], np.float64)


def _over_seeds(seeds: Sequence[Sequence[Mapping[str, Any]]], name: str) -> np.ndarray:
    """float64 [seeds, epochs], over the epochs that all of them have."""
    shortest = min(len(rows) for rows in seeds)
    return np.stack([_column(rows[:shortest], name) for rows in seeds])


def save(figure: Figure, path: Path | str, limit: int = LIMIT) -> None:
    """Writes `figure` as PNG in at most `limit` bytes: with fewer colors, then with fewer pixels when it must be."""
    for text in figure.findobj(lambda artist: hasattr(artist, "set_fontfamily")):
        text.set_fontfamily(families())  # pyright: ignore
    canvas = FigureCanvasAgg(figure)
    content = b""
    for density in (2, 1.5, 1, 0.75):
        figure.set_dpi(UNITS * density)
        with quiet_about_weights():
            canvas.draw()
        drawn = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
        for image in (drawn, drawn.quantize(256)):
            file = io.BytesIO()
            image.save(file, "PNG")
            content = file.getvalue()
            if len(content) <= limit:
                return write_bytes(path, content)
    write_bytes(path, content)
