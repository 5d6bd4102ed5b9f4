"""MODEL, as every verb takes it: a run, a weights file with its card, or a network of the catalog."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from alexnet import arguments
from alexnet.artifacts import card as cards
from alexnet.device import choose_device, own_settings
from alexnet.errors import InputError, agreeing, unknown
from alexnet.inference.model import Model, is_exported, load_model, place_of
from alexnet.models import catalog
from alexnet.models.network import Network
from alexnet.weights import public
from alexnet.weights.hub import is_hub
from alexnet.weights.load import Loaded, load_into

FOREIGN = (".npy", ".caffemodel", ".h5", ".keras", ".pth", ".pt")


@dataclass(frozen=True)
class Opened:
    """A model ready to use, and what its user must know of it."""

    model: Model
    weights: dict[str, Any]
    """For a record: {"file", "sha256"} of the weights, or {"initialized": seed}."""
    remark: str | None = None
    """One line: weights that are missing, or where to get them; None: nothing to say."""
    missing: tuple[str, ...] = ()
    """Layers without trained weights."""


@own_settings()
def open_model(
    name: Any,
    device: torch.device | str = "cpu",
    weights: Path | str | None = None,
    seed: int = 0,
    graphs: bool = False,
    several: bool = False,
) -> Opened:
    """A run, its folder, a weights file with its card, or a network by name.

    A network gets `weights` (a file of any known kind, also a partial one), else those in $ALEXNET_DATA/weights or the
    user's cache; where there are none it is freshly initialized by `seed`, and `remark` says so. Neither the global
    random state nor anything else changes.
    graphs: an exported graph is welcome, too; several: so is a model that may name several labels an image. InputError
    when there is no such model, or the weights do not fit.
    """
    path, weights = place_of(name), None if weights is None else arguments.path("weights", weights)
    seed = arguments.whole("seed", seed, 0, 2**63 - 1)
    graphs, several = arguments.flag("graphs", graphs), arguments.flag("several", several)
    text = str(getattr(name, "path", name))
    if text in catalog.CATALOG and not path.exists():
        return _by_name(text, choose_device(device), weights, seed)
    if weights is not None:
        raise InputError(f"weights are given for a network of the catalog; {text!r} brings its own")
    if is_exported(path):
        model = load_model(path, device, graphs, several)
        return Opened(model, dict(model.weights))
    if path.suffix in FOREIGN and path.is_file():
        raise InputError(f"{text!r} must be imported first: alexnet import {text} --out {path.stem}.safetensors")
    if not path.exists() and path.suffix != ".safetensors" and path.name == text and not is_hub(text):
        raise unknown("model", text, catalog.CATALOG)
    model = load_model(path, device, several=several)
    return Opened(model, dict(model.weights), model.remark)


def untrained(opened: Opened, taps: Sequence[str]) -> str | None:
    """A line when a layer asked for has, or stands behind, weights that were never trained."""
    names = [name for name, _ in opened.model.module.named_children()]
    if not opened.missing or len(opened.missing) == len(names):  # the latter is said already
        return None
    first = min(names.index(layer) for layer in opened.missing)
    behind = [tap for tap in taps if names.index(tap.partition(":")[0]) >= first]
    return f"no trained weights reach {', '.join(behind)}: these features mean nothing" if behind else None


def candidates(name: str) -> list[Path]:
    """Where the weights of a network may lie, the best first: imported, as published, a part of what was published."""
    folder = public.folder()
    files = [each for each in public.FILES.values() if each.model == name]
    parts = sorted(part for each in files for part in folder.glob(f"{each.name}-*.safetensors")) if files else []
    return [folder / f"{name}.safetensors", *(folder / each.file for each in files), *parts]


def _by_name(name: str, device: torch.device, weights: Path | None, seed: int) -> Opened:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = catalog.create(name)
    path = weights or next((each for each in candidates(name) if each.is_file()), None)
    loaded = load_into(network, path) if path else None
    preprocessing = (loaded.preprocessing if loaded else None) or network.spec.preprocessing
    known = {"license": loaded.origin.license, "imported": loaded.origin} if loaded else {}
    numbers = tuple(str(number) for number in range(network.classes))
    named = loaded.classes if loaded and len(loaded.classes) == len(numbers) else numbers
    card = cards.make(network, named, preprocessing, **known)
    module = network.eval().to(device)
    model = Model(module, card.classes, preprocessing, card, path or Path(name))
    if loaded is None:
        return Opened(model, {"initialized": seed}, _where_to_get(name), network.layer_names)
    missing = tuple(dict.fromkeys(each.split(".")[0] for each in loaded.origin.missing))
    record = {"file": loaded.path.name, "sha256": loaded.origin.sha256}
    return Opened(model, record, _remark(network, loaded, missing), missing)


def _remark(network: Network, loaded: Loaded, missing: tuple[str, ...]) -> str | None:
    if not missing:
        return f"weights: {loaded.path}"
    trained = [n for n in network.layer_names if re.fullmatch(r"(conv|fc)\d+", n) and n not in missing]
    return (
        f"weights: {loaded.path}, which holds {', '.join(trained)} alone; "
        f"{agreeing(missing, 'is', 'are')} freshly initialized"
    )


def _where_to_get(name: str) -> str:
    """One line for a network without weights."""
    ours = [each for each in public.FILES.values() if each.model == name]
    said = f"{name} has no trained weights here and is freshly initialized"
    if not ours:
        return f"{said}; give trained ones with --weights FILE"
    first = ours[0]
    trust = "" if first.digest else " --trust-first"
    return f"{said}; fetch trained ones ({first.source.split(',')[0]}): alexnet data weights {first.name}{trust}"
