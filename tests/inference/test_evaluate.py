"""Every image counts once, and classes are joined by name."""

import numpy as np
import pytest
import torch
from torch import nn

import alexnet
from alexnet.artifacts.figures import score
from alexnet.artifacts.run import Run
from alexnet.data.dataset import ArrayDataset
from alexnet.data.loading.loader import Loader
from alexnet.data.transforms.augment import Augmenter
from alexnet.errors import InputError
from alexnet.inference import evaluate
from alexnet.inference.data import dataset_for
from alexnet.preprocessing import Preprocessing


class Brightness(nn.Module):
    """Scores class c of a 2×2 gray image by how near its brightness is to 10·c."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.levels = nn.Parameter(torch.arange(classes) * 10.0)
        self.seen = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.seen += len(x)
        return -(x.mean((1, 2, 3))[:, None] - self.levels).square()


def gray(levels: list[int], labels: list[int], classes: int) -> ArrayDataset:
    images = np.repeat(np.array(levels, np.uint8), 4).reshape(-1, 2, 2, 1)
    names = [f"#{index}" for index in range(len(levels))]
    return ArrayDataset(images, np.array(labels), [f"c{label}" for label in range(classes)], names)


PLAIN = Augmenter(Preprocessing((2, 2), colors="L", scale=1.0))


@pytest.mark.parametrize("batch_size", [1, 3, 7, 100])
def test_every_image_is_evaluated_once(batch_size: int) -> None:
    levels = [0, 10, 20, 30, 40, 50, 60]
    module = Brightness(7)
    told: list[tuple[int, int]] = []
    seen = evaluate.run(
        module,
        Loader(gray(levels, [0, 1, 2, 3, 4, 5, 0], 7), torch.device("cpu")),
        PLAIN,
        batch_size,
        progress=lambda *at: told.append(at),
    )
    assert module.seen == seen.figures.count == 7
    assert told[-1] == (7, 7)
    assert seen.predictions.tolist() == [0, 1, 2, 3, 4, 5, 6]
    assert seen.figures.top1 == pytest.approx(6 / 7)
    # The wrong one, class 0 at brightness 60, is the last of seven.
    assert seen.figures.top5 == pytest.approx(6 / 7)
    assert seen.confusion.sum() == 7
    assert not np.signbit(seen.losses).any()  # a loss of -0.0 loses its sign where processes add theirs up
    assert seen.confusion[0].tolist() == [1, 0, 0, 0, 0, 0, 1]
    assert seen.figures.loss == pytest.approx(seen.losses.mean())
    assert seen.figures.mse == pytest.approx(2 / 7 / 7, rel=1e-4)  # one image, two of its probabilities wrong by 1
    assert seen.worst(5, np.array([0, 1, 2, 3, 4, 5, 0])).tolist() == [6]
    assert module.training


def test_top5_counts_the_fifth_and_not_the_sixth() -> None:
    dataset = gray([0, 0], [4, 5], 7)
    assert evaluate.run(Brightness(7), Loader(dataset, torch.device("cpu")), PLAIN).figures.top5 == 0.5
    assert evaluate.run(Brightness(7), Loader(dataset, torch.device("cpu")), PLAIN).figures.top1 == 0.0


def test_with_fewer_than_five_classes_top5_is_all() -> None:
    seen = evaluate.run(Brightness(3), Loader(gray([0, 20], [1, 1], 3), torch.device("cpu")), PLAIN)
    assert (seen.figures.top1, seen.figures.top5) == (0.0, 1.0)


def test_the_worst_are_the_wrong_ones_with_the_largest_loss_first() -> None:
    labels = np.array([0, 0, 1, 0])
    seen = evaluate.run(Brightness(7), Loader(gray([20, 60, 10, 40], labels.tolist(), 7), torch.device("cpu")), PLAIN)
    assert seen.worst(5, labels).tolist() == [1, 3, 0]
    assert seen.worst(1, labels).tolist() == [1]


def test_mse_is_that_of_keras() -> None:
    """keras.metrics.MeanSquaredError over one-hot labels and probabilities: the mean over images and classes."""
    levels, labels = torch.tensor([4.0, 11.0, 13.0]), torch.tensor([0, 2, 1])
    seen = evaluate.run(Brightness(3), Loader(gray([4, 11, 13], labels.tolist(), 3), torch.device("cpu")), PLAIN)
    probabilities = (-(levels[:, None] - torch.arange(3) * 10).square()).softmax(1)
    assert seen.figures.mse == pytest.approx(float((probabilities - torch.eye(3)[labels]).square().mean()), rel=1e-5)
    assert 0.1 < (seen.figures.mse or 0) < 1


def test_no_image_is_an_error() -> None:
    with pytest.raises(InputError, match="no image to evaluate"):
        evaluate.run(Brightness(3), Loader(gray([], [], 3), torch.device("cpu")), PLAIN)


def test_a_trained_run_measures_as_its_card_says(trained: Run) -> None:
    model = alexnet.load(trained)
    seen = evaluate.evaluate(model, dataset_for(model), batch_size=50)
    figures = trained.card.figures.final
    assert (seen.figures.top1, seen.figures.precision) == (score(figures), "fp32")
    assert seen.figures.loss == pytest.approx(figures.loss, rel=1e-5)
    assert seen.figures.count == trained.card.data.validation


def test_classes_are_joined_by_name(trained: Run) -> None:
    model, digits = alexnet.load(trained), alexnet.dataset("digits")
    part = digits.subset(np.arange(300))
    images = part.batch(np.arange(300))
    straight = evaluate.evaluate(model, part)
    order = np.random.default_rng(0).permutation(10)
    shuffled = ArrayDataset(images, np.argsort(order)[part.labels], [digits.classes[i] for i in order], part.names)
    assert evaluate.evaluate(model, shuffled).figures == straight.figures
    # A split that lacks classes, and whose own numbers are others.
    few = np.flatnonzero(part.labels >= 7)
    lacking = ArrayDataset(images[few], part.labels[few] - 7, ["7", "8", "9"], [part.names[i] for i in few])
    right = straight.predictions[few] == part.labels[few]
    assert evaluate.evaluate(model, lacking).figures.top1 == pytest.approx(right.mean())
    unknown = ArrayDataset(images[:2], np.array([0, 1]), ["7", "seven"], ["a", "b"])
    with pytest.raises(InputError, match="never saw: seven; it knows: 0, 1"):
        evaluate.evaluate(model, unknown)
    # A class by name alone, without an image of it, is no harm.
    unused = ArrayDataset(images[:2], np.array([0, 0]), ["7", "seven"], ["a", "b"])
    assert evaluate.evaluate(model, unused).figures.count == 2


def test_images_of_another_size_are_fitted_as_in_prediction(trained: Run) -> None:
    model, digits = alexnet.load(trained), alexnet.dataset("digits")
    large = np.stack([np.repeat(np.kron(digits[i][0], np.ones((3, 3, 1), np.uint8)), 3, 2) for i in range(20)])
    assert large.shape == (20, 24, 24, 3)
    dataset = ArrayDataset(large, digits.labels[:20], digits.classes, digits.names[:20])
    seen = evaluate.evaluate(model, dataset)
    said = alexnet.predict(model, list(large), top=1)
    assert [one.predictions[0].label for one in said] == [str(label) for label in seen.predictions]
    assert seen.figures.top1 > 0.5


def test_each_split_of_what_it_was_trained_on(trained: Run) -> None:
    model = alexnet.load(trained)
    train, validation = dataset_for(model, split="train"), dataset_for(model, split="validation")
    assert len(train) + len(validation) == 1797
    assert not set(train.names) & set(validation.names)
    assert dataset_for(model).fingerprint == validation.fingerprint
    by_file = alexnet.load(trained.path / "best.safetensors")
    assert dataset_for(by_file).fingerprint == validation.fingerprint
    with pytest.raises(InputError, match="has no split 'test'; it has: train, validation"):
        dataset_for(model, split="test")


@pytest.mark.usefixtures("bare")
@pytest.mark.parametrize("validation", [0.25, "test"])
def test_made_up_images_are_made_again(tmp_path, validation: float | str) -> None:
    settings = {"data.name": "synthetic", "data.synthetic_images": 80, "train.seed": 3, "data.validation": validation}
    run = alexnet.train("digits", out=tmp_path / "run", epochs=1, settings=settings)
    model = alexnet.load(run)
    split = "test" if validation == "test" else "validation"
    seen = evaluate.evaluate(model, dataset_for(model, split=split))
    assert seen.figures.top1 == score(run.card.figures.final)
    assert len(dataset_for(model, split="train")) == run.card.data.train
