"""Images made up from a seed: for benchmarks and tests, of any size, and just learnable."""

import numpy as np

from alexnet.data.dataset import ArrayDataset, Dataset
from alexnet.data.readers.source import Opened, Request, Source
from alexnet.errors import InputError

MOST, MOST_BYTES = 5_000_000, 2**33
NOISE = 60
"""Standard deviation of the noise on each pixel, of 0–255."""


class Synthetic(Source):
    name = "synthetic"
    any_size = True

    def open(self, request: Request) -> Opened:
        size, channels = request.size or (32, 32), request.channels or 3
        return Opened(make_synthetic(size, channels, request.classes, request.count, request.seed))


def make_synthetic(size: tuple[int, int], channels: int, classes: int, count: int, seed: int = 0) -> dict[str, Dataset]:
    """`count` images for training and a fifth as many for testing: each class is a coarse pattern under noise."""
    if count > MOST or count * size[0] * size[1] * channels > MOST_BYTES:
        raise InputError(f"{count:,} synthetic images of {size[0]}×{size[1]} are more than are made here")
    random = np.random.default_rng(seed)
    patterns = random.integers(0, 256, (classes, 4, 4, channels), np.uint8)
    rows, columns = (np.arange(side) * 4 // side for side in size)
    names = tuple(f"class{label}" for label in range(classes))
    splits: dict[str, Dataset] = {}
    for split, number in (("train", count), ("test", max(classes, count // 5))):
        labels = np.arange(number) % classes
        images = np.empty((number, *size, channels), np.uint8)
        for image, label in zip(images, labels, strict=True):  # one at a time: noise for all takes too much memory
            noise = NOISE * random.standard_normal(image.shape, np.float32)
            image[:] = np.clip(patterns[label][rows][:, columns] + noise, 0, 255)
        splits[split] = ArrayDataset(images, labels, names, [f"{split}#{index}" for index in range(number)])
    return splits
