"""Likely label errors, ranked: images whose features say another class than their label.

Confident learning (Northcutt, Jiang and Chuang 2021, 'Confident learning: estimating uncertainty in dataset labels',
arXiv:1911.00068) on the probabilities of a linear classifier that did not train on the image it judges.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import special

from alexnet.data.loading.decode import prepare, refit, stored_size
from alexnet.device import own_settings
from alexnet.errors import counted
from alexnet.inference import features as extraction
from alexnet.inference.images import Images
from alexnet.inference.metrics import fit_temperature
from alexnet.inference.model import Model
from alexnet.insight.check.listing import Listed
from alexnet.preprocessing import Preprocessing

FEWEST = 5
"""Labeled images of a class below which nothing is said of it or by it."""
WIDEST = 1024
"""Features that are used; of more, a random projection (their distances stay nearly as they are)."""
RIDGE = 1.0
"""Of the classifier on features of unit length, in images: weak, as each class has many."""


@dataclass(frozen=True)
class Doubt:
    row: int
    """Of the dataset's images."""
    label: int
    likelier: int
    """The class that the features say."""
    confidence: float
    """Probability of the label as it stands; the lowest first."""


@own_settings()
def doubts(listed: Listed, model: Model, layer: str | None = None) -> tuple[list[Doubt], list[str]]:
    """The likely label errors among the labeled images that can be read, the likeliest first; and what to say of them.

    layer: whose features judge; None: the last hidden fully-connected one, else what the classifier sees.
    """
    names = extraction.network_of(model).layer_names[:-1]
    layer = layer or next((name for name in reversed(names) if name.startswith("fc")), names[-1])
    counts = np.bincount(listed.labels[listed.labels >= 0], minlength=len(listed.classes))
    known = np.flatnonzero((listed.labels >= 0) & (counts[listed.labels] >= FEWEST))
    judged = np.unique(listed.labels[known])
    few = int((counts[counts > 0] < FEWEST).sum())
    classes = counted(few, "class has", "classes have")
    notes = [f"{classes} fewer than {FEWEST} images: no label is judged by their features"] if few else []
    if len(judged) < 2:
        return [], [*notes, "labels are judged where two classes have enough images"]
    wanted = extraction.want(model, [layer], pool="mean", flatten=True)
    images = Images(tuple(listed.names), _reader(listed), listed.labels.astype(np.int64), listed.classes)
    rows, found = [], []
    for chunk in extraction.run(model, images.subset(known), wanted):
        rows += [int(known[row]) for row in chunk.good]
        if chunk.good:
            found.append(narrowed(chunk.layers[layer].reshape(len(chunk.good), -1)))
    rows, features = np.array(rows), np.concatenate(found)
    labels = np.searchsorted(judged, listed.labels[rows])
    probabilities = unseen_probabilities(features, labels)
    ranked = confident(labels, probabilities)
    return [
        Doubt(int(rows[i]), int(judged[labels[i]]), int(judged[other]), float(probabilities[i, labels[i]]))
        for i, other in ranked
    ], [*notes, f"labels of {counted(len(rows), 'image')} were judged by {layer} of {model.card.name}"]


def narrowed(features: np.ndarray, widest: int = WIDEST) -> np.ndarray:
    """At most `widest` features, by a fixed Gaussian projection."""
    if features.shape[1] <= widest:
        return features
    random = np.random.default_rng(0)
    return features @ random.normal(size=(features.shape[1], widest), scale=widest**-0.5).astype(np.float32)


def unseen_probabilities(features: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """float64 [n, classes]: of each image by ridge regression on all others (leave-one-out in closed form), its scores
    sharpened by the temperature that fits the labels best.

    `features`: float [n, d]; they are standardized and scaled to unit length. `labels`: 0 … classes − 1, all there.
    """
    x = (features - features.mean(0)) / np.maximum(features.std(0), 1e-6)
    x = (x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)).astype(np.float64)
    x = np.c_[x, np.ones(len(x))]
    target = np.eye(int(labels.max()) + 1)[labels]
    if x.shape[1] <= len(x):
        inverse = np.linalg.inv(x.T @ x + RIDGE * np.eye(x.shape[1]))
        half = x @ inverse
        fit, leverage = half @ (x.T @ target), (half * x).sum(1)
    else:
        kernel = x @ x.T
        hat = np.linalg.solve(kernel + RIDGE * np.eye(len(x)), kernel)
        fit, leverage = hat.T @ target, np.diagonal(hat)
    left_out = target - (target - fit) / (1 - leverage)[:, None]
    return special.softmax(left_out / fit_temperature(left_out, labels), axis=1)


def confident(labels: np.ndarray, probabilities: np.ndarray) -> list[tuple[int, int]]:
    """(image, class) for each image that is confidently of another class than its label, the least likely label first.

    A class is confident of an image where its probability reaches the mean that it gives its own images; among several
    the likeliest counts. An image whose label is the likeliest class of all is never doubted.
    """
    classes = probabilities.shape[1]
    means = np.array([probabilities[labels == k, k].mean() for k in range(classes)])
    reached = np.where(probabilities >= means, probabilities, -1)
    guess = reached.argmax(1)
    doubted = (reached.max(1) >= 0) & (guess != labels) & (probabilities.argmax(1) != labels)
    rows = np.flatnonzero(doubted)
    order = rows[np.argsort(probabilities[rows, labels[rows]], kind="stable")]
    return [(int(row), int(guess[row])) for row in order]


def _reader(listed: Listed) -> Callable[[int, Preprocessing], tuple[np.ndarray, bytes]]:
    def read(row: int, how: Preprocessing) -> tuple[np.ndarray, bytes]:
        content = listed.images.content(row)
        if isinstance(content, bytes):
            return prepare(content, how), b""
        return refit(content, how.channels, stored_size(how.size, how.resize), how.fit, how.antialias), b""

    return read
