"""Which preprocessing and which LRN constants do some weights want? Tried out on images that should be easy.

Weights load all the same under wrong colors, ranges or constants, and are merely worse. The loss on labeled images
tells: each guess is one evaluation. Colors and range go together and are tried together; then the crop; then the
normalization's published forms; then colors and range again if something changed.
"""

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from alexnet.data.loading.loader import Loader
from alexnet.data.transforms.augment import Augmenter
from alexnet.device import own_settings
from alexnet.inference import evaluate, label_evaluation
from alexnet.inference.data import dataset_for, fitted, spread
from alexnet.inference.model import Model
from alexnet.models.layers import LocalResponseNorm
from alexnet.preprocessing import FITS, Preprocessing

RANGES: dict[str, tuple[float, tuple[float, ...], tuple[float, ...]]] = {
    "0 to 1": (1 / 255, (0.0,), (1.0,)),
    "−1 to 1": (1 / 127.5, (1.0,), (1.0,)),
    "0 to 1, ImageNet's mean and std": (1 / 255, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "0 to 255": (1.0, (0.0,), (1.0,)),
    "0 to 255 less ImageNet's mean": (1.0, (123.0, 117.0, 104.0), (1.0,)),
}
"""Scale, mean and std (for RGB) that are in use."""

LRN_FORMS: dict[str, tuple[float, float, bool]] = {
    "Caffe's (k 1, α 1e-4 divided)": (1e-4, 1.0, True),
    "the 2012 code's (k 2, α 1e-4 divided)": (1e-4, 2.0, True),
    "the paper's (k 2, α 1e-4 undivided)": (1e-4, 2.0, False),
    "TensorFlow's with Caffe's numbers (k 1, α 1e-4 undivided)": (1e-4, 1.0, False),
}
"""Alpha, k, and whether alpha is divided by the window's size."""

_OWN = "the card's own"
_MARGIN = 256 / 224  # the customary room for the crop


@dataclass(frozen=True)
class Trial:
    """One combination and how well it did."""

    colors: str
    range: str
    fit: str
    lrn: str
    preprocessing: Preprocessing
    top1: float | None
    """None: an image may have several labels."""
    loss: float
    map: float | None = None
    """Mean average precision, where an image may have several labels."""

    @property
    def score(self) -> float:
        """Of the two the one that there is."""
        found = self.top1 if self.map is None else self.map
        assert found is not None
        return found


@dataclass(frozen=True)
class Diagnosis:
    own: Trial
    """As the card says."""
    trials: tuple[Trial, ...]
    """All that were tried, best first."""
    images: int

    @property
    def best(self) -> Trial:
        return self.trials[0]

    def to_json(self) -> dict[str, Any]:
        return {
            "images": self.images,
            "own": dataclasses.asdict(self.own),
            "trials": [dataclasses.asdict(trial) for trial in self.trials],
        }


@own_settings()
def examine(
    model: Model,
    data: Path,
    most: int = 200,
    progress: Callable[[int, int], None] | None = None,
    labels: Path | None = None,
    separator: str | None = None,
) -> Diagnosis:
    """Tries the combinations on at most `most` of the labeled images at `data`, spread over all of them.

    labels: their table, in which `separator` stands between several labels of an image. The model is left as it was.
    Raises InputError as `evaluate` does.
    """
    trials = _Trials(model, _Labeled(data, labels, separator), most, progress)
    own = best = trials.run("own", _OWN, "own", _OWN)
    colors = ("own", "RGB", "BGR") if model.preprocessing.channels == 3 else ("own",)
    fits = [f"{fit}, {margin}" for fit in FITS for margin in ("with margin", "whole")]
    forms = list(LRN_FORMS) if trials.norms else []
    for _ in range(2):
        before = best
        for color in colors:
            for each in (_OWN, *RANGES):
                best = min(best, trials.run(color, each, best.fit, best.lrn), key=_loss)
        for fit in fits:
            best = min(best, trials.run(best.colors, best.range, fit, best.lrn), key=_loss)
        for form in forms:
            best = min(best, trials.run(best.colors, best.range, best.fit, form), key=_loss)
        if (best.fit, best.lrn) == (before.fit, before.lrn):
            break
    return Diagnosis(own, tuple(sorted(trials.done.values(), key=_loss)), trials.count)


def _loss(trial: Trial) -> float:
    return trial.loss if np.isfinite(trial.loss) else float("inf")


@dataclass(frozen=True)
class _Labeled:
    """Where the images and their labels are."""

    data: Path
    labels: Path | None
    separator: str | None


class _Trials:
    """Runs each combination once."""

    def __init__(self, model: Model, data: _Labeled, most: int, progress: Callable[[int, int], None] | None):
        self.model, self.data, self.most, self.progress = model, data, most, progress
        self.norms = [part for part in model.module.modules() if isinstance(part, LocalResponseNorm)]
        self.done: dict[tuple[str, str, str, str], Trial] = {}
        self.count = 0
        self._loaders: dict[tuple[str, int | None], Loader] = {}
        self._total = 3 * (1 + len(RANGES)) + 2 * len(FITS) + len(LRN_FORMS) * bool(self.norms)

    def run(self, colors: str, range: str, fit: str, lrn: str) -> Trial:
        key = (colors, range, fit, lrn)
        if key not in self.done:
            preprocessing = self._preprocessing(colors, range, fit)
            loader = self._loader(preprocessing)
            with _normalized(self.norms, LRN_FORMS.get(lrn)):
                self.done[key] = Trial(*key, preprocessing, *self._measured(loader, Augmenter(preprocessing)))
            if self.progress:
                self.progress(min(len(self.done), self._total), self._total)
        return self.done[key]

    def _measured(self, loader: Loader, augmenter: Augmenter) -> tuple[float | None, float, float | None]:
        """Top-1, loss and mean average precision."""
        if self.model.multilabel:
            figures = label_evaluation.run(self.model.module, loader, augmenter, 64).figures
            return None, figures.loss, figures.map
        figures = evaluate.run(self.model.module, loader, augmenter, 64).figures
        return figures.top1, figures.loss, None

    def _preprocessing(self, colors: str, range: str, fit: str) -> Preprocessing:
        own = self.model.preprocessing
        order = own.colors if colors == "own" else colors
        scale, mean, std = RANGES.get(range, (own.scale, own.mean, own.std))
        flipped = order == "BGR" if range in RANGES else order != own.colors
        mean, std = (tuple(reversed(each)) if flipped else each for each in (mean, std))
        if own.channels == 1:
            mean, std = ((sum(each) / len(each),) for each in (mean, std))
        way, _, margin = fit.partition(", ")
        if fit == "own":
            way, resize = own.fit, own.resize
        else:
            resize = round(min(own.size) * _MARGIN) if margin == "with margin" else None
        moved = own.mean_by_place and resize != own.resize
        image = None if range in RANGES or flipped or moved else own.mean_image
        return dataclasses.replace(
            own, colors=order, scale=scale, mean=mean, std=std, fit=way, resize=resize, mean_image=image
        )

    def _loader(self, preprocessing: Preprocessing) -> Loader:
        """The images as this crop wants them; the same ones every time."""
        key = (preprocessing.fit, preprocessing.resize)
        if key not in self._loaders:
            own, at = dataclasses.replace(self.model, preprocessing=preprocessing), self.data
            images = dataset_for(own, at.data, labels=at.labels, separator=at.separator)
            chosen = fitted(own, images.subset(spread(len(images), self.most)))
            self.count = len(chosen)
            self._loaders[key] = Loader(chosen, next(self.model.module.parameters()).device)
        return self._loaders[key]


@contextmanager
def _normalized(norms: list[LocalResponseNorm], form: tuple[float, float, bool] | None) -> Iterator[None]:
    """The normalizations with other constants, for a while."""
    own = [(norm.alpha, norm.k, norm.divide) for norm in norms]
    try:
        for norm, constants in zip(norms, own, strict=True):
            norm.alpha, norm.k, norm.divide = form or constants
        yield
    finally:
        for norm, constants in zip(norms, own, strict=True):
            norm.alpha, norm.k, norm.divide = constants
