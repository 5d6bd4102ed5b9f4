"""Training on several labels an image: the loss beside torch's, what counts as right, and what is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from alexnet.data.dataset import ArrayDataset
from alexnet.data.splits import Splits
from alexnet.data.transforms.mixing import Mix
from alexnet.errors import InputError
from alexnet.recipes import recipe as recipes
from alexnet.training.learner import Learner
from alexnet.training.objective import Batch, BinaryCrossEntropy
from alexnet.training.setup import prepare
from alexnet.training.watch import Watch

SMALL = {"model.name": "alexnet-digits", "train.precision": "fp32", "augment.shift": 0.0, "model.dropout": 0.0}


def splits(count: int = 48) -> Splits:
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (count, 8, 8, 1), np.uint8)
    targets = random.integers(0, 2, (count, 3)).astype(np.uint8)
    whole = ArrayDataset(images, targets, ("a", "b", "c"), [f"{n:03}" for n in range(count)])
    parts = whole.subset(np.arange(0, count - 16)), whole.subset(np.arange(count - 16, count))
    return Splits(*parts, None, "table", None, [])


def batch(logits: torch.Tensor, mix: Mix | None = None) -> Batch:
    labels = (torch.arange(12).reshape(4, 3) % 5 < 2).to(torch.uint8)
    return Batch(logits, labels, mix, 4, 4)


def test_the_loss_is_torchs() -> None:
    logits = torch.linspace(-3, 4, 12).reshape(4, 3)  # of another mean than 0: a target moved for all of them shows
    whole = batch(logits)
    wanted = whole.labels.float()
    aim, told = BinaryCrossEntropy()(logits, whole)
    torch.testing.assert_close(aim, functional.binary_cross_entropy_with_logits(logits, wanted))
    assert torch.equal(aim, told)
    smoothed, _ = BinaryCrossEntropy(0.2)(logits, whole)
    torch.testing.assert_close(smoothed, functional.binary_cross_entropy_with_logits(logits, 0.8 * wanted + 0.1))
    share = torch.tensor([1.0, 0.5, 0.25, 0.0])
    mixed, _ = BinaryCrossEntropy()(logits, batch(logits, Mix(whole.labels.flip(0), share)))
    soft = share[:, None] * wanted + (1 - share[:, None]) * wanted.flip(0)
    torch.testing.assert_close(mixed, functional.binary_cross_entropy_with_logits(logits, soft))
    right = BinaryCrossEntropy().right(logits, whole.labels)
    assert right.tolist() == ((logits.sigmoid() >= 0.5) == (wanted > 0)).sum(1).tolist()


def test_a_batch_in_parts_is_the_same_step() -> None:
    grads = []
    for parts in (1, 4):
        setup = prepare(recipes.load("digits", SMALL | {"train.accumulate": parts}), None, "cpu", splits=splits())
        learner = Learner(setup)
        images, labels = next(setup.train.batches(torch.arange(16), 16))
        loss, correct, count = learner.gradients(images, labels)
        assert 0 <= int(correct) <= 3 * count
        grads.append([loss, *(p.grad for p in setup.model.parameters() if p.grad is not None)])
    for one, other in zip(*grads, strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-4)


def test_it_learns_each_label_by_itself() -> None:
    setup = prepare(recipes.load("digits", SMALL | {"optimizer.lr": 3e-3}), None, "cpu", splits=splits())
    learner = Learner(setup)
    images, labels = next(setup.train.batches(torch.arange(32), 32))
    losses = [float(learner.step(images, labels).loss) for _ in range(60)]
    assert losses[-1] < 0.5 * losses[0]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"train.class_weights": True}, "train.class_weights is for one class an image"),
        ({"model.teacher": "x"}, "distillation is for one class an image"),
    ],
)
def test_what_needs_one_class_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        prepare(recipes.load("digits", SMALL | changes), None, "cpu", splits=splits())


def test_a_network_that_ends_in_a_log_softmax_is_refused() -> None:
    found = splits()
    recipe = recipes.load(
        "digits", SMALL | {"model.name": "alexnet-two-class", "data.resize": 224, "data.name": "folder"}
    )
    with pytest.raises(InputError, match="ends in a log-softmax, which names one class"):
        prepare(recipe, None, "cpu", splits=found)


def test_validation_without_any_label_is_refused() -> None:
    found = splits()
    assert found.validation is not None
    found.validation.targets[:] = 0
    with pytest.raises(InputError, match="no validation image has a label"):
        prepare(recipes.load("digits", SMALL), None, "cpu", splits=found)


def test_the_watch_tells_overfitting_by_the_losses_alone(tmp_path: Path) -> None:
    watch = Watch(("a", "b"), init="torch", learning_rate=0.1, train_counts=[5, 5], several=True)
    kinds = []
    for epoch, loss in enumerate((0.6, 0.5, 0.7, 0.9, 1.2, 1.4, 1.6), 1):
        row = {"epoch": epoch, "train_loss": 0.5 / epoch, "val_loss": loss, "val_map": 0.5}
        kinds += [found.kind for found in watch.epoch(row, None)]
    assert kinds[:1] == ["overfitting"]
    steady = Watch(("a", "b"), init="torch", learning_rate=0.1, train_counts=[5, 5], several=True)
    for step in range(3000):  # a low loss of rare labels is no ln(classes)
        assert steady.step(step, 0.69, 1.0) == []
