"""`alexnet data`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from alexnet.cli.screen import say, table
from alexnet.errors import InputError, unknown

if TYPE_CHECKING:
    from alexnet.data.public_sets import PublicSet
    from alexnet.weights.public import PublicFile


def data(
    set_: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="A dataset, or `weights`. Default: list the datasets.")
    ] = None,
    name: Annotated[str | None, typer.Argument(metavar="[FILE]", help="Which weights. Default: list them.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="Where to put it. Default: $ALEXNET_DATA, else ~/.cache/alexnet.")
    ] = None,
    trust_first: Annotated[
        bool, typer.Option("--trust-first", help="Accept a file without a published digest; record its SHA-256.")
    ] = False,
) -> None:
    """Download and verify a public dataset, or weights."""
    from alexnet.cli.progress import bar
    from alexnet.data.public_sets import PUBLIC, fetch_set
    from alexnet.weights.public import FILES, fetch_public

    if set_ is None:
        _sets(PUBLIC)
        return
    if set_ not in ("weights", *PUBLIC):
        raise unknown("public data:", set_, ("weights", *PUBLIC))
    if set_ != "weights":
        if name is not None or trust_first:
            raise InputError(
                f"alexnet data {set_} downloads all files of the dataset; leave out FILE and --trust-first"
            )
        with bar(f"downloading {set_}") as progress:
            say(fetch_set(set_, out, progress))
        return
    if name is None:
        _files(tuple(FILES.values()))
        return
    with bar(f"downloading {name}") as progress:
        path = fetch_public(name, out, trust_first, progress)
    say(f"{path}\nnext: alexnet import {path} --model {FILES[name].model} --out {name}.safetensors")


def _sets(sets: "Mapping[str, PublicSet]") -> None:
    lines = ((name, each.license or "not stated", "md5", each.base) for name, each in sets.items())
    table(("name", "license", "checked by", "address"), lines)


def _files(files: "Sequence[PublicFile]") -> None:
    lines = []
    for each in files:
        checked = f"{each.digest.algorithm} {each.digest.value[:8]}…" if each.digest else "nothing published"
        lines.append((each.name, each.model, each.license or "not stated", checked, each.url))
    table(("name", "network", "license", "checked by", "address"), lines)
