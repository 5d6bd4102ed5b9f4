"""How long something in a recipe lasts: in epochs, in steps, or as a share of the run."""

import dataclasses
import math
import re
from typing import TYPE_CHECKING, Annotated

from pydantic import PlainValidator

from alexnet.arguments import shown

if TYPE_CHECKING:
    from alexnet.recipes.schema import Recipe

LONGEST = 10**12
_FORM = re.compile(r"(\d{1,15}(?:\.\d{1,15})?) ?(epochs?|steps?|%)")


def _checked(value: object) -> float | str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        if not 0 <= value <= LONGEST:  # nan too
            raise ValueError(f"is {shown(value)}; a duration must be at least 0 and at most {LONGEST:,}")
        return float(value)
    if not isinstance(value, str) or not (found := _FORM.fullmatch(value)):
        raise ValueError(f"takes a number of epochs, '500 steps' or '5%', not {shown(value)}")
    if found[2].startswith("epoch"):
        return float(found[1])
    if found[2] == "%" and float(found[1]) > 100:
        raise ValueError(f"is {value!r}; at most 100% of a run can pass")
    return value


Duration = Annotated[float | str, PlainValidator(_checked)]
"""A number of epochs, or a string: '500 steps', or '5%' of the run."""


def passes(recipe: "Recipe", images: int) -> int:
    """How often an epoch passes over this number of training images: once, or more to make `train.least_steps`."""
    wanted = recipe.train.least_steps * recipe.train.batch_size
    return max(-(-wanted // max(images, 1)), 1)


def steps_of_epoch(recipe: "Recipe", images: int) -> int:
    """The steps of an epoch over this number of training images."""
    return -(-images * passes(recipe, images) // recipe.train.batch_size)


def in_epochs(value: float | str, steps: int, length: float) -> float:
    """A duration in epochs of `steps` steps, in a run of `length` epochs."""
    found = _FORM.fullmatch(value) if isinstance(value, str) else None
    if not found:
        return float(value)
    if found[2] == "%":
        return float(found[1]) / 100 * length
    whole, rest = divmod(float(found[1]), steps)
    return whole + rest / steps  # as the training loop says where it stands, to the last bit


def is_before(first: float | str, second: float | str) -> bool:
    """Whether the first of two durations of the same unit is not the longer one; True where the units differ."""
    units = [
        found[2][0] if isinstance(each, str) and (found := _FORM.fullmatch(each)) else "" for each in (first, second)
    ]
    return units[0] != units[1] or in_epochs(first, 1, 1) <= in_epochs(second, 1, 1)


def resolved(recipe: "Recipe", steps: int, length: float) -> "Recipe":
    """The recipe with every duration as a number of epochs, for a run of `length` epochs of `steps` steps.

    What is counted once per epoch, such as `patience`, is rounded up to whole epochs. Where a number of steps decides
    the run's length, warm-up and milestones that are numbers of the recipe's epochs are stretched with it.
    """
    augment, schedule, train = recipe.augment, recipe.schedule, recipe.train
    # A limit within the last epoch only cuts that one: Caffe's 450,000 steps are 89.9 of its 90 epochs.
    scale = length / train.epochs if train.steps and math.ceil(length) != train.epochs else 1.0

    def epochs(value: float | str) -> float:
        return in_epochs(value, steps, length)

    def stretched(value: float | str) -> float:
        return epochs(value) if isinstance(value, str) else value * scale

    until = augment.pca_color_until
    drops = {name: dataclasses.replace(drop, after=epochs(drop.after)) for name, drop in schedule.layer_drops.items()}
    return dataclasses.replace(
        recipe,
        augment=dataclasses.replace(augment, pca_color_until=None if until is None else epochs(until)),
        schedule=dataclasses.replace(
            schedule,
            warmup=stretched(schedule.warmup),
            milestones=tuple(map(stretched, schedule.milestones)),
            patience=max(math.ceil(epochs(schedule.patience)), 1),
            unfreeze=tuple(map(epochs, schedule.unfreeze)),
            freeze={name: epochs(value) for name, value in schedule.freeze.items()},
            layer_drops=drops,
        ),
        train=dataclasses.replace(train, patience=math.ceil(epochs(train.patience))),
    )


def patience_of(recipe: "Recipe", steps: int) -> int:
    """`train.patience` in whole epochs of `steps` steps; 0: a run does not stop early."""
    length = recipe.train.steps / steps if recipe.train.steps else recipe.train.epochs
    return math.ceil(in_epochs(recipe.train.patience, steps, length))
