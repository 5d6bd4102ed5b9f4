"""The watch catches real disasters, made by really training small networks, and leaves healthy runs alone."""

import json
import math

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

from alexnet.models.init import initialize
from alexnet.preprocessing import Preprocessing
from alexnet.training.dead import dead_fractions
from alexnet.training.watch import Finding, Watch

TEN = tuple("0123456789")
EPOCH = {"train_loss": 1.0, "val_loss": 1.0, "train_accuracy": 0.5, "val_accuracy": 0.5}


@pytest.fixture(scope="module")
def digits() -> tuple[Tensor, Tensor]:
    images, labels = load_digits(return_X_y=True)
    return torch.tensor(images / 16, dtype=torch.float32).reshape(-1, 1, 8, 8), torch.tensor(labels)


def train(
    watch: Watch,
    images: Tensor,
    labels: Tensor,
    *,
    init: str = "keras-he",
    learning_rate: float = 0.05,
    epochs: int = 10,
    width: int = 64,
    shift_validation: int = 0,
    validation: int = 397,
) -> list[Finding]:
    """Trains a small network on all but the last `validation` images and tells the watch what the loop would."""
    torch.manual_seed(0)
    model = nn.Sequential()
    model.add_module("conv1", nn.Conv2d(1, 16, 3, padding=1))
    model.add_module("relu1", nn.ReLU())
    model.add_module("pool1", nn.MaxPool2d(2))
    model.add_module("flatten", nn.Flatten())
    for layer, (inputs, outputs) in enumerate([(256, width), (width, width)], start=2):
        model.add_module(f"fc{layer}", nn.Linear(inputs, outputs))
        model.add_module(f"relu{layer}", nn.ReLU())
    model.add_module("fc4", nn.Linear(width, 10))
    initialize(model, init)
    optimizer = torch.optim.SGD(model.parameters(), lr=learning_rate, momentum=0.9)
    cut = len(images) - validation
    val_images, val_labels = images[cut:], (labels[cut:] + shift_validation) % 10
    found, step = watch.labels() + watch.first_batch(images[:64]), 0
    for epoch in range(1, epochs + 1):
        losses, right = [], 0
        for batch in torch.randperm(cut).split(64):
            output = model(images[batch])
            loss = nn.functional.cross_entropy(output, labels[batch])
            optimizer.zero_grad()
            loss.backward()
            norm = nn.utils.get_total_norm([p.grad for p in model.parameters() if p.grad is not None])
            optimizer.step()
            losses.append(loss.item())
            right += int((output.argmax(1) == labels[batch]).sum())
            step += 1
            if step % 5 == 0:
                found += watch.step(step, loss.item(), norm.item())
        with torch.no_grad():
            output = model(val_images)
        confusion = np.zeros((10, 10), np.int64)
        np.add.at(confusion, (val_labels.numpy(), output.argmax(1).numpy()), 1)
        found += watch.activations(dead_fractions(model, val_images[:128]))
        metrics = {
            "epoch": epoch,
            "train_loss": float(np.mean(losses)),
            "train_accuracy": right / cut,
            "val_loss": nn.functional.cross_entropy(output, val_labels).item(),
            "val_accuracy": (output.argmax(1) == val_labels).float().mean().item(),
        }
        found += watch.epoch(metrics, confusion)
    return found


def watch(**changes) -> Watch:
    return Watch(**{"classes": TEN, "init": "keras-he", "learning_rate": 0.05, "train_counts": [140] * 10, **changes})


def kinds(found: list[Finding]) -> set[str]:
    return {finding.kind for finding in found}


def test_a_healthy_training_is_left_alone(digits):
    assert train(watch(), *digits, epochs=25) == []


@pytest.mark.parametrize("rate", [0.5, 2.0])
def test_keras_uniform_with_a_high_learning_rate(digits, rate):
    found = train(watch(init="keras-uniform", learning_rate=rate), *digits, init="keras-uniform", learning_rate=rate)
    assert kinds(found) == {"dead ReLUs", "loss stuck at ln(classes)"}
    stuck = next(each for each in found if each.kind == "loss stuck at ln(classes)")
    assert "guessing gives ln(10) = 2.3026" in stuck.seen
    assert all("Keras 'uniform' U(-0.05, 0.05)" in f.cause and f"learning rate {rate:g}" in f.cause for f in found)
    assert all(f.fix == f"lower optimizer.lr to {rate / 10:g} or less, or take model.init keras-he" for f in found)


def test_a_learning_rate_that_is_far_too_low_is_stuck_as_well(digits):
    found = train(watch(learning_rate=1e-7), *digits, init="ours", learning_rate=1e-7, epochs=10)
    assert "loss stuck at ln(classes)" in kinds(found)
    assert all("a learning rate of 1e-07 that is wrong by far" in finding.cause for finding in found)


def test_images_not_scaled_are_named_at_once_and_as_the_cause(digits):
    images, labels = digits
    found = train(watch(), images * 255, labels)
    assert found[0].kind == "images not scaled"
    assert found[0].step == 0
    symptoms = found[1:]
    assert kinds(symptoms) & {"loss not finite", "exploding gradients", "dead ReLUs", "loss stuck at ln(classes)"}
    assert all("not scaled" in finding.cause and "data.normalize" in finding.fix for finding in symptoms)


