import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
from matplotlib import font_manager
from PIL import Image

from alexnet.artifacts.card import Published
from alexnet.insight import plots

RANDOM = np.random.default_rng(0)
STRANGE = ["$x$", r"$\frac", "中文", "a\nb\x00", "", "a_very_long_class_name_that_does_not_fit", "naïve", "☃"]


def epochs(count: int) -> list[dict[str, float]]:
    return [
        {
            "epoch": i + 1,
            "seconds": 2.0 * (i + 1),
            "train_loss": 2 / (i + 1),
            "val_loss": 2.1 / (i + 1),
            "train_accuracy": 1 - 0.9 / (i + 1),
            "val_accuracy": 1 - 0.95 / (i + 1),
        }
        for i in range(count)
    ]


def opened(path: Path) -> Image.Image:
    assert path.stat().st_size <= plots.LIMIT
    return Image.open(path).convert("RGB")


@pytest.mark.parametrize("count", [1, 3, 32, 40])
def test_sample_grid_shows_small_images_without_blur(tmp_path, count):
    checks = np.indices((8, 8)).sum(0) % 2 * 255
    images = np.repeat(checks[None, :, :, None].astype(np.uint8), count, 0)
    plots.sample_grid(images, ["one"] * count, tmp_path / "samples.png")
    image = opened(tmp_path / "samples.png")
    square = np.asarray(image)[26:230, 26:230]
    assert np.isin(square, (0, 255)).mean() > 0.95
    assert image.height > 1000 if count >= 32 else image.height < 400


def test_photographs_of_all_shapes_and_strange_names_stay_small(tmp_path):
    shapes = [
        (227, 227, 3),
        (150, 400, 3),
        (400, 150, 3),
        (1, 300, 1),
        (300, 300, 1),
        (5, 5, 3),
        (64, 64, 3),
        (90, 90, 3),
    ]
    images = [RANDOM.integers(0, 256, shape, dtype=np.uint8) for shape in shapes] * 4
    plots.sample_grid(images, STRANGE * 4, tmp_path / "samples.png")
    assert opened(tmp_path / "samples.png").width > 300


def test_worst_names_truth_and_prediction(tmp_path):
    images = RANDOM.integers(0, 256, (8, 32, 32, 3), dtype=np.uint8)
    plots.worst(images, STRANGE, STRANGE[::-1], [0.9] * 8, tmp_path / "worst.png")
    pixels = np.asarray(opened(tmp_path / "worst.png")).reshape(-1, 3)
    assert (np.abs(pixels.astype(int) - (0xD5, 0x5E, 0x00)).sum(1) < 60).sum() > 50, "predictions stand in vermilion"


def test_worst_without_a_mistake_says_so(tmp_path):
    plots.worst([], [], [], [], tmp_path / "worst.png")
    assert np.asarray(opened(tmp_path / "worst.png")).min() < 128


@pytest.mark.parametrize("count", [1, 2, 60])
def test_curves(tmp_path, count):
    published = [Published(name="loss", value=7.0, unit="loss"), Published(name="test", value=0.26, unit="accuracy")]
    plots.curves(epochs(count), tmp_path / "with.png", published)
    plots.curves(epochs(count), tmp_path / "without.png", published[:1])
    with_it, without = (opened(tmp_path / f"{name}.png") for name in ("with", "without"))
    assert with_it.size == without.size == (2000, 800)
    assert with_it.tobytes() != without.tobytes()


def test_curves_of_a_run_that_diverged(tmp_path):
    lost = dict.fromkeys(("train_loss", "val_loss", "val_accuracy", "train_accuracy"), math.nan)
    plots.curves(
        [{"epoch": 1, **lost}, {"epoch": 2, "val_loss": None, "train_loss": math.inf}], tmp_path / "curves.png"
    )
    assert opened(tmp_path / "curves.png").size == (2000, 800)


def test_curves_side_by_side_by_epoch_and_by_seconds(tmp_path):
    runs = {"alexnet $a$": [epochs(9)], "resnet": [[row | {"seconds": 900.0 * row["epoch"]} for row in epochs(9)]]}
    plots.curves_side_by_side(runs, tmp_path / "epoch.png")
    plots.curves_side_by_side(runs, tmp_path / "seconds.png", x="seconds")
    assert opened(tmp_path / "epoch.png").tobytes() != opened(tmp_path / "seconds.png").tobytes()


def test_several_seeds_are_one_mean_with_a_band(tmp_path):
    rows = epochs(9)
    other = [row | {"val_accuracy": row["val_accuracy"] / 2} for row in rows]
    mean = [row | {"val_accuracy": row["val_accuracy"] * 0.75} for row in rows]
    plots.curves_side_by_side({"two": [rows, [*other, other[-1]]]}, tmp_path / "band.png")
    plots.curves_side_by_side({"two": [mean]}, tmp_path / "line.png")
    band, line = (np.asarray(opened(tmp_path / f"{name}.png").convert("L")).astype(int) for name in ("band", "line"))
    assert (band[:, :900] == line[:, :900]).mean() > 0.99  # the loss is the same in both: no band shows
    assert (band[:, 1000:] < line[:, 1000:]).mean() > 0.01


@pytest.mark.parametrize("k", [2, 10, 45, 100, 1000])
def test_confusion_shows_its_diagonal(tmp_path, k):
    matrix = np.diag(RANDOM.integers(20, 60, k)) + RANDOM.binomial(1, 0.02, (k, k))
    matrix[0] = 0  # a class without an image
    plots.confusion(matrix.astype(np.int64), (STRANGE * k)[:k], tmp_path / "confusion.png")
    dark = np.asarray(opened(tmp_path / "confusion.png")).sum(-1) < 250
    assert 0.002 < dark.mean() < 0.4


def test_a_rare_confusion_among_many_classes_survives_pooling():
    shares = np.ma.array(np.eye(1000))
    shares[17, 801] = 0.5
    pooled = plots._pooled(shares, 4)
    assert pooled.shape == (250, 250)
    assert pooled[4, 200] == 0.5
    assert plots._mistakes(shares, [f"c{i}" for i in range(1000)]) == "Most often mistaken: c17 as c801 50%"


def test_drawing_changes_nothing_global(tmp_path):
    import matplotlib

    before = dict(matplotlib.rcParams)
    plots.curves(epochs(2), tmp_path / "curves.png")
    assert dict(matplotlib.rcParams) == before


def test_a_font_of_one_weight_is_not_warned_of(tmp_path, caplog, monkeypatch):
    """A machine with such a font: matplotlib looks for a bold form of it and finds only the regular one."""
    regular = [each for each in font_manager.fontManager.ttflist if each.name == "DejaVu Sans" and each.weight == 400]
    one = [dataclasses.replace(each, name="One Weight") for each in regular]
    monkeypatch.setattr(font_manager.fontManager, "ttflist", [*font_manager.fontManager.ttflist, *one])
    monkeypatch.setattr(plots, "families", lambda: ["DejaVu Sans", "One Weight"])
    figure = plots.Figure()
    figure.text(0.1, 0.5, "bold", weight=700)
    plots.save(figure, tmp_path / "bold.png")
    assert [record.message for record in caplog.records if "One Weight" in record.message] == []
