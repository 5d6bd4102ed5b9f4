"""Every image of a split, evaluated exactly once."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TypedDict, Unpack

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from alexnet import arguments
from alexnet.artifacts.figures import Figures
from alexnet.data.dataset import Dataset
from alexnet.data.loading.loader import Loader
from alexnet.data.transforms.augment import Augmenter
from alexnet.device import autocast, own_settings
from alexnet.errors import InputError
from alexnet.inference.data import fitted
from alexnet.inference.fast import at_precision
from alexnet.inference.model import Model
from alexnet.inference.views import checked, log_probabilities, views_of
from alexnet.models.mode import evaluating
from alexnet.models.quick import quicken
from alexnet.process.group import ALONE, World


@dataclass(frozen=True)
class Evaluation:
    """The figures, and for each image in the set's order what the network said of it."""

    figures: Figures
    predictions: np.ndarray
    """int64 [n]: the class with the highest probability."""
    probabilities: np.ndarray
    """float32 [n]: its probability."""
    losses: np.ndarray
    """float32 [n]: cross-entropy of the true class."""
    confusion: np.ndarray
    """int64 [classes, classes]: rows true, columns predicted."""
    log_probabilities: np.ndarray | None = None
    """float32 [n, classes]: of every class, where they were to be kept."""

    def worst(self, count: int, labels: np.ndarray) -> np.ndarray:
        """Indices of the images that it gets most wrong, worst first (at most `count`; right ones are left out)."""
        wrong = np.flatnonzero(self.predictions != labels)
        return wrong[np.argsort(-self.losses[wrong], kind="stable")][:count]


class How(TypedDict, total=False):
    """How the images of a split are passed through a network."""

    batch_size: int
    """256, unless given."""
    progress: Callable[[int, int], None] | None
    """Gets the number of images done, and that of all."""
    views: int
    """1, 2 (mirrored) or 10 (corners, center and mirrored); the probabilities are averaged as
    `alexnet.inference.views` explains."""
    keep: bool
    """The evaluation holds what the network said of every class (4 bytes for each class of each image)."""
    world: World
    """Several processes share the images; each gets the whole evaluation."""


@own_settings()
def evaluate(model: Model, dataset: Dataset, *, precision: str | None = None, **how: Unpack[How]) -> Evaluation:
    """Evaluates a model that names one class on a dataset whose classes are joined to the model's by name.

    Images of another size are fitted as the model's card says. `precision`: 'fp32', 'bf16' or 'auto'; None: the
    model's own, which is fp32 unless it was converted.
    Raises InputError when the images have a class that the model never saw, and for another number of views.
    """
    model, loader = opened(model, dataset, precision)
    found = run(model.module, loader, views_of(model), **how)
    return replace(found, figures=found.figures.model_copy(update=told(model)))


def opened(model: Model, dataset: Dataset, precision: str | None) -> tuple[Model, Loader]:
    """The model at a precision, and what loads the images for it."""
    model = at_precision(model, precision)
    return model, Loader(fitted(model, dataset), next(model.module.parameters()).device)


def told(model: Model) -> dict[str, str]:
    """What the figures say of how the model computes."""
    return {"precision": model.precision, "runtime": model.runtime}


Say = Callable[[Callable[[Tensor], Tensor], Augmenter, Tensor, int], Tensor]
"""What is made of a batch, as `views.log_probabilities`."""


def passed(
    module: nn.Module,
    loader: Loader,
    augmenter: Augmenter,
    say: Say,
    precision: str,
    *,
    batch_size: int,
    progress: Callable[[int, int], None] | None,
    world: World,
    views: int,
) -> Iterator[tuple[slice, Tensor, Tensor]]:
    """This process's share of the images, a batch at a time: which rows of the set they are, what `say` makes of them,
    and their labels. Leaves the module's mode as it was. InputError where there is no image."""
    if not (count := len(loader.dataset)):
        raise InputError("there is no image to evaluate")
    batch_size = arguments.whole("batch_size", batch_size)
    forward = quicken(module)
    mine = world.stretch(count, batch_size)
    done = mine.start
    with evaluating(module):
        for images, labels in loader.batches(torch.arange(mine.start, mine.stop), batch_size):
            with autocast(loader.device, precision):
                said = say(forward, augmenter, images, views)
            yield slice(done, done + len(labels)), said, labels
            done += len(labels)
            if progress:
                progress(done - mine.start, len(mine))


@torch.inference_mode()
def run(
    module: nn.Module,
    loader: Loader,
    augmenter: Augmenter,
    batch_size: int = 256,
    precision: str = "fp32",
    progress: Callable[[int, int], None] | None = None,
    world: World = ALONE,
    views: int = 1,
    keep: bool = False,
) -> Evaluation:
    """The same for a module and a loader whose labels are the module's classes; leaves the module's mode as it was.

    Several processes share the images; each gets the whole evaluation.
    """
    count, truth, views = len(loader.dataset), loader.dataset.labels, checked(views)
    # Of all images, in their order; on the device, so that nothing is waited for in the loop.
    predicted, in_top5 = (torch.zeros(count, dtype=torch.int64, device=loader.device) for _ in range(2))
    best, losses, squares = (torch.zeros(count, device=loader.device) for _ in range(3))
    kept = torch.zeros(count, len(loader.dataset.classes), device=loader.device) if keep else None
    batches = passed(
        module, loader, augmenter, log_probabilities, precision,
        batch_size=batch_size, progress=progress, world=world, views=views,
    )  # fmt: skip
    for these, said, labels in batches:
        likeliest, predicted[these] = said.max(1)
        best[these] = likeliest.exp()
        top5 = said.topk(min(5, said.shape[1]), 1).indices
        in_top5[these] = (top5 == labels[:, None]).any(1)
        losses[these] = 0 - said.gather(1, labels[:, None])[:, 0]  # a loss of -0.0 would lose its sign in a sum
        squares[these] = (said.exp() - functional.one_hot(labels, said.shape[1])).square().mean(1)
        if kept is not None:
            kept[these] = said
    predicted, best, losses, squares, in_top5 = (
        world.total(x).cpu().numpy() for x in (predicted, best, losses, squares, in_top5)
    )
    classes = len(loader.dataset.classes)
    confusion = np.bincount(truth * classes + predicted, minlength=classes * classes).reshape(classes, classes)
    figures = Figures(
        top1=float((predicted == truth).mean()),
        top5=float(in_top5.mean()),
        loss=float(losses.mean(dtype=np.float64)),
        mse=float(mse) if np.isfinite(mse := squares.mean(dtype=np.float64)) else None,
        count=count,
        views=views,
        precision=precision,
    )
    full = None if kept is None else world.total(kept).cpu().numpy()
    return Evaluation(figures, predicted, best, losses, confusion, full)
