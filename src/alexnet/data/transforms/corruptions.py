"""The 15 corruptions in 5 strengths of Hendrycks and Dietterich 2019, 'Benchmarking neural network robustness to
common corruptions and perturbations' (arXiv:1903.12261), for batches of images of any size.

Constants: github.com/hendrycks/robustness, `make_imagenet_c.py` (224 pixels) and `make_cifar_c.py` (32 pixels).
Motion blur, in motion_blur and snow, is that of bethgelab's `imagecorruptions`, which needs no ImageMagick.
Differs from both: frost overlays photographs that are not ours to give; here it is a drawn texture.
"""

import io
import zlib
from collections.abc import Callable, Sequence
from typing import Any, Self

import numpy as np
from PIL import Image

from alexnet.data.dataset import Dataset
from alexnet.data.transforms import corruption_parts as parts
from alexnet.data.transforms.corruption_parts import Randoms
from alexnet.errors import InputError

SMALL = 64
"""Pixels of the shorter side up to which images get the strengths of CIFAR-10-C, above it those of ImageNet-C."""
STRENGTHS = (1, 2, 3, 4, 5)

Constants = tuple[Any, ...]


def _gaussian_noise(x: np.ndarray, randoms: Randoms, scale: float) -> np.ndarray:
    return x + np.stack([random.normal(size=x.shape[1:], scale=scale) for random in randoms])


def _shot_noise(x: np.ndarray, randoms: Randoms, photons: float) -> np.ndarray:
    return np.stack([random.poisson(own * photons) / photons for random, own in zip(randoms, x, strict=True)])


def _impulse_noise(x: np.ndarray, randoms: Randoms, amount: float) -> np.ndarray:
    found = x.copy()
    for own, random in zip(found, randoms, strict=True):
        flipped, salt = random.random(own.shape) <= amount, random.random(own.shape) <= 0.5
        own[flipped] = salt[flipped]
    return found


def _defocus_blur(x: np.ndarray, _: Randoms, radius: float, blur: float) -> np.ndarray:
    return parts.filtered(x, parts.disk(radius, blur))


def _glass_blur(x: np.ndarray, randoms: Randoms, sigma: float, reach: int, rounds: int) -> np.ndarray:
    blurred = (parts.gaussian(x, sigma) * 255).astype(np.uint8)
    return parts.gaussian(parts.shuffled(blurred, reach, rounds, randoms) / np.float32(255), sigma)


def _motion_blur(x: np.ndarray, randoms: Randoms, radius: int, sigma: float) -> np.ndarray:
    return parts.moved(x, radius, sigma, [random.uniform(-45, 45) for random in randoms])


def _zoom_blur(x: np.ndarray, _: Randoms, last: float, step: float) -> np.ndarray:
    factors = np.arange(1, last, step)
    return (x + sum(parts.zoomed(x, float(factor)) for factor in factors)) / (len(factors) + 1)


def _snow(x: np.ndarray, randoms: Randoms, mean: float, std: float, zoom: float, threshold: float, radius: int,
          sigma: float, keep: float) -> np.ndarray:  # fmt: skip
    layer = np.stack([random.normal(size=x.shape[1:3], loc=mean, scale=std) for random in randoms])
    layer = parts.zoomed(layer[..., None].astype(np.float32), zoom)
    layer = np.clip(np.where(layer < threshold, 0, layer), 0, 1)
    layer = parts.moved(layer, radius, sigma, [random.uniform(-135, -45) for random in randoms])
    layer = np.round(layer * 255) / np.float32(255)
    pale = keep * x + (1 - keep) * np.maximum(x, parts.luminance(x) * 1.5 + 0.5)
    return pale + layer + layer[:, ::-1, ::-1]


def _frost(x: np.ndarray, randoms: Randoms, keep: float, ice: float) -> np.ndarray:
    height, width, channels = x.shape[1:]
    side = 1 << (max(height, width) - 1).bit_length()
    veins = 1 - np.abs(2 * parts.plasma(side, 1.6, randoms) - 1)  # ridges of a fractal look like crystals
    veins = (0.3 + 0.7 * veins**3)[:, :height, :width, None]
    tint = np.ones(1) if channels == 1 else np.array([0.86, 0.94, 1.0])
    return keep * x + ice * veins * tint


