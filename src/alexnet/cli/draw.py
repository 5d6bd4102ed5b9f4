"""`alexnet draw`."""

from pathlib import Path
from typing import Annotated

import typer

from alexnet.cli import targets
from alexnet.cli.options import Force
from alexnet.cli.screen import say


def draw(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A network's name, a run folder, or a weights file.")],
    out: Annotated[Path, typer.Option(help="The file to write: .svg or .png.")],
    classes: Annotated[int | None, typer.Option(min=1, help="Number of classes. Default: as published.")] = None,
    force: Force = False,
) -> None:
    """Draw a network in the manner of the 2012 paper's Figure 2, as SVG or PNG."""
    from alexnet.errors import InputError
    from alexnet.files import write_bytes, write_text
    from alexnet.inference.model import load_model
    from alexnet.insight.draw import draw as drawn
    from alexnet.insight.draw import to_png
    from alexnet.models.network import Network

    targets.check([out], force)
    if out.suffix.lower() not in (".svg", ".png"):
        raise InputError(f"--out names the format: .svg or .png, not {str(out)!r}")
    if Path(model).exists():
        network = load_model(Path(model), several=True).module
        assert isinstance(network, Network)
        drawing = drawn(network.spec.name, network.classes, network.input)
    else:
        drawing = drawn(model, classes)
    if out.suffix.lower() == ".svg":
        write_text(out, drawing.to_svg())
    else:
        write_bytes(out, to_png(drawing))
    say(f"wrote {out}")
