"""What the corruptions are made of: kernels, zoom, motion, fractals. Images here are float32 n × H × W × C in 0–1.

Every image has its own random generator, so that what happens to it does not depend on the images beside it.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from scipy import ndimage
from torch.nn import functional

Randoms = Sequence[Any]
"""One `numpy.random.Generator` for each image."""


def gaussian(images: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian blur with replicated borders, cut at 4 σ (as scikit-image's `gaussian`)."""
    return ndimage.gaussian_filter(images, (0, sigma, sigma, 0), mode="nearest", truncate=4.0)


def disk(radius: float, blur: float) -> np.ndarray:
    """A disk of sum 1 whose border is softened by a Gaussian of 3 or 5 taps: the kernel of a lens out of focus."""
    reach = 8 if radius <= 8 else math.ceil(radius)
    taps = 3 if radius <= 8 else 5
    at = np.arange(-reach, reach + 1)
    kernel = (at[:, None] ** 2 + at[None] ** 2 <= radius**2).astype(np.float32)
    weights = np.exp(-((np.arange(taps) - taps // 2) ** 2) / (2 * blur**2))
    weights = (weights / weights.sum()).astype(np.float32)
    kernel /= kernel.sum()
    for axis in (0, 1):
        kernel = ndimage.correlate1d(kernel, weights, axis, mode="mirror")
    return kernel


def filtered(images: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Correlation of every channel with a kernel, with borders mirrored about the edge pixels."""
    n, height, width, channels = images.shape
    reach = len(kernel) // 2
    padded = np.pad(images, ((0, 0), (reach, reach), (reach, reach), (0, 0)), mode="reflect")
    planes = torch.from_numpy(np.ascontiguousarray(padded.transpose(0, 3, 1, 2))).flatten(0, 1)[:, None]
    found = functional.conv2d(planes, torch.from_numpy(np.ascontiguousarray(kernel))[None, None])
    return found.view(n, channels, height, width).permute(0, 2, 3, 1).numpy()


def zoomed(images: np.ndarray, factor: float) -> np.ndarray:
    """The middle of each image enlarged bilinearly (corners on corners), cut to the size it had from the top left."""
    sides = images.shape[1:3]
    inner = [math.ceil(side / factor) for side in sides]
    top, left = ((side - own) // 2 for side, own in zip(sides, inner, strict=True))
    cut = images[:, top : top + inner[0], left : left + inner[1]]
    size = [round(own * factor) for own in inner]
    planes = torch.from_numpy(np.ascontiguousarray(cut.transpose(0, 3, 1, 2)))
    large = functional.interpolate(planes, size, mode="bilinear", align_corners=True)
    return large.permute(0, 2, 3, 1).numpy()[:, : sides[0], : sides[1]]


def moved(images: np.ndarray, radius: int, sigma: float, angles: Sequence[float]) -> np.ndarray:
    """Motion blur of each image along its angle (degrees): half a Gaussian of 2 · radius + 1 steps, one pixel each."""
    width = 2 * radius + 1
    kernel = np.exp(-(np.arange(width) ** 2) / (2 * sigma**2))
    kernel = (kernel / kernel.sum()).astype(np.float32)
    height, length = images.shape[1:3]
    found = np.zeros_like(images)
    padded = np.pad(images, ((0, 0), (width, width), (width, width), (0, 0)), mode="edge")
    for i, angle in enumerate(angles):
        sine, cosine = np.sin(np.deg2rad(angle)), np.cos(np.deg2rad(angle))
        for step in range(width):
            dy, dx = math.ceil(step * sine - 0.5), math.ceil(step * cosine - 0.5)
            if abs(dy) >= height or abs(dx) >= length:
                break  # the motion leaves the image
            there = padded[i, width + dy : width + dy + height, width + dx : width + dx + length]
            found[i] += kernel[step] * there
    return found


def shuffled(images: np.ndarray, reach: int, rounds: int, randoms: Randoms) -> np.ndarray:
    """Glass: each pixel, from the last to the first, becomes one at most `reach` away; all images at once.

    The published code means to swap the two, but NumPy's views make it a copy; so does this.
    """
    n, height, width, _ = images.shape
    rows, columns = range(height - reach, reach, -1), range(width - reach, reach, -1)
    shape = (rounds, len(rows), len(columns), 2)
    offsets = np.stack([random.integers(-reach, reach, size=shape) for random in randoms])
    found, each = images.copy(), np.arange(n)
    for time in range(rounds):
        for i, row in enumerate(rows):
            for j, column in enumerate(columns):
                dx, dy = offsets[:, time, i, j].T
                found[:, row, column] = found[each, row + dy, column + dx]
    return found


def plasma(side: int, decay: float, randoms: Randoms) -> np.ndarray:
    """Diamond-square fractals, float n × side × side in 0–1; `side` is a power of two and wraps around."""
    found = np.zeros((len(randoms), side, side))
    step, wobble = side, 100.0

    def around(total: np.ndarray) -> np.ndarray:
        noise = np.stack([random.uniform(-wobble, wobble, total.shape[1:]) for random in randoms])
        return total / 4 + wobble * noise

    while step >= 2:
        half = step // 2
        corners = found[:, ::step, ::step]
        total = corners + np.roll(corners, -1, 1)
        found[:, half::step, half::step] = around(total + np.roll(total, -1, 2))
        middles, corners = found[:, half::step, half::step], found[:, ::step, ::step]
        found[:, ::step, half::step] = around(middles + np.roll(middles, 1, 1) + corners + np.roll(corners, -1, 2))
        found[:, half::step, ::step] = around(middles + np.roll(middles, 1, 2) + corners + np.roll(corners, -1, 1))
        step, wobble = half, wobble / decay
    found -= found.min((1, 2), keepdims=True)
    return found / found.max((1, 2), keepdims=True)


def bent(images: np.ndarray, alpha: float, sigma: float, delta: float, randoms: Randoms) -> np.ndarray:
    """An affine map that moves three points by at most `delta`, then a smooth random shift of `alpha` and `sigma`."""
    found = np.empty_like(images)
    sides = np.array(images.shape[1:3])
    middle, reach = (sides // 2).astype(np.float32), float(min(sides) // 3)
    points = np.array([middle + reach, [middle[0] + reach, middle[1] - reach], middle - reach], np.float32)
    grid = np.stack(np.meshgrid(*map(np.arange, sides), indexing="ij")).astype(np.float32)
    for i, random in enumerate(randoms):
        to = points + random.uniform(-delta, delta, size=points.shape).astype(np.float32)
        shift = [
            ndimage.gaussian_filter(random.uniform(-1, 1, size=tuple(sides)), sigma, mode="reflect", truncate=3) * alpha
            for _ in range(2)
        ]  # of x, then of y
        back = np.linalg.solve(np.c_[to, np.ones(3)], points)  # points are (x, y)
        at = grid[1][..., None] * back[0] + grid[0][..., None] * back[1] + back[2]
        for channel in range(images.shape[3]):
            plane = ndimage.map_coordinates(images[i, ..., channel], [at[..., 1], at[..., 0]], order=1, mode="mirror")
            where = [grid[0] + shift[1], grid[1] + shift[0]]
            found[i, ..., channel] = ndimage.map_coordinates(plane, where, order=1, mode="reflect")
    return found


def luminance(images: np.ndarray) -> np.ndarray:
    """n × H × W × 1."""
    if images.shape[3] == 1:
        return images
    return (images @ np.array([0.299, 0.587, 0.114], np.float32))[..., None]
