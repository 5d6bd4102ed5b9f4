"""`alexnet import`: a foreign file becomes safetensors with a card beside it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alexnet.artifacts import store
from alexnet.errors import InputError
from alexnet.files import check_target, write_json
from alexnet.models.summary import summarize
from alexnet.weights import public
from alexnet.weights.foreign import Source
from alexnet.weights.mapping import Fit, choose
from alexnet.weights.recognize import read_weights


@dataclass(frozen=True)
class Imported:
    path: Path
    card: dict[str, Any]

    @property
    def missing(self) -> list[str]:
        """Tensors that the file does not have."""
        return self.card["imported"]["missing"]


def import_weights(
    path: Path | str, out: Path | str, model: str | None = None, classes: tuple[str, ...] | None = None
) -> Imported:
    """Reads weights of any known kind and writes `out` (X.safetensors) with its card X.json.

    model: the network that the file holds; None: found from its shapes and its kind. classes: their names in the order
    of the outputs; None: their numbers. LRN constants and preprocessing are those of the network that is found.
    A partial file is written as it is; its card says what is missing, and `alexnet.create(…, weights=out)` takes it.
    Raises InputError, with nothing written, when the file cannot be read or does not fit.
    """
    out = Path(out)
    if out.suffix != ".safetensors":
        raise InputError(f"--out is {str(out)!r}; name it X.safetensors, its card becomes X.json")
    check_target(out)
    if out.exists() and Path(path).exists() and out.samefile(path):
        raise InputError(f"--out is the file that is read; choose another name than {str(out)!r}")
    foreign, source = read_weights(path)
    found = choose(foreign, source, model)
    count = found.network.classes
    if classes is not None and len(classes) != count:
        raise InputError(f"{len(classes)} class names for {count} outputs")
    card = _card(found, foreign.kind, source)
    card = {**card, **foreign.card, "imported": card["imported"]}  # our own file's card knows more
    if classes is not None:
        card["classes"] = list(classes)
    if "mean_image" in card["preprocessing"]:
        store.save_mean(out.with_suffix(".json"), store.read_preprocessing(card, foreign.card_path))
    store.save(out, found.state())
    write_json(out.with_suffix(".json"), card)
    return Imported(out, card)


def _card(found: Fit, kind: str, source: Source) -> dict[str, Any]:
    spec = found.network.spec
    known = public.identify(source)
    return {
        "name": spec.name,
        "title": spec.title,
        "source": known.source if known else spec.source,
        "license": known.license if known else None,
        "classes": [str(number) for number in range(found.network.classes)],
        "input": list(found.network.input),
        "init": spec.init,
        "preprocessing": spec.preprocessing.to_json(),
        "lrn": store.lrn_constants(found.network),
        "parameters": summarize(found.network).parameters,
        "imported": {
            "file": source.path.name,
            "kind": kind,
            "sha256": source.sha256,
            "layers": found.layers,
            "missing": found.missing,
        },
    }
