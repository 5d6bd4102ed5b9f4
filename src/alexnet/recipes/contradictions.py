"""Keys of a recipe that contradict each other."""

import itertools
import re

from alexnet.errors import InputError
from alexnet.recipes.durations import is_before
from alexnet.recipes.schema import Recipe


def check(recipe: Recipe) -> None:
    """Raises InputError for keys that contradict each other."""
    data, schedule, augment = recipe.data, recipe.schedule, recipe.augment
    if not re.fullmatch(r"[^./\\\x00-\x1f\x7f-\x9f][^/\\\x00-\x1f\x7f-\x9f]{,199}", recipe.name):
        raise InputError(f"name is {recipe.name!r}; it names the run's folder: no slashes, no leading dot")
    if data.per_class is not None and data.train_images is not None:
        raise InputError("data.per_class and data.train_images cannot be combined: both choose the training images")
    if data.folds == 1 or not 1 <= data.fold <= max(data.folds, 1):
        raise InputError(f"data.fold is {data.fold} of data.folds {data.folds}; give 2 folds or more, and one of them")
    if data.folds and data.validation == "test":
        raise InputError("data.folds validates on training images; leave out data.validation = 'test'")
    if recipe.optimizer.nesterov and not recipe.optimizer.momentum:
        raise InputError("optimizer.nesterov needs optimizer.momentum above 0")
    for name in ("milestones", "unfreeze"):
        times = getattr(schedule, name)
        if not all(is_before(first, second) for first, second in itertools.pairwise(times)):
            raise InputError(f"schedule.{name} must be in ascending order")
    for name in ("resized_crop", "crop_ratio"):
        bounds = getattr(augment, name)
        if len(bounds) not in ((0, 2) if name == "resized_crop" else (2,)) or list(bounds) != sorted(bounds):
            raise InputError(f"augment.{name} takes [smallest, largest], not {list(bounds)}")
    if augment.resized_crop and augment.shift:
        raise InputError("augment.resized_crop and augment.shift cannot be combined; leave augment.shift at 0")
    if recipe.train.test_views not in (1, 2, 10):
        raise InputError(f"train.test_views is {recipe.train.test_views}; choose 1, 2 (mirrored) or 10 (corners too)")
    if recipe.model.skip and recipe.model.weights is None:
        raise InputError("model.skip leaves out layers of model.weights, which is not set")
    if schedule.unfreeze and not recipe.model.freeze:
        raise InputError("schedule.unfreeze needs model.freeze, the layers that are frozen at first")
    if schedule.name == "one-cycle" and schedule.warmup:
        raise InputError("schedule 'one-cycle' warms up by itself, until schedule.peak; leave schedule.warmup at 0")
    if not schedule.patience:
        raise InputError("schedule.patience must be above 0")
    if schedule.name == "plateau" and data.validation == "test":
        raise InputError("schedule 'plateau' would set the rate by test images; set data.validation to a fraction")
    if schedule.name == "step" and not schedule.milestones:
        raise InputError("schedule 'step' needs schedule.milestones, when the learning rate drops")
