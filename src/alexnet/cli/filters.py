"""`alexnet filters`."""

from pathlib import Path
from typing import Annotated

import typer

from alexnet.cli.opening import opened_model
from alexnet.cli.options import AnyModel, Device, Force, Json, SplitOption, WeightsOption, picture
from alexnet.cli.screen import print_json, say
from alexnet.cli.targets import chosen


def filters(
    model: AnyModel,
    out: Annotated[Path | None, picture("filters.png")] = None,
    force: Force = False,
    layer: Annotated[str, typer.Option(help="A layer, such as conv1 or conv5.")] = "conv1",
    maximize: Annotated[
        list[int] | None, typer.Option(help="Synthesize an image that excites this unit; repeatable.")
    ] = None,
    top_images: Annotated[
        list[int] | None, typer.Option("--top-images", help="Show the images that excite this unit most; repeatable.")
    ] = None,
    data: Annotated[list[Path] | None, typer.Option("--data", help="For --top-images: a folder or a dataset.")] = None,
    count: Annotated[int, typer.Option(min=1, max=24, help="Images per unit.")] = 9,
    steps: Annotated[int, typer.Option(min=1, help="Steps of --maximize.")] = 200,
    split: SplitOption = None,
    weights: WeightsOption = None,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Show what units respond to: kernels as in the paper's Figure 3, synthesized images, top images."""
    from alexnet.cli.progress import bar
    from alexnet.errors import InputError
    from alexnet.inference.features import network_of
    from alexnet.inference.images import open_images
    from alexnet.insight import filters as looks

    out = chosen(out, "filters.png", force)
    if maximize and top_images:
        raise InputError("--maximize and --top-images make one picture each; give one of them")
    opened = opened_model(model, device, weights, several=True)
    network, failed, told = network_of(opened.model), [], {}
    lines: list[tuple[str, str]] = []
    title = f"{opened.model.card.name} · {layer}"
    if maximize:
        made = {unit: looks.maximize(network, layer, unit, steps) for unit in maximize}
        looks.draw_maximized({u: looks.as_image(opened.model, x) for u, (x, _) in made.items()}, out, title)
        told = {"layer": layer, "activations": {str(unit): value for unit, (_, value) in made.items()}}
        lines = [(f"{layer}, unit {unit}", f"activation {value:.4g}") for unit, (_, value) in made.items()]
    elif top_images:
        if not data:
            raise InputError("--top-images needs --data, the images to choose from")
        images = open_images(data, split)
        with bar("images", quiet=as_json) as progress:
            found, failed = looks.top_images(opened.model, images, layer, top_images, count, progress)
        looks.draw_top(opened.model, images, found, layer, out)
        told = {"layer": layer, "units": {str(unit): [vars(each) for each in row] for unit, row in found.items()}}
    else:
        kernels = looks.kernels(network, layer)
        looks.draw_kernels(kernels, out, title)
        told, lines = kernels.to_json(), kernels.lines()
    if as_json:
        print_json({"picture": str(out), **told})
    else:
        for name, value in lines:
            say(f"{name}: {value}")
        say(f"picture: {out}")
    for reason in failed[:20]:
        say(f"skipped {reason}", err=True)
    if failed:
        raise typer.Exit(3)
