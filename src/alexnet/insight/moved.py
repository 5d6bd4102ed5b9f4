"""How far a layer's features move between the preprocessings that published features were made with."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from alexnet.inference.features import want
from alexnet.inference.images import Images
from alexnet.inference.model import Model
from alexnet.inference.preprocess import CHOICES
from alexnet.insight.collect import collect
from alexnet.insight.rsa import compare, rdm


@dataclass(frozen=True)
class Moved:
    layer: str
    choices: tuple[str, ...]
    cosine: np.ndarray
    """float64 choices × choices: the mean over the images of the cosine between an image's features."""
    lowest: np.ndarray
    """The same, of the image whose features move furthest."""
    rsa: np.ndarray
    """float64 choices × choices: Spearman's correlation of the dissimilarities (1 − Pearson's r) between images."""
    images: int
    failed: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        tables = {name: getattr(self, name).tolist() for name in ("cosine", "lowest", "rsa")}
        return {"layer": self.layer, "preprocessings": list(self.choices), "images": self.images, **tables}


def moved(
    model: Model,
    images: Images,
    layer: str = "fc7",
    most: int = 200,
    progress: Callable[[int, int], None] | None = None,
) -> Moved:
    """One layer's features of at most `most` images under each of `preprocess.CHOICES`, against each other.

    InputError for an unknown layer, fewer than 3 images, and networks that take gray images.
    """
    choices = tuple(CHOICES)
    features, failed, count = {}, (), 0
    for number, choice in enumerate(choices):

        def each(done: int, total: int, number: int = number) -> None:
            if progress:
                progress(number * total + done, len(choices) * total)

        found = collect(model, images, want(model, [layer], preprocess=choice), most, each)
        features[choice] = found.layers[layer].astype(np.float64)
        failed, count = found.failed, len(found.images)
    unit = {name: x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12) for name, x in features.items()}
    rdms = {name: rdm(x) for name, x in features.items()}
    cosines = np.array([[(unit[a] * unit[b]).sum(1) for b in choices] for a in choices])
    rsa = np.array([[compare(rdms[a], rdms[b]) for b in choices] for a in choices])
    return Moved(layer, choices, cosines.mean(2), cosines.min(2), rsa, count, failed)
