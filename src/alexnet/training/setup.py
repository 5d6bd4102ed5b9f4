"""From a recipe to everything that a run needs, checked before the first step."""

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from alexnet.artifacts import store
from alexnet.artifacts.card import Origin
from alexnet.artifacts.run import Run
from alexnet.data.dataset import Dataset
from alexnet.data.folds import folded
from alexnet.data.groups import read_quarantine
from alexnet.data.loading.loader import Loader
from alexnet.data.loading.samples import checked_range
from alexnet.data.loading.shard_order import chosen, told
from alexnet.data.remote.address import recorded
from alexnet.data.sources import ANY_SIZE, open_splits
from alexnet.data.splits import Splits
from alexnet.data.transforms.augment import Augmenter
from alexnet.data.transforms.color import PCAColor
from alexnet.data.transforms.mixing import Mixing
from alexnet.device import choose_device, choose_precision, derive_seed, emulated, seeded
from alexnet.errors import InputError
from alexnet.models import catalog
from alexnet.models.network import Network
from alexnet.models.quick import quicken
from alexnet.models.summary import Summary, summarize
from alexnet.preprocessing import MeanImage, Preprocessing
from alexnet.process import waiting
from alexnet.recipes.durations import resolved, steps_of_epoch
from alexnet.recipes.schema import Recipe
from alexnet.training import schedule
from alexnet.training.compiled import compiled
from alexnet.training.distill import Teacher
from alexnet.training.normalization import preprocessing_of
from alexnet.training.objective import BinaryCrossEntropy, CrossEntropy, Distillation, Objective
from alexnet.training.pca_color import pca_color
from alexnet.training.task import Task, check_task, task_of
from alexnet.weights.load import Loaded, load_into


