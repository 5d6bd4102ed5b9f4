"""Features of some images in memory, for what looks at all of them at once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from alexnet.errors import InputError, counted
from alexnet.inference.data import spread
from alexnet.inference.features import Wanted, run, shapes_of
from alexnet.inference.images import Images
from alexnet.inference.model import Model

MOST = 2**29
"""Numbers that are held at most: 2 GiB."""


@dataclass(frozen=True)
class Collected:
    images: Images
    """Those that could be read."""
    layers: dict[str, np.ndarray]
    """float32 n × width."""
    failed: tuple[str, ...]
    """Why the others could not."""


def collect(
    model: Model,
    images: Images,
    wanted: Wanted,
    most: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Collected:
    """Features of at most `most` of the images, evenly spread over them. InputError when they do not fit into memory,
    or when no image can be read."""
    chosen = images if most is None else images.subset(spread(len(images), most))
    width = sum(int(np.prod(shape)) for shape in shapes_of(model, wanted).values())
    if width * len(chosen) > MOST:
        raise InputError(
            f"{len(chosen):,} images of {width:,} features are more than is held in memory ({MOST // width:,} images); "
            "take fewer (--images), or average over the maps' places (--pool mean)"
        )
    parts: dict[str, list[np.ndarray]] = {layer: [] for layer in wanted.layers}
    good: list[int] = []
    failed: list[str] = []
    for chunk in run(model, chosen, wanted):
        good += chunk.good
        failed += [reason for _, reason in chunk.failed]
        for layer, values in chunk.layers.items():
            parts[layer].append(values.reshape(len(values), -1))
        if progress:
            progress(chunk.rows.stop, len(chosen))
    if not good:
        raise InputError(f"0 of {counted(len(chosen), 'image')} can be read; the first: {failed[0]}" if failed else
                         "there is no image to look at")  # fmt: skip
    layers = {layer: np.concatenate(each) for layer, each in parts.items()}
    return Collected(chosen.subset(good), layers, tuple(failed))


def labeled(images: Images) -> Images:
    """Those whose class is known. InputError when there are fewer than two classes, or several labels an image."""
    kept = images.subset(np.flatnonzero(images.labels >= 0))
    if images.sets:
        raise InputError(
            "these images have several labels each, and a probe reads one class an image, not several labels: give "
            "class folders, or a table with one label column"
        )
    if not len(kept):
        raise InputError("these images come without classes: give a folder with two class folders or more, or a table")
    if len(np.unique(kept.labels)) < 2:
        raise InputError("images of two classes or more are needed: class folders, or a dataset with labels")
    return kept


def classes_in(images: Images, labels: Sequence[int] | np.ndarray) -> list[str]:
    """The names of the classes that occur, in their order."""
    return [images.classes[int(label)] for label in np.unique(labels)]
