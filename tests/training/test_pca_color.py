"""PCAColor and mean image in a run: computed from its images, kept in its card, refused when not of them."""

import json
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import alexnet
from alexnet.artifacts.run import Run
from alexnet.data.statistics import mean_image, spectrum, statistics
from alexnet.data.transforms.color import PCAColor
from alexnet.errors import InputError
from alexnet.recipes import recipe as recipes
from alexnet.training.interrupts import Interrupted
from alexnet.training.setup import Setup, prepare

COLORED = {
    "data.name": "synthetic", "data.synthetic_images": 60, "model.name": "resnet-20", "train.batch_size": 16,
    "train.epochs": 1, "augment.pca_color": 0.1, "augment.pca_color_form": "code", "augment.pca_color_until": 3,
}  # fmt: skip


def setup(**changes: Any) -> Setup:
    settings = COLORED | {name.replace("__", "."): value for name, value in changes.items()}
    return prepare(recipes.load("digits", settings), None, "cpu")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return alexnet.train("digits", out=tmp_path_factory.mktemp("lit") / "run", settings=COLORED)


def test_it_is_computed_from_the_training_images_and_kept_in_the_card(run: Run) -> None:
    ready = setup()
    found = spectrum(ready.train.dataset)
    assert ready.pca_color == PCAColor(found, 0.1, "code", 3.0)
    assert ready.augmentation["pca_color"] == ready.pca_color
    assert run.card.pca_color is not None
    assert run.card.pca_color.to_json() == found.to_json() | {"strength": 0.1, "form": "code", "until": 3.0}
    assert setup(augment__pca_color=0.0).pca_color is None
    forever = setup(augment__pca_color_until=None).pca_color
    assert forever is not None
    assert forever.until == math.inf
    assert forever.to_json()["until"] is None


def test_it_changes_the_training(run: Run, tmp_path: Path) -> None:
    plain = alexnet.train("digits", out=tmp_path / "plain", settings=COLORED | {"augment.pca_color": 0})
    assert plain.card.pca_color is None
    assert plain.metrics[0]["train_loss"] != run.metrics[0]["train_loss"]


def test_another_runs_matrix_of_the_same_images_is_taken(run: Run) -> None:
    for path in (run.path, run.path / "card.json"):
        other = setup(augment__pca_color_from=str(path), train__seed=5, augment__pca_color_form="paper").pca_color
        assert other is not None
        assert run.card.pca_color is not None
        assert other.spectrum.eigenvalues == run.card.pca_color.eigenvalues
        assert other.form == "paper"


@pytest.mark.usefixtures("bare")
def test_a_resumed_run_needs_neither_the_weights_nor_the_card_it_began_with(run: Run, tmp_path: Path) -> None:
    source = tmp_path / "source"
    shutil.copytree(run.path, source)
    began = COLORED | {"model.weights": str(source), "augment.pca_color_from": str(source), "train.epochs": 2}
    whole = alexnet.train("digits", out=tmp_path / "whole", settings=began)
    with pytest.raises(Interrupted):
        alexnet.train("digits", out=tmp_path / "parts", settings=began, stop_after=1)
    shutil.rmtree(source)
    parts = alexnet.train(out=tmp_path / "parts", resume_run=True)
    for key in ("pretrained", "license", "pca_color", "preprocessing", "sha256"):
        assert getattr(parts.card, key) == getattr(whole.card, key)
    assert parts.card.pretrained is not None
    assert parts.card.pretrained.file == "best.safetensors"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"pca_color": None}, "holds no PCA color augmentation: its run was trained without"),
        (
            {"pca_color": {"eigenvalues": [1], "images": 3}},
            "not a card of this version: pca_color.eigenvectors: Field req",
        ),
        ({"pca_color.eigenvalues": [0.1, math.nan, 0.1]}, "is not JSON: NaN is no number of JSON"),
        ({"pca_color.eigenvectors": [[1, 0, 0], [1, 0, 0], [0, 0, 1]]}, "not perpendicular"),
        ({"pca_color.eigenvalues": [0.1], "pca_color.eigenvectors": [[1]]}, "is for 1 channel, these images have 3"),
        ({"data.name": "imagenet"}, "from 'imagenet' with 'class0', 'class1', 'class2' and 7 more, not from"),
        ({"classes": ["cat", "dog"]}, "with 'cat', 'dog', not from these images"),
    ],
)
def test_a_matrix_that_is_not_of_these_images_is_named(
    run: Run, tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    card = json.loads((run.path / "card.json").read_text())
    for name, value in change.items():
        *tables, last = name.split(".")
        place = card
        for table in tables:
            place = place[table]
        place[last] = value
    (tmp_path / "card.json").write_text(json.dumps(card))
    with pytest.raises(InputError, match=said) as error:
        setup(augment__pca_color_from=str(tmp_path))
    assert "\n" not in str(error.value)


def test_what_is_no_card_is_named(tmp_path: Path) -> None:
    (tmp_path / "card.json").write_text("{")
    for path, said in ((tmp_path, "is not JSON"), (tmp_path / "none.json", "no card at")):
        with pytest.raises(InputError, match=said):
            setup(augment__pca_color_from=str(path))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"augment.resized_crop": [0.5]}, r"augment.resized_crop takes \[smallest, largest\], not \[0.5\]"),
        ({"augment.resized_crop": [0.9, 0.1]}, "smallest, largest"),
        ({"augment.crop_ratio": []}, "crop_ratio takes"),
        ({"augment.resized_crop": [0.1, 1], "augment.shift": 0.1}, "leave augment.shift at 0"),
        ({"augment.pca_color_form": "2012"}, "paper, code"),
        ({"train.test_views": 5}, "choose 1, 2 .* or 10"),
    ],
)
def test_impossible_augmentation_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        recipes.load("digits", changes)


def test_the_mean_image_of_the_training_images(run: Run) -> None:
    ready = setup(data__normalize="pixel")
    own = ready.preprocessing
    expected = mean_image(ready.train.dataset, (32, 32))
    assert own.mean_image is not None
    np.testing.assert_array_equal(own.mean_image.pixels, expected)
    assert (own.scale, own.std) == (1.0, (1.0,))
    np.testing.assert_allclose(own.mean, expected.mean((0, 1)), atol=1e-3)
    whole = setup(data__normalize="pixel-at-crop", data__resize=40)
    assert whole.preprocessing.mean_image is not None
    expected = mean_image(whole.train.dataset, (40, 40))
    np.testing.assert_array_equal(whole.preprocessing.mean_image.pixels, expected)
    with pytest.raises(InputError, match=r"wants images that are cropped; set data\.resize"):
        setup(data__normalize="pixel-at-crop")


def test_statistics_follow_the_networks_order_of_channels() -> None:
    """Caffe's networks take BGR."""
    ready = setup(model__name="caffenet", data__synthetic_images=12, data__normalize="data")
    mean, std = statistics(ready.train.dataset)
    assert (ready.preprocessing.colors, ready.preprocessing.mean) == ("BGR", mean[::-1])
    assert ready.preprocessing.std == std[::-1]
    assert len(set(mean)) == 3