@dataclass
class Setup:
    """What a run works with."""

    recipe: Recipe
    data: str | None
    """Where the user said that the images are."""
    device: torch.device
    precision: str
    splits: Splits
    model: Network
    spec: catalog.Spec
    summary: Summary
    preprocessing: Preprocessing
    train: Loader
    validation: Loader
    test: Dataset | None
    validation_is_test: bool
    fingerprint: str
    class_weights: Tensor | None
    pca_color: PCAColor | None
    loaded: Loaded | None
    """The weights that the run begins with; None: initial values only."""
    teacher: Teacher | None

    @property
    def classes(self) -> tuple[str, ...]:
        return self.train.dataset.classes

    @property
    def init(self) -> str:
        return self.recipe.model.init or self.spec.init

    @property
    def train_counts(self) -> np.ndarray:
        dataset = self.train.dataset
        if dataset.multilabel:
            return dataset.targets.sum(0, dtype=np.int64)
        return np.bincount(dataset.labels, minlength=len(self.classes))

    @property
    def task(self) -> Task:
        return task_of(self.train.dataset)

    @property
    def steps(self) -> int:
        """Of an epoch that no limit cuts short."""
        return steps_of_epoch(self.recipe, len(self.train.dataset))

    @property
    def length(self) -> float:
        """Of the run, in epochs: with a limit on the steps, the last one may be cut short."""
        limit = self.recipe.train.steps
        return limit / self.steps if limit else self.recipe.train.epochs

    @property
    def timed(self) -> Recipe:
        """The recipe with all durations in epochs."""
        return _timed(self.recipe, self.train.dataset)

    @property
    def augmentation(self) -> dict[str, Any]:
        """The keyword arguments of Augmenter."""
        others = ("pca_color", "mix", "cutmix")
        augment = {name: value for name, value in vars(self.recipe.augment).items() if not name.startswith(others)}
        return augment | {"pca_color": self.pca_color}

    @property
    def start(self) -> dict[str, Any]:
        """What `prepare` takes for a resumed run as it was, whatever has become of the files that it came from."""
        image, loaded = self.preprocessing.mean_image, self.loaded
        return {
            "preprocessing": self.preprocessing.to_json(),
            "mean": torch.from_numpy(image.pixels) if image else None,
            "spectrum": vars(self.pca_color.spectrum) if self.pca_color else None,
            "loaded": {"path": str(loaded.path), "origin": loaded.origin.to_json()} if loaded else None,
        }

    @property
    def mixing(self) -> Mixing:
        augment = self.recipe.augment
        return Mixing(augment.mixup, augment.cutmix, augment.mix_probability)

    @property
    def objective(self) -> Objective:
        settings = self.recipe.train
        if self.train.dataset.multilabel:
            return BinaryCrossEntropy(settings.label_smoothing)
        labels = CrossEntropy(self.class_weights, settings.label_smoothing)
        if self.teacher is None:
            return labels
        return Distillation(labels, self.teacher, settings.distill_weight, settings.distill_temperature)

    def forward(self) -> Callable[[Tensor], Tensor]:
        """The network as the recipe runs it: quickened, or compiled and checked on the first training images."""
        if not self.recipe.train.compile:
            return quicken(self.model)
        size = self.recipe.train.batch_size
        images, labels = next(self.train.batches(torch.arange(min(size, len(self.train.dataset))), size))
        return compiled(self.model, Augmenter(self.preprocessing).evaluate(images), labels, self.precision)

    @functools.cached_property
    def notes(self) -> list[str]:
        """How the images were read, what was left out, and what their splits share, a line each."""
        return self.splits.notes + told(self.recipe.data.shuffle, self.splits) + self.splits.content_notes

    def take_order(self, shuffle: str) -> None:
        """Sets `data.shuffle`, as it is in force for these images. Raises InputError where it is none for them."""
        shuffle = chosen(shuffle, self.splits, self.recipe.train.batch_size)
        self.recipe = replace(self.recipe, data=replace(self.recipe.data, shuffle=shuffle))

    def facts(self) -> dict[str, Any]:
        """What to tell when the run begins."""
        return {
            "network": self.spec.name,
            "parameters": self.summary.parameters,
            "flops": self.summary.flops,
            "set": self.splits.name,
            "classes": len(self.classes),
            "train": len(self.train.dataset),
            "validation": len(self.validation.dataset),
            "test": len(self.test) if self.test is not None else 0,
            "validation_is_test": self.validation_is_test,
            "skipped": len(self.splits.skipped),
            "notes": self.notes,
            "remarks": [
                *schedule.notes(self.timed.schedule, self.length),
                *filter(None, [emulated(self.precision, self.device), waiting.remark()]),
            ],
            "device": str(self.device),
            "precision": self.precision,
            "epochs": math.ceil(self.length),
            "steps": self.recipe.train.steps,
            "start": self.loaded.started(self.recipe.data.normalize) if self.loaded else "",
        }

    def write_records(self, run: Run) -> None:
        """Before training: which image is in which split, the mean image if there is one, and what was left out."""
        parts = {"train": self.train.dataset, "validation": self.validation.dataset, "test": self.test}
        places = (self.data, self.splits.place, self.splits.protocol.get("labels"))
        run.write_split(
            {name: part for name, part in parts.items() if part is not None}, places, self.splits.quarantined
        )
        store.save_mean(run.path / store.CARD, self.preprocessing)
        run.write_skipped(self.splits.skipped)


