"""Whether what was exported is still the same network: both run on the same images."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch

from alexnet.data.loading.decode import stored_size
from alexnet.errors import InputError
from alexnet.graphs.served import Served
from alexnet.inference.data import dataset_for, fitted, spread
from alexnet.inference.model import Model
from alexnet.models.mode import evaluating

BOUND = 1e-4
"""Largest ‖difference‖ of one image's probabilities, and of its logits relative to theirs, that counts as equal."""

COUNT = 32
"""Images that are compared."""
_BATCH = 16
_TIE = 1e-6  # two probabilities nearer than this may swap ranks by rounding

Run = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray | None]]
"""uint8 N×H×W×C → probabilities N×K, and logits N×K where the exported file gives them."""


@dataclass(frozen=True)
class Samples:
    """Images at the size that the exported network takes."""

    images: np.ndarray
    """uint8 N×H×W×C."""
    origin: str
    """'real' or 'random'."""


@dataclass(frozen=True)
class Agreement:
    """What a comparison found; there is none unless it was within bounds."""

    images: int
    origin: str
    difference: float
    """Largest Euclidean ‖difference‖ of an image's probabilities."""
    logits: float | None
    """Largest ‖difference‖ / ‖logits‖ of an image."""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def samples(model: Model, data: Path | None, count: int = COUNT) -> Samples:
    """Up to `count` images, spread evenly over `data`, or over the run's test or validation images.

    Where the model's own images cannot be found, random ones; InputError when `data` cannot be used.
    """
    try:
        images = fitted(model, dataset_for(model, data))
    except InputError:
        if data is not None:
            raise
        wants = model.preprocessing
        shape = (count, *stored_size(wants.size, wants.resize), wants.channels)
        return Samples(np.random.default_rng(0).integers(0, 256, shape, np.uint8), "random")
    return Samples(images.batch(spread(len(images), count)), "real")


@torch.inference_mode()
def agree(model: Model, run: Run, images: Samples) -> Agreement:
    """Compares `run` with the model in PyTorch, in batches of 1 and of 16. InputError says what differs."""
    ours = Served(model.module, model.preprocessing, multilabel=model.multilabel)
    apart: dict[str, list[float]] = {"probabilities": [], "logits": []}
    starts = [0, *range(1, len(images.images), _BATCH), len(images.images)]
    for start, stop in pairwise(starts):
        batch = images.images[start:stop]
        with evaluating(ours):
            expected, expected_logits = (output.numpy() for output in ours(torch.from_numpy(batch)))
        if not np.isfinite(expected).all():
            raise InputError("the network's own probabilities are not finite numbers; nothing was written")
        got, got_logits = run(batch)
        if got.shape != expected.shape:
            raise InputError(f"the export gives {got.shape} for {expected.shape}; nothing was written")
        lost = expected.max(1) - expected[np.arange(len(batch)), got.argmax(1)]
        if lost.max() > _TIE:
            wrong = start + int(lost.argmax())
            raise InputError(f"the export names another class than PyTorch for image {wrong}; nothing was written")
        apart["probabilities"] += np.linalg.norm(got - expected, axis=1).tolist()
        if got_logits is not None:
            reference = expected_logits.astype(np.float64)  # in float32 the squares of large logits overflow
            norms = np.maximum(np.linalg.norm(reference, axis=1), 1e-30)
            apart["logits"] += (np.linalg.norm(got_logits - reference, axis=1) / norms).tolist()
    worst = {what: float(np.max(found)) for what, found in apart.items() if found}  # a NaN stays one
    for what, found in worst.items():
        if not found <= BOUND:
            raise InputError(f"the export's {what} are {found:.1e} off, more than {BOUND:.0e}; nothing was written")
    return Agreement(len(images.images), images.origin, worst["probabilities"], worst.get("logits"))
