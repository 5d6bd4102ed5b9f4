"""Lighting and mean picture in a run: computed from its pictures, kept in its card, refused when not of them."""

import json
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import alexnet
from alexnet.data.colour import Lighting
from alexnet.data.statistics import mean_picture, spectrum, statistics
from alexnet.errors import InputError
from alexnet.recipes import recipe as recipes
from alexnet.training.interrupts import Interrupted
from alexnet.training.run import Run
from alexnet.training.setup import Setup, prepare

COLOURED = {
    "data.set": "synthetic", "data.synthetic_pictures": 60, "model.name": "resnet-20", "train.batch_size": 16,
    "train.epochs": 1, "augment.lighting": 0.1, "augment.lighting_form": "code", "augment.lighting_until": 3,
}  # fmt: skip


def setup(**changes: Any) -> Setup:
    settings = COLOURED | {name.replace("__", "."): value for name, value in changes.items()}
    return prepare(recipes.load("digits", settings), None, "cpu")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return alexnet.train("digits", out=tmp_path_factory.mktemp("lit") / "run", settings=COLOURED)


def test_it_is_computed_from_the_training_pictures_and_kept_in_the_card(run: Run) -> None:
    ready = setup()
    found = spectrum(ready.train.pictures)
    assert ready.lighting == Lighting(found, 0.1, "code", 3.0)
    assert ready.augmentation["lighting"] == ready.lighting
    assert run.card["lighting"] == json.loads(json.dumps(found.to_json())) | {
        "strength": 0.1, "form": "code", "until": 3.0,
    }  # fmt: skip
    assert run.card["augment"]["lighting"] == 0.1
    assert setup(augment__lighting=0.0).lighting is None
    forever = setup(augment__lighting_until=None).lighting
    assert forever is not None
    assert forever.until == math.inf
    assert forever.to_json()["until"] is None


def test_it_changes_the_training(run: Run, tmp_path: Path) -> None:
    plain = alexnet.train("digits", out=tmp_path / "plain", settings=COLOURED | {"augment.lighting": 0})
    assert plain.card["lighting"] is None
    assert plain.metrics[0]["train_loss"] != run.metrics[0]["train_loss"]


def test_another_runs_matrix_of_the_same_pictures_is_taken(run: Run) -> None:
    for path in (run.path, run.path / "card.json"):
        other = setup(augment__lighting_from=str(path), train__seed=5, augment__lighting_form="paper").lighting
        assert other is not None
        assert list(other.spectrum.eigenvalues) == run.card["lighting"]["eigenvalues"]
        assert other.form == "paper"


@pytest.mark.usefixtures("bare")
def test_a_resumed_run_needs_neither_the_weights_nor_the_card_it_began_with(run: Run, tmp_path: Path) -> None:
    source = tmp_path / "source"
    shutil.copytree(run.path, source)
    began = COLOURED | {"model.weights": str(source), "augment.lighting_from": str(source), "train.epochs": 2}
    whole = alexnet.train("digits", out=tmp_path / "whole", settings=began)
    with pytest.raises(Interrupted):
        alexnet.train("digits", out=tmp_path / "parts", settings=began, stop_after=1)
    shutil.rmtree(source)
    parts = alexnet.train(out=tmp_path / "parts", resume_run=True)
    assert {key: parts.card[key] for key in ("weights", "lighting", "preprocessing", "sha256")} == {
        key: whole.card[key] for key in ("weights", "lighting", "preprocessing", "sha256")
    }
    assert parts.card["weights"]["file"] == "best.safetensors"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"lighting": None}, "holds no lighting: its run was trained without"),
        ({"lighting": {"eigenvalues": [1], "pictures": 3}}, "holds no lighting"),
        ({"lighting.eigenvalues": [0.1, math.nan, 0.1]}, "cannot be used: lighting: .* not a finite number"),
        ({"lighting.eigenvectors": [[1, 0, 0], [1, 0, 0], [0, 0, 1]]}, "not perpendicular"),
        ({"lighting.eigenvalues": [0.1], "lighting.eigenvectors": [[1]]}, "is for 1 channels, these pictures have 3"),
        ({"data": {"set": "imagenet"}}, "from 'imagenet' with 'class0', 'class1', 'class2' and 7 more, not from"),
        ({"classes": ["cat", "dog"]}, "with 'cat', 'dog', not from these pictures"),
    ],
)
def test_a_matrix_that_is_not_of_these_pictures_is_named(
    run: Run, tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    card = run.card
    for name, value in change.items():
        *tables, last = name.split(".")
        place = card
        for table in tables:
            place = place[table]
        place[last] = value
    (tmp_path / "card.json").write_text(json.dumps(card))
    with pytest.raises(InputError, match=said) as error:
        setup(augment__lighting_from=str(tmp_path))
    assert "\n" not in str(error.value)


def test_what_is_no_card_is_named(tmp_path: Path) -> None:
    (tmp_path / "card.json").write_text("{")
    for path, said in ((tmp_path, "is not a card"), (tmp_path / "none.json", "no card at")):
        with pytest.raises(InputError, match=said):
            setup(augment__lighting_from=str(path))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"augment.resized_crop": [0.5]}, r"augment.resized_crop takes \[least, greatest\], not \[0.5\]"),
        ({"augment.resized_crop": [0.9, 0.1]}, "least, greatest"),
        ({"augment.crop_ratio": []}, "crop_ratio takes"),
        ({"augment.resized_crop": [0.1, 1], "augment.shift": 0.1}, "leave augment.shift at 0"),
        ({"augment.lighting_form": "2012"}, "paper, code"),
        ({"train.test_views": 5}, "choose 1, 2 .* or 10"),
    ],
)
def test_impossible_augmentation_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        recipes.load("digits", changes)


def test_the_mean_picture_of_the_training_pictures(run: Run) -> None:
    ready = setup(data__normalise="pixel")
    own = ready.preprocessing
    expected = mean_picture(ready.train.pictures, (32, 32))
    assert own.mean_picture is not None
    np.testing.assert_array_equal(own.mean_picture.pixels, expected)
    assert (own.scale, own.std) == (1.0, (1.0,))
    np.testing.assert_allclose(own.mean, expected.mean((0, 1)), atol=1e-3)
    whole = setup(data__normalise="pixel-at-crop", data__resize=40)
    assert whole.preprocessing.mean_picture is not None
    expected = mean_picture(whole.train.pictures, (40, 40))
    np.testing.assert_array_equal(whole.preprocessing.mean_picture.pixels, expected)
    with pytest.raises(InputError, match=r"wants pictures that are cropped; set data\.resize"):
        setup(data__normalise="pixel-at-crop")


def test_statistics_follow_the_networks_order_of_channels() -> None:
    """Caffe's networks take BGR."""
    ready = setup(model__name="caffenet", data__synthetic_pictures=12, data__normalise="data")
    mean, std = statistics(ready.train.pictures)
    assert (ready.preprocessing.colours, ready.preprocessing.mean) == ("BGR", mean[::-1])
    assert ready.preprocessing.std == std[::-1]
    assert len(set(mean)) == 3
