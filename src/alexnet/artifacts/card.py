"""The card: everything that must travel with weights, as one typed value.

`python -m alexnet.artifacts.card docs/card.schema.json` writes its JSON schema.
"""

import json
import sys
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, TypeAdapter
from torch import nn

from alexnet.artifacts.figures import Calibration, Figures, LabelFigures, Thresholds
from alexnet.artifacts.parts import LRN, Colors, PerChannel, Shifts
from alexnet.artifacts.values import MAX_CLASSES, Count, Digest, Flag, LongText, Number, Side, Text, Value
from alexnet.errors import InputError
from alexnet.files import read_json, write_text
from alexnet.models.layers import LocalResponseNorm
from alexnet.models.network import Network
from alexnet.models.summary import summarize
from alexnet.preprocessing import Preprocessing

FILE = "card.json"
VERSION = 2
MAX_BYTES = 2**25
UNKNOWN = "unknown"
"""License of weights of which nobody has said one. Our own code's license is not that of weights."""

Channels = Annotated[int, Field(strict=True, ge=1, le=4)]
Names = Annotated[tuple[Text, ...], Field(min_length=1, max_length=MAX_CLASSES)]
Layers = Annotated[tuple[Text, ...], Field(max_length=10_000)]


class Wants(Value):
    """What `alexnet.preprocessing.Preprocessing` says, field by field; of a mean image its SHA-256."""

    size: tuple[Side, Side]
    resize: Side | None = None
    fit: Literal["crop", "squash"]
    antialias: Flag = True
    samples: tuple[Number, Number] | None = None
    colors: Literal["RGB", "BGR", "L"]
    scale: Number
    mean: PerChannel
    std: PerChannel
    mean_image: Digest | None = None

    def to_json(self) -> dict[str, Any]:
        """As `Preprocessing.from_json` takes it."""
        content = super().to_json()
        return content if self.mean_image else {n: v for n, v in content.items() if n != "mean_image"}


class Origin(Value):
    """A file of weights that a run started from, or that was imported."""

    file: Text
    """Its name, without the folder."""
    kind: Text
    """What wrote it: own, torch, keras, caffe, npy …"""
    sha256: Digest
    """Of the file."""
    license: Text = UNKNOWN
    source: Text = UNKNOWN
    """Where the weights were published, or which run made them."""
    layers: Annotated[dict[Text, Text], Field(max_length=10_000, default_factory=dict)]
    """Our layer → the file's."""
    taken: Text = ""
    """Which of several things in the file these weights are; empty where it holds nothing else."""
    left_out: Layers = ()
    """Tensors of the file that are not of the network."""
    missing: Layers = ()
    """Tensors that the file does not have."""
    skipped: Layers = ()
    """Layers that were left out on request."""


class Protocol(Value):
    """The options of `alexnet.data.sources.open_splits` that drew classes and test images, or said how to read them."""

    first_classes: Annotated[int, Field(strict=True, ge=2, le=MAX_CLASSES)] | None = None
    first_images: Annotated[int, Field(strict=True, ge=2, le=2**31)] | None = None
    per_class: Annotated[int, Field(strict=True, ge=1, le=2**31)] | None = None
    train_images: Annotated[int, Field(strict=True, ge=1, le=2**31)] | None = None
    layout: Literal["auto", "splits", "classes"] = "auto"
    transpose: Flag | None = None
    labels: LongText | None = None
    label_separator: Text | None = None
    label_columns: Layers = ()
    missing_shards: Literal["stop", "skip"] = "stop"
    seed: Count = 0


class Data(Value):
    """The images of a run."""

    name: Text
    """One of `alexnet.data.sources.SETS`."""
    path: LongText | None
    """Where they were; None: embedded, synthetic, or not told."""
    protocol: Protocol | None = None
    fingerprint: Digest
    """Of all images and of how they are split."""
    train: Count
    validation: Count
    test: Count
    validation_is_test: Flag
    """The test split served as validation, as some publications did; it chose nothing."""
    skipped: Count = 0
    notes: Annotated[tuple[LongText, ...], Field(max_length=1000)] = ()
    """How the images were read, what was left out, and what the splits share."""

    @property
    def validated_on(self) -> Literal["validation", "test"]:
        """The split that the epochs were validated on."""
        return "test" if self.validation_is_test else "validation"


