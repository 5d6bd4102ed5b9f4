"""`alexnet activations`."""

from pathlib import Path
from typing import Annotated

import typer

from alexnet.cli.opening import opened_model
from alexnet.cli.options import AnyModel, Device, Force, Json, WeightsOption, picture
from alexnet.cli.screen import print_json, say, shape, table
from alexnet.cli.targets import chosen


def activations(
    model: AnyModel,
    image: Annotated[Path, typer.Argument(help="An image file.")],
    out: Annotated[Path | None, picture("activations.png")] = None,
    force: Force = False,
    weights: WeightsOption = None,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Show what each layer makes of an image, conv1 to the logits: maps, shapes, sparsity and ranges."""
    from alexnet.insight.activations import draw, look

    out = chosen(out, "activations.png", force)
    opened = opened_model(model, device, weights, several=True)
    seen, rows, values = look(opened.model, image)
    draw(opened.model, seen, rows, values, out, f"{opened.model.card.name} · {image.name}")
    if as_json:
        print_json({"picture": str(out), "layers": [row.to_json() for row in rows]})
        return
    lines = (
        (r.layer, shape(r.shape), f"{r.zeros:.1%}", f"{r.low:.4g}", f"{r.high:.4g}", f"{r.mean:.4g}") for r in rows
    )
    table(("layer", "shape>", "zeros>", "min>", "max>", "mean>"), lines)
    say(f"picture: {out}")
