"""`alexnet import`."""

from pathlib import Path
from typing import Annotated

import typer

from alexnet.cli.options import Json
from alexnet.cli.screen import print_json, say
from alexnet.errors import InputError


def import_(
    file: Annotated[Path, typer.Argument(help=".npy, .caffemodel, .h5, .keras, .pth or .safetensors.")],
    out: Annotated[Path, typer.Option(help="The .safetensors file to write; its card goes beside it as .json.")],
    model: Annotated[
        str | None, typer.Option(help="The network it holds. Default: recognized by its tensor shapes.")
    ] = None,
    classes: Annotated[Path | None, typer.Option(help="A text file with one class name per line.")] = None,
    as_json: Json = False,
) -> None:
    """Convert weights of another program to safetensors with a card."""
    from alexnet.weights.imports import import_weights

    imported = import_weights(file, out, model, _names(classes) if classes else None)
    card = imported.card
    if as_json:
        print_json(card)
        return
    origin = card["imported"]
    say(f"{file}: {card['name']}, {card['parameters']:,} parameters, from {origin['kind']}, SHA-256 {origin['sha256']}")
    for ours, theirs in origin["layers"].items():
        say(f"  {ours:8} ← {theirs}")
    if imported.missing:
        say(f"not in the file: {', '.join(imported.missing)}; alexnet train --weights {out} initializes them randomly")
    say(f"license: {card['license'] or 'unknown; ask the source of the file'}")
    say(f"written: {out} and {out.with_suffix('.json').name}")


def _names(path: Path) -> tuple[str, ...]:
    try:
        return tuple(line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip())
    except (OSError, UnicodeDecodeError):
        raise InputError(f"{str(path)!r} is not a readable text file with one class name per line") from None