class Trained(Value):
    """What a run measured. Figures of different precision or of different images have names of their own."""

    epochs: Count
    """That were trained."""
    epoch: Count
    """Whose weights best.safetensors holds."""
    selection: Literal["validation", "last epoch"]
    """What chose that epoch: the best accuracy on the validation split, or nothing, as it is the last one."""
    seconds: Number | None
    """Of training, validation included."""
    in_training: Figures | LabelFigures
    """Of that epoch's validation as its row has it, at the precision of training; on `Data.validated_on`."""
    validation: Figures | LabelFigures | None = None
    """Of best.safetensors when the run had ended, in fp32; None: not ended, or the test split validated."""
    test: Figures | LabelFigures | None = None
    """The same on the test split, which was looked at once; where it validated, as its publication did, each epoch."""

    @property
    def final(self) -> Figures | LabelFigures:
        """What the run reports first: on the validation split, or on the test split where that validated."""
        return self.validation or self.test or self.in_training

    @property
    def chosen(self) -> str:
        """Which weights these are, in a few words."""
        if self.selection == "validation":
            return f"epoch {self.epoch} of {self.epochs}, the best on the validation split"
        return f"epoch {self.epoch}, the last; the test split validated and chose nothing"


class Published(Value):
    """A figure that the source printed."""

    name: Text
    value: Number
    unit: Text
    note: Text = ""


class Environment(Value):
    """What a figure must name: versions and hardware. `precision` is that of training."""

    alexnet: Text
    python: Text
    torch: Text
    numpy: Text
    platform: Text
    cpu: Text
    cores: Count | None
    threads: Count
    processes: Count
    device: Text
    precision: Text
    gpu: Text | None = None


_NOT_EMBEDDED = ("calibration", "sha256", "replaces")  # changed without the weights, or not known before them


class Card(Value):
    """Everything that must travel with weights. Made by `make`, read from a file by `read`."""

    version: Literal[2] = VERSION
    name: Text
    """The network, one of `alexnet models`."""
    title: Text
    source: Text
    """Where the recipe, else the network, was published."""
    license: Text = UNKNOWN
    """Of the weights: that of the file they come from; 'unknown' where nobody has said one."""
    task: Literal["single-label", "multi-label"] = "single-label"
    """One class an image, by softmax; or any number of labels, each by a sigmoid."""
    thresholds: Thresholds | None = None
    """Multi-label: from which probability on each class is predicted; None: from 0.5."""
    classes: Names
    input: tuple[Channels, Side, Side]
    """Channels, height, width."""
    init: Text
    preprocessing: Wants
    lrn: Annotated[tuple[LRN, ...], Field(max_length=100)]
    parameters: Count
    flops: Count
    """Of one image, a multiply-add counted as two."""
    imported: Origin | None = None
    """What `alexnet import` read; None: a run's own weights."""
    calibration: Calibration | None = None
    """What `alexnet evaluate --calibrate` fitted; applied only where it is asked for."""
    sha256: Annotated[dict[Literal["weights", "best", "last"], Digest], Field(max_length=3, default_factory=dict)]
    """Of the weights that this card describes: of a run's best.safetensors and last.safetensors, or of the one file."""
    replaces: Annotated[tuple[Digest, ...], Field(max_length=16)] = ()
    """SHA-256 of the weights that these took the place of: where they still lie, the card in them holds."""

    @property
    def origin(self) -> Origin | None:
        """The file of weights that these come from; None: they were trained from initial values."""
        return self.imported

    @property
    def multilabel(self) -> bool:
        return self.task == "multi-label"

    def to_json(self) -> dict[str, Any]:
        """`task` and `thresholds` are left out where there is one class an image."""
        usual = ("task", "single-label"), ("thresholds", None)
        return {name: value for name, value in super().to_json().items() if (name, value) not in usual}

    def public(self) -> Self:
        """The card without what concerns only the machine that it was written on."""
        return self

    def embedded(self) -> dict[str, Any]:
        """What the weights themselves hold, as JSON: all that using them needs, the same for two equal runs."""
        kept = self.to_json()
        return {name: kept[name] for name in Card.model_fields if name in kept and name not in _NOT_EMBEDDED}

    def changed(self, **fields: Any) -> Self:
        """A copy with other fields, checked like the whole. Raises InputError."""
        return self.parse(self.to_json() | fields, "this card")


