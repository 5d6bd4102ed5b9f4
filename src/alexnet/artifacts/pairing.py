"""Weights and the card that belongs to them: which are one, and how both are replaced without a moment in between.

Weights that are written here hold a card of their own in their safetensors metadata, and the card beside them names
their SHA-256. Files are replaced in this order: mean image, card, weights; the new card also names the files that it
replaces (`Card.replaces`). So a reader finds the old weights with their own card, or the new weights with the new
card, also when the writer is killed between two renames; any other file beside the card is refused.
"""

import contextlib
import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import safetensors.torch
import torch
from torch import Tensor

from alexnet.artifacts import card as cards
from alexnet.artifacts.card import Card
from alexnet.errors import InputError
from alexnet.files import json_bytes, parsed_json, sha256
from alexnet.preprocessing import MeanImage

T = TypeVar("T")
KEY = "alexnet.card"
"""In the metadata of our safetensors files: the card as JSON, without what differs between two equal runs."""
_MOST_EMBEDDED = 2**21  # bytes: a card with longer lists of classes stands beside the weights only
_TRIES = 5


def packed(state: Mapping[str, Tensor], card: Card | None = None) -> bytes:
    """The content of a safetensors file with these tensors, and with the card that belongs to them."""
    tensors = {name: value.detach().cpu().contiguous() for name, value in state.items()}
    said = json.dumps(card.embedded()) if card else ""
    return safetensors.torch.save(tensors, {KEY: said} if 0 < len(said) <= _MOST_EMBEDDED else None)


def pair(
    weights: Path, card: Card, state: Mapping[str, Tensor], mean: MeanImage | None = None, beside: Path | None = None
) -> tuple[dict[Path, bytes], Card]:
    """The files of one model in the order in which they are renamed (`files.write_together`), and its card.

    beside: where the card goes; None: X.json beside X.safetensors.
    """
    beside = beside or weights.with_suffix(".json")
    content = packed(state, card)
    digest = hashlib.sha256(content).hexdigest()
    replaced = {sha256(weights)} - {digest} if weights.is_file() else set()
    card = card.changed(sha256={"weights": digest}, replaces=sorted(replaced))
    files = {beside: json_bytes(card.to_json()), weights: content}
    return (mean_content(beside, mean) | files if mean else files), card


def mean_file(card_path: Path) -> Path:
    """Where the mean image of a card lies: X.mean.safetensors beside X.json."""
    return card_path.with_suffix(".mean.safetensors")


def mean_content(card_path: Path, mean: MeanImage) -> dict[Path, bytes]:
    """The file of a mean image. It keeps the one that it replaces, which a reader of the old weights still needs."""
    path = mean_file(card_path)
    images = {"mean": torch.from_numpy(mean.pixels)}
    with contextlib.suppress(Exception):  # what is there may be anything; it is replaced
        old = safetensors.torch.load_file(path)["mean"]
        if not torch.equal(old, images["mean"]):
            images["replaced"] = old
    return {path: packed(images)}


def card_of(weights: Path, digest: str, metadata: Mapping[str, str], beside: Path | None) -> tuple[Card, Path]:
    """The card of the weights with this SHA-256 and metadata, and its path; the file `beside` them may be their card.

    Raises InputError when that is the card of other weights, and when they have no card.
    """
    said = metadata.get(KEY)
    if beside is None:
        if said is None:
            raise InputError(f"{str(weights)!r} has no card: neither in it nor beside it")
        return _embedded(weights, said), weights.with_suffix(".json")
    card = cards.read(beside)
    if digest in card.sha256.values():
        return card, beside
    if said is not None and digest in card.replaces:  # the writer was killed, or is about to rename the new weights
        return _embedded(weights, said), beside
    # A card that names no file was written by an earlier version or by hand.
    if not card.sha256 and (said is None or _alike(card, _embedded(weights, said))):
        return card, beside
    raise InputError(
        f"{str(weights)!r} is not the file that {beside.name} describes (its SHA-256 differs): put that file back, or "
        "import the weights again"
    )


def _embedded(weights: Path, said: str) -> Card:
    origin = f"the card in {str(weights)!r}"
    return cards.parsed(parsed_json(said.encode("utf-8", "replace")[: cards.MAX_BYTES], origin), origin)


def _alike(one: Card, other: Card) -> bool:
    """Whether two cards read images and name classes alike."""
    said = [(card.name, card.task, card.classes, card.input, card.preprocessing, card.lrn) for card in (one, other)]
    return said[0] == said[1]


def steady(path: Path, read: Callable[[], T]) -> T:
    """What `read` makes of the file at `path`, read again when another process replaced the file meanwhile."""
    for _ in range(_TRIES):
        before = _identity(path)
        try:
            found = read()
        except InputError:
            if _identity(path) == before:
                raise
            continue
        if _identity(path) == before:
            return found
    return read()


def _identity(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
