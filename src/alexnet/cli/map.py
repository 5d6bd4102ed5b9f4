"""`alexnet map`."""

from pathlib import Path
from typing import Annotated

import typer

from alexnet.cli.opening import opened_model
from alexnet.cli.options import (
    AnyModel,
    Device,
    Force,
    Json,
    LabelsOption,
    SeparatorOption,
    SplitOption,
    WeightsOption,
    picture,
)
from alexnet.cli.screen import print_json, say
from alexnet.cli.targets import chosen


def map(
    model: AnyModel,
    data: Annotated[list[Path], typer.Option("--data", help="The images: a folder, a dataset, or files.")],
    layer: Annotated[str, typer.Option(help="The layer whose features are laid out.")] = "fc7",
    method: Annotated[str, typer.Option(help="tsne, or umap (pip install 'alexnet[maps]').")] = "tsne",
    pool: Annotated[str, typer.Option(help="mean, max or none over each map.")] = "mean",
    images: Annotated[int, typer.Option(min=4, max=20_000, help="Maximum number of images.")] = 1000,
    out: Annotated[Path | None, picture("map.png", "; the page lies beside it as .html")] = None,
    force: Force = False,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Of the layout.")] = 0,
    split: SplitOption = None,
    labels: LabelsOption = None,
    label_separator: SeparatorOption = None,
    weights: WeightsOption = None,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Lay images out in a plane by a layer's features (t-SNE or UMAP): a PNG and an interactive page."""
    from alexnet.cli.progress import bar
    from alexnet.data.readers.source import Labels
    from alexnet.errors import InputError
    from alexnet.files import write_text
    from alexnet.inference.features import want
    from alexnet.inference.images import open_images
    from alexnet.inference.opening import untrained
    from alexnet.insight import embed
    from alexnet.pages.map import render

    if out is not None and out.suffix.lower() != ".png":
        raise InputError(f"--out is the PNG, {out.stem or 'map'}.png; the page is written beside it as .html")
    out = chosen(out, "map.png", force, ".html")
    place = out.with_suffix(".html")
    opened = opened_model(model, device, weights, several=True)
    if remark := untrained(opened, want(opened.model, [layer]).taps):
        say(remark, err=True)
    found_images = open_images(data, split, Labels(labels, label_separator))
    with bar("images", quiet=as_json) as progress:
        found = embed.lay_out(
            opened.model, found_images, layer, method, pool=pool, most=images, seed=seed, progress=progress
        )
    title = f"{Path(data[0]).name} · {opened.model.card.name} · {layer}"
    embed.draw(opened.model, found, out, title)
    write_text(place, render(embed.page(opened.model, found, title)))
    if as_json:
        print_json({"picture": str(out), "page": str(place), **found.to_json()})
    else:
        if len(found.images) + len(found.failed) < len(found_images):
            say(f"{len(found.images):,} of {len(found_images):,} images, evenly spread; --images takes more")
        say(f"picture: {out}")
        say(f"page: {place}")
    for reason in found.failed[:20]:
        say(f"skipped {reason}", err=True)
    if found.failed:
        raise typer.Exit(3)