def _fog(x: np.ndarray, randoms: Randoms, amount: float, decay: float) -> np.ndarray:
    side = 1 << (max(x.shape[1:3]) - 1).bit_length()
    brightest = x.max((1, 2, 3), keepdims=True)
    fog = parts.plasma(side, decay, randoms)[:, : x.shape[1], : x.shape[2], None]
    return (x + amount * fog) * brightest / (brightest + amount)


def _brightness(x: np.ndarray, _: Randoms, amount: float) -> np.ndarray:
    """Raises V of HSV, which is the largest channel, and leaves hue and saturation."""
    value = x.max(3, keepdims=True)
    raised = np.clip(value + amount, 0, 1)
    return np.where(value > 0, x * (raised / np.maximum(value, 1e-9)), raised)


def _contrast(x: np.ndarray, _: Randoms, factor: float) -> np.ndarray:
    means = x.mean((1, 2), keepdims=True)
    return (x - means) * factor + means


def _elastic(x: np.ndarray, randoms: Randoms, alpha: float, sigma: float, delta: float) -> np.ndarray:
    side = min(x.shape[1:3])
    return parts.bent(x, alpha * side, sigma * side, delta * side, randoms)


def _pixelate(x: np.ndarray, _: Randoms, share: float) -> np.ndarray:
    def coarse(image: Image.Image) -> Image.Image:
        small = image.resize([max(1, int(side * share)) for side in image.size], Image.Resampling.BOX)
        return small.resize(image.size, Image.Resampling.BOX)

    return _by_pillow(x, coarse)


def _jpeg(x: np.ndarray, _: Randoms, quality: int) -> np.ndarray:
    def stored(image: Image.Image) -> Image.Image:
        file = io.BytesIO()
        image.save(file, "JPEG", quality=quality)
        return Image.open(file)

    return _by_pillow(x, stored)


def _by_pillow(x: np.ndarray, change: Callable[[Image.Image], Image.Image]) -> np.ndarray:
    images = np.round(x * 255).astype(np.uint8)
    planes = images[..., 0] if x.shape[3] == 1 else images
    return np.stack([np.asarray(change(Image.fromarray(each))) for each in planes]).reshape(x.shape) / np.float32(255)


_MADE: dict[str, Callable[..., np.ndarray]] = {
    "gaussian_noise": _gaussian_noise, "shot_noise": _shot_noise, "impulse_noise": _impulse_noise,
    "defocus_blur": _defocus_blur, "glass_blur": _glass_blur, "motion_blur": _motion_blur, "zoom_blur": _zoom_blur,
    "snow": _snow, "frost": _frost, "fog": _fog, "brightness": _brightness, "contrast": _contrast,
    "elastic_transform": _elastic, "pixelate": _pixelate, "jpeg_compression": _jpeg,
}  # fmt: skip
CORRUPTIONS = tuple(_MADE)