class RunCard(Card):
    """The card of weights that a run trained."""

    recipe: Text
    """Its name."""
    seed: Count
    pretrained: Origin | None = None
    """The weights that training started from; None: initial values."""
    teacher: Text | None = None
    """The network whose answers were learned from."""
    augment: Shifts = Shifts()
    pca_color: Colors | None = None
    data: Data
    figures: Trained
    published: Annotated[tuple[Published, ...], Field(max_length=100)] = ()
    environment: Environment

    @property
    def origin(self) -> Origin | None:
        return self.pretrained or self.imported

    def public(self) -> Self:
        return self.model_copy(update={"data": self.data.model_copy(update={"path": None})})


def make(network: Network, classes: tuple[str, ...], preprocessing: Preprocessing, **known: Any) -> Card:
    """The card of a network's weights: what the network says of itself, and what else is `known`. The only maker.

    With what RunCard adds, it is that of a run. Raises InputError for what no card can hold, such as a class name of
    more than 1,000 characters.
    """
    spec = network.spec
    own: dict[str, Any] = {
        "name": spec.name,
        "title": spec.title,
        "source": spec.source,
        "classes": classes,
        "input": tuple(network.input),
        "init": spec.init,
        "preprocessing": preprocessing.to_json(),
        "lrn": lrn_constants(network),
    }
    if "parameters" not in known:
        size = summarize(network)
        own |= {"parameters": size.parameters, "flops": size.flops}
    return _parse(own | known, "this model's card cannot be written")


def make_run(network: Network, classes: tuple[str, ...], preprocessing: Preprocessing, **known: Any) -> RunCard:
    """The same for a run, with all that RunCard adds."""
    card = make(network, classes, preprocessing, **known)
    assert isinstance(card, RunCard)
    return card


def read(path: Path | str) -> Card:
    """The card in a file. InputError when it is none, or of another version: one line with the file and the field."""
    try:
        content = read_json(path, MAX_BYTES)
    except FileNotFoundError:
        raise InputError(f"no card at {str(path)!r}") from None
    return parsed(content, repr(str(path)))


def parsed(content: Any, origin: str) -> Card:
    """The card that JSON's `content` holds. InputError names its `origin` and what is wrong."""
    if not is_card(content):
        raise InputError(f"{origin} is not a model's card: it lacks a name, classes or preprocessing")
    if (version := content.get("version")) != VERSION:
        said = "an earlier version" if version is None else f"another version ({str(version)[:20]})"
        raise InputError(f"{origin} was written by {said} of alexnet; this one reads cards of version {VERSION}")
    return _parse(content, f"{origin} is not a card of this version")


def is_card(content: object) -> bool:
    """Whether JSON's `content` is meant as a card, of whatever version."""
    return isinstance(content, dict) and {"name", "classes", "preprocessing"} <= content.keys()


def _parse(content: dict[str, Any], origin: str) -> Card:
    kind = RunCard if "figures" in content or "recipe" in content else Card
    return kind.parse(content, origin)


def lrn_constants(network: nn.Module) -> list[dict[str, Any]]:
    """The constants of each local response normalization: they are part of what the weights were trained for."""
    constants = tuple(name for name in LRN.model_fields if name != "layer")
    return [
        {"layer": name, **{constant: getattr(layer, constant) for constant in constants}}
        for name, layer in network.named_modules()
        if isinstance(layer, LocalResponseNorm)
    ]


def schema() -> str:
    """The JSON schema of cards, as docs/card.schema.json holds it."""
    described = TypeAdapter(RunCard | Card).json_schema() | {"title": "Card of an alexnet model"}
    return json.dumps(described, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    write_text(sys.argv[1], schema())
