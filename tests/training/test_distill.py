"""A network learns from a trained one: the published loss, classes by name, the teacher's own preprocessing."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import alexnet
from alexnet.artifacts import store
from alexnet.artifacts.run import Run
from alexnet.data.transforms.augment import Augmenter
from alexnet.errors import InputError
from alexnet.preprocessing import MeanImage, Preprocessing
from alexnet.training.distill import Teacher, translated
from alexnet.training.interrupts import Interrupted
from alexnet.training.objective import Batch, CrossEntropy, Distillation

CPU = torch.device("cpu")
MEAN = MeanImage(np.random.default_rng(0).uniform(0, 255, (8, 8, 3)).astype(np.float32))
PLAIN = Preprocessing((8, 8), mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.25))


def teacher(trained: Run, classes: str = "0123456789", **settings: Any) -> Teacher:
    seen = Preprocessing.from_json(trained.card.preprocessing.to_json())
    return Teacher(trained.path, tuple(classes), seen, CPU, **settings)


def digits(trained: Run) -> Tensor:
    dataset = alexnet.dataset("digits")
    augmenter = Augmenter(Preprocessing.from_json(trained.card.preprocessing.to_json()))
    return augmenter.evaluate(torch.from_numpy(dataset.batch(np.arange(6))))


def test_the_loss_is_the_published_one(trained: Run) -> None:
    inputs, t = digits(trained), 3.0
    logits = torch.randn(6, 10, generator=torch.Generator().manual_seed(0))
    own = teacher(trained)
    with torch.no_grad():
        taught = own.opened.module(inputs)
    objective = Distillation(CrossEntropy(), own, weight=0.3, temperature=t)
    batch = Batch(inputs, torch.arange(6), None, count=6, own=6)
    p, q = (taught / t).softmax(1), (logits / t).softmax(1)
    labels = torch.nn.functional.cross_entropy(logits, batch.labels)
    expected = 0.7 * labels + 0.3 * t**2 * (p * (p / q).log()).sum(1).mean()
    aim, reported = objective(logits, batch)
    torch.testing.assert_close(aim, expected)
    assert reported.equal(labels)
    aim, reported = objective(taught, batch)  # the teacher's own answers: nothing is left but the labels
    torch.testing.assert_close(aim, 0.7 * reported)


def test_classes_are_joined_by_name(trained: Run) -> None:
    inputs = digits(trained)
    assert teacher(trained).logits(inputs)[:4].argmax(1).tolist() == [0, 1, 2, 3]
    some = teacher(trained, "5043")
    assert some.logits(inputs)[:, 2].equal(teacher(trained).logits(inputs)[:, 4])
    with pytest.raises(InputError, match="does not know 2 of the 3 classes, such as 'a'"):
        teacher(trained, "0ab")
    with pytest.raises(InputError, match=r"no teacher at '.*none'; a run that learns from one needs it to be resumed"):
        Teacher(trained.path / "none", "0", PLAIN, CPU)
    by_place = Preprocessing((8, 8), colors="L", mean_image=MeanImage(np.ones((9, 9, 1), np.float32)))
    with pytest.raises(InputError, match="a mean image that depends on the crop cannot be put back"):
        Teacher(trained.path, tuple("0123456789"), by_place, CPU)


@pytest.mark.parametrize(
    "wants",
    [
        Preprocessing((8, 8)),
        Preprocessing((8, 8), colors="BGR", scale=1.0, mean=(104.0, 117.0, 123.0)),
        Preprocessing((8, 8), colors="L", mean=(0.1,), std=(0.3,)),
        Preprocessing((8, 8), colors="BGR", scale=1.0, mean_image=MEAN),
    ],
    ids=lambda wants: wants.colors,
)
def test_the_teacher_sees_the_same_images_in_its_own_way(wants: Preprocessing) -> None:
    images = torch.randint(0, 256, (3, 8, 8, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    gray = (images.double() @ torch.tensor([0.299, 0.587, 0.114], dtype=torch.float64)).round().to(torch.uint8)
    own = Augmenter(wants).evaluate(gray[..., None] if wants.colors == "L" else images)
    # Gray is not rounded to whole numbers here, as the decoder rounds it.
    tolerance = 0.5 / 255 / 0.3 + 1e-6 if wants.colors == "L" else 1e-4
    inputs = Augmenter(PLAIN).evaluate(images)
    torch.testing.assert_close(translated(inputs, PLAIN, wants), own, rtol=0, atol=tolerance)
    if wants.colors != "L":
        torch.testing.assert_close(translated(own, wants, PLAIN), inputs, rtol=0, atol=1e-4)


def test_size_and_channels_are_refitted() -> None:
    images = torch.full((2, 8, 8, 1), 51, dtype=torch.uint8)
    gray = Preprocessing((8, 8), colors="L", mean=(0.5,))
    seen = translated(Augmenter(gray).evaluate(images), gray, Preprocessing((16, 16), colors="BGR"))
    torch.testing.assert_close(seen, torch.full((2, 3, 16, 16), 0.2))
    same = torch.randn(1, 3, 8, 8)
    assert translated(same, PLAIN, PLAIN) is same


def test_images_of_another_shape_are_refused(trained: Run) -> None:
    with pytest.raises(InputError, match="takes images of 8×8, the network 8×16: the shapes must be alike"):
        Teacher(trained.path, ("0",), Preprocessing((8, 16), colors="L"), CPU)


@pytest.mark.usefixtures("bare")
def test_a_run_learns_from_another_and_resumes_bit_for_bit(
    trained: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(trained.path.parent)
    settings = {"model.teacher": trained.path.name, "train.distill_weight": 1.0, "train.steps": 100}
    settings |= {"train.batch_size": 32, "model.init": "keras-he", "augment.shift": 0.0}
    whole = alexnet.train("digits", out=tmp_path / "whole", settings=settings)
    assert (whole.card.teacher, whole.recipe.model.teacher) == ("alexnet-digits", str(trained.path))
    with pytest.raises(Interrupted):
        alexnet.train("digits", out=tmp_path / "parts", settings=settings, stop_after=1)
    parts = alexnet.train(out=tmp_path / "parts", resume_run=True)
    one, other = (store.load_tensors(run.path / "last.safetensors") for run in (whole, parts))
    assert all(value.equal(other[name]) for name, value in one.items())
    # Taught by answers alone, without a label, it reads digits.
    assert whole.metrics[-1]["val_accuracy"] > 0.5  # chance is 0.1
    with pytest.raises(InputError, match="is not a run"):
        alexnet.train("digits", out=tmp_path / "no", settings={"model.teacher": str(tmp_path)})
    assert not (tmp_path / "no").exists()
