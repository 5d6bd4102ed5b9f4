"""`alexnet similar`."""

import shlex
import sys
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
from alexnet.errors import InputError


def similar(
    model: AnyModel,
    image: Annotated[list[Path], typer.Argument(metavar="IMAGE...", help="Image files, a row each.")],
    data: Annotated[
        list[Path] | None, typer.Option("--data", help="The images to search: a folder, a dataset, or files.")
    ] = None,
    index: Annotated[
        Path | None,
        typer.Option(help="Features of --data (.npy, .npz, .h5 …): written on first use, then searched and checked."),
    ] = None,
    layer: Annotated[str, typer.Option(help="The layer whose features are compared.")] = "fc7",
    distance: Annotated[str, typer.Option(help="euclidean, as in the paper, or cosine.")] = "euclidean",
    search: Annotated[str, typer.Option(help="auto (exact up to 1,000,000 images), exact, or faiss.")] = "auto",
    count: Annotated[int, typer.Option(min=1, max=100, help="Neighbors of each image.")] = 6,
    out: Annotated[Path | None, picture("similar.png")] = None,
    force: Force = False,
    split: SplitOption = None,
    labels: LabelsOption = None,
    label_separator: SeparatorOption = None,
    weights: WeightsOption = None,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Find the images nearest to an image by a layer's features, as in the paper's Figure 4 (right)."""
    from alexnet.cli.progress import bar
    from alexnet.data.readers.source import Labels
    from alexnet.inference.features import want
    from alexnet.inference.images import of_files, open_images
    from alexnet.inference.opening import untrained
    from alexnet.insight import similar as search_for
    from alexnet.insight.similar_picture import draw

    if not data and not (index and index.exists()):
        raise InputError("give --data, the images to search, or --index, a file that was written from them")
    if not data and any(each is not None for each in (split, labels, label_separator)):
        raise InputError("--split, --labels and --label-separator are of --data, the images to search; give it, too")
    if search != "auto" and not index:
        raise InputError("--search is for an --index; without one every image is compared")
    out = chosen(out, "similar.png", force)
    opened = opened_model(model, device, weights, several=True)
    if remark := untrained(opened, want(opened.model, [layer]).taps):
        say(remark, err=True)
    images, queries, failed = (
        open_images(data, split, Labels(labels, label_separator)) if data else None,
        of_files(image),
        [],
    )
    with bar("images", quiet=as_json) as progress:
        if index is None:
            assert images is not None
            found, failed = search_for.similar(opened, queries, images, count, layer, distance, progress)
        else:
            known = search_for.Index.load(index, opened, layer) if index.exists() else None
            other = known.other_images(images, progress) if known and images is not None else None
            if other and not force:
                raise InputError(
                    f"{str(index)!r} was made of other images: {other}; leave out --data, name another file, or --force"
                )
            if known is None or other:
                assert images is not None
                command = shlex.join(["alexnet", *sys.argv[1:]])
                skipped = search_for.build(opened, images, index, layer, command, progress, force=known is not None)
                failed = [reason if name in reason else f"{name}: {reason}" for name, reason in skipped]
                known = search_for.Index.load(index, opened, layer)
            found = known.similar(queries, count, distance, search)
    if images is not None:
        title = f"{opened.model.card.name} · {layer} · {distance} distance"
        draw(queries, found, images, opened.model.preprocessing, out, title)
    if as_json:
        rows = [
            {"path": str(path), "neighbors": [near.to_json() for near in each]}
            for path, each in zip(image, found, strict=True)
        ]
        print_json({"picture": str(out) if images is not None else None, "distance": distance, "images": rows})
    else:
        for path, each in zip(image, found, strict=True):
            say(path)
            for near in each:
                say(f"  {near.distance:9.4g}  {near.name}" + (f"  ({near.label})" if near.label else ""))
        say(f"picture: {out}" if images is not None else "no picture: it needs --data, the images of the index")
    for reason in failed[:20]:
        say(f"skipped {reason}", err=True)
    if failed:
        raise typer.Exit(3)
