"""A `Model`: a network with its class names and its preprocessing, ready to use."""

import dataclasses
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from alexnet.artifacts import card as cards
from alexnet.artifacts import store
from alexnet.artifacts.card import Card
from alexnet.artifacts.pairing import card_of, steady
from alexnet.errors import InputError
from alexnet.files import sha256
from alexnet.models import catalog
from alexnet.models.network import Network
from alexnet.preprocessing import Preprocessing


@dataclasses.dataclass
class Model:
    """A model ready to use."""

    module: nn.Module
    classes: tuple[str, ...]
    preprocessing: Preprocessing
    card: Card
    path: Path
    precision: str = "fp32"
    """That of the module: 'fp32' or 'bf16'. `inference.fast.at_precision` converts."""
    weights: dict[str, str] = dataclasses.field(default_factory=dict)
    """{"file", "sha256"} of the file that it was opened from; empty: from none."""


def load_model(model: Any, device: torch.device | str = "cpu") -> Model:
    """A trained model from a run, a run's folder, or a weights file `X.safetensors` with its card `X.json`.

    Raises InputError when there is no model, no card, or the two do not fit each other.
    """
    path = Path(getattr(model, "path", model))
    weights, beside = store.locate(path)
    card, card_path, state, digest = steady(weights, lambda: _read(weights, beside))
    channels, height, width = card.input
    with torch.device("meta"):  # the weights of the file take the place of its own
        module = catalog.create(card.name, classes=len(card.classes), channels=channels, size=(height, width))
    preprocessing = store.read_preprocessing(card, card_path)
    _check_lrn(module, card, card_path)
    store.fill(module, state, str(weights))
    module.eval().to(device)
    record = {"file": weights.name, "sha256": digest}
    return Model(module, card.classes, preprocessing, card, path, weights=record)


def _read(weights: Path, beside: Path | None) -> tuple[Card, Path, dict[str, Tensor], str]:
    """The card and its path, the tensors and the SHA-256 of a weights file."""
    state, metadata = store.load_file(weights)
    digest = sha256(weights)
    return *card_of(weights, digest, metadata, beside), state, digest


def _check_lrn(network: Network, card: Card, card_path: Path) -> None:
    """The catalog's network must normalize as the weights' own did; they would load all the same, and be wrong."""
    if [lrn.to_json() for lrn in card.lrn] != cards.lrn_constants(network):
        raise InputError(f"{str(card_path)!r} has other LRN constants than {card.name} of this version")
