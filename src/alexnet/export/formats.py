"""Every form in which a trained model leaves: what it is called, what it needs, how it is made and checked."""

import hashlib
import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alexnet.artifacts.card import Card
from alexnet.artifacts.pairing import mean_content, pair
from alexnet.artifacts.seal import seal
from alexnet.artifacts.store import CARD, HUB_WEIGHTS
from alexnet.device import own_settings
from alexnet.errors import InputError, unknown
from alexnet.export import brainscore, layouts
from alexnet.export import model_card as cards
from alexnet.export.agree import COUNT, Agreement, Samples, agree, samples
from alexnet.files import check_new, json_bytes, make_folder, write_together
from alexnet.inference.data import spread
from alexnet.inference.model import Model

if TYPE_CHECKING:
    from alexnet.export.int8 import Quantized


@dataclass(frozen=True)
class Request:
    """What to export, and how."""

    model: Model
    out: Path
    data: Path | None = None
    logits: bool = False
    max_loss: float | None = None
    """Of int8: the top-1 accuracy, or mAP, that it may lose; None: int8.MAX_LOSS."""

    @property
    def card(self) -> Card:
        return self.model.card.public()

    @property
    def beside(self) -> Path:
        """Where the JSON goes that accompanies some formats."""
        return self.out.with_suffix(".json")


@dataclass(frozen=True)
class Exported:
    """What was written, and what was found before it was."""

    format: str
    files: dict[str, int]
    """Path → bytes."""
    agreement: Agreement | None = None
    """Against PyTorch, for formats that can be run here."""
    quantized: "Quantized | None" = None

    def to_json(self) -> dict[str, Any]:
        return {
            "format": self.format,
            "files": self.files,
            "agreement": self.agreement.to_json() if self.agreement else None,
            "int8": self.quantized.to_json() if self.quantized else None,
        }


@dataclass(frozen=True)
class Product:
    """What a format's maker hands over to be written."""

    files: dict[Path, bytes]
    agreement: Agreement | None = None
    quantized: "Quantized | None" = None


@dataclass(frozen=True)
class Format:
    suffix: str
    """Of its file; '' for a folder."""
    make: Callable[[Request], Product]
    options: tuple[str, ...] = ()
    """Which of --data, --logits and --max-loss mean something for it."""
    extra: str = ""
    packages: tuple[str, ...] = ()
    """Import names of what `extra` installs."""
    beside: bool = False
    """Whether a JSON file comes with it."""


@own_settings()
def export(
    model: Model,
    format: str,
    out: Path | str,
    *,
    data: Path | None = None,
    logits: bool = False,
    max_loss: float | None = None,
    force: bool = False,
) -> Exported:
    """Writes the model to `out`, once it is found to be the same network; else nothing is written.

    `data`: images to check it on (none: the run's own, or random ones); `logits`: these as a second output;
    `max_loss`: the top-1 accuracy, or mAP, that int8 may lose, as a fraction (None: 0.02); `force`: replace what is
    there.
    Raises InputError for an unknown format, a wrong suffix, a file in the way, a missing package, a network that cannot
    be exported so, and an export that differs from the network.
    """
    request = Request(model, Path(out), data, logits, max_loss)
    kind = _check(request, format, force)
    product = kind.make(request)
    if not kind.suffix:
        for folder in sorted({path.parent for path in product.files}):
            make_folder(folder)
    check_new(product.files, force)
    write_together(product.files)
    sizes = {str(path): len(content) for path, content in product.files.items()}
    return Exported(format, sizes, product.agreement, product.quantized)


def _check(request: Request, format: str, force: bool) -> Format:
    """The format, once everything that can be known beforehand is right."""
    if format not in FORMATS:
        raise unknown("format", format, FORMATS)
    kind, out = FORMATS[format], request.out
    if kind.suffix and out.suffix != kind.suffix:
        raise InputError(f"a file of format {format} ends in {kind.suffix}, unlike {str(out)!r}")
    options = {"data": request.data is not None, "logits": request.logits, "max-loss": request.max_loss is not None}
    for option, given in options.items():
        if given and option not in kind.options:
            takers = ", ".join(name for name, each in FORMATS.items() if option in each.options)
            raise InputError(f"--{option} means nothing for format {format}; it is for: {takers}")
    if kind.suffix:
        check_new((out, request.beside) if kind.beside else (out,), force)
    elif out.is_file() or (out.is_dir() and any(out.iterdir()) and not force):
        raise InputError(f"{str(out)!r} exists; format {format} makes a folder: choose a new one, or add --force")
    if missing := [package for package in kind.packages if importlib.util.find_spec(package) is None]:
        needs = f"format {format} needs {' and '.join(missing)}"
        raise InputError(f"{needs}; install with: pip install 'alexnet[{kind.extra}]'")
    return kind


def _onnx(request: Request) -> Product:
    graph, agreement = _graph(request, samples(request.model, request.data))
    return Product({request.out: graph}, agreement)


def _web(request: Request) -> Product:
    from alexnet.export import web

    web.runtime()  # what is missing is said before the work
    names = [name for name, _ in request.model.module.named_children()]
    graph, agreement = _graph(replace(request, logits=True), samples(request.model, request.data), names)
    return Product(_site(request, graph, True), agreement)


def _web_int8(request: Request) -> Product:
    from alexnet.export import web

    web.runtime()
    made = _int8(request)
    return replace(made, files=_site(request, made.files[request.out], False))


