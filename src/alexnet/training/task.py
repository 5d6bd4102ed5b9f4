"""What a network is trained to say of an image: one class, or any number of labels; and what an epoch measures."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from torch import nn

from alexnet.artifacts.figures import Figures, LabelFigures
from alexnet.data.dataset import Dataset
from alexnet.data.loading.loader import Loader
from alexnet.data.transforms.augment import Augmenter
from alexnet.errors import InputError
from alexnet.inference import evaluate, label_evaluation
from alexnet.models.network import Network
from alexnet.process.group import World
from alexnet.recipes.schema import Recipe


class Task(Protocol):
    @property
    def name(self) -> str:
        """As `Card.task` has it."""
        ...

    @property
    def score(self) -> str:
        """The field of an epoch's row by which the best one is chosen."""
        ...

    @property
    def trained(self) -> str:
        """The field that holds the share of right answers in training."""
        ...

    @property
    def answers(self) -> int:
        """That are right or wrong, of one image."""
        ...

    def evaluate(
        self, module: nn.Module, loader: Loader, augmenter: Augmenter, precision: str, world: World
    ) -> tuple[dict[str, Any], np.ndarray | None]:
        """What an epoch's row says of the validation images, and their confusion matrix, int64 [k, k], if any."""
        ...

    def figures(self, row: Mapping[str, Any], count: int, precision: str) -> dict[str, Any]:
        """An epoch's row as the card has it."""
        ...


@dataclass(frozen=True)
class OneClass:
    """One class an image."""

    name = "single-label"
    score = "val_accuracy"
    trained = "train_accuracy"
    answers = 1

    def evaluate(
        self, module: nn.Module, loader: Loader, augmenter: Augmenter, precision: str, world: World
    ) -> tuple[dict[str, Any], np.ndarray | None]:
        seen = evaluate.run(module, loader, augmenter, precision=precision, world=world)
        found = seen.figures
        return {"val_loss": found.loss, "val_accuracy": found.top1, "val_top5": found.top5}, seen.confusion

    def figures(self, row: Mapping[str, Any], count: int, precision: str) -> dict[str, Any]:
        own = {"top1": row["val_accuracy"], "top5": row["val_top5"], "loss": row["val_loss"]}
        return Figures(**own, count=count, precision=precision).to_json()


@dataclass(frozen=True)
class Labels:
    """Any number of labels an image."""

    answers: int
    name = "multi-label"
    score = "val_map"
    trained = "train_label_accuracy"

    def evaluate(
        self, module: nn.Module, loader: Loader, augmenter: Augmenter, precision: str, world: World
    ) -> tuple[dict[str, Any], np.ndarray | None]:
        found = label_evaluation.run(module, loader, augmenter, precision=precision, world=world).figures
        return {f"val_{name}": getattr(found, name) for name in _MEASURED}, None

    def figures(self, row: Mapping[str, Any], count: int, precision: str) -> dict[str, Any]:
        own = {name: row[f"val_{name}"] for name in _MEASURED}
        return LabelFigures(**own, count=count, precision=precision).to_json()


_MEASURED = ("loss", "map", "micro_f1", "macro_f1", "label_accuracy", "exact")


def task_of(dataset: Dataset) -> Task:
    return Labels(len(dataset.classes)) if dataset.multilabel else OneClass()


def check_task(task: Task, recipe: Recipe, network: Network, held: Dataset) -> None:
    """InputError for what several labels an image cannot be trained with. `held`: the validation images."""
    if isinstance(task, OneClass):
        return
    if recipe.model.teacher is not None:
        raise InputError("distillation is for one class an image; leave out model.teacher")
    if recipe.train.class_weights:
        raise InputError(
            "train.class_weights is for one class an image; set it to false: thresholds are chosen by class"
        )
    if isinstance(list(network.children())[-1], nn.LogSoftmax):
        raise InputError(f"{network.spec.name} ends in a log-softmax, which names one class; choose another network")
    if not held.targets.any():
        raise InputError("no validation image has a label; more images, or another data.validation, are needed")
