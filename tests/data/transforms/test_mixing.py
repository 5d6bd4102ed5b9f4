"""Mixup and cutmix image by image, and their loss against soft targets."""

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from alexnet.data.transforms.mixing import Mix, Mixing, cross_entropy

COUNT, CLASSES = 200, 5
# Every value names its image and its place, so that what came from where can be read off.
PLACES = torch.arange(6 * 8).reshape(6, 8) / 100
INPUTS = (torch.arange(COUNT)[:, None, None, None] + PLACES).expand(-1, 3, -1, -1)
INPUTS = INPUTS.contiguous(memory_format=torch.channels_last)
LABELS = torch.arange(COUNT)  # a class of its own for each, to see the partner


def test_off_is_nothing_at_all() -> None:
    inputs, mix = Mixing()(INPUTS, LABELS, 1)
    assert inputs is INPUTS
    assert mix is None


def test_mixup_blends_two_images_by_their_share() -> None:
    inputs, mix = Mixing(mixup=0.4)(INPUTS, LABELS, 1)
    assert mix is not None
    assert inputs.is_contiguous(memory_format=torch.channels_last)
    assert sorted(mix.labels.tolist()) == list(range(COUNT))
    for own, partner, share, mixed in zip(INPUTS, mix.labels, mix.share, inputs, strict=True):
        torch.testing.assert_close(mixed, share * own + (1 - share) * INPUTS[partner], rtol=1e-5, atol=1e-4)
    # Beta(0.4, 0.4): mean 1/2, variance 1 / (4 · 1.8)
    assert mix.share.mean() == pytest.approx(0.5, abs=0.08)
    assert mix.share.var() == pytest.approx(1 / 7.2, rel=0.15)


def test_cutmix_lays_a_rectangle_of_the_partner_over_the_image() -> None:
    inputs, mix = Mixing(cutmix=1.0)(INPUTS, LABELS, 2)
    assert mix is not None
    seen = torch.zeros(6, 8, dtype=torch.bool)
    for own, partner, share, mixed in zip(INPUTS, mix.labels, mix.share, inputs, strict=True):
        theirs = (mixed != own).any(0)
        assert torch.equal(mixed, torch.where(theirs, INPUTS[partner], own))
        if partner != own[0, 0, 0].round():
            assert share == pytest.approx(1 - float(theirs.float().mean()), abs=1e-6)
            assert theirs.sum() == theirs.any(0).sum() * theirs.any(1).sum()
        seen |= theirs
    assert seen.all()
    assert 0.4 < mix.share.mean() < 0.75  # 1/2 were it not clipped at the border


def test_both_toss_a_coin_and_some_images_stay() -> None:
    inputs, mix = Mixing(mixup=1.0, cutmix=1.0, probability=0.6)(INPUTS, LABELS, 3)
    assert mix is not None
    same = (inputs == INPUTS).flatten(1)
    whole = same.all(1)
    assert (mix.share[whole & (mix.labels != LABELS)] == 1).all()
    assert 0.3 < whole.float().mean() < 0.55  # 0.4, and empty rectangles
    cut = ~whole & same.any(1)
    assert 0.15 < cut.float().mean() < 0.4
    blended = ~same.any(1)
    assert 0.2 < blended.float().mean() < 0.4


def test_the_seed_decides_and_nothing_else() -> None:
    mixing, before = Mixing(0.2, 1.0), torch.random.get_rng_state()
    one, same, other = (mixing(INPUTS, LABELS, seed)[0] for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert torch.equal(torch.random.get_rng_state(), before)
    alone, mix = mixing(INPUTS[:1], LABELS[:1], 1)  # the last batch of an epoch
    torch.testing.assert_close(alone, INPUTS[:1])
    assert mix is not None
    assert mix.labels.tolist() == [0]


def soft_targets(labels: Tensor, mix: Mix, smoothing: float) -> Tensor:
    hard = [functional.one_hot(each, CLASSES).double() for each in (labels, mix.labels)]
    mixed = mix.share.double()[:, None] * hard[0] + (1 - mix.share.double())[:, None] * hard[1]
    return mixed * (1 - smoothing) + smoothing / CLASSES


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_loss_is_that_of_soft_targets(smoothing: float, weighted: bool) -> None:
    random = np.random.default_rng(0)
    scores = torch.from_numpy(random.normal(size=(40, CLASSES)))
    labels, partners = (torch.from_numpy(random.integers(0, CLASSES, 40)) for _ in range(2))
    mix = Mix(partners, torch.from_numpy(random.random(40)))
    weight = torch.tensor([0.5, 2.0, 1.0, 0.1, 3.0], dtype=torch.float64) if weighted else None
    found = cross_entropy(scores, labels, mix, weight, smoothing)
    of_each = torch.ones(CLASSES, dtype=torch.float64) if weight is None else weight
    losses = -(soft_targets(labels, mix, smoothing) * of_each * scores.log_softmax(1)).sum(1)
    shares = (soft_targets(labels, mix, 0) * of_each).sum(1)
    torch.testing.assert_close(found, losses.sum() / shares.sum())
    for own in (None, Mix(partners, torch.ones(40, dtype=torch.float64))):  # unmixed: torch's own
        torch.testing.assert_close(
            cross_entropy(scores, labels, own, weight, smoothing),
            functional.cross_entropy(scores, labels, weight=weight, label_smoothing=smoothing),
        )
