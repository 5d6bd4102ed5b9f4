"""Weights of any known kind put into a network, wholly or in part."""

import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch

from alexnet.artifacts.card import Origin
from alexnet.artifacts.store import read_preprocessing
from alexnet.models import catalog
from alexnet.models.network import Network
from alexnet.preprocessing import Preprocessing
from alexnet.weights.mapping import contradiction, fit, listed, select, settled
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
    remark: str | None
    """What the file says that the network is not."""

    @property
    def told(self) -> str:
        """One line for people, empty when there is nothing to tell."""
        missing = self.origin.missing
        parts = [f"{listed(missing, 6)} kept their initial values"] if missing else []
        parts += [self.remark] if self.remark else []
        return f"{self.path}: {'; '.join(parts)}" if parts else ""


@torch.no_grad()
def load_into(network: Network, path: Path | str, skip: Iterable[str] = ()) -> Loaded:
    """Fills `network` from a file of any known kind or a run; the layers in `skip` (names, ranges) are left alone.

    Raises InputError, before anything is changed, when a tensor of the file does not fit.
    """
    foreign, source = read_weights(path)
    skipped = select(network, skip)
    found = fit(foreign, network, skipped)
    if found.problems:
        first = found.problems[0].split(".")[0]
        last = next(name for name in reversed(network.layer_names) if name.startswith("fc"))  # it gives the logits
        hint = f"; leave it out with --skip {last}" if first == last and last not in skipped else ""
        raise source.wrong(f"does not fit {network.spec.name}: {listed(found.problems)}{hint}")
    if not found.tensors:
        raise source.wrong(f"gives {network.spec.name} nothing: every layer of it is skipped")
    settled(found, source)
    network.load_state_dict(found.state(), strict=False)
    preprocessing = read_preprocessing(foreign.card, foreign.card_path) if foreign.card else None
    origin = origin_of(foreign, source, found, skipped)
    return Loaded(source.path, origin, preprocessing, contradiction(foreign, network.spec))


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

    What the file lacks, and the layers in `skip`, keep their initial values; what it lacks is told by a warning
    (WeightsWarning). The other arguments are those of `alexnet.models.catalog.create`. InputError when the network
    cannot be made so, or when a tensor does not fit.
    """
    network = catalog.create(name, classes=classes, channels=channels, size=size, init=init, dropout=dropout)
    if weights is not None:
        told = load_into(network, weights, skip).told
        if told:
            warnings.warn(told, WeightsWarning, stacklevel=2)
    return network