def _site(request: Request, graph: bytes, layers: bool) -> dict[Path, bytes]:
    from alexnet.export import web

    return {request.out / name: content for name, content in web.files(request.model, graph, layers).items()}


def _graph(request: Request, images: Samples, layers: Sequence[str] = ()) -> tuple[bytes, Agreement]:
    """An ONNX file's content that does what the model does, on these images; `layers`: as `onnx_graph.build`."""
    from alexnet.graphs import onnx_graph

    graph = onnx_graph.build(request.model.module, request.model.preprocessing, request.card, layers)
    agreement = agree(request.model, onnx_graph.Session(graph.SerializeToString()), images)
    if not request.logits:
        onnx_graph.drop_logits(graph)
    content = graph.SerializeToString()
    session = onnx_graph.Session(content)
    agree(request.model, session, Samples(images.images[:2], images.origin))
    if session.names() != onnx_graph.spelled(request.model.classes):
        raise InputError("the export's class names are not the model's; nothing was written")
    return content, agreement


def _int8(request: Request) -> Product:
    from alexnet.export import int8

    calibration, measured = int8.images(request.model, request.data)
    # The float graph, too, is compared on images that calibrate nothing.
    exact, agreement = _graph(request, Samples(measured.batch(spread(len(measured), COUNT)), "real"))
    content = int8.quantize(exact, calibration)
    found = int8.measure(exact, content, measured, len(calibration))
    int8.check(found, int8.MAX_LOSS if request.max_loss is None else request.max_loss)
    return Product({request.out: content}, agreement, found)


def _torch(request: Request) -> Product:
    from alexnet.graphs import torch_program

    model = request.model
    content = torch_program.build(model.module, model.preprocessing, request.card, request.logits)
    images = samples(request.model, request.data)
    files = {request.out: content}
    if mac := seal((hashlib.sha256(content).hexdigest(),)):  # by it `evaluate` and `predict` know their own user's file
        files[request.out.with_name(f"{request.out.name}.seal")] = f"{mac}\n".encode()
    return Product(files, agree(request.model, torch_program.Program(content), images))


def _safetensors(request: Request) -> Product:
    model = request.model
    return Product(pair(request.out, request.card, model.module.state_dict(), model.preprocessing.mean_image)[0])


def _hub(request: Request) -> Product:
    """The folder that model hubs show: README.md, config.json with the labels, the weights, and the card."""
    out, model = request.out, request.model
    readme, _ = cards.build(model, request.data, CARD, cards.FOLDER)
    config = {
        "architectures": ["alexnet"],
        "model_type": "alexnet",
        "alexnet": {"card": CARD, "load": "alexnet.load(FOLDER)"},
        "num_labels": len(model.classes),
        "id2label": {str(place): name for place, name in enumerate(model.classes)},
        "label2id": {name: place for place, name in enumerate(model.classes)},
    }
    if model.multilabel:  # as transformers' configurations say it
        config["problem_type"] = "multi_label_classification"
    shown = {
        out / "README.md": readme.encode("utf-8", "backslashreplace"),
        out / "config.json": json_bytes(config),
    }
    mean = model.preprocessing.mean_image
    files, _ = pair(out / HUB_WEIGHTS, request.card, model.module.state_dict(), mean, beside=out / CARD)
    return Product(shown | files)


def _brainscore(request: Request) -> Product:
    out, model = request.out, request.model
    texts = {out / name: text.encode() for name, text in brainscore.files(model, out.name).items()}
    mean = model.preprocessing.mean_image
    files, _ = pair(out / HUB_WEIGHTS, request.card, model.module.state_dict(), mean, beside=out / CARD)
    return Product(texts | files)


def _keras(request: Request) -> Product:
    if request.out.name.endswith(".weights.h5"):
        raise InputError("Keras reads a .weights.h5 by another layout; choose a name like alexnet.h5")
    return _with_card(request, layouts.keras(request.model))


def _torchvision(request: Request) -> Product:
    return _with_card(request, layouts.torchvision(request.model))


def _with_card(request: Request, content: bytes) -> Product:
    """Weights that hold neither class names nor preprocessing: the card beside them does, and names their SHA-256."""
    card = request.card.changed(sha256={"weights": hashlib.sha256(content).hexdigest()})
    image = request.model.preprocessing.mean_image
    mean = mean_content(request.beside, image) if image else {}
    return Product(mean | {request.beside: json_bytes(card.to_json()), request.out: content})


def _card(request: Request) -> Product:
    text, content = cards.build(request.model, request.data, request.beside.name)
    return Product({request.out: text.encode("utf-8", "backslashreplace"), request.beside: json_bytes(content)})


_ONNX = Format(".onnx", _onnx, ("data", "logits"), "onnx", ("onnx", "onnxscript", "onnxruntime"))
FORMATS = {
    "onnx": _ONNX,
    "int8": replace(_ONNX, make=_int8, options=("data", "logits", "max-loss")),
    "torch": Format(".pt2", _torch, ("data", "logits")),
    "safetensors": Format(".safetensors", _safetensors, beside=True),
    "torchvision": Format(".pth", _torchvision, beside=True),
    "keras": Format(".h5", _keras, extra="keras", packages=("h5py",), beside=True),
    "hub": Format("", _hub, ("data",)),
    "brainscore": Format("", _brainscore),
    "web": Format("", _web, ("data",), "onnx", _ONNX.packages),
    "web-int8": Format("", _web_int8, ("data", "max-loss"), "onnx", _ONNX.packages),
    "card": Format(".md", _card, ("data",), beside=True),
}