_G = 244 / 224  # what the published code of elastic_transform took for the side of 224
IMAGENET_C: dict[str, Sequence[Any]] = {
    "gaussian_noise": (0.08, 0.12, 0.18, 0.26, 0.38),
    "shot_noise": (60, 25, 12, 5, 3),
    "impulse_noise": (0.03, 0.06, 0.09, 0.17, 0.27),
    "defocus_blur": ((3, 0.1), (4, 0.5), (6, 0.5), (8, 0.5), (10, 0.5)),
    "glass_blur": ((0.7, 1, 2), (0.9, 2, 1), (1, 2, 3), (1.1, 3, 2), (1.5, 4, 2)),
    "motion_blur": ((10, 3), (15, 5), (15, 8), (15, 12), (20, 15)),
    "zoom_blur": ((1.11, 0.01), (1.16, 0.01), (1.21, 0.02), (1.26, 0.02), (1.31, 0.03)),
    "snow": ((0.1, 0.3, 3, 0.5, 10, 4, 0.8), (0.2, 0.3, 2, 0.5, 12, 4, 0.7), (0.55, 0.3, 4, 0.9, 12, 8, 0.7),
             (0.55, 0.3, 4.5, 0.85, 12, 8, 0.65), (0.55, 0.3, 2.5, 0.85, 12, 12, 0.55)),
    "frost": ((1, 0.4), (0.8, 0.6), (0.7, 0.7), (0.65, 0.7), (0.6, 0.75)),
    "fog": ((1.5, 2), (2, 2), (2.5, 1.7), (2.5, 1.5), (3, 1.4)),
    "brightness": (0.1, 0.2, 0.3, 0.4, 0.5),
    "contrast": (0.4, 0.3, 0.2, 0.1, 0.05),
    "elastic_transform": ((2 * _G, 0.7 * _G, 0.1 * _G), (2 * _G, 0.08 * _G, 0.2 * _G),
                          (0.05 * _G, 0.01 * _G, 0.02 * _G), (0.07 * _G, 0.01 * _G, 0.02 * _G),
                          (0.12 * _G, 0.01 * _G, 0.02 * _G)),
    "pixelate": (0.6, 0.5, 0.4, 0.3, 0.25),
    "jpeg_compression": (25, 18, 15, 10, 7),
}  # fmt: skip
CIFAR_C: dict[str, Sequence[Any]] = {
    "gaussian_noise": (0.04, 0.06, 0.08, 0.09, 0.10),
    "shot_noise": (500, 250, 100, 75, 50),
    "impulse_noise": (0.01, 0.02, 0.03, 0.05, 0.07),
    "defocus_blur": ((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1, 0.2), (1.5, 0.1)),
    "glass_blur": ((0.05, 1, 1), (0.25, 1, 1), (0.4, 1, 1), (0.25, 1, 2), (0.4, 1, 2)),
    "motion_blur": ((6, 1), (6, 1.5), (6, 2), (8, 2), (9, 2.5)),
    "zoom_blur": ((1.06, 0.01), (1.11, 0.01), (1.16, 0.01), (1.21, 0.01), (1.26, 0.01)),
    "snow": ((0.1, 0.2, 1, 0.6, 8, 3, 0.95), (0.1, 0.2, 1, 0.5, 10, 4, 0.9), (0.15, 0.3, 1.75, 0.55, 10, 4, 0.9),
             (0.25, 0.3, 2.25, 0.6, 12, 6, 0.85), (0.3, 0.3, 1.25, 0.65, 14, 12, 0.8)),
    "frost": ((1, 0.2), (1, 0.3), (0.9, 0.4), (0.85, 0.4), (0.75, 0.45)),
    "fog": ((0.2, 3), (0.5, 3), (0.75, 2.5), (1, 2), (1.5, 1.75)),
    "brightness": (0.05, 0.1, 0.15, 0.2, 0.3),
    "contrast": (0.75, 0.5, 0.4, 0.3, 0.15),
    "elastic_transform": ((0, 0, 0.08), (0.05, 0.2, 0.07), (0.08, 0.06, 0.06), (0.1, 0.04, 0.05), (0.1, 0.03, 0.03)),
    "pixelate": (0.95, 0.9, 0.85, 0.75, 0.65),
    "jpeg_compression": (80, 65, 58, 50, 40),
}  # fmt: skip


def constants(name: str, strength: int, size: tuple[int, int]) -> Constants:
    """Of a corruption at a strength of 1–5, for images of (height, width). InputError for another name or strength."""
    if name not in _MADE or strength not in STRENGTHS:
        raise InputError(f"no corruption {name!r} of strength {strength}; choose 1–5 of {', '.join(CORRUPTIONS)}")
    found = (CIFAR_C if min(size) <= SMALL else IMAGENET_C)[name][strength - 1]
    return found if isinstance(found, tuple) else (found,)


def apply(name: str, images: np.ndarray, values: Constants, randoms: Randoms) -> np.ndarray:
    """uint8 n × H × W × C (C 1 or 3), corrupted with these constants; one random generator for each image."""
    found = _MADE[name](images / np.float32(255), randoms, *values)
    return (np.clip(found, 0, 1) * 255).astype(np.uint8)  # cut off, not rounded, as published


class Corrupted(Dataset):
    """Another set's images, corrupted when they are asked for: each by its name, so always in the same way."""

    def __init__(self, base: Dataset, name: str, strength: int, seed: int = 0) -> None:
        super().__init__(base.targets, base.classes, base.names, channels=base.channels, size=base.size)
        self.base, self.kind = base, name
        self.values = constants(name, strength, base.size)
        self.seed = (seed, CORRUPTIONS.index(name), strength)

    def _batch(self, rows: np.ndarray) -> np.ndarray:
        randoms = [
            np.random.default_rng((*self.seed, zlib.crc32(self.names[i].encode("utf-8", "surrogatepass"))))
            for i in rows
        ]
        return apply(self.kind, self.base.batch(rows), self.values, randoms)

    def _part(self, rows: np.ndarray) -> Self:
        part = super()._part(rows)
        part.base = self.base.subset(rows)
        return part
