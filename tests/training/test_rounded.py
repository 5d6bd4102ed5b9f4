"""Steps with bfloat16 copies of the weights are autocast's steps, to the bit."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from alexnet.recipes import recipe as recipes
from alexnet.training import rounded
from alexnet.training.learner import Learner
from alexnet.training.rounded import Rounded
from alexnet.training.setup import prepare

BASE = {
    "data.name": "synthetic", "data.synthetic_images": 80, "train.batch_size": 16, "train.precision": "bf16",
    "optimizer.name": "velocity", "optimizer.lr": 0.05, "optimizer.momentum": 0.9,
}  # fmt: skip
CASES = {
    "velocity": {"optimizer.nesterov": True, "optimizer.l2": 1e-3},
    "sgd": {"optimizer.name": "sgd", "optimizer.weight_decay": 0.01},
    "sgd without momentum": {"optimizer.name": "sgd", "optimizer.momentum": 0.0},
    "adam": {"optimizer.name": "adam", "optimizer.lr": 1e-3, "optimizer.weight_decay": 0.01},
    "adamw": {"optimizer.name": "adamw", "optimizer.lr": 1e-3, "optimizer.weight_decay": 0.1},
    "clipped, with an average": {"train.clip_norm": 0.5, "train.ema": 0.9},
    "in two parts": {"train.accumulate": 2},
}


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that the digits' weights get copies, and are stepped in several parts."""
    monkeypatch.setattr(rounded, "_LARGE", 500)
    monkeypatch.setattr(rounded, "_PART", 4096)


def learner(quick: bool, **settings: Any) -> Learner:
    made = Learner(prepare(recipes.load("digits", BASE | settings), None, "cpu"))
    assert made.rounded is not None
    if not quick:
        made.rounded = None
    return made


def batches(count: int) -> Iterator[tuple[Tensor, Tensor]]:
    draws = torch.Generator().manual_seed(0)
    for _ in range(count):
        images = torch.randint(0, 256, (16, 8, 8, 1), dtype=torch.uint8, generator=draws)
        yield images, torch.randint(0, 10, (16,), generator=draws)


def tensors(of: Any) -> Iterator[Tensor]:
    if isinstance(of, Tensor):
        yield of
    elif isinstance(of, dict | list | tuple):
        for each in of.values() if isinstance(of, dict) else of:
            yield from tensors(each)


def assert_same(one: Learner, other: Learner) -> None:
    found, expected = list(tensors(one.state_dict())), list(tensors(other.state_dict()))
    assert len(found) == len(expected)
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


@pytest.mark.parametrize("settings", CASES.values(), ids=CASES)
def test_steps_are_those_of_autocast_to_the_bit(settings: dict[str, Any]) -> None:
    quick, plain = learner(True, **settings), learner(False, **settings)
    start = [weight.clone() for weight in quick.network.parameters()]
    for step, (images, labels) in enumerate(batches(6)):
        outcomes = [each.step(images, labels, measure_norm=step == 3) for each in (quick, plain)]
        assert torch.equal(outcomes[0].loss, outcomes[1].loss)
    assert_same(quick, plain)
    assert not any(torch.equal(a, b) for a, b in zip(start, quick.network.parameters(), strict=True))


def test_the_large_weights_are_not_cast_in_a_step() -> None:
    """What the copies are for: without them, each weight is made anew in bfloat16 and its gradient in float32."""
    made: dict[bool, int] = {}
    for quick in (True, False):
        own = learner(quick)
        for images, labels in batches(3):
            profile = torch.profiler.profile(record_shapes=True)
            with profile:
                own.step(images, labels)
            shape = list(own.network.get_submodule("fc6").weight.shape)  # pyright: ignore
            casts = [event for event in profile.events() or () if event.name == "aten::_to_copy"]
            made[quick] = sum(event.input_shapes[0] == shape for event in casts)
    assert made == {True: 0, False: 2}


def test_weights_that_were_changed_elsewhere_are_rounded_anew() -> None:
    quick, plain = learner(True), learner(False)
    for step, (images, labels) in enumerate(batches(6)):
        for each in (quick, plain):
            if step == 2:
                each.network.load_state_dict({n: v * 0.5 for n, v in each.network.state_dict().items()})
            if step == 4:
                with torch.no_grad():
                    each.network.get_submodule("fc6").weight.add_(0.01)  # pyright: ignore
            each.step(images, labels)
    assert_same(quick, plain)


def test_layers_are_frozen_and_learn_again() -> None:
    settings = {"model.freeze": ["conv2"], "schedule.unfreeze": [1], "schedule.freeze": {"fc6": 2}}
    quick, plain = learner(True, **settings), learner(False, **settings)
    for images, labels in batches(2 * quick.steps + 1):
        quick.step(images, labels)
        plain.step(images, labels)
    assert quick.epoch == 2  # conv2 learns from the second epoch on, fc6 in the first two
    assert_same(quick, plain)


def test_gradients_are_left_in_the_network() -> None:
    quick, plain = learner(True), learner(False)
    for images, labels in batches(3):
        for each in (quick, plain):
            each.gradients(images, labels)
        for one, other in zip(quick.network.parameters(), plain.network.parameters(), strict=True):
            assert one.grad is not None
            assert other.grad is not None
            assert one.grad.dtype == torch.float32
            assert torch.equal(one.grad, other.grad)
        for each in (quick, plain):
            each.step(images, labels)
    quick.release()
    assert all(parameter.grad is None for parameter in quick.network.parameters())


def test_a_hook_finds_the_layers_own_weight_and_so_does_everyone_after_a_step() -> None:
    own, seen = learner(True), list[torch.dtype]()
    layer = own.network.get_submodule("fc6")
    assert isinstance(layer, nn.Linear)
    weight = layer.weight
    for images, labels in batches(1):
        own.step(images, labels)
    assert layer.weight is weight
    layer.register_forward_hook(lambda module, *_: seen.append(next(module.parameters()).dtype))
    for images, labels in batches(2):
        own.step(images, labels)
    assert seen == [torch.float32] * 2


@pytest.mark.parametrize("changed", [{"train.precision": "fp32"}, {"optimizer.name": "adadelta"}])
def test_other_trainings_go_without(changed: dict[str, Any]) -> None:
    assert Learner(prepare(recipes.load("digits", BASE | changed), None, "cpu")).rounded is None


def test_an_optimizer_that_is_not_fused_is_left_alone() -> None:
    weight = nn.Parameter(torch.zeros(2))
    assert Rounded.serves(torch.optim.Adam([weight], fused=True))
    assert not Rounded.serves(torch.optim.Adam([weight], fused=False))
    assert not Rounded.serves(torch.optim.Adadelta([weight]))
