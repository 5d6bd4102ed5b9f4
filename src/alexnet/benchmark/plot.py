"""The roofline: FLOP/s by FLOPs per byte, under the ceilings that the machine was measured to have."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from alexnet.benchmark.bench import Bench
from alexnet.insight.plots import FAINT, INK, PALETTE, save


def roofline(measured: Bench, path: Path) -> None:
    """PNG: a line per precision (bandwidth up to the matrix peak) and a mark per measurement, as the title says."""
    figure = Figure(figsize=(9, 5), layout="constrained")
    axes = figure.subplots()
    works = [(row, name, getattr(row, name)) for row in measured.rows for name in ("training", "inference")]
    intensities = [work.cost.flops / work.cost.bytes for _, _, work in works]
    span = np.geomspace(min(intensities) / 3, max(intensities) * 3)
    for precision, peak in measured.peaks.flops.items():
        axes.plot(span, np.minimum(peak, span * measured.peaks.bandwidth) / 1e9, color=INK, linewidth=1.2)
        text = f"{precision} {peak / 1e9:,.0f} "
        axes.text(span[-1], peak / 1e9, text, color=INK, size=9, ha="right", va="bottom")
    names = list(dict.fromkeys(f"{row.name} ({row.batch})" for row in measured.rows))
    seen = set[str]()
    for (row, name, work), intensity in zip(works, intensities, strict=True):
        label = f"{row.name} ({row.batch})"
        color = PALETTE[names.index(label) % len(PALETTE)]
        axes.plot(
            intensity, work.cost.flops / work.seconds / 1e9, "o" if row.precision == "bf16" else "s", color=color,
            markersize=8, markerfacecolor=color if name == "training" else "white",
            linestyle="none", label=None if label in seen else label,
        )  # fmt: skip
        seen.add(label)
    axes.set_xscale("log")
    axes.set_yscale("log")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
        axis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("FLOPs per byte that must move", size=9.5, color=INK)
    axes.set_ylabel("GFLOP/s", size=9.5, color=INK)
    axes.set_title(
        "Measured against the machine: training filled, inference hollow; squares fp32, circles bf16",
        size=11,
        color=INK,
        loc="left",
        weight="bold",
    )
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(color=FAINT, labelcolor=INK, labelsize=9)
    axes.legend(frameon=False, fontsize=9, labelcolor=INK)
    save(figure, path)
