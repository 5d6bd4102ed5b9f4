"""`alexnet probe`."""

from pathlib import Path
from typing import Annotated

import typer

from alexnet.cli.opening import opened_model
from alexnet.cli.options import AnyModel, Device, Force, Json, WeightsOption, picture
from alexnet.cli.screen import print_json, say, table
from alexnet.cli.targets import chosen


def probe(
    model: AnyModel,
    data: Annotated[list[Path], typer.Option("--data", help="Labeled images: class folders, or a dataset.")],
    layers: Annotated[
        str | None, typer.Option(help="Comma-separated. Default: conv1 to the last hidden layer.")
    ] = None,
    pool: Annotated[str, typer.Option(help="mean, max or none over each map.")] = "mean",
    neighbors: Annotated[int, typer.Option(min=1, help="Neighbors that vote (cosine).")] = 5,
    images: Annotated[int, typer.Option(min=4, help="Maximum number of images of each split.")] = 5000,
    out: Annotated[Path | None, picture("probe.png")] = None,
    force: Force = False,
    weights: WeightsOption = None,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Measure what a linear classifier and the nearest neighbors read from each layer of the frozen network."""
    from alexnet.cli.progress import bar
    from alexnet.errors import InputError
    from alexnet.inference.features import network_of, want
    from alexnet.inference.images import open_parts
    from alexnet.inference.opening import untrained
    from alexnet.insight.activations import stages
    from alexnet.insight.collect import labeled
    from alexnet.insight.probe import draw
    from alexnet.insight.probe import probe as measure

    out = chosen(out, "probe.png", force)
    opened = opened_model(model, device, weights, several=True)
    train, held_out = open_parts(data)
    train, held_out = labeled(train), None if held_out is None else labeled(held_out)  # refused before all else
    names = [each.strip() for each in layers.split(",")] if layers else stages(network_of(opened.model))[:-1]
    if not names:
        raise InputError("this network has no hidden layer; name one with --layers")
    if remark := untrained(opened, want(opened.model, names).taps):
        say(remark, err=True)
    if held_out is None:
        say("no test or validation split: cross-validation", err=True)
    with bar("images", quiet=as_json) as progress:
        found = measure(
            opened.model, train, held_out, names, pool=pool, neighbors=neighbors, most=images, progress=progress
        )
    draw(found, out, f"{opened.model.card.name} · {Path(data[0]).name}")
    if as_json:
        print_json({"picture": str(out), **found.to_json()})
    else:
        rows = (
            (e.layer, f"{e.width:,}", f"{e.linear:.2%}", _bounds(e.linear_interval), f"{e.knn:.2%}",
             _bounds(e.knn_interval)) for e in found.layers
        )  # fmt: skip
        table(("layer", "features>", "linear>", "95 %>", f"{neighbors} nearest>", "95 %>"), rows)
        how = f"{found.folds}-fold cross-validation" if found.folds else "the held-out split"
        say(
            f"fitted on {found.trained_on:,} images, measured on {found.measured_on:,} ({how}); the most frequent "
            f"class alone: {found.majority:.2%}"
        )
        say(f"picture: {out}")
    for reason in found.skipped[:20]:
        say(f"skipped {reason}", err=True)
    if found.skipped:
        raise typer.Exit(3)


def _bounds(values: tuple[float, float]) -> str:
    return f"{values[0]:.1%}–{values[1]:.1%}"
