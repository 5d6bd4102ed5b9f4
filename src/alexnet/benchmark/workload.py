"""What is timed: the program's own training step, on images that are made up in memory."""

from collections.abc import Generator, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from alexnet.benchmark.machine import seconds
from alexnet.data.dataset import ArrayDataset
from alexnet.data.splits import Splits
from alexnet.models import catalog
from alexnet.recipes import recipe as recipes
from alexnet.recipes.schema import Optimizer, Recipe
from alexnet.training.learner import Learner
from alexnet.training.setup import prepare

PUBLISHED = {
    "alexnet-cifar100": "cifar100-as-published",
    "alexnet-cifar10": "cifar10-alexnet",
    "alexnet-slim": "cifar10-slim",
    "alexnet-slim-regular": "cifar10-slim-regular",
    "alexnet-thinner-2": "cifar10-thinner-2",
    "alexnet-thinner-2-as-run": "cifar10-thinner-2-as-run",
    "alexnet-thinner-4": "cifar10-thinner-4",
    "alexnet-mnist": "mnist-as-published",
    "alexnet-caltech": "caltech256-as-published",
    "alexnet-caltech-lrn": "caltech256-as-published",
}
"""The recipe that has a network's published optimizer and batch."""
_REFERENCE = Recipe(optimizer=Optimizer("sgd", lr=0.01, momentum=0.9, weight_decay=1e-4))  # torchvision's references
_BATCHES = 2  # as many batches of images are made


def of_network(
    network: str, batch: int | None = None, precision: str = "auto", settings: Mapping[str, Any] | None = None
) -> Recipe:
    """`network` with its published optimizer, on synthetic images and without augmentation.

    batch: None is as published, 64 where nothing is. settings: recipe keys put over it. InputError for an unknown
    network or key.
    """
    spec, published = catalog.get(network), recipes.load(PUBLISHED[network]) if network in PUBLISHED else _REFERENCE
    own = Recipe(spec.name, optimizer=published.optimizer)
    fixed = {
        "model.name": network,
        "data.name": "synthetic",
        "schedule.name": "constant",
        "train.batch_size": published.train.batch_size if batch is None else batch,
        "train.precision": precision,
    }
    return recipes.load(own, fixed | dict(settings or {}))


def synthetic(network: str, count: int) -> Splits:
    """`count` images of noise for `network`, labeled at random; the same ones validate."""
    spec, random = catalog.get(network), np.random.default_rng(0)
    channels, height, width = spec.input
    images = random.integers(0, 256, (count, height, width, channels), np.uint8)
    labels, names = random.integers(0, spec.classes, count), [str(i) for i in range(count)]
    dataset = ArrayDataset(images, labels, [f"class{i}" for i in range(spec.classes)], names)
    return Splits(dataset, dataset, None, "synthetic", None, [])


class Session(AbstractContextManager["Session"]):
    """A recipe's training, ready to make steps; it writes nothing."""

    def __init__(self, recipe: Recipe, data: Path | str | None = None, device: str = "auto"):
        made = recipe.data.name == "synthetic"
        splits = synthetic(recipe.model.name, _BATCHES * recipe.train.batch_size) if made else None
        # A recipe's course is not run to its end: its schedule must not come to it either.
        recipe = replace(recipe, train=replace(recipe.train, epochs=100_000))
        self.setup = prepare(recipe, data, device, splits=splits)
        self.learner = Learner(self.setup)
        self._batches = self._endless()

    def __exit__(self, *_: object) -> None:
        self._batches.close()

    def batch(self) -> tuple[Tensor, Tensor]:
        """The next images and labels, as the training loop gets them."""
        return next(self._batches)

    def step(self) -> None:
        """One step of training, data included."""
        self.train_on(*self.batch())

    def train_on(self, images: Tensor, labels: Tensor) -> None:
        """The training loop's own step."""
        self.learner.step(images, labels)

    def seconds(self, steps: int) -> list[float]:
        """The seconds of each of `steps` steps."""
        return [seconds(self.setup.device, self.step) for _ in range(steps)]

    def _endless(self) -> Generator[tuple[Tensor, Tensor]]:
        size, count = self.setup.recipe.train.batch_size, len(self.setup.train.dataset)
        generator = torch.Generator().manual_seed(0)
        while True:
            order = torch.randperm(count, generator=generator)
            yield from (batch for batch in self.setup.train.batches(order, size) if len(batch[1]) == min(size, count))