def prepare(
    recipe: Recipe,
    data: Path | str | None,
    device_name: str,
    scanning: Callable[[int, int], None] | None = None,
    splits: Splits | None = None,
    start: Mapping[str, Any] | None = None,
    fetching: Callable[[int, int], None] | None = None,
) -> Setup:
    """Opens the images (unless `splits` are given) and builds the network; writes nothing.

    `start`: the `Setup.start` of the run that is resumed, whose weights are in its state. `scanning` and `fetching`
    are called with images, and bytes of a public set that is not on this machine yet, done and in all.
    Raises InputError for whatever does not fit.
    """
    device = choose_device(device_name)
    spec = catalog.get(recipe.model.name)
    channels, height, width = spec.input
    seed = recipe.train.seed
    # Folders hold images of any size; sets of one size are resized only when the recipe asks for it.
    resizes = recipe.data.name in ANY_SIZE or recipe.data.resize is not None
    resize = recipe.data.resize or spec.preprocessing.resize
    samples = recipe.data.samples or (start["preprocessing"].get("samples") if start else None)
    if splits is None:
        size = (height, width) if resizes else None
        splits = _opened(recipe, data, channels, size, resize, scanning, fetching, samples)
    dataset = splits.train
    if not resizes and dataset.size != (height, width):
        raise InputError(
            f"{spec.name} takes images of {height}×{width}, those of {recipe.data.name} are "
            f"{dataset.size[0]}×{dataset.size[1]}: choose another network, or --set data.resize={min(height, width)}"
        )
    with seeded(derive_seed(seed, "init"), device):
        model = catalog.create(
            spec.name, classes=len(dataset.classes), init=recipe.model.init, dropout=recipe.model.dropout
        )
    if start:
        kept, mean = start["loaded"], start["mean"]
        loaded = (
            Loaded(Path(kept["path"]), Origin.parse(kept["origin"], "the run's state"), None, (), None)
            if kept
            else None
        )
        image = None if mean is None else MeanImage(mean.numpy())
        preprocessing = Preprocessing.from_json(start["preprocessing"], image)
    else:
        loaded = load_into(model, recipe.model.weights, recipe.model.skip) if recipe.model.weights else None
        base = loaded.preprocessing if loaded and loaded.preprocessing else spec.preprocessing
        base = replace(
            base,
            size=spec.preprocessing.size,
            fit=recipe.data.fit,
            resize=resize,
            antialias=recipe.data.antialias,
            samples=splits.samples,
        )
        preprocessing = preprocessing_of(recipe, base, dataset)
    summary = summarize(model)
    model.to(device)
    if recipe.train.channels_last:
        for parameter in model.parameters():
            if parameter.ndim == 4:
                parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    assert splits.validation is not None, "open_splits cuts one where there is none"
    check_task(task_of(dataset), recipe, model, splits.validation)
    precision = choose_precision(recipe.train.precision, device)
    train = Loader(dataset, device, recipe.data.workers)
    teacher = None
    if recipe.model.teacher:
        teacher = Teacher(
            recipe.model.teacher,
            dataset.classes,
            preprocessing,
            device,
            precision,
        )
    setup = Setup(
        recipe=recipe,
        data=recorded(data) if data is not None else None,
        device=device,
        precision=precision,
        splits=splits,
        model=model,
        spec=spec,
        summary=summary,
        preprocessing=preprocessing,
        train=train,
        validation=Loader(splits.validation, device, train.workers),
        test=splits.test,
        validation_is_test=splits.validation_is_test,
        fingerprint=splits.fingerprint,
        class_weights=_class_weights(dataset).to(device) if recipe.train.class_weights else None,
        pca_color=pca_color(_timed(recipe, dataset).augment, splits, start and start["spectrum"]),
        loaded=loaded,
        teacher=teacher,
    )
    setup.take_order(recipe.data.shuffle)
    return setup


def _timed(recipe: Recipe, dataset: Dataset) -> Recipe:
    steps, limit = steps_of_epoch(recipe, len(dataset)), recipe.train.steps
    return resolved(recipe, steps, limit / steps if limit else recipe.train.epochs)


def _opened(
    recipe: Recipe,
    data: Path | str | None,
    channels: int,
    size: tuple[int, int] | None,
    resize: int | None,
    scanning: Callable[[int, int], None] | None,
    fetching: Callable[[int, int], None] | None,
    samples: Sequence[float] | None,
) -> Splits:
    wanted, seed = recipe.data, recipe.train.seed
    splits = open_splits(
        wanted.name,
        data,
        size=size,
        channels=channels,
        fit=wanted.fit,
        resize=resize,
        validation=None if wanted.folds else wanted.validation,
        seed=seed,
        progress=scanning,
        fetching=fetching,
        first_classes=wanted.first_classes,
        first_images=wanted.first_images,
        per_class=wanted.per_class,
        train_images=wanted.train_images,
        labels=wanted.labels,
        label_separator=wanted.label_separator,
        label_columns=wanted.label_columns,
        layout=wanted.layout,
        transpose=wanted.transpose,
        missing_shards=wanted.missing_shards,
        samples=checked_range(samples) if samples else None,
        antialias=wanted.antialias,
        count=wanted.synthetic_images,
        quarantine=read_quarantine(wanted.quarantine) if wanted.quarantine else (),
        group_by=wanted.group_by,
    )
    return folded(splits, wanted.fold, wanted.folds, seed, wanted.group_by) if wanted.folds else splits


def _class_weights(dataset: Dataset) -> Tensor:
    """Inverse frequencies with mean 1 over the training images; a class without images weighs nothing."""
    counts = np.bincount(dataset.labels, minlength=len(dataset.classes))
    present = np.count_nonzero(counts)
    weights = np.divide(len(dataset) / present, counts, out=np.zeros(len(counts)), where=counts > 0)
    return torch.tensor(weights, dtype=torch.float32)
