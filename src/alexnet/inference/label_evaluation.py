"""Every image of a split with several labels each, evaluated exactly once."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Unpack

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from alexnet import arguments
from alexnet.artifacts.figures import LabelFigures
from alexnet.data.dataset import Dataset
from alexnet.data.loading.loader import Loader
from alexnet.data.transforms.augment import Augmenter
from alexnet.device import own_settings
from alexnet.errors import InputError, counted
from alexnet.inference import label_metrics as metrics
from alexnet.inference.evaluate import Evaluation, How, opened, passed, told
from alexnet.inference.evaluate import evaluate as evaluate_classes
from alexnet.inference.model import Model, check_model
from alexnet.inference.views import checked, label_logits, views_of
from alexnet.process.group import ALONE, World


@dataclass(frozen=True)
class LabelEvaluation:
    """The figures, and for each image in the set's order what the network said of it."""

    figures: LabelFigures
    targets: np.ndarray
    """uint8 [n, classes]"""
    probabilities: np.ndarray
    """float32 [n, classes]: of each label, by itself."""
    losses: np.ndarray
    """float32 [n]: mean binary cross-entropy over the classes."""
    thresholds: np.ndarray
    """float64 [classes]: from which probability on each is given."""
    logits: np.ndarray | None = None
    """float32 [n, classes]: whose sigmoids the probabilities are, where they were to be kept."""

    @property
    def per_label(self) -> metrics.PerLabel:
        return metrics.per_label(self.targets, self.probabilities, self.thresholds)

    @property
    def given(self) -> np.ndarray:
        """bool [n, classes]: the labels that each image is given."""
        return metrics.chosen(self.probabilities, self.thresholds)

    def at(self, thresholds: np.ndarray) -> "LabelEvaluation":
        """The same with other thresholds."""
        figures = self.figures.model_copy(update=_at(self.targets, self.probabilities, thresholds))
        return replace(self, figures=figures, thresholds=thresholds)

    def worst(self, count: int) -> np.ndarray:
        """Indices of the images that it gets most wrong, worst first (at most `count`; right ones are left out)."""
        wrong = np.flatnonzero((self.given != (self.targets > 0)).any(1))
        return wrong[np.argsort(-self.losses[wrong], kind="stable")][:count]


@own_settings()
def evaluate(
    model: Model,
    dataset: Dataset,
    *,
    batch_size: int = 256,
    precision: str | None = None,
    progress: Callable[[int, int], None] | None = None,
    views: int = 1,
    keep: bool = False,
    world: World = ALONE,
) -> Evaluation | LabelEvaluation:
    """Evaluates a model on a dataset whose classes are joined to the model's by name: figures, and what it said of
    each image.

    A model with one class an image gives an `Evaluation`, one with several labels a `LabelEvaluation` at its card's
    thresholds. Images of another size are fitted as the model's card says. `views`: 1, 2 (mirrored) or 10 (corners,
    center and mirrored); the probabilities are averaged as `alexnet.inference.views` explains. `precision`: 'fp32',
    'bf16' or 'auto'; None: the model's own, which is fp32 unless it was converted. `keep`: the evaluation holds the
    log-probabilities of all classes, or the logits of all labels (4 bytes for each class of each image). Several
    processes (`world`) share the images; each gets the whole evaluation.
    Raises InputError for images with a class that the model never saw, where one has one label an image and the other
    several, and for another number of views.
    """
    check_model(model)
    if not isinstance(dataset, Dataset):
        raise InputError(f"a dataset is what alexnet.dataset gives, not {arguments.kind(dataset)}")
    arguments.calls("progress", progress)
    keep, views = arguments.flag("keep", keep), checked(views)
    if not isinstance(world, World):
        raise arguments.refusal("world", "an alexnet.process.group.World", world)
    how = How(batch_size=batch_size, progress=progress, views=views, keep=keep, world=world)
    kind = evaluate_labels if model.multilabel else evaluate_classes
    return kind(model, dataset, precision=precision, **how)


@own_settings()
def evaluate_labels(
    model: Model, dataset: Dataset, *, precision: str | None = None, **how: Unpack[How]
) -> LabelEvaluation:
    """The same for a model that may name several labels an image."""
    model, loader = opened(model, dataset, precision)
    found = run(model.module, loader, views_of(model), **how)
    return replace(found, figures=found.figures.model_copy(update=told(model))).at(model.thresholds)


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
) -> LabelEvaluation:
    """The same for a module and a loader whose labels are the module's classes, at thresholds of 0.5; leaves the
    module's mode as it was. Several processes share the images; each gets the whole evaluation."""
    targets, views = loader.dataset.targets, checked(views)
    if len(targets) and not targets.any():
        raise InputError(f"no label in {counted(len(targets), 'image')}: mean average precision means nothing here")
    kept = torch.zeros(targets.shape, device=loader.device)
    losses = torch.zeros(len(targets), device=loader.device)
    batches = passed(
        module, loader, augmenter, label_logits, precision,
        batch_size=batch_size, progress=progress, world=world, views=views,
    )  # fmt: skip
    for these, said, labels in batches:
        kept[these] = said
        losses[these] = functional.binary_cross_entropy_with_logits(said, labels.float(), reduction="none").mean(1)
    logits, losses = (world.total(x).cpu() for x in (kept, losses))
    probabilities, losses = logits.sigmoid().numpy(), losses.numpy()
    halves = np.full(targets.shape[1], metrics.HALF)
    figures = LabelFigures(
        **_at(targets, probabilities, halves),  # pyright: ignore[reportArgumentType]
        loss=float(losses.mean(dtype=np.float64)),
        count=len(targets),
        views=views,
        precision=precision,
    )
    return LabelEvaluation(figures, targets, probabilities, losses, halves, logits.numpy() if keep else None)


def _at(targets: np.ndarray, probabilities: np.ndarray, thresholds: np.ndarray) -> dict[str, float]:
    """The figures that depend on labels and thresholds alone."""
    found = metrics.per_label(targets, probabilities, thresholds)
    right = metrics.chosen(probabilities, thresholds) == (targets > 0)
    return {
        "map": metrics.mean_average_precision(found),
        "micro_f1": metrics.micro_f1(found),
        "macro_f1": metrics.macro_f1(found),
        "label_accuracy": float(right.mean()),
        "exact": float(right.all(1).mean()),
    }
