"""The corruptions against `imagecorruptions` (its fork for today's NumPy), with the same random numbers."""

import sys
import types
from typing import Any

import cv2
import numpy as np
import pytest
from scipy import ndimage
from skimage import filters

from alexnet.data.transforms import corruptions

# It asks numba for speed only; without a compiler, its functions run as Python.
sys.modules.setdefault("numba", types.SimpleNamespace(njit=lambda: lambda function: function))  # pyright: ignore
imagecorruptions = pytest.importorskip("imagecorruptions")


class Legacy(np.random.RandomState):
    """The random numbers that the other package draws, under the names of `numpy.random.Generator`."""

    def integers(self, low: int, high: int, size: Any) -> np.ndarray:
        return self.randint(low, high, size=size)


def picture(size: tuple[int, int] = (64, 96)) -> np.ndarray:
    rows, columns = np.meshgrid(*map(np.arange, size), indexing="ij")
    waves = [np.sin(rows / 7 + columns / (3 + i)) * np.cos(columns / (9 - 2 * i)) for i in range(3)]
    return ((np.stack(waves, -1) + 1) * 120 + 8).astype(np.uint8)


BOUND = 0.1
"""Of the mean difference in levels of 255: both cut to whole levels, which float32 moves by one here and there (in
snow, over the threshold of a flake)."""
OTHERWISE = {"frost", "elastic_transform"}
"""Frost is of photographs there and a drawn texture here; their elastic_transform is not the published one."""


@pytest.mark.parametrize("name", [name for name in corruptions.CORRUPTIONS if name not in OTHERWISE])
@pytest.mark.parametrize("strength", corruptions.STRENGTHS)
def test_every_corruption_is_that_of_imagecorruptions(name: str, strength: int) -> None:
    image, options = picture(), {}
    np.random.seed(5)
    ours_by: Any = Legacy(5)
    if name == "impulse_noise":  # scikit-image draws with a generator of its own
        options, ours_by = {"seed": 5}, np.random.default_rng(5)
    if name == "glass_blur":
        options = {"seed": 5}
    theirs = imagecorruptions.corrupt(image, strength, name, **options)
    values = corruptions.constants(name, strength, (224, 224))
    ours = corruptions.apply(name, image[None], values, [ours_by])[0]
    off = np.abs(ours.astype(int) - theirs)
    assert off.mean() < BOUND, (off.mean(), off.max())
    assert np.abs(theirs.astype(int) - image).mean() > 0.3  # it does something


@pytest.mark.parametrize("size", [224, 32])
@pytest.mark.parametrize("strength", corruptions.STRENGTHS)
def test_elastic_transform_is_the_published_affine_map_and_shift(strength: int, size: int) -> None:
    """As make_imagenet_c.py and make_cifar_c.py build it of OpenCV, scikit-image and SciPy."""
    image = picture((size, size))
    values = corruptions.constants("elastic_transform", strength, (size, size))
    alpha, sigma, delta = (value * size for value in values)
    random = np.random.RandomState(7)
    middle, reach = size // 2, size // 3
    low, high = middle - reach, middle + reach
    corners = np.array([[high, high], [high, low], [low, low]], np.float32)
    moved = corners + random.uniform(-delta, delta, size=(3, 2)).astype(np.float32)
    matrix = cv2.getAffineTransform(corners, moved)
    warped = cv2.warpAffine((image / 255).astype(np.float32), matrix, (size, size), borderMode=cv2.BORDER_REFLECT_101)
    shift = [
        filters.gaussian(random.uniform(-1, 1, size=(size, size)), sigma, mode="reflect", truncate=3) * alpha
        for _ in range(2)
    ]
    rows, columns = np.meshgrid(np.arange(size), np.arange(size), indexing="ij")
    where = [rows + shift[1], columns + shift[0]]
    theirs = np.stack([ndimage.map_coordinates(warped[..., c], where, order=1, mode="reflect") for c in range(3)], -1)
    ours = corruptions.apply("elastic_transform", image[None], values, [Legacy(7)])[0]
    off = np.abs(ours.astype(int) - np.uint8(np.clip(theirs, 0, 1) * 255))
    assert off.mean() < 1, (off.mean(), off.max())  # OpenCV has 5 bits for a fraction of a pixel
