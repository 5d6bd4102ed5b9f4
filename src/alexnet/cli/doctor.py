"""`alexnet doctor`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from alexnet.cli.options import Device, Json, ModelOrRun
from alexnet.cli.screen import print_json, say, table

if TYPE_CHECKING:
    from alexnet.insight.doctor import Diagnosis, Trial


def doctor(
    model: ModelOrRun,
    data: Annotated[Path, typer.Option("--data", help="Labeled images that the model should classify well.")],
    images: Annotated[int, typer.Option(min=1, max=10**6, help="Maximum number of images.")] = 200,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Find the preprocessing and LRN constants that some weights were trained with."""
    from alexnet.cli.progress import bar
    from alexnet.device import choose_device
    from alexnet.inference.model import load_model
    from alexnet.insight.doctor import examine

    opened = load_model(model, choose_device(device))
    with bar("trying", quiet=as_json) as progress:
        diagnosis = examine(opened, data, images, progress)
    if as_json:
        print_json(diagnosis.to_json())
    else:
        _diagnosis(diagnosis)


def _diagnosis(found: "Diagnosis") -> None:
    """The best combinations, and whether the card has the best one."""
    say(f"{len(found.trials)} combinations on {found.images:,} images")
    lines = (
        (f"{each.top1:.1%}", f"{each.loss:.3f}", each.preprocessing.colors, each.range, _crop(each), each.lrn)
        for each in dict.fromkeys([*found.trials[:8], found.own])
    )
    table(("top-1>", "loss>", "colors", "range", "crop", "LRN"), lines)
    best = found.best
    if best.loss > 0.98 * found.own.loss:
        say("the card is right: no combination is clearly better")
    else:
        say(
            f"best match: {best.preprocessing.colors}, {best.range}, {_crop(best)}, LRN {best.lrn} "
            f"(top-1 {best.top1:.1%}; with the card's settings {found.own.top1:.1%})"
        )


def _crop(trial: "Trial") -> str:
    wants = trial.preprocessing
    return f"{wants.fit} to {wants.resize or min(wants.size)}"
