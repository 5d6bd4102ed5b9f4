"""`alexnet pack`."""

from pathlib import Path
from typing import Annotated

import typer

from alexnet.cli.options import Json, LabelsOption, SeparatorOption
from alexnet.cli.screen import print_json, say
from alexnet.errors import counted


def pack(
    data: Annotated[Path, typer.Option("--data", help="Where the images are: a folder, or an official archive.")],
    out: Annotated[Path, typer.Option(help="The folder for the shards: a new one, or an unfinished one to resume.")],
    labels: LabelsOption = None,
    label_separator: SeparatorOption = None,
    size: Annotated[int, typer.Option(min=8, max=4096, help="Side length of the copies in pixels.")] = 256,
    format: Annotated[
        str, typer.Option(help="folder, table, caltech256, imagenet, or auto: recognized by the files.")
    ] = "auto",
    fit: Annotated[str, typer.Option(help="crop (resize the short side, cut the center) or squash.")] = "crop",
    shuffle: Annotated[
        bool,
        typer.Option(
            "--shuffle",
            help="Write the training images in a random order, so that each shard holds some of every class: for "
            "sets of which only some shards fit on the disk of the machine that trains.",
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Make a resized copy of images in tar shards, which train several times as fast."""
    from alexnet.cli.progress import bar
    from alexnet.data.pack import pack as write
    from alexnet.data.pack import shuffled
    from alexnet.data.readers.source import Labels
    from alexnet.data.sources import list_images

    listing = list_images(format, data, Labels(labels and labels.expanduser(), label_separator), several=True)
    if shuffle:
        listing = shuffled(listing)
    with bar("packing", quiet=as_json) as progress:
        index = write(listing, {"channels": 3, "size": (size, size), "fit": fit}, out, progress)
    if as_json:
        print_json(index)
        return
    for name, shards in index["splits"].items():
        count, size_ = (sum(shard[key] for shard in shards) for key in ("count", "bytes"))
        say(f"{name}: {counted(count, 'image')} in {counted(len(shards), 'shard')}, {size_ / 1e6:,.1f} MB")
    for name, reason in index["left_out"]:
        say(f"left out: {name}: {reason}")
    for note in listing.notes:
        say(f"data: {note}")
    say(f"next: alexnet train --data {out}")
    if index["left_out"]:
        raise typer.Exit(3)
