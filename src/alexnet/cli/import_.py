"""`alexnet import`."""

import unicodedata
from pathlib import Path
from typing import Annotated

import typer

from alexnet.cli import targets
from alexnet.cli.options import Force, Json
from alexnet.cli.screen import print_json, say
from alexnet.errors import InputError
from alexnet.files import content_of

MOST_NAMES = 2**22
"""Bytes of the largest list of class names that is read."""


def import_(
    file: Annotated[Path, typer.Argument(help=".npy, .caffemodel, .h5, .keras, .pth or .safetensors.")],
    out: Annotated[Path, typer.Option(help="The .safetensors file to write; its card goes beside it as .json.")],
    model: Annotated[
        str | None, typer.Option(help="The network it holds. Default: recognized by its tensor shapes.")
    ] = None,
    classes: Annotated[Path | None, typer.Option(help="A text file with one class name per line.")] = None,
    layout: Annotated[
        str | None, typer.Option(help="Of a Keras file that does not record it: channels_last or channels_first.")
    ] = None,
    force: Force = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="List every tensor.")] = False,
    as_json: Json = False,
) -> None:
    """Convert weights of another program to safetensors with a card."""
    from alexnet.artifacts.pairing import mean_file
    from alexnet.weights.imports import import_weights

    targets.check((out, out.with_suffix(".json"), mean_file(out.with_suffix(".json"))), force)
    imported = import_weights(file, out, model, _names(classes) if classes else None, layout)
    card = imported.card
    if as_json:
        print_json(card.to_json() | {"tensors": imported.tensors})
        return
    origin = imported.origin
    say(f"{file}: {card.name}, {card.parameters:,} parameters, from {origin.kind}, SHA-256 {origin.sha256}")
    for row in imported.tensors if verbose else ():
        shape = "×".join(map(str, row["shape"] or ())) or "-"
        say(f"  {row['tensor'] or 'left out':24} {shape:>18} ← {row['from'] or 'not in the file'}")
    for ours, theirs in () if verbose else origin.layers.items():
        say(f"  {ours:8} ← {theirs}")
    if origin.taken:
        say(f"taken: {origin.taken}")
    if origin.left_out and not verbose:
        say(f"left out: {', '.join(origin.left_out[:8])}{', …' if len(origin.left_out) > 8 else ''}")
    if imported.missing:
        say(f"not in the file: {', '.join(imported.missing)}; alexnet train --weights {out} initializes them randomly")
    if imported.assumed:
        names = "" if classes else f"; outputs are named 0 to {len(card.classes) - 1} (--classes FILE names them)"
        say(f"preprocessing: that of {card.name}, as the file says none{names}")
    say(f"license: {card.license}" + ("; ask the source of the file" if card.license == "unknown" else ""))
    say(f"written: {out} and {out.with_suffix('.json').name}")


def _names(path: Path) -> tuple[str, ...]:
    try:
        lines = content_of(path, MOST_NAMES).decode("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError):
        raise InputError(f"{str(path)!r} is not a readable text file with one class name per line") from None
    places: dict[str, int] = {}
    for number, line in enumerate(lines, 1):
        name = unicodedata.normalize("NFC", line.strip())
        if name and (first := places.setdefault(name, number)) != number:
            raise InputError(f"{str(path)!r} names the class {name!r} in lines {first} and {number}; names must differ")
    return tuple(places)
