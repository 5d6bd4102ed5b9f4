"""Accuracy, or mAP, under the 15 standard corruptions in 5 strengths, and the mean corruption error against a
baseline."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from alexnet.data.dataset import Dataset
from alexnet.data.loading.loader import Loader
from alexnet.data.transforms.corruptions import CORRUPTIONS, SMALL, STRENGTHS, Corrupted
from alexnet.device import own_settings
from alexnet.errors import InputError
from alexnet.inference import label_evaluation
from alexnet.inference.data import fitted, spread
from alexnet.inference.evaluate import run
from alexnet.inference.model import Model
from alexnet.inference.views import views_of

IMAGES = 1000
"""Of the split, evenly spread, that are corrupted unless another number is asked for: each is evaluated 75 times."""


@dataclass(frozen=True)
class Robustness:
    """Errors on the same images, clean and corrupted: of top-1, or of several labels an image 1 − mAP."""

    errors: np.ndarray
    """float64 [15, 5]: by corruption and strength, in the order of CORRUPTIONS and STRENGTHS."""
    clean: float
    count: int
    strengths: str
    """Whose: CIFAR-10-C's or ImageNet-C's."""
    baseline: "Robustness | None" = None
    what: str = "top1"
    """What 1 is less an error: top1, or map."""

    @property
    def mean(self) -> float:
        """The mean error over corruptions and strengths, as it is."""
        return float(self.errors.mean())

    @property
    def corruption_errors(self) -> np.ndarray | None:
        """float64 [15]: each corruption's error over its strengths, as a share of the baseline's (CE); a corruption
        without an error of the baseline has none (NaN)."""
        if self.baseline is None:
            return None
        theirs = self.baseline.errors.sum(1)
        return np.divide(self.errors.sum(1), theirs, out=np.full(len(theirs), np.nan), where=theirs > 0)

    @property
    def mce(self) -> float | None:
        """The mean corruption error (Hendrycks and Dietterich 2019): the mean of `corruption_errors`."""
        found = self.corruption_errors
        return None if found is None or np.isnan(found).all() else float(np.nanmean(found))

    def to_json(self) -> dict[str, Any]:
        """score (top1 or map, of which an error is what is missing to 1), count, clean_error, mean_error, strengths,
        errors {corruption: [of each strength]}, mce, ce {corruption}."""
        content: dict[str, Any] = {
            "score": self.what,
            "count": self.count,
            "clean_error": self.clean,
            "mean_error": self.mean,
            "strengths": self.strengths,
            "errors": {name: row.tolist() for name, row in zip(CORRUPTIONS, self.errors, strict=True)},
        }
        if self.baseline is not None and (each := self.corruption_errors) is not None:
            content["mce"] = self.mce
            content["ce"] = {n: None if np.isnan(v) else float(v) for n, v in zip(CORRUPTIONS, each, strict=True)}
            content["baseline"] = self.baseline.to_json()
        return content


@own_settings()
def robustness(
    model: Model,
    dataset: Dataset,
    *,
    images: int = IMAGES,
    baseline: Model | None = None,
    batch_size: int = 256,
    progress: Callable[[int, int], None] | None = None,
) -> Robustness:
    """Evaluates the model on `images` of the set (evenly spread), clean and in 15 × 5 corruptions.

    Images are corrupted at the size at which they are stored, before any crop; the same image is corrupted in the same
    way for every model whose images have that size. InputError when the baseline's have another, and where one of the
    two names one class an image and the other several labels.
    """
    if images < 1:
        raise InputError(f"--corruption-images takes a number of images of at least 1, not {images}")
    chosen = dataset.subset(spread(len(dataset), images))
    models = [model] if baseline is None else [baseline, model]
    if len({each.multilabel for each in models}) > 1:
        raise InputError(
            "one of model and baseline names several labels an image, the other one class: their errors do not compare"
        )
    fits = [fitted(each, chosen) for each in models]
    if len({(each.size, each.channels) for each in fits}) > 1:
        raise InputError(
            f"the baseline takes images of {_size(fits[0])} and the model of {_size(fits[1])}: their corruptions "
            "cannot be compared; name a baseline with images of the same size"
        )
    total, found = len(models) * (len(CORRUPTIONS) * len(STRENGTHS) + 1), None
    for number, (each, own) in enumerate(zip(models, fits, strict=True)):
        done = number * total // len(models)
        clean = _error(each, own, batch_size)
        errors = np.empty((len(CORRUPTIONS), len(STRENGTHS)))
        for i, name in enumerate(CORRUPTIONS):
            for j, strength in enumerate(STRENGTHS):
                errors[i, j] = _error(each, Corrupted(own, name, strength), batch_size)
                if progress:
                    progress(done + 2 + i * len(STRENGTHS) + j, total)
        whose = "CIFAR-10-C" if min(own.size) <= SMALL else "ImageNet-C"
        found = Robustness(errors, clean, len(own), whose, found, "map" if each.multilabel else "top1")
    assert found is not None
    return found


def _error(model: Model, dataset: Dataset, batch_size: int) -> float:
    loader = Loader(dataset, next(model.module.parameters()).device)
    if model.multilabel:
        return 1 - label_evaluation.run(model.module, loader, views_of(model), batch_size).figures.map
    return 1 - run(model.module, loader, views_of(model), batch_size).figures.top1


def _size(dataset: Dataset) -> str:
    height, width = dataset.size
    return f"{width} × {height} × {dataset.channels}"
