"""A scikit-learn estimator: a recipe's training on arrays of images, for pipelines, searches and cross-validation."""

import math
from collections.abc import Mapping
from dataclasses import fields
from numbers import Integral
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted

from alexnet import arguments
from alexnet.artifacts import card as cards
from alexnet.data.dataset import ArrayDataset, Dataset, refitted
from alexnet.data.loading.decode import stored_size
from alexnet.data.loading.order import order
from alexnet.data.splits import Splits, stratified
from alexnet.device import derive_seed, own_settings
from alexnet.errors import InputError
from alexnet.inference.evaluate import run
from alexnet.inference.features import features
from alexnet.inference.model import Model
from alexnet.inference.predict import predict
from alexnet.models import catalog
from alexnet.recipes import recipe as recipes
from alexnet.recipes.durations import passes
from alexnet.recipes.schema import Data
from alexnet.recipes.settings import given, lasting
from alexnet.training.finetune import anchored
from alexnet.training.learner import Learner
from alexnet.training.setup import Setup, prepare


class AlexNetClassifier(ClassifierMixin, TransformerMixin, BaseEstimator):
    """Trains a recipe on images in memory.

    recipe: a shipped recipe's name or a TOML file; its network decides at which size and with which channels the images
    are seen. epochs: None: the recipe's. settings: recipe keys such as {'optimizer.lr': 0.01}, but for those that X or
    another argument decides. layer: what `transform` gives. random_state: the recipe's `train.seed`. validation: the
    fraction of the images that chooses the epoch.

    X: uint8 n × height × width, or n × height × width × 1 or 3, all of one size. `classes_`, `model_` (an
    `alexnet` model: for `alexnet.predict`, `alexnet.features` …), `validation_accuracy_` and `n_epochs_` are set by
    fit. Raises InputError, which is a ValueError.
    """

    def __init__(
        self,
        recipe: str = "folder-pretrained",
        *,
        epochs: int | None = None,
        settings: dict[str, Any] | None = None,
        validation: float = 0.15,
        layer: str = "pool5",
        device: str = "auto",
        random_state: int = 0,
    ):
        self.recipe = recipe
        self.epochs = epochs
        self.settings = settings
        self.validation = validation
        self.layer = layer
        self.device = device
        self.random_state = random_state

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.three_d_array = True
        return tags

    @own_settings()
    def fit(self, X: Any, y: Any) -> Self:
        images = _images(X)
        labels, changes = _labels(y, len(images)), self._changes()
        self.classes_, numbers = np.unique(labels, return_inverse=True)
        if len(self.classes_) < 2:
            raise InputError(f"only one class in y, {arguments.plain(self.classes_[0])!r}; training needs at least two")
        setup = self._prepared(anchored(recipes.load(self.recipe, changes)), images, numbers.astype(np.int64))
        self.validation_accuracy_ = _train(setup)
        network = setup.model.eval()
        card = cards.make(network, setup.classes, setup.preprocessing)
        self.model_ = Model(network, setup.classes, setup.preprocessing, card, _NOWHERE)
        self.n_epochs_ = math.ceil(setup.length)
        return self

    def _changes(self) -> dict[str, Any]:
        """What the parameters make of the recipe. InputError for one of another type, which scikit-learn sets
        unchecked, and for a setting that another one decides."""
        arguments.number("validation", self.validation, "a fraction between 0 and 1")
        arguments.text("layer", self.layer)
        if not isinstance(self.settings, Mapping | None):
            raise arguments.refusal("settings", "recipe keys with their values, or None", self.settings)
        own = {"train.seed": arguments.whole("random_state", self.random_state, 0, 2**53), "data.name": "folder"}
        settings = given(self.settings or {})
        for key in settings:
            if decides := _DECIDED.get(key):
                raise InputError(f"settings cannot set {key}: {decides} decides it")
        return lasting(settings, self.epochs, None) | own

    def predict_proba(self, X: Any) -> np.ndarray:
        """float64 n × classes, in the order of `classes_`."""
        check_is_fitted(self)
        place = {name: number for number, name in enumerate(self.model_.classes)}
        images = _images(X)
        found = np.zeros((len(images), len(place)))
        for row, answer in enumerate(predict(self.model_, list(images), top=len(place))):
            for each in answer.predictions:
                found[row, place[each.label]] = each.score
        return found / found.sum(1, keepdims=True)

    def predict(self, X: Any) -> np.ndarray:
        probabilities = self.predict_proba(X)
        return self.classes_[probabilities.argmax(1)]

    def transform(self, X: Any) -> np.ndarray:
        """The activations of `layer`, float32 n × features."""
        check_is_fitted(self)
        return features(self.model_, list(_images(X)), [self.layer], flatten=True)[self.layer]

    def _prepared(self, recipe: Any, images: np.ndarray, labels: np.ndarray) -> Setup:
        spec = catalog.get(recipe.model.name)
        channels, height, width = spec.input
        size = stored_size((height, width), recipe.data.resize or spec.preprocessing.resize)
        names = [f"{number:09}" for number in range(len(images))]
        whole: Dataset = ArrayDataset(images, labels, tuple(map(str, self.classes_)), names)
        whole = refitted(whole, channels, size, recipe.data.fit, recipe.data.antialias)
        train, held = (whole.subset(rows) for rows in stratified(labels, self.validation, self.random_state))
        return prepare(recipe, None, self.device, splits=Splits(train, held, None, "folder", None, []))


