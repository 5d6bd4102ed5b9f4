"""Images made up from a seed: for benchmarks and tests, of any size, and just learnable."""

import numpy as np

from alexnet.data.dataset import ArrayDataset, Dataset

NOISE = 60
"""Standard deviation of the noise on each pixel, of 0–255."""


def make_synthetic(size: tuple[int, int], channels: int, classes: int, count: int, seed: int = 0) -> dict[str, Dataset]:
    """`count` images for training and a fifth as many for testing: each class is a coarse pattern under noise."""
    random = np.random.default_rng(seed)
    patterns = random.integers(0, 256, (classes, 4, 4, channels), np.uint8)
    rows, columns = (np.arange(side) * 4 // side for side in size)
    names = tuple(f"class{label}" for label in range(classes))
    splits: dict[str, Dataset] = {}
    for split, dataset in (("train", count), ("test", max(classes, count // 5))):
        labels = np.arange(dataset) % classes
        images = np.empty((dataset, *size, channels), np.uint8)
        for image, label in zip(
            images, labels, strict=True
        ):  # one at a time: float noise for all takes too much memory
            noise = NOISE * random.standard_normal(image.shape, np.float32)
            image[:] = np.clip(patterns[label][rows][:, columns] + noise, 0, 255)
        splits[split] = ArrayDataset(images, labels, names, [f"{split}#{index}" for index in range(dataset)])
    return splits
