"""A `Model`: a network with its class names and its preprocessing, ready to use."""

import dataclasses
from pathlib import Path
from typing import Any

import torch
from torch import nn

from alexnet.artifacts import card as cards
from alexnet.artifacts import store
from alexnet.artifacts.card import Card
from alexnet.errors import InputError
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


def load_model(model: Any, device: torch.device | str = "cpu") -> Model:
    """A trained model from a run, a run's folder, or a weights file `X.safetensors` with its card `X.json`.

    Raises InputError when there is no model, no card, or the two do not fit each other.
    """
    path = Path(getattr(model, "path", model))
    weights, card_path = store.locate(path)
    card = cards.read(card_path)
    channels, height, width = card.input
    with torch.device("meta"):  # the weights of the file take the place of its own
        module = catalog.create(card.name, classes=len(card.classes), channels=channels, size=(height, width))
    preprocessing = store.read_preprocessing(card, card_path)
    _check_lrn(module, card, card_path)
    store.fill(module, store.load_tensors(weights), str(weights))
    module.eval().to(device)
    return Model(module, card.classes, preprocessing, card, path)


def _check_lrn(network: Network, card: Card, card_path: Path) -> None:
    """The catalog's network must normalize as the weights' own did; they would load all the same, and be wrong."""
    if [lrn.to_json() for lrn in card.lrn] != cards.lrn_constants(network):
        raise InputError(f"{str(card_path)!r} has other LRN constants than {card.name} of this version")
