"""What `alexnet bench` measures: this machine's ceilings, and what networks and recipes reach below them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from alexnet.benchmark import machine, step
from alexnet.benchmark.workload import Session, of_network
from alexnet.device import choose_device, choose_precision, environment
from alexnet.errors import unknown
from alexnet.models.catalog import CATALOG
from alexnet.recipes import recipe as recipes
from alexnet.recipes.schema import Recipe

DEFAULT = ("alexnet-cifar10", "alexnet-thinner-4", "alexnet-owt")
"""Bound by the optimizer's bytes, by small convolutions, and by large ones."""
PRECISIONS = ("auto", "fp32", "bf16")


@dataclass(frozen=True)
class Bench:
    """One run of the benchmark."""

    environment: dict[str, Any]
    peaks: machine.Peaks
    rows: list[step.Row]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def run(
    what: Sequence[str] = (),
    batches: Sequence[int] = (),
    precisions: Sequence[str] = ("auto",),
    *,
    data: Path | str | None = None,
    settings: Mapping[str, Any] | None = None,
    steps: int = 10,
    device: str = "auto",
    progress: Callable[[int, int], None] | None = None,
) -> Bench:
    """Times every one of `what` at every batch size and precision.

    what: networks (on synthetic images, without augmentation) and recipes (as they are); none: DEFAULT. batches:
    none: the recipe's own, of a network as published or 64. Raises InputError for unknown names.
    """
    where = choose_device(device)
    if wrong := [name for name in precisions if name not in PRECISIONS]:
        raise unknown("precision", wrong[0], PRECISIONS)
    chosen = tuple(dict.fromkeys(choose_precision(name, where) for name in precisions))
    wanted = [
        _recipe(name, batch, precision, settings or {})
        for name in what or DEFAULT
        for batch in batches or [None]
        for precision in chosen
    ]
    peaks, rows = machine.peaks(where, chosen), []
    for recipe in wanted:

        def follow(done: int, total: int) -> None:
            if progress:
                progress(len(rows) * total + done, len(wanted) * total)

        with Session(recipe, data, device) as session:
            rows.append(step.measure(session, peaks, steps, follow))
    return Bench(environment(where, ", ".join(chosen)), peaks, rows)


def _recipe(name: str, batch: int | None, precision: str, settings: Mapping[str, Any]) -> Recipe:
    """The recipe of a network, or a shipped one or a TOML file, at this batch size and precision."""
    if name in CATALOG:
        return of_network(name, batch, precision, settings)
    if name not in recipes.names() and not name.endswith(".toml"):
        raise unknown("network or recipe", name, [*CATALOG, *recipes.names()])
    own = {"train.precision": precision} | ({"train.batch_size": batch} if batch else {})
    return recipes.load(name, dict(settings) | own)
