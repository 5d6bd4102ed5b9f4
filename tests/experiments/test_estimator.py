"""The scikit-learn estimator: its conventions, what it learns, and what it refuses."""

import warnings
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.utils.estimator_checks import check_estimator

import alexnet
from alexnet.errors import InputError
from alexnet.experiments.estimator import AlexNetClassifier

SETTINGS = {"augment.shift": 0.0, "train.least_steps": 20, "train.batch_size": 32, "model.init": "keras-he"}
SMALL: dict[str, Any] = {"recipe": "digits", "epochs": 3, "settings": SETTINGS}


@pytest.fixture(scope="module")
def digits() -> tuple[np.ndarray, np.ndarray]:
    dataset = alexnet.dataset("digits")
    rows = np.arange(400)
    return dataset.batch(rows), np.array([f"digit {label}" for label in dataset.labels[rows]])


@pytest.fixture(scope="module")
def fitted(digits: tuple[np.ndarray, np.ndarray]) -> AlexNetClassifier:
    return AlexNetClassifier(**SMALL).fit(digits[0][:300], digits[1][:300])


def test_scikit_learns_own_checks() -> None:
    """Those for estimators whose input is no table: scikit-learn has no images to fit."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says that it cannot make such input
        check_estimator(AlexNetClassifier())


def test_it_learns_and_answers_as_scikit_learn_has_it(
    fitted: AlexNetClassifier, digits: tuple[np.ndarray, np.ndarray]
) -> None:
    images, labels = digits[0][300:], digits[1][300:]
    assert fitted.score(images, labels) > 0.6
    assert fitted.classes_.tolist() == [f"digit {number}" for number in range(10)]
    probabilities = fitted.predict_proba(images)
    assert probabilities.shape == (100, 10)
    np.testing.assert_allclose(probabilities.sum(1), 1)
    np.testing.assert_array_equal(fitted.predict(images), fitted.classes_[probabilities.argmax(1)])
    np.testing.assert_array_equal(fitted.predict(images[..., 0]), fitted.predict(images))  # gray, without its axis
    answers = alexnet.predict(fitted.model_, list(images[:3]), top=1)
    assert [each.predictions[0].label for each in answers] == fitted.predict(images[:3]).tolist()
    layer = fitted.set_params(layer="fc8").transform(images)
    assert (layer.shape, layer.dtype) == ((100, 10), np.float32)


def test_the_same_seed_gives_the_same_and_a_clone_is_unfitted(
    fitted: AlexNetClassifier, digits: tuple[np.ndarray, np.ndarray]
) -> None:
    copy: Any = clone(fitted)
    with pytest.raises(NotFittedError):
        copy.predict(digits[0])
    again = copy.fit(digits[0][:300], digits[1][:300])
    np.testing.assert_array_equal(again.predict_proba(digits[0][300:]), fitted.predict_proba(digits[0][300:]))


def test_searches_take_it(digits: tuple[np.ndarray, np.ndarray]) -> None:
    quick = AlexNetClassifier("digits", epochs=1)
    search = GridSearchCV(quick, {"settings": [SETTINGS | {"optimizer.lr": 1e-9}, SETTINGS]}, cv=2)
    assert search.fit(digits[0][:160], digits[1][:160]).best_params_ == {"settings": SETTINGS}


def test_searches_draw_from_numpys_numbers(digits: tuple[np.ndarray, np.ndarray]) -> None:
    quick = AlexNetClassifier("digits", epochs=np.int64(1), settings={"train.batch_size": np.int64(32)})  # pyright: ignore
    search = GridSearchCV(quick, {"random_state": np.arange(2)}, cv=2, error_score="raise")  # pyright: ignore[reportArgumentType]
    assert search.fit(digits[0][:120], digits[1][:120]).best_params_["random_state"] in (0, 1)


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"settings": {"data.validation": 0.5}}, r"cannot set data\.validation: the argument validation decides it"),
        ({"settings": {"train.seed": 5}}, r"cannot set train\.seed: the argument random_state decides it"),
        ({"settings": {"data.name": "mnist"}}, r"cannot set data\.name: X decides it"),
        ({"settings": {"data.per_class": 5}}, r"cannot set data\.per_class: X decides it"),
        ({"settings": {"train.epochs": 2}}, r"train\.epochs = 2 contradicts epochs = 1; give one of them"),
        ({"settings": {"train.steps": 2}}, r"train\.steps = 2 contradicts epochs = 1"),
        ({"settings": {"data.nmae": "x"}}, r"unknown recipe key 'data\.nmae'"),
        ({"settings": {"optimizer.lr": np.arange(2)}}, r"not an ndarray: call its tolist\(\)"),
    ],
)
def test_no_setting_is_dropped_for_an_argument(
    parameters: dict[str, Any], said: str, digits: tuple[np.ndarray, np.ndarray]
) -> None:
    with pytest.raises(InputError, match=said):
        AlexNetClassifier("digits", **{"epochs": 1, **parameters}).fit(digits[0][:20], digits[1][:20])


@pytest.mark.parametrize(
    ("images", "labels", "said"),
    [
        (np.zeros((4, 64)), np.arange(4), "X is uint8 images"),
        (np.zeros((4, 8, 8)), np.arange(4), "not float64"),
        (np.zeros((4, 8, 8, 2), np.uint8), np.arange(4), "X is uint8 images"),
        (np.zeros((4, 8, 8), np.uint8), np.arange(3), "one label for each of the 4 images"),
        (np.zeros((4, 8, 8), np.uint8), np.eye(4), "several labels an image are trained from a table"),
        (np.zeros((4, 8, 8), np.uint8), np.zeros(4, int), "only one class in y, 0; training needs"),
        (np.zeros((4, 8, 8), np.uint8), np.array(["cat"] * 4), "only one class in y, 'cat'; training needs"),
        (np.zeros((4, 8, 8), np.uint8), ["a", None, "a", "b"], "y takes strings or whole numbers as labels, not None$"),
        (np.zeros((4, 8, 8), np.uint8), np.array(["a", 1, 2, "b"], object), "whole numbers as labels, not both$"),
        (np.zeros((4, 8, 8), np.uint8), [b"a", b"b", b"a", b"b"], "whole numbers as labels, not b'a'$"),
        (np.zeros((4, 8, 8), np.uint8), [0.5, 1.5, 2.5, 3.5], "y is one label for each image: Unknown label type"),
        (np.zeros((4, 8, 8), np.uint8), [["a"], ["a", "b"], ["b"], []], "y is one label for each of the 4 images"),
        ([np.zeros((8, 8), np.uint8), np.zeros((8, 9), np.uint8)], [0, 1], "X is images of one size"),
        (np.zeros((0, 8, 8), np.uint8), [], "^X has no images$"),
        ([], [], "^X has no images$"),
    ],
)
def test_what_is_no_image_is_refused(images: Any, labels: Any, said: str) -> None:
    with pytest.raises(InputError, match=said):
        AlexNetClassifier(**SMALL).fit(images, labels)
