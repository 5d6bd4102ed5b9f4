"""What is computed once from the training images: mean and standard deviation, mean image, color components."""

from collections.abc import Iterator

import numpy as np

from alexnet.data.dataset import Dataset
from alexnet.data.transforms.color import Spectrum

MOST = 10_000
"""Images, evenly spaced: enough for a mean to three digits; a streamed set need not be decoded whole for it."""
FLOATS = 5_000_000
"""Numbers in memory at a time: 40 MB, where 500 images of 256 pixels would take 800."""


def statistics(dataset: Dataset) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation per channel of (at most MOST) images, on the scale 0 to 1."""
    count, total, squares = 0, np.zeros(dataset.channels), np.zeros(dataset.channels)
    for batch in _batches(dataset):
        pixels = batch.reshape(-1, dataset.channels)
        count += len(pixels)
        total += pixels.sum(0)
        squares += np.square(pixels).sum(0)
    mean = total / count
    std = np.sqrt(np.maximum(squares / count - mean**2, 1e-12))
    return tuple(round(float(m), 6) for m in mean), tuple(max(round(float(s), 6), 1e-3) for s in std)


def spectrum(dataset: Dataset) -> Spectrum:
    """Principal components of the colors of all pixels of (at most MOST) images, on the scale 0 to 1.

    Rounded as a card has them, so that a run uses what its card says; each component's largest entry is positive.
    """
    channels = dataset.channels
    count, total, products = 0, np.zeros(channels), np.zeros((channels, channels))
    for batch in _batches(dataset):
        pixels = batch.reshape(-1, channels)
        count += len(pixels)
        total += pixels.sum(0)
        products += pixels.T @ pixels
    mean = total / count
    values, vectors = np.linalg.eigh(products / count - np.outer(mean, mean))
    rows = [vector * np.sign(vector[np.abs(vector).argmax()]) for vector in vectors.T[::-1]]
    return Spectrum(
        tuple(round(max(float(value), 0.0), 8) for value in values[::-1]),
        tuple(tuple(round(float(entry), 6) for entry in row) for row in rows),
        min(len(dataset), MOST),
    )


def mean_image(dataset: Dataset, size: tuple[int, int]) -> np.ndarray:
    """The mean of (at most MOST) images' centers of `size`, pixel by pixel, float32 h×w×C on the scale 0 to 255."""
    top, left = ((most - side) // 2 for most, side in zip(dataset.size, size, strict=True))
    total = np.zeros((*size, dataset.channels))
    for batch in _batches(dataset):
        total += batch[:, top : top + size[0], left : left + size[1]].sum(0)
    return (total * (255 / min(len(dataset), MOST))).astype(np.float32)


def _batches(dataset: Dataset) -> Iterator[np.ndarray]:
    """float64 n×H×W×C on the scale 0 to 1."""
    chosen = np.linspace(0, len(dataset) - 1, min(len(dataset), MOST)).astype(np.int64)
    part = max(1, FLOATS // (dataset.bytes // len(dataset)))
    for start in range(0, len(chosen), 500):
        batch = dataset.batch(chosen[start : start + 500])
        for first in range(0, len(batch), part):
            yield batch[first : first + part].astype(np.float64) / 255
