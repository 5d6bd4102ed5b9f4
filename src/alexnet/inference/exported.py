"""Exported files as models: ONNX (int8 too), torch.export programs, and weights in another program's form.

An ONNX graph and a program hold their preprocessing, and take images as they are stored; the card that went along with
the export says the rest. A program is opened only where this user exported it: PyTorch's reader of .pt2 files evaluates
expressions and may unpickle objects, which a stranger's file must not make it do.
"""

import hashlib
import json
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from alexnet.artifacts import card as cards
from alexnet.artifacts import store
from alexnet.artifacts.card import Card
from alexnet.artifacts.figures import Figures, LabelFigures, score
from alexnet.artifacts.seal import sealed
from alexnet.data.loading.decode import stored_size
from alexnet.errors import InputError, counted, escaped
from alexnet.files import content_of, sha256
from alexnet.inference.model import Model
from alexnet.models import catalog
from alexnet.preprocessing import Preprocessing
from alexnet.weights.load import load_into

_MOST = 2**31
_LEAST = 2.0**-25  # a probability nearer to 0 or 1 than float32 can tell from 1
_MOST_SEAL = 1024
Run = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray | None]]


class Graph(nn.Module):
    """An exported graph as a module: float N×C×H×W with the images' own values → log-probabilities, float32 N×K; of
    several labels an image logits, whose sigmoids are the probabilities."""

    def __init__(self, run: Run, content: bytes, multilabel: bool = False):
        super().__init__()
        self.run, self.multilabel = run, multilabel
        self.register_buffer("digest", torch.tensor(list(hashlib.sha256(content).digest()), dtype=torch.uint8))
        self.place = nn.Parameter(torch.zeros(0), requires_grad=False)  # says that it runs on the CPU

    def forward(self, x: Tensor) -> Tensor:
        images = x.permute(0, 2, 3, 1).round().clamp(0, 255).to(torch.uint8).contiguous().numpy()
        probabilities, _ = self.run(images)
        found = torch.from_numpy(np.array(probabilities, np.float32))
        if self.multilabel:
            return torch.logit(found.double(), eps=_LEAST).float()
        return found.clamp_min(torch.finfo(torch.float32).tiny).log()


def open_exported(path: Path) -> Model:
    """The model in an exported file, on the CPU.

    Raises InputError for a file that this package did not export or that does not fit its card, for a program that
    was not exported by this user, and for a missing package.
    """
    if path.suffix == ".onnx":
        return _onnx(path)
    if path.suffix == ".pt2":
        return _program(path)
    beside = path.with_suffix(".json")
    card, digest = cards.read(beside), sha256(path)
    if digest not in card.sha256.values():
        raise InputError(f"{str(path)!r} is not the file that {beside.name} describes (its SHA-256 differs)")
    channels, height, width = card.input
    network = catalog.create(card.name, classes=len(card.classes), channels=channels, size=(height, width))
    loaded = load_into(network, path)
    if loaded.origin.missing or loaded.remark:
        raise InputError(f"{str(path)!r} is not the model of {beside.name}: {loaded.told}")
    preprocessing = store.read_preprocessing(card, beside)
    weights = {"file": path.name, "sha256": digest}
    return Model(network.eval(), card.classes, preprocessing, card, path, weights=weights)


def loss_of(card: Card, measured: Figures | LabelFigures, what: str) -> str:
    """A line: what accuracy, or mAP, an exported file lost against the run that it came from, as the card has it."""
    count = measured.count
    figures = card.figures if isinstance(card, cards.RunCard) else None
    theirs = next((f for f in (figures.test, figures.validation) if f and f.count == count), None) if figures else None
    if theirs is None:
        return f"{what}: its card has no figure of the run on {counted(count, 'image')} to compare with"
    points = 100 * (score(theirs) - score(measured))
    run = f"the run, which had {score(theirs):.2%} on {counted(count, 'image')} in {theirs.precision}"
    if abs(points) < 0.005:
        return f"{what}: as accurate as {run}"
    return f"{what}: {abs(points):.2f} points {'lost' if points > 0 else 'gained'} against {run}"


