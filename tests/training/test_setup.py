"""Everything is checked before the first step, and nothing is written."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from alexnet.data.dataset import ArrayDataset
from alexnet.data.statistics import statistics
from alexnet.errors import InputError
from alexnet.process import waiting
from alexnet.recipes import recipe as recipes
from alexnet.training.setup import Setup, prepare

SMALL = {"data.name": "synthetic", "data.synthetic_images": 40}


def setup(name: str = "digits", **changes: Any) -> Setup:
    return prepare(recipes.load(name, SMALL | {k.replace("__", "."): v for k, v in changes.items()}), None, "cpu")


def test_images_are_normalized_as_the_recipe_says() -> None:
    raw = setup(data__normalize="none").preprocessing
    assert (raw.scale, raw.mean, raw.std) == (1.0, (0.0,), (1.0,))
    assert setup(data__normalize="scale").preprocessing.scale == 1 / 255
    network = setup("cifar10-alexnet").preprocessing
    assert network.scale * 255 == pytest.approx(1) or network.mean[0] == pytest.approx(125.307)
    own = setup(data__normalize="data")
    inputs = own.preprocessing.scale * own.train.dataset.batch(np.arange(len(own.train.dataset)))
    assert inputs.mean() == pytest.approx(own.preprocessing.mean[0], abs=1e-5)
    assert inputs.std() == pytest.approx(own.preprocessing.std[0], abs=1e-5)


def test_statistics_of_plain_images_are_exact_and_never_zero() -> None:
    images = np.zeros((600, 4, 4, 3), np.uint8)
    images[..., 0] = 255
    images[::2, ..., 1] = 255
    dataset = ArrayDataset(images, np.zeros(600, np.int64), ["a"], [str(i) for i in range(600)])
    assert statistics(dataset) == ((1.0, 0.5, 0.0), (0.001, 0.5, 0.001))


def test_the_same_seed_gives_the_same_network() -> None:
    one, two, other = (setup(train__seed=seed).model.state_dict()["conv1.weight"] for seed in (5, 5, 6))
    assert torch.equal(one, two)
    assert not torch.equal(one, other)


def test_bf16_on_a_processor_that_emulates_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True})
    assert any("slower than fp32" in remark for remark in setup(train__precision="bf16").facts()["remarks"])
    assert setup(train__precision="auto").facts()["remarks"] == []


def test_who_trains_beside_other_programs_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "_set", True)
    (said,) = setup().facts()["remarks"]
    assert "OMP_NUM_THREADS=1" in said


def test_class_weights_are_inverse_frequencies_with_mean_one() -> None:
    whole = setup(train__class_weights=True)
    weights = whole.class_weights
    assert weights is not None
    labels = torch.from_numpy(whole.train.dataset.labels)
    assert weights[labels].mean().item() == pytest.approx(1)
    assert setup().class_weights is None


def test_what_is_measured_in_training_is_measured_the_same_afterwards() -> None:
    """A network whose preprocessing crops (resize 256, input 224) gets images of 256 in training too."""
    own = setup(model__name="alexnet-two-class")
    assert own.preprocessing.resize == 256
    assert own.train.dataset.size == (256, 256)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model.name": "alexnet-digit"}, "did you mean alexnet-digits"),
        ({"data.name": "digitz"}, "did you mean digits"),
        ({"data.name": "digits", "model.name": "alexnet-caltech"}, "takes images of 227×227, those of digits are 8×8"),
        ({"data.name": "digits", "data.resize": 64, "model.name": "alexnet-caltech"}, "less than the network's input"),
        ({"model.init": "keras-hee"}, "did you mean keras-he"),
        ({"model.name": "resnet-20", "model.dropout": 0.5}, "has no dropout"),
    ],
)
def test_what_does_not_fit_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        prepare(recipes.load("digits", SMALL | changes), None, "cpu")


def test_the_fingerprint_depends_on_the_images_and_on_the_split() -> None:
    prints = {
        setup().fingerprint, setup(train__seed=1).fingerprint, setup(data__validation=0.5).fingerprint,
        setup(data__synthetic_images=50).fingerprint,
    }  # fmt: skip
    assert len(prints) == 4
    assert setup().fingerprint in prints


def test_small_images_are_enlarged_when_the_recipe_says_so(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        for index in range(3):
            Image.new("L", (20, 12), index * 50).save(tmp_path / name / f"{index}.png")
    told: list[tuple[int, int]] = []
    scanning: Callable[[int, int], None] = lambda done, total: told.append((done, total))  # noqa: E731
    recipe = recipes.load("folder", {"model.name": "alexnet-digits", "data.resize": 10})
    whole = prepare(recipe, tmp_path, "cpu", scanning)
    assert (whole.train.dataset.size, whole.train.dataset.channels) == ((10, 10), 1)
    assert whole.classes == ("cat", "dog")
    assert told[-1] == (6, 6)
    assert whole.data == str(tmp_path)