def test_validation_labels_shifted_by_one(digits):
    found = train(watch(), *digits, shift_validation=1)
    assert kinds(found) == {"labels shifted by one"}
    assert "predicted as the class before their label" in found[0].seen


def test_training_labels_that_moved_one_row(digits):
    images, labels = digits
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))[:800]
    images, labels = images[order], labels[order]
    labels[:400] = labels[:400].roll(1)
    found = train(watch(train_counts=[40] * 10), images, labels, width=256, epochs=60, validation=400)
    told = [finding for finding in found if finding.kind == "overfitting"]
    assert told
    assert all("rows shifted" in finding.cause for finding in told)


def test_a_bad_epoch_of_few_images_is_no_proof_of_moved_labels():
    def told(accuracies: list[float], each: int, by: int, classes: int = 10) -> list[Finding]:
        guard, found = watch(classes=TEN[:classes], train_counts=[27] * classes), []
        for number, val in enumerate(accuracies, 1):
            metrics = EPOCH | {"epoch": number, "train_accuracy": 0.8, "val_accuracy": val, "val_loss": float(number)}
            right = round(each * val)
            wrong = np.roll(np.eye(classes, dtype=np.int64), by, 1) * (each - right)
            found += guard.epoch(metrics, np.eye(classes, dtype=np.int64) * right + wrong)
        return found

    below_chance = told([0.35, 0.35, 0.03], 3, by=2)  # on 30 images
    the_other_class = told([0.6, 0.2, 0.6, 0.6], 5, by=1, classes=2)
    for found in (below_chance, the_other_class):
        assert found
        assert all(finding.cause.startswith("overfitting") for finding in found)
    assert kinds(told([0.1] * 4, 40, by=1)) == {"labels shifted by one"}


def test_labels_that_start_at_1():
    found = watch(train_counts=[0] + [100] * 10).labels()
    assert [f.kind for f in found] == ["labels out of range"]
    assert "labels start at 1: class 0 is never used and the last label falls outside" in found[0].cause
    assert "start at 1" in watch(train_counts=[0] + [100] * 9).labels()[0].cause


def test_classes_without_images():
    found = watch(train_counts=[5, 0, 5, 0] + [5] * 6).labels()
    assert "2 of 10 classes have no training image: '1', '3'" in found[0].seen


def test_inputs_of_a_caffe_network():
    caffe = Preprocessing((8, 8), colors="BGR", scale=1.0, mean=(104, 117, 123))
    raw = torch.linspace(0, 255, 768).reshape(4, 3, 8, 8)
    assert watch(intended=caffe).first_batch(raw - 115) == []
    assert watch(intended=caffe).first_batch(raw)[0].fix == 'set data.normalize to "network"'
    assert "0.0045 times as wide" in watch(intended=caffe).first_batch(raw / 255 - 0.4)[0].cause
    assert "times as wide" in watch().first_batch(raw - 115)[0].cause
    assert watch().first_batch((raw / 255 - 0.45) / 0.225) == []


def test_gradients_explode_twice_before_they_are_told():
    guard = watch()
    assert not any(guard.step(20 * i, 1.0, 3.0) for i in range(1, 30))
    assert guard.step(600, 1.0, 90.0) == []
    (finding,) = guard.step(620, 1.1, 900.0)
    assert finding.kind == "exploding gradients"
    assert "900, 300 times its median" in finding.seen
    assert kinds(watch().step(1, 2.3, math.inf)) == {"exploding gradients"}


def test_loss_not_finite_is_told_once():
    guard = watch()
    assert [f.seen for f in guard.step(20, math.nan, 1.0)] == ["the training loss is nan"]
    assert guard.step(40, math.nan, 1.0) == []


def test_overfitting_is_told_again_only_when_it_grows():
    guard, even = watch(), np.eye(10, dtype=np.int64) * 10

    def epoch(number: int, train: float, val: float, val_loss: float) -> list[Finding]:
        return guard.epoch(
            EPOCH | {"epoch": number, "train_accuracy": train, "val_accuracy": val, "val_loss": val_loss}, even
        )

    assert epoch(1, 0.6, 0.6, 1.0) == []
    assert epoch(2, 0.9, 0.7, 1.0) == []
    assert epoch(3, 0.9, 0.4, 2.3) == []  # one bad epoch
    assert epoch(4, 0.9, 0.7, 1.0) == []
    assert epoch(5, 0.9, 0.7, 1.2) == []
    (finding,) = epoch(6, 0.9, 0.7, 1.3)
    assert finding.epoch == 6
    assert finding.seen == (
        "accuracy is 90.0% in training and 70.0% in validation, and the validation loss rose from 1.000 to 1.300"
    )
    assert epoch(7, 0.92, 0.7, 1.4) == []
    assert kinds(epoch(8, 0.99, 0.65, 2.0)) == {"overfitting"}


