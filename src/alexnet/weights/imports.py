"""`alexnet import`: a foreign file becomes safetensors with a card beside it."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alexnet.artifacts import card as cards
from alexnet.artifacts import pairing, store
from alexnet.artifacts.card import Card, Origin
from alexnet.errors import InputError, counted
from alexnet.files import check_target, write_together
from alexnet.weights import public
from alexnet.weights.foreign import Foreign
from alexnet.weights.mapping import Fit, choose
from alexnet.weights.recognize import read_weights


@dataclass(frozen=True)
class Imported:
    path: Path
    card: Card
    origin: Origin
    tensors: list[dict[str, Any]]
    """Each tensor of the network and of the file: {tensor, shape, from}; one of the two names is None where only the
    other has it."""
    assumed: bool
    """Whether the preprocessing is the network's published one, as no card of ours came with the file."""

    @property
    def missing(self) -> tuple[str, ...]:
        """Tensors that the file does not have."""
        return self.origin.missing


def import_weights(
    path: Path | str,
    out: Path | str,
    model: str | None = None,
    classes: tuple[str, ...] | None = None,
    layout: str | None = None,
) -> Imported:
    """Reads weights of any known kind and writes `out` (X.safetensors) with its card X.json.

    model: the network that the file holds; None: found from its shapes and its kind. classes: their names in the order
    of the outputs; None: their numbers. layout: of a Keras file that does not say it, 'channels_last' or
    'channels_first'. LRN constants and preprocessing are those of the network that is found.
    A partial file is written as it is; its card says what is missing, and `alexnet.create(…, weights=out)` takes it.
    Raises InputError, with nothing written, when the file cannot be read or does not fit.
    """
    out = Path(out)
    if out.suffix != ".safetensors":
        raise InputError(f"--out is {str(out)!r}; name it X.safetensors, its card becomes X.json")
    check_target(out)
    if out.exists() and Path(path).exists() and out.samefile(path):
        raise InputError(f"--out is the file that is read; choose another name than {str(out)!r}")
    foreign, source = read_weights(path, layout)
    found = choose(foreign, source, model)
    count = found.network.classes
    if classes is not None and len(classes) != count:
        raise InputError(f"{counted(len(classes), 'class name')} for {counted(count, 'output')}")
    _check_names(classes or ())
    origin = public.origin_of(foreign, source, found)
    if foreign.card is not None:  # our own file's card knows more
        changes = {} if classes is None else {"classes": classes}
        card = foreign.card.changed(imported=origin.to_json(), **changes)
    else:
        known = public.identify(source)
        card = cards.make(
            found.network,
            classes or tuple(map(str, range(count))),
            found.network.spec.preprocessing,
            source=known.source if known else found.network.spec.source,
            license=origin.license,
            imported=origin,
        )
    mean = store.read_preprocessing(card, foreign.card_path).mean_image
    contents, card = pairing.pair(out, card, found.state(), mean)
    write_together(contents)
    return Imported(out, card, origin, _table(found, foreign), foreign.card is None)


def _check_names(classes: Sequence[str]) -> None:
    """InputError for a name that several outputs have: an image of it would count as right for one of them only."""
    places: dict[str, list[int]] = {}
    for place, name in enumerate(classes):
        places.setdefault(unicodedata.normalize("NFC", name), []).append(place)
    for name, found in places.items():
        if len(found) > 1:
            at = ", ".join(map(str, found[:8]))
            raise InputError(f"class names must differ: {name!r} names the outputs {at}; make them '{name} (1)', …")


def _table(found: Fit, foreign: Foreign) -> list[dict[str, Any]]:
    """Tensor by tensor, what was taken and what was not."""
    origins = {ours: foreign.names.get(theirs, theirs) for ours, theirs in found.layers.items()}
    rows: list[dict[str, Any]] = []
    for name, value in found.network.state_dict().items():
        layer, _, role = name.rpartition(".")
        given = f"{origins[layer]}.{role}" if name in found.tensors and layer in origins else None
        rows.append({"tensor": name, "shape": list(value.shape), "from": given})
    return rows + [{"tensor": None, "shape": None, "from": name} for name in foreign.left]
