"""What a file of weights is, told by its content, and read by the reader of its kind."""

import contextlib
import io
import zipfile
from collections.abc import Callable
from pathlib import Path

from alexnet import arguments
from alexnet.artifacts import card as cards
from alexnet.artifacts.card import Card
from alexnet.artifacts.pairing import KEY, card_of
from alexnet.artifacts.run import Run
from alexnet.errors import InputError
from alexnet.files import ARCHIVE_ERRORS, read_json
from alexnet.weights import caffe, keras, npy, torchfile
from alexnet.weights.foreign import Foreign, Source, check, read

KINDS = (
    "safetensors, torch's .pth, Keras's .h5 and .keras, Caffe's .caffemodel, or a .npy dict such as bvlc_alexnet.npy"
)


def read_weights(path: Path | str, layout: str | None = None) -> tuple[Foreign, Source]:
    """The weights in a file of any known kind, or in a run's folder, and the file as it was read.

    layout: of a Keras file that does not say it, 'channels_last' or 'channels_first'.

    Runs no code from the file and writes nothing. InputError when it is of no known kind, damaged, or holds a number
    that is not finite.
    """
    path = arguments.path("weights", path)
    if path.is_dir():
        run = Run(path)
        run.check()
        path = run.weights if run.weights.is_file() else path
    source = read(path)
    foreign = _reader(source)(source)
    check(source, foreign.layers)
    if layout is not None:
        arguments.choice("layout", layout, keras.LAYOUTS)
        if foreign.flatten not in ("", keras.LAYOUTS[layout]) or foreign.kind != "keras":
            said = "says itself that it has another layout" if foreign.kind == "keras" else "has one layout only"
            raise source.wrong(f"{said}; leave out --layout {layout}")
        foreign.flatten = keras.LAYOUTS[layout]
    foreign.card, foreign.card_path = _card(path, source) if foreign.kind == "own" else _exported(path, source)
    if foreign.card:
        foreign.prefer = (foreign.card.name,)
    return foreign, source


def _reader(source: Source) -> Callable[[Source], Foreign]:
    content = source.content
    if content.startswith(npy.MAGIC):
        return npy.read_npy
    if content.startswith(keras.MAGIC):
        return keras.read_keras
    if content.startswith(b"PK\x03\x04"):
        return _archive(source)
    if torchfile.is_legacy(content):
        return torchfile.read_torch
    if torchfile.is_safetensors(content):
        return torchfile.read_safetensors
    if caffe.plausible(content):
        return caffe.read_caffe
    raise source.wrong(f"is no file of weights that is known here: {KINDS}")


def _archive(source: Source) -> Callable[[Source], Foreign]:
    try:
        with zipfile.ZipFile(io.BytesIO(source.content)) as archive:
            names = archive.namelist()
    except ARCHIVE_ERRORS as error:
        raise source.wrong(f"is a damaged archive ({error})") from None
    if all(name in names for name in keras.ARCHIVE):
        return keras.read_keras
    if any(name.endswith("data.pkl") for name in names):
        return torchfile.read_torch
    raise source.wrong(f"is an archive of something else; expected {KINDS}")


def _card(path: Path, source: Source) -> tuple[Card | None, Path]:
    """The card of our own weights and its path: X.json beside X.safetensors, card.json of a run, or the one in the
    file; None: none.

    Other programs put a JSON file of their own beside weights: only one that is meant as a card must be one.
    """
    metadata = torchfile.metadata(source)
    for beside in (path.with_suffix(".json"), path.parent / cards.FILE):
        if beside.is_file():
            try:
                meant = cards.is_card(read_json(beside, cards.MAX_BYTES))
            except InputError:
                meant = beside.name == cards.FILE
            if meant:
                return card_of(path, source.sha256, metadata, beside)
    return card_of(path, source.sha256, metadata, None) if KEY in metadata else (None, Path())


def _exported(path: Path, source: Source) -> tuple[Card | None, Path]:
    """The card that `alexnet export` wrote beside a file in another program's format, and its path; None: there is none
    that names this file."""
    beside = path.with_suffix(".json")
    with contextlib.suppress(InputError):  # what is beside it may be anything
        if beside.is_file() and cards.is_card(read_json(beside, cards.MAX_BYTES)):
            card = cards.read(beside)
            if source.sha256 in card.sha256.values():
                return card, beside
    return None, Path()