def test_a_swallowed_class_is_told_after_three_epochs_with_its_cause():
    guard = watch(classes=("cat", "dog\n", "fox"), train_counts=[10, 900, 300])
    confusion = np.array([[0, 19, 1], [1, 40, 0], [0, 1, 30]])
    assert [guard.epoch(EPOCH | {"epoch": n}, confusion) for n in (1, 2)] == [[], []]
    (finding,) = guard.epoch(EPOCH | {"epoch": 3}, confusion)
    assert finding.seen == "95% of 'cat' is predicted as 'dog·' and 0% as itself"
    assert finding.cause == "imbalance: 10 training images of 'cat' against 900 of 'dog·'"
    assert "\n" not in finding.line


def test_the_state_survives_json():
    whole, first = watch(init="keras-uniform"), watch(init="keras-uniform")
    losses = [2.3 + 0.001 * (i % 3) for i in range(15)]
    told = [whole.step(20 * (i + 1), loss, 3.0) for i, loss in enumerate(losses)]
    for i, loss in enumerate(losses[:7]):
        first.step(20 * (i + 1), loss, 3.0)
    second = watch(init="keras-uniform")
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    again = [second.step(20 * (i + 1), loss, 3.0) for i, loss in enumerate(losses) if i >= 7]
    assert again == told[7:]
    assert sum(map(len, told)) == 1
    assert second.state_dict() == whole.state_dict()


def _epoch(guard: Watch, confusion: list[list[int]], **more: float) -> list[str]:
    return [each.line for each in guard.epoch(EPOCH | {"epoch": 1} | more, np.array(confusion))]


def test_a_network_that_names_the_majority_is_judged_by_the_baseline() -> None:
    guard = Watch(("good", "bad"), init="torch", learning_rate=0.1, train_counts=[400, 12])
    assert _epoch(guard, [[40, 0], [1, 0]]) == _epoch(guard, [[40, 0], [1, 0]]) == []
    (line,) = _epoch(guard, [[40, 0], [1, 0]])
    assert "accuracy is 97.6%, always answering 'good' gives 97.6%, and the balanced accuracy" in line
    assert "(the mean over classes) is 50.0%" in line
    assert "Fix: set train.class_weights = true" in line
    assert _epoch(guard, [[40, 0], [1, 0]]) == []  # told once

    weighted = Watch(("good", "bad"), init="torch", learning_rate=0.1, train_counts=[400, 12], weighted=True)
    found = [line for _ in range(3) for line in _epoch(weighted, [[40, 0], [1, 0]])]
    assert "Fix: add images of the other classes" in found[0]


@pytest.mark.parametrize(
    ("confusion", "misleads"),
    [
        ([[97, 0], [3, 0]], True),
        ([[96, 1], [2, 1]], True),  # at the baseline
        ([[97, 0], [2, 1]], True),  # a little above it, and blind to two thirds of the other class
        ([[96, 1], [0, 3]], False),
        ([[60, 0], [40, 0]], False),  # equal shares would be 50: no baseline to speak of
        ([[80, 0], [20, 0]], True),
        ([[70, 10], [5, 15]], False),
    ],
)
def test_only_a_figure_without_its_baseline_is_named(confusion: list[list[int]], misleads: bool) -> None:
    guard = Watch(("a", "b"), init="torch", learning_rate=0.1, train_counts=np.array(confusion).sum(1))
    found = [line for _ in range(3) for line in _epoch(guard, confusion)]
    assert any("majority class" in line for line in found) == misleads, found


def test_imbalance_is_named_once() -> None:
    guard = Watch(("a", "b"), init="torch", learning_rate=0.1, train_counts=[900, 60])
    found = [line for _ in range(6) for line in _epoch(guard, [[100, 0], [6, 0]])]
    assert len(found) == 1, found
    assert "majority class" in found[0]


def test_constant_images_are_named_at_the_first_batch() -> None:
    images = torch.rand(8, 3, 4, 4)
    images[:5] = torch.rand(5, 3, 1, 1)  # one color each
    (finding,) = watch().first_batch(images)
    assert finding.kind == "constant images"
    assert finding.seen == "5 of the 8 images of the first batch have the same value at every pixel"
    assert watch().first_batch(images[4:]) == []


def test_a_layer_without_a_live_unit_is_stuck_at_once() -> None:
    guard = watch()
    chance = {"train_loss": 2.3026, "val_loss": 2.3026, "train_accuracy": 0.1, "val_accuracy": 0.1}
    even = np.full((10, 10), 1)
    assert guard.activations({"relu1": 0.95}) != []
    assert guard.epoch(chance | {"epoch": 1}, even) == []  # it may still wake up
    guard.activations({"relu1": 0.3, "relu2": 1.0})
    (finding,) = guard.epoch(chance | {"epoch": 2}, even)
    assert finding.kind == "loss stuck at ln(classes)"
    assert "relu2 gives 0 whatever the image" in finding.seen
    healthy = watch()
    healthy.activations({"relu2": 1.0})
    assert healthy.epoch(chance | {"epoch": 1, "val_loss": 2.2}, even) == []
