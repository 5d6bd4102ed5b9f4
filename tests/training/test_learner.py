"""A step needs no run folder; parts of a batch make the step of the whole; a learner continues from its state."""

import copy
from typing import Any

import pytest
import torch
from torch import nn

from alexnet.process.group import Parallel
from alexnet.recipes import recipe as recipes
from alexnet.training.learner import Learner
from alexnet.training.setup import prepare

TINY = {
    "data.name": "synthetic", "data.synthetic_images": 80, "train.batch_size": 16, "train.precision": "fp32",
    "schedule.name": "constant", "optimizer.name": "sgd", "optimizer.lr": 0.05, "model.init": "keras-he",
    "model.dropout": 0.0, "augment.shift": 0.0,
}  # fmt: skip


def learner(**settings: Any) -> Learner:
    changes = {name.replace("__", "."): value for name, value in settings.items()}
    return Learner(prepare(recipes.load("digits", TINY | changes), None, "cpu"))


def batch(of: Learner, count: int = 16) -> tuple[torch.Tensor, torch.Tensor]:
    draws = torch.Generator().manual_seed(of.done)
    images = torch.randint(0, 256, (count, 8, 8, 1), dtype=torch.uint8, generator=draws)
    return images, torch.randint(0, 10, (count,), generator=draws)


def weights(of: Learner) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in of.network.parameters()])


def test_steps_are_counted_and_measured_over_the_batch() -> None:
    own = learner()
    assert own.steps == 4  # 64 images to train, in batches of 16
    for step in range(5):
        assert (own.epoch, own.position) == divmod(step, 4)
        images, labels = batch(own)
        inputs = own.augmented(images)
        own.network.eval()
        logits = own.network(inputs)
        outcome = own.step(images, labels, measure_norm=step % 2 == 0)
        torch.testing.assert_close(outcome.loss, torch.nn.functional.cross_entropy(logits, labels))
        assert outcome.correct == (logits.argmax(1) == labels).sum()
        assert outcome.count == 16
        assert (outcome.norm is not None) == (step % 2 == 0)
        own.network.train()


@pytest.mark.parametrize(
    "settings",
    [
        {"optimizer.l2": 1e-3, "train.label_smoothing": 0.1},
        {"train.class_weights": True, "augment.mixup": 0.4, "augment.flip": 0.5, "train.clip_norm": 0.1},
    ],
    ids=["L2 and smoothing", "class weights, mixup and clipping"],
)
@pytest.mark.parametrize("parts", [3, 16, 40])
def test_a_batch_in_parts_makes_the_same_step(parts: int, settings: dict[str, Any]) -> None:
    """The same but for the order of summation."""
    whole, cut = learner(**settings), learner(**settings, train__accumulate=parts)
    for _ in range(3):
        images, labels = batch(whole)
        one, other = whole.step(images, labels), cut.step(images, labels)
        torch.testing.assert_close(one.loss, other.loss)
        assert one.correct == other.correct
    torch.testing.assert_close(weights(whole), weights(cut), rtol=1e-5, atol=1e-6)


def test_parts_are_no_larger_than_they_were_asked_to_be() -> None:
    own, seen = learner(train__accumulate=3), []
    assert isinstance(own.forward, Parallel)
    plain = own.forward.module
    assert isinstance(plain, nn.Module)
    plain.register_forward_pre_hook(lambda _, given: seen.append(len(given[0])))
    own.step(*batch(own))
    own.step(*batch(own, 2))
    assert seen == [6, 6, 4, 1, 1]


def test_the_rate_is_the_schedules_unless_one_is_given() -> None:
    own = learner(schedule__name="step", schedule__milestones=[1])
    rates = []
    for step in range(6):
        own.step(*batch(own), rate=0.5 if step == 5 else None)
        rates.append(own.optimizer.param_groups[0]["lr"])
    assert rates == pytest.approx([0.05] * 4 + [0.005, 0.5])


def test_a_plateau_follows_what_was_validated() -> None:
    own = learner(schedule__name="plateau", schedule__patience=1)
    assert own.learning_rate() == 0.05
    own.validated(0.5, 1.0)
    own.validated(0.5, 1.0)
    assert own.learning_rate() == pytest.approx(0.005)


@pytest.mark.parametrize("average", [0.0, 0.9])
def test_it_continues_from_its_state(average: float) -> None:
    settings: dict[str, Any] = {"optimizer__name": "adamw", "train__ema": average, "model__dropout": 0.5}
    settings |= {"schedule__name": "plateau", "schedule__patience": 1}
    one, other = learner(**settings), learner(**settings)
    for _ in range(3):
        one.step(*batch(one))
    one.validated(0.5, 1.0)
    one.validated(0.5, 1.0)
    other.load_state_dict(copy.deepcopy(one.state_dict()))  # as torch has it, a state shares the tensors
    for each in (one, other):
        each.step(*batch(each))
    assert one.done == other.done == 4
    assert weights(one).equal(weights(other))
    with one.averaged() as ours, other.averaged() as theirs:
        assert all(a.equal(b) for a, b in zip(ours.parameters(), theirs.parameters(), strict=True))


def test_global_random_numbers_are_left_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    own = learner(model__dropout=0.5, augment__flip=0.5, augment__mixup=1.0)
    own.step(*batch(own))
    assert torch.rand(3).equal(expected)