def _onnx(path: Path) -> Model:
    try:
        import onnx

        from alexnet.graphs.onnx_graph import Session
    except ImportError as error:
        raise InputError(f"{str(path)!r} needs {error.name}: pip install 'alexnet[onnx]'") from None
    content = content_of(path, _MOST)
    try:
        graph = onnx.load_model_from_string(content)
        outside = any(each.external_data or each.data_location for each in _tensors(graph.graph.node, graph.graph))
        outside = outside or bool(graph.functions)
        said = {prop.key: prop.value for prop in graph.metadata_props}.get("card")
        precision = "int8" if any("Quant" in node.op_type for node in graph.graph.node) else "fp32"
    except Exception as error:  # protobuf's own, of several kinds; text that is no UTF-8 comes as bytes
        raise InputError(f"{str(path)!r} is not a readable ONNX file ({type(error).__name__})") from None
    if outside:
        raise InputError(f"{str(path)!r} keeps weights in other files, which are not opened")
    card = _card(said, path)
    try:
        session = Session(content)
        names = session.names()
    except Exception as error:  # ONNX Runtime's own
        raise InputError(f"{str(path)!r} does not run in ONNX Runtime: {_first_line(error)}") from None
    if len(names) != len(card.classes) or "probabilities" not in session.outputs:
        raise InputError(
            f"{str(path)!r} does not fit the card in it: {counted(len(names), 'class', 'classes')}, not "
            f"{len(card.classes)}"
        )
    return _model(session, content, precision, card, path)


def _tensors(nodes: Iterable[Any], graph: Any = None) -> Iterator[Any]:
    """Every tensor of an ONNX graph and of the graphs within its nodes."""
    if graph is not None:
        yield from graph.initializer
        for sparse in graph.sparse_initializer:
            yield from (sparse.values, sparse.indices)
    for node in nodes:
        for own in node.attribute:
            yield from (own.t, *own.tensors)
            for sparse in (own.sparse_tensor, *own.sparse_tensors):
                yield from (sparse.values, sparse.indices)
            for inner in (own.g, *own.graphs):
                yield from _tensors(inner.node, inner)


def _first_line(error: Exception) -> str:
    return escaped((str(error) or type(error).__name__).splitlines()[0][:200])


def _program(path: Path) -> Model:
    seal = path.with_name(f"{path.name}.seal")
    mac = content_of(seal, _MOST_SEAL).decode("ascii", "replace").strip() if seal.is_file() else ""
    content = content_of(path, _MOST)
    if not sealed((hashlib.sha256(content).hexdigest(),), mac):
        raise InputError(
            f"{str(path)!r} was not exported here by you ({seal.name} does not say so); PyTorch may run code from such "
            "a file, so that it is not opened: export it again, or take its ONNX form"
        )
    from alexnet.graphs.torch_program import Program

    with zipfile.ZipFile(path) as archive:
        name = next((name for name in archive.namelist() if name.endswith(f"extra/{store.CARD}")), None)
        text = archive.read(name).decode("utf-8") if name else None
    return _model(Program(content), content, "fp32", _card(text, path), path)


def _card(text: str | None, path: Path) -> Card:
    if text is None:
        raise InputError(f"{str(path)!r} is not a file of `alexnet export`: there is no card in it")
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        raise InputError(f"the card in {str(path)!r} is not JSON") from None
    return cards.parsed(content, repr(str(path)))


def _model(run: Run, content: bytes, precision: str, card: Card, path: Path) -> Model:
    """Images are stored as for the network; the crop and all arithmetic are inside the graph."""
    wants = Preprocessing.from_json(card.preprocessing.to_json() | {"mean_image": None}, None)
    raw = replace(wants, size=stored_size(wants.size, wants.resize), resize=None, scale=1.0, mean=(0.0,), std=(1.0,))
    raw = replace(raw, colors="L" if wants.channels == 1 else "RGB")
    module = Graph(run, content, card.multilabel).eval()
    probe = np.zeros((1, *raw.size, raw.channels), np.uint8)
    try:
        found = run(probe)[0]
    except Exception as error:
        raise InputError(f"{str(path)!r} does not take the images of its card: {_first_line(error)}") from None
    if found.shape != (1, len(card.classes)):
        raise InputError(
            f"{str(path)!r} does not fit the card in it: {counted(found.shape[-1], 'output')} for "
            f"{counted(len(card.classes), 'class', 'classes')}"
        )
    weights = {"file": path.name, "sha256": hashlib.sha256(content).hexdigest()}
    return Model(module, card.classes, raw, card, path, precision, weights, exported=True)