_NOWHERE = Path()
_OF_IMAGES = ("fit", "resize", "normalize", "antialias", "shuffle", "workers")  # keys of data that change arrays, too
_DECIDED = {f"data.{each.name}": "X" for each in fields(Data) if each.name not in _OF_IMAGES} | {
    "data.validation": "the argument validation",
    "train.seed": "the argument random_state",
}
"""Keys that settings cannot have, and what decides them."""


def _images(X: Any) -> np.ndarray:
    try:
        images = np.asarray(X)
    except ValueError:
        raise InputError("X is images of one size: resize these, or train from files (alexnet.train)") from None
    if images.ndim and not len(images):
        raise InputError("X has no images")
    if images.ndim == 3:
        images = images[..., None]
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] not in (1, 3) or not images.size:
        raise InputError(
            f"X is uint8 images, n × height × width (× 1 or 3), with values from 0 to 255, not {images.dtype} "
            f"{np.shape(X)}"
        )
    return images


def _labels(y: Any, count: int) -> np.ndarray:
    """The labels of `count` images, strings or numbers [count]."""
    try:
        labels = np.asarray(y)
    except ValueError:
        raise InputError(f"y is one label for each of the {count} images, not lists of them") from None
    if labels.shape != (count,):
        several = "; several labels an image are trained from a table (alexnet.train)" if labels.ndim == 2 else ""
        raise InputError(f"y is one label for each of the {count} images, not of shape {labels.shape}{several}")
    if labels.dtype.kind in "OS":
        for each in labels:
            if not isinstance(each, str | Integral):
                raise arguments.refusal("y", "strings or whole numbers as labels", each)
        if len(kinds := {isinstance(each, str) for each in labels}) > 1:
            raise InputError("y takes strings or whole numbers as labels, not both")
        labels = labels.astype(str if True in kinds else np.int64)
    try:
        check_classification_targets(labels)
    except ValueError as error:
        raise InputError(f"y is one label for each image: {' '.join(str(error).split())}") from None
    return labels


def _train(setup: Setup) -> float:
    """Trains to the end or until validation no longer improves; leaves the best epoch's weights in the network."""
    learner, recipe = Learner(setup), setup.timed
    count, best, waited, kept = len(setup.train.dataset), (-1.0, 0.0), 0, {}
    times = passes(recipe, count)
    for epoch in range(math.ceil(setup.length)):

        def draws(number: int) -> torch.Generator:
            return torch.Generator().manual_seed(derive_seed(recipe.train.seed, "order", number))

        numbered = range(epoch * times, (epoch + 1) * times)
        rows = torch.cat([order(count, recipe.data.shuffle, number, draws) for number in numbered])
        for images, labels in setup.train.batches(rows, recipe.train.batch_size):
            learner.step(images, labels)
        with learner.averaged() as model:
            figures = run(model, setup.validation, learner.augmenter, precision=setup.precision).figures
            learner.validated(figures.top1, figures.loss)
            waited += 1
            if (figures.top1, -figures.loss) > best:
                best, waited = (figures.top1, -figures.loss), 0
                kept = {name: value.detach().clone() for name, value in model.state_dict().items()}
        if 0 < int(recipe.train.patience) <= waited:
            break
    setup.model.load_state_dict(kept)
    return best[0]
