"""What is computed once from the training pictures: mean and standard deviation, mean picture, colour components."""

from collections.abc import Iterator

import numpy as np

from alexnet.data.colour import Spectrum
from alexnet.data.pictures import PictureSet

MOST = 10_000
"""Pictures, evenly spaced: enough for a mean to three digits; a streamed set need not be decoded whole for it."""
FLOATS = 5_000_000
"""Numbers in memory at a time: 40 MB, where 500 pictures of 256 pixels would take 800."""


def statistics(pictures: PictureSet) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation per channel of (at most MOST) pictures, on the scale 0 to 1."""
    count, total, squares = 0, np.zeros(pictures.channels), np.zeros(pictures.channels)
    for batch in _batches(pictures):
        pixels = batch.reshape(-1, pictures.channels)
        count += len(pixels)
        total += pixels.sum(0)
        squares += np.square(pixels).sum(0)
    mean = total / count
    std = np.sqrt(np.maximum(squares / count - mean**2, 1e-12))
    return tuple(round(float(m), 6) for m in mean), tuple(max(round(float(s), 6), 1e-3) for s in std)


def spectrum(pictures: PictureSet) -> Spectrum:
    """Principal components of the colours of all pixels of (at most MOST) pictures, on the scale 0 to 1.

    Rounded as a card has them, so that a run uses what its card says; each component's largest entry is positive.
    """
    channels = pictures.channels
    count, total, products = 0, np.zeros(channels), np.zeros((channels, channels))
    for batch in _batches(pictures):
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
        min(len(pictures), MOST),
    )


def mean_picture(pictures: PictureSet, size: tuple[int, int]) -> np.ndarray:
    """The mean of (at most MOST) pictures' centres of `size`, pixel by pixel, float32 h×w×C on the scale 0 to 255."""
    top, left = ((most - side) // 2 for most, side in zip(pictures.size, size, strict=True))
    total = np.zeros((*size, pictures.channels))
    for batch in _batches(pictures):
        total += batch[:, top : top + size[0], left : left + size[1]].sum(0)
    return (total * (255 / min(len(pictures), MOST))).astype(np.float32)


def _batches(pictures: PictureSet) -> Iterator[np.ndarray]:
    """float64 n×H×W×C on the scale 0 to 1."""
    chosen = np.linspace(0, len(pictures) - 1, min(len(pictures), MOST)).astype(np.int64)
    part = max(1, FLOATS // (pictures.bytes // len(pictures)))
    for start in range(0, len(chosen), 500):
        batch = pictures.batch(chosen[start : start + 500])
        for first in range(0, len(batch), part):
            yield batch[first : first + part].astype(np.float64) / 255
