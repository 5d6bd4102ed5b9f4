"""What a model says of single images."""

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from alexnet import arguments
from alexnet.data.loading import decode
from alexnet.data.transforms.augment import Augmenter
from alexnet.device import own_settings
from alexnet.errors import InputError
from alexnet.inference.fast import at_precision
from alexnet.inference.images import fitted, in_threads, several
from alexnet.inference.model import Model
from alexnet.models.mode import evaluating
from alexnet.models.quick import quicken

BATCH = 64
UNKNOWN = "unknown"

Image = Path | str | np.ndarray


@dataclass(frozen=True)
class Prediction:
    label: str
    score: float
    """Probability, 0 to 1."""


@dataclass(frozen=True)
class Predicted:
    path: str
    predictions: list[Prediction]
    error: str | None = None
    """Why there are no predictions; None: there are."""
    labels: tuple[str, ...] | None = None
    """The labels that the image is given, likeliest first, by a model that may name several; None: one is named."""

    def to_json(self) -> dict[str, Any]:
        if self.error is not None:
            return {"path": self.path, "error": self.error}
        said = {"path": self.path, "predictions": [asdict(each) for each in self.predictions]}
        return said if self.labels is None else said | {"labels": list(self.labels)}

    def rejecting(self, below: float) -> "Predicted":
        """The same, headed by 'unknown' where the best score is less than `below`."""
        if self.error is not None or self.predictions[0].score >= below:
            return self
        return replace(self, predictions=[Prediction(UNKNOWN, self.predictions[0].score), *self.predictions])


@own_settings()
def predict(model: Model, images: Iterable[Image], top: int = 5, precision: str | None = None) -> list[Predicted]:
    """The `top` likeliest classes of each image, likeliest first; of a model that may name several labels an image also
    those that reach their thresholds.

    `images`: paths, or uint8 arrays height × width (× channels); decoded and fitted as the model's card says.
    `precision`: 'fp32', 'bf16' or 'auto'; None: the model's own, which is fp32 unless it was converted.
    Raises InputError for an image that cannot be read.
    """
    return list(stream(at_precision(model, precision), several(images), top, strict=True))


def stream(model: Model, images: Iterable[Image], top: int = 5, strict: bool = False) -> Iterator[Predicted]:
    """The same, batch by batch as `images` are asked for.

    An image that cannot be read is answered with its `error`, and raises InputError where `strict`.
    """
    top = arguments.whole("top", top)

    def read(image: Image) -> np.ndarray | InputError:
        try:
            return fitted(image, model.preprocessing)
        except InputError as error:
            return error

    count, device = 0, next(model.module.parameters()).device
    for batch, arrays in in_threads(read, _batches(iter(images)), device):
        names = [f"image {count + i}" if isinstance(each, np.ndarray) else str(each) for i, each in enumerate(batch)]
        count += len(batch)
        broken = {i: each for i, each in enumerate(arrays) if isinstance(each, InputError)}
        if strict and broken:
            raise next(iter(broken.values()))
        answers = iter(_asked(model, [each for each in arrays if not isinstance(each, InputError)], top))
        for i, name in enumerate(names):
            yield Predicted(name, [], _reason(broken[i])) if i in broken else replace(next(answers), path=name)


def _batches(source: Iterator[Image]) -> Iterator[list[Image]]:
    while batch := list(itertools.islice(source, BATCH)):
        yield batch


def _reason(error: InputError) -> str:
    """Without the path, which stands beside it."""
    return error.reason if isinstance(error, decode.DecodeError) else str(error)


@torch.inference_mode()
def _asked(model: Model, arrays: list[np.ndarray], top: int) -> list[Predicted]:
    if not arrays:
        return []
    device = next(model.module.parameters()).device
    batch = torch.from_numpy(np.stack(arrays)).to(device)
    with evaluating(model.module):
        probabilities = model.probabilities(quicken(model.module)(Augmenter(model.preprocessing).evaluate(batch)))
    best = probabilities.topk(min(top, len(model.classes)), 1)
    rows = zip(best.values.tolist(), best.indices.tolist(), strict=True)
    said = [Predicted("", [Prediction(model.classes[i], p) for p, i in zip(*row, strict=True)]) for row in rows]
    if not model.multilabel:
        return said
    found = probabilities.cpu().numpy()
    order, given = np.argsort(-found, axis=1, kind="stable"), found >= model.thresholds
    labels = [tuple(model.classes[k] for k in order[i] if given[i, k]) for i in range(len(found))]
    return [replace(each, labels=own) for each, own in zip(said, labels, strict=True)]
