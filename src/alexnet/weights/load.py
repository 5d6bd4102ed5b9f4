"""Weights of any known kind put into a network, wholly or in part."""

import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch

from alexnet import arguments
from alexnet.artifacts.card import Origin
from alexnet.artifacts.store import read_preprocessing
from alexnet.errors import InputError, counted
from alexnet.models import catalog
from alexnet.models.network import Network
from alexnet.preprocessing import Preprocessing
from alexnet.weights.foreign import Foreign
from alexnet.weights.mapping import Fit, contradiction, fit, listed, select, settled
from alexnet.weights.public import origin_of
from alexnet.weights.recognize import read_weights


class WeightsWarning(UserWarning):
    """Weights were loaded, but not for all of the network, or they were made for another."""


@dataclass(frozen=True)
class Loaded:
    """What was put into a network, and what was not."""

    path: Path
    origin: Origin
    """What the file is; the tensors that it does not have keep their initial values."""
    preprocessing: Preprocessing | None
    """What the weights' card says; None: the file has none."""
    classes: tuple[str, ...]
    """Their names, by the weights' card; empty: the file has none."""
    remark: str | None
    """What the file says that the network is not, and whether its last layer was replaced for other classes."""

    @property
    def told(self) -> str:
        """One line for people, empty when there is nothing to tell."""
        missing = self.origin.missing
        parts = [f"{listed(missing, 6)} kept their initial values"] if missing else []
        parts += [self.remark] if self.remark else []
        return f"{self.path}: {'; '.join(parts)}" if parts else ""

    def started(self, normalize: str) -> str:
        """What to say when a run starts from these weights, whose preprocessing is kept for 'network'."""
        own = normalize == "network"
        ours = (
            "their own colors, scale and mean, size and fit of the recipe"
            if own
            else f"the recipe's preprocessing (data.normalize = {normalize})"
        )
        return f"{self.told or f'pretrained weights {self.path}'}; with {ours}"


@torch.no_grad()
def load_into(network: Network, path: Path | str, skip: Iterable[str] = ()) -> Loaded:
    """Fills `network` from a file of any known kind or a run; the layers in `skip` (names, ranges) are left alone.

    A last layer for another number of classes is left alone, too, and `remark` says so. Raises InputError, before
    anything is changed, when another tensor of the file does not fit.
    """
    if any(parameter.is_meta for parameter in network.parameters()):
        raise InputError("a network on the meta device has no memory for weights; make it on another device")
    foreign, source = read_weights(path)
    skipped = select(network, skip)
    found = fit(foreign, network, skipped)
    last = next(name for name in reversed(network.layer_names) if name.startswith("fc"))  # it gives the logits
    replaced = _other_head(found, foreign, last) if last not in skipped else None
    if replaced:
        skipped.append(last)
        found = fit(foreign, network, skipped)
    if found.problems:
        raise source.wrong(f"does not fit {network.spec.name}: {listed(found.problems)}")
    if not found.tensors:
        raise source.wrong(f"gives {network.spec.name} nothing: every layer of it is skipped")
    settled(found, source)
    network.load_state_dict(found.state(), strict=False)
    preprocessing = read_preprocessing(foreign.card, foreign.card_path) if foreign.card else None
    origin = origin_of(foreign, source, found, skipped)
    above = f"left out of the file, above {last}: {listed(found.above, 6)}" if found.above else None
    remarks = [each for each in (replaced, above, contradiction(foreign, network.spec)) if each]
    classes = foreign.card.classes if foreign.card else ()
    return Loaded(source.path, origin, preprocessing, classes, "; ".join(remarks) or None)


def _other_head(found: Fit, foreign: Foreign, last: str) -> str | None:
    """What to say where nothing but the number of classes parts the file from the network; None where something does
    or nothing does."""
    if not found.problems or last not in found.layers or any(p.split(".")[0] != last for p in found.problems):
        return None
    theirs = foreign.layers[found.layers[last]].get("weight")
    own = found.network.get_submodule(last).get_parameter("weight")
    if theirs is None or theirs.shape[1:] != own.shape[1:]:
        return None
    return (
        f"{last} is initialized anew: the file has {counted(len(theirs), 'class', 'classes')}, the network {len(own)}"
    )


def create(
    name: str,
    *,
    classes: int | None = None,
    channels: int | None = None,
    size: int | tuple[int, int] | None = None,
    init: str | None = None,
    dropout: float | None = None,
    weights: Path | str | None = None,
    skip: Iterable[str] = (),
) -> Network:
    """A network, freshly initialized or with `weights`: a file of any known kind, also a partial one, or a run.

    What the file lacks, a last layer for another number of classes, and the layers in `skip` keep their initial values;
    a warning (WeightsWarning) says which, but for those in `skip`. The other arguments are those of
    `alexnet.models.catalog.create`. InputError when the network cannot be made so, or when a tensor does not fit.
    """
    if arguments.texts("skip", skip, "['fc8']") and weights is None:
        raise InputError("skip names layers of weights; pass weights, too")
    network = catalog.create(name, classes=classes, channels=channels, size=size, init=init, dropout=dropout)
    if weights is not None:
        told = load_into(network, weights, skip).told
        if told:
            warnings.warn(told, WeightsWarning, stacklevel=2)
    return network
