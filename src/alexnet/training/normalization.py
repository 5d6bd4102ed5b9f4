"""The preprocessing of a run: the network's, with the scale, mean and std that the recipe asks for."""

from dataclasses import replace

import numpy as np

from alexnet.data.dataset import Dataset
from alexnet.data.statistics import mean_image, statistics
from alexnet.errors import InputError
from alexnet.preprocessing import MeanImage, Preprocessing
from alexnet.recipes.schema import Recipe


def preprocessing_of(recipe: Recipe, own: Preprocessing, dataset: Dataset) -> Preprocessing:
    """`own`, the network's, with the scale, mean and std that the recipe asks for."""
    match recipe.data.normalize:
        case "network":
            return own
        case "data":
            mean, std = (each[:: _direction(own)] for each in statistics(dataset))
            return replace(own, scale=1 / 255, mean=mean, std=std, mean_image=None)
        case "pixel" | "pixel-at-crop" as name:
            size = own.size if name == "pixel" else dataset.size
            if name != "pixel" and size == own.size:
                raise InputError("data.normalize 'pixel-at-crop' wants images that are cropped; set data.resize")
            pixels = np.ascontiguousarray(mean_image(dataset, size)[..., :: _direction(own)])
            mean = tuple(round(float(value), 4) for value in pixels.mean((0, 1), dtype=np.float64))
            return replace(own, scale=1.0, mean=mean, std=(1.0,), mean_image=MeanImage(pixels))
        case name:
            scale = 1 / 255 if name == "scale" else 1.0
            return replace(own, scale=scale, mean=(0.0,), std=(1.0,), mean_image=None)


def _direction(own: Preprocessing) -> int:
    """The step through the images' channels that gives the network's order."""
    return -1 if own.colors == "BGR" else 1
