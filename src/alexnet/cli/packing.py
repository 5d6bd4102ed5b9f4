"""The verb that makes a resized copy of a picture set. Heavy imports stand inside it."""

from pathlib import Path
from typing import Annotated

import typer

from alexnet.cli.app import Json, app, print_json


@app.command()
def pack(
    data: Annotated[Path, typer.Option("--data", help="Where the pictures are: a folder, or an official archive.")],
    out: Annotated[Path, typer.Option(help="The folder of the shards: a new one, or one to go on with.")],
    size: Annotated[int, typer.Option(min=8, max=4096, help="Side in pixels of the copies.")] = 256,
    set_: Annotated[str, typer.Option("--set", help="folder, caltech256 or imagenet; auto: by its files.")] = "auto",
    fit: Annotated[str, typer.Option(help="crop (short side and centre) or squash, as in training.")] = "crop",
    as_json: Json = False,
) -> None:
    """Make a resized copy of pictures in tar shards, once, that trains several times as fast; goes on after a kill."""
    from alexnet.cli.progress import bar
    from alexnet.data.pack import pack as write
    from alexnet.data.sources import list_pictures

    listing = list_pictures(set_, data)
    with bar("packing", quiet=as_json) as progress:
        index = write(listing, {"channels": 3, "size": (size, size), "fit": fit}, out, progress)
    if as_json:
        print_json(index)
        return
    for name, shards in index["splits"].items():
        count, size_ = (sum(shard[key] for shard in shards) for key in ("count", "bytes"))
        print(f"{name}: {count:,} pictures in {len(shards)} shards, {size_ / 1e6:,.1f} MB")
    for name, reason in index["left_out"]:
        print(f"left out: {name}: {reason}")
    print(f"next: alexnet train --data {out}")
