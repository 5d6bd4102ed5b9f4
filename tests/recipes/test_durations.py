"""Durations in epochs, steps and per cent; the shipped recipes' schedules."""

import dataclasses

import pytest

from alexnet.errors import InputError
from alexnet.recipes import recipe as recipes
from alexnet.recipes.durations import in_epochs, patience_of, resolved
from alexnet.training.schedule import factor

STEPS = 5005  # per epoch: ImageNet in batches of 256, which imagenet-caffe's steps are about

# The factor on the learning rate at 0, 1/8 … 7/8 of the run, as first computed from the published schedules.
SCHEDULES = {
    ("caltech256", "digits", "mnist", "transfer"): (
        0.04, 0.395766858, 0.935692194, 0.971941665, 0.811744901, 0.555982238, 0.28305813, 0.0766379004,
    ),
    ("caltech256-as-published", "cifar10-as-published", "cifar100-as-published", "folder-as-published",
     "imagenet-2012-as-written", "mnist-as-published", "mnist-resnet56-as-published"): (1, 1, 1, 1, 1, 1, 1, 1),
    ("cifar10", "cifar10-quick", "cifar10-slim-quick", "cifar10-thinner", "cifar100"): (
        0.04, 0.703688048, 0.99039264, 0.886505227, 0.691341716, 0.45099143, 0.222214883, 0.0590393678,
    ),
    ("cifar10-alexnet", "cifar10-slim", "cifar10-slim-regular", "cifar10-thinner-2", "cifar10-thinner-2-as-run",
     "cifar10-thinner-4", "imagenet-torchvision"): (1, 1, 1, 0.1, 0.1, 0.1, 0.01, 0.01),
    ("cifar10-resnet56-as-published",): (1, 1, 1, 1, 0.1, 0.1, 0.01, 0.01),
    ("finetune",): (0.001, 0.998097349, 0.933012702, 0.786788218, 0.586824089, 0.370590477, 0.178606195, 0.0468461065),
    ("folder", "imagenet"): (
        0.001, 0.977976071, 0.881081028, 0.722155853, 0.527069454, 0.327576849, 0.156150271, 0.0406935311,
    ),
    ("imagenet-2012",): (1, 1, 1, 0.1, 0.1, 0.01, 0.01, 0.001),
    ("imagenet-caffe",): (1, 1, 0.1, 0.1, 0.01, 0.01, 0.001, 0.001),
    ("mnist-resnet20",): (0.001, 1, 1, 1, 0.1, 0.1, 0.1, 0.01),
    ("probe",): (1, 0.961939766, 0.853553391, 0.691341716, 0.5, 0.308658284, 0.146446609, 0.0380602337),
}  # fmt: skip
EXPECTED = {name: factors for names, factors in SCHEDULES.items() for name in names}


@pytest.mark.parametrize("name", EXPECTED)
def test_the_schedule_of_a_shipped_recipe(name: str) -> None:
    recipe = recipes.load(name)
    length = recipe.train.steps / STEPS if recipe.train.steps else recipe.train.epochs
    schedule = resolved(recipe, STEPS, length).schedule
    found = [factor(schedule, part / 8 * length, length) for part in range(8)]
    assert found == pytest.approx(EXPECTED[name], rel=1e-8)


def test_a_milestone_in_steps_falls_on_its_step() -> None:
    """Where the loop stands is epoch + step / steps; rounding must not delay the drop by a step."""
    for steps in (3, 7, 49, 391, 5005):
        for step in (1, 3, 7, 50, 99, 1000, 100_000):
            at = in_epochs(f"{step} steps", steps, 90)
            assert step // steps + step % steps / steps >= at
            before = step - 1
            assert before // steps + before % steps / steps < at


def test_durations_are_resolved_to_epochs() -> None:
    changes = {
        "train.epochs": 40, "schedule.warmup": "5%", "schedule.freeze.conv1": "25 steps",
        "schedule.layer_drops.conv2": {"after": "3 epochs", "factor": 0.5}, "train.patience": "25 steps",
        "augment.pca_color_until": "50%", "model.freeze": ["fc6"], "schedule.unfreeze": [1, "30 steps", "50%"],
        "schedule.name": "plateau", "schedule.patience": "15 steps",
    }  # fmt: skip
    recipe = recipes.load("digits", changes)
    plan = resolved(recipe, steps=10, length=40)
    assert (plan.schedule.warmup, plan.schedule.freeze, plan.schedule.unfreeze) == (
        2.0,
        {"conv1": 2.5},
        (1.0, 3.0, 20.0),
    )
    assert plan.schedule.layer_drops["conv2"].after == 3.0
    assert (plan.train.patience, plan.schedule.patience, plan.augment.pca_color_until) == (3, 2, 20.0)
    assert patience_of(recipe, 10) == 3
    assert resolved(plan, 10, 40) == plan
    assert recipes.load(recipe) == recipe
    assert 'freeze = {conv1 = "25 steps"}' in recipes.to_toml(recipe)


def test_a_schedule_that_was_not_resolved_is_not_used_by_mistake() -> None:
    schedule = dataclasses.replace(recipes.load("folder").schedule, warmup="5%")
    with pytest.raises(ValueError, match="5%"):
        factor(schedule, 0, 10)


@pytest.mark.parametrize(
    "value", ["5 %%", "-1 steps", "1e3 steps", "", "steps", "5,5%", True, [1], -1, 10**20, "9" * 5000]
)
def test_what_is_no_duration(value: object) -> None:
    with pytest.raises(InputError, match=r"recipe key 'schedule\.warmup'"):
        recipes.load("folder", {"schedule.warmup": value})
