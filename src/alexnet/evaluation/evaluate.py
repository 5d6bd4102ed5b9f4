"""Every picture of a split, evaluated exactly once."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from alexnet.data.augment import Augmenter
from alexnet.data.decode import stored_size
from alexnet.data.loader import Loader
from alexnet.data.pictures import PictureSet, refitted
from alexnet.device import autocast
from alexnet.errors import InputError
from alexnet.weights.store import Opened
from alexnet.world import World


@dataclass(frozen=True)
class Figures:
    """What `alexnet evaluate` prints; fractions, and the mean cross-entropy in nats."""

    top1: float
    top5: float
    loss: float
    count: int

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Evaluation:
    """The figures, and for each picture in the set's order what the network said of it."""

    figures: Figures
    predictions: np.ndarray
    """int64 [n]: the class with the highest probability."""
    probabilities: np.ndarray
    """float32 [n]: its probability."""
    losses: np.ndarray
    """float32 [n]: cross-entropy of the true class."""
    confusion: np.ndarray
    """int64 [classes, classes]: rows true, columns predicted."""

    def worst(self, count: int, labels: np.ndarray) -> np.ndarray:
        """Indices of the pictures that it gets most wrong, worst first (at most `count`; right ones are left out)."""
        wrong = np.flatnonzero(self.predictions != labels)
        return wrong[np.argsort(-self.losses[wrong], kind="stable")][:count]


def evaluate(
    model: Opened,
    pictures: PictureSet,
    *,
    batch_size: int = 256,
    precision: str = "fp32",
    progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Evaluates a model on a picture set whose classes are joined to the model's by name.

    Pictures of another size are fitted as the model's card says.
    Raises InputError when the pictures have a class that the model never saw.
    """
    device = next(model.module.parameters()).device
    wants = model.preprocessing
    size = stored_size(wants.size, wants.resize)
    fitted = refitted(pictures.relabelled(model.classes, "model"), wants.channels, size, wants.fit)
    return run(model.module, Loader(fitted, device), Augmenter(wants), batch_size, precision, progress)


@torch.inference_mode()
def run(
    module: nn.Module,
    loader: Loader,
    augmenter: Augmenter,
    batch_size: int = 256,
    precision: str = "fp32",
    progress: Callable[[int, int], None] | None = None,
    world: World = World(),
) -> Evaluation:
    """The same for a module and a loader whose labels are the module's classes; leaves the module's mode as it was.

    Several processes share the pictures; each gets the whole evaluation.
    """
    count = len(loader.pictures)
    if count == 0:
        raise InputError("there is no picture to evaluate")
    was_training = module.training
    module.eval()
    mine = world.stretch(count, batch_size)
    done = mine.start
    # Of all pictures, in their order; on the device, so that nothing is waited for in the loop.
    predicted, in_top5 = (torch.zeros(count, dtype=torch.int64, device=loader.device) for _ in range(2))
    best, losses = (torch.zeros(count, device=loader.device) for _ in range(2))
    for images, labels in loader.batches(torch.arange(mine.start, mine.stop), batch_size):
        with autocast(loader.device, precision):
            scores = module(augmenter.evaluate(images))
        log_probabilities = scores.float().log_softmax(1)  # leaves log-probabilities as they are
        these = slice(done, done + len(labels))
        likeliest, predicted[these] = log_probabilities.max(1)
        best[these] = likeliest.exp()
        top5 = log_probabilities.topk(min(5, scores.shape[1]), 1).indices
        in_top5[these] = (top5 == labels[:, None]).any(1)
        losses[these] = -log_probabilities.gather(1, labels[:, None])[:, 0]
        done += len(labels)
        if progress:
            progress(done - mine.start, len(mine))
    module.train(was_training)
    predicted, best, losses, in_top5 = (world.total(x).cpu().numpy() for x in (predicted, best, losses, in_top5))
    classes, labels = len(loader.pictures.classes), np.asarray(loader.pictures.labels)
    confusion = np.bincount(labels * classes + predicted, minlength=classes * classes).reshape(classes, classes)
    figures = Figures(
        top1=float((predicted == labels).mean()),
        top5=float(in_top5.mean()),
        loss=float(losses.mean(dtype=np.float64)),
        count=count,
    )
    return Evaluation(figures, predicted, best, losses, confusion)
