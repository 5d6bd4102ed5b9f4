"""A `Model`: a network with its class names and its preprocessing, ready to use."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from alexnet import arguments
from alexnet.artifacts import card as cards
from alexnet.artifacts import store
from alexnet.artifacts.card import Card
from alexnet.artifacts.pairing import card_of, steady
from alexnet.device import choose_device, own_settings
from alexnet.errors import InputError
from alexnet.files import read_json, sha256
from alexnet.models import catalog
from alexnet.models.network import Network
from alexnet.preprocessing import Preprocessing
from alexnet.weights.hub import code_in, is_hub, pulled

GRAPHS = (".onnx", ".pt2")
WEIGHTS = (".h5", ".keras", ".pth", ".pt")
"""Weights of other programs: a model where the card that `alexnet export` wrote lies beside them."""


def is_exported(path: Path) -> bool:
    """Whether a file is one that `alexnet export` writes, and no .safetensors file."""
    if path.suffix in GRAPHS:
        return path.is_file()
    beside = path.with_suffix(".json")
    if path.suffix not in WEIGHTS or not path.is_file() or not beside.is_file():
        return False
    try:
        return cards.is_card(read_json(beside, cards.MAX_BYTES))
    except InputError:  # something else of that name, such as Keras's description of a network
        return False


@dataclasses.dataclass
class Model:
    """A model ready to use."""

    module: nn.Module
    classes: tuple[str, ...]
    preprocessing: Preprocessing
    card: Card
    path: Path
    precision: str = "fp32"
    """Of the module: 'fp32' or 'bf16', of an exported graph also 'int8'. `inference.fast.at_precision` converts."""
    weights: dict[str, str] = dataclasses.field(default_factory=dict)
    """{"file", "sha256"} of the file that it was opened from; empty: from none."""
    runtime: str = "torch"
    """In which the module computes; `inference.runtimes.ready` moves a model into another."""
    exported: bool = False
    """Whether the module is an exported graph, without layers to look into and at a precision of its own."""
    remark: str | None = None
    """A line for its user: the code that lies in its folder, which is never run."""

    @property
    def multilabel(self) -> bool:
        """Whether it may name several labels an image, each by a sigmoid; else it names one class, by softmax."""
        return self.card.multilabel

    @property
    def thresholds(self) -> np.ndarray:
        """Multi-label: from which probability on each class is given, float64 [classes]."""
        found = self.card.thresholds
        return np.array(found.values) if found else np.full(len(self.classes), 0.5)

    def probabilities(self, logits: Tensor) -> Tensor:
        """Of logits float N×K the probabilities, float32 N×K; of log-probabilities, too, where one class is named."""
        return logits.float().sigmoid() if self.multilabel else logits.float().softmax(1)


def one_label(model: Model, what: str) -> None:
    """InputError for a model that may name several labels an image, which `what` cannot take."""
    if model.multilabel:
        raise InputError(
            f"{str(model.path)!r} names several labels an image, and {what} takes models that name one class; "
            "evaluate, predict, explain, features, report, export and serve take both"
        )


def check_model(model: object) -> None:
    """InputError for what is no `Model`, and for a network that its user converted to another width than float32, in
    which images come."""
    if not isinstance(model, Model):
        given = repr(str(model)) if isinstance(model, str | Path) else arguments.kind(model)
        raise InputError(f"a model is what alexnet.load gives, not {given}")
    if model.exported or model.runtime != "torch" or model.precision != "fp32":
        return
    width = next(model.module.parameters()).dtype
    if width != torch.float32:
        raise InputError(
            f"the network's weights are {str(width).removeprefix('torch.')}, and it is asked in float32: call .float() "
            "on it (precision='bf16' computes in bfloat16)"
        )


def load(model: Any, device: torch.device | str = "cpu") -> Model:
    """A trained model from a run, a weights file `X.safetensors` with its card `X.json`, a file or a hub folder of
    `alexnet export`, or `hub://OWNER/NAME`, which is fetched.

    An exported graph (ONNX, torch.export) runs on the CPU; `predict` and `evaluate` take it, and it has no layers to
    look into. Raises InputError when there is no model, no card, or the two do not fit each other.
    """
    return load_model(model, device, graphs=True, several=True)


@own_settings()
def load_model(model: Any, device: torch.device | str = "cpu", graphs: bool = False, several: bool = False) -> Model:
    """The same; without `graphs` InputError for an exported graph, where layers are wanted, and without `several` for
    a model that may name several labels an image, where one class is.

    Raises InputError when there is no model, no card, or the two do not fit each other.
    """
    found = _load(model, device, graphs)
    if not several:
        one_label(found, "this")
    return found


def place_of(model: Any) -> Path:
    """Where a run, or what else MODEL names, lies. InputError for what is neither a path nor has one."""
    return arguments.path("model", getattr(model, "path", model))


def _load(model: Any, device: torch.device | str, graphs: bool) -> Model:
    if is_hub(model):
        folder, code = pulled(model)
        return dataclasses.replace(_load(folder, device, graphs), remark=code)
    path = place_of(model)
    if is_exported(path):
        from alexnet.inference.exported import open_exported

        if path.suffix in GRAPHS and not graphs:
            raise InputError(
                f"{str(path)!r} is an exported graph: evaluate and predict take it; here give the run that it came from"
            )
        return open_exported(path)
    if str(path) in catalog.CATALOG and not path.exists():
        raise InputError(
            f"{str(path)!r} names a network, and a trained model is wanted here: a run folder, a weights file with its "
            "card, or a hub folder; `alexnet import` makes one of published weights"
        )
    weights, beside = store.locate(path)
    card, card_path, state, digest = steady(weights, lambda: _read(weights, beside))
    channels, height, width = card.input
    with torch.device("meta"):  # the weights of the file take the place of its own
        module = catalog.create(card.name, classes=len(card.classes), channels=channels, size=(height, width))
    preprocessing = store.read_preprocessing(card, card_path)
    _check_lrn(module, card, card_path)
    store.fill(module, state, str(weights))
    module.eval().to(choose_device(device))
    record = {"file": weights.name, "sha256": digest}
    code = code_in(path) if path.is_dir() and weights.name == store.HUB_WEIGHTS else None
    return Model(module, card.classes, preprocessing, card, path, weights=record, remark=code)


def _read(weights: Path, beside: Path | None) -> tuple[Card, Path, dict[str, Tensor], str]:
    """The card and its path, the tensors and the SHA-256 of a weights file."""
    state, metadata = store.load_file(weights)
    digest = sha256(weights)
    return *card_of(weights, digest, metadata, beside), state, digest


def _check_lrn(network: Network, card: Card, card_path: Path) -> None:
    """The catalog's network must normalize as the weights' own did; they would load all the same, and be wrong."""
    if [lrn.to_json() for lrn in card.lrn] != cards.lrn_constants(network):
        raise InputError(f"{str(card_path)!r} has other LRN constants than {card.name} of this version")
