"""What a model says of single images."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from alexnet.artifacts.store import Model
from alexnet.data.loading import decode
from alexnet.data.transforms.augment import Augmenter
from alexnet.errors import InputError
from alexnet.preprocessing import Preprocessing

_BATCH = 64


@dataclass(frozen=True)
class Prediction:
    name: str
    probability: float


@dataclass(frozen=True)
class Predicted:
    path: str
    predictions: list[Prediction]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@torch.inference_mode()
def predict(model: Model, images: Iterable[Path | str | np.ndarray], top: int = 5) -> list[Predicted]:
    """The `top` likeliest classes of each image, likeliest first.

    `images`: paths, or uint8 arrays height × width (× channels); decoded and fitted as the model's card says.
    Raises InputError for an image that cannot be read.
    """
    if top < 1:
        raise InputError(f"top must be at least 1, not {top}")
    device = next(model.module.parameters()).device
    augmenter = Augmenter(model.preprocessing)
    images, results = list(images), []
    for start in range(0, len(images), _BATCH):
        fitted = [_fitted(image, model.preprocessing) for image in images[start : start + _BATCH]]
        batch = torch.from_numpy(np.stack(fitted)).to(device)
        probabilities = model.module(augmenter.evaluate(batch)).float().softmax(1)
        best = probabilities.topk(min(top, len(model.classes)), 1)
        for row, indices in zip(best.values.tolist(), best.indices.tolist(), strict=True):
            image = images[len(results)]
            name = f"image {len(results)}" if isinstance(image, np.ndarray) else str(image)
            found = [Prediction(model.classes[i], p) for p, i in zip(row, indices, strict=True)]
            results.append(Predicted(name, found))
    return results


def _fitted(image: Path | str | np.ndarray, preprocessing: Preprocessing) -> np.ndarray:
    if not isinstance(image, np.ndarray):
        return decode.prepare(Path(image), preprocessing)
    if image.dtype != np.uint8 or image.ndim not in (2, 3) or image.shape[2:] not in ((), (1,), (3,)) or not image.size:
        raise InputError(f"an image is uint8 height × width (× 1 or 3), not {image.dtype} {image.shape}")
    array = image if image.ndim == 3 else image[:, :, None]
    size = decode.stored_size(preprocessing.size, preprocessing.resize)
    return decode.refit(array, preprocessing.channels, size, preprocessing.fit)
