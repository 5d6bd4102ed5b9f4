"""`alexnet what-if`."""

from pathlib import Path
from typing import Annotated

import typer

from alexnet.cli.opening import opened_model
from alexnet.cli.options import AnyModel, Device, Force, Json, WeightsOption, picture
from alexnet.cli.screen import print_json, say, table
from alexnet.cli.targets import chosen


def what_if(
    model: AnyModel,
    image: Annotated[Path, typer.Argument(help="An image file.")],
    change: Annotated[
        list[str] | None,
        typer.Option(
            "--change",
            metavar="KEY=VALUE",
            help="channels, mean, std, scale, fit, resize, lrn.alpha, lrn.beta, lrn.k, lrn.size, lrn.divide, pool, or "
            "no-lrn; several at once joined by +; repeatable. Default: the usual mistakes.",
        ),
    ] = None,
    out: Annotated[Path | None, picture("what-if.png")] = None,
    force: Force = False,
    top: Annotated[int, typer.Option(min=1, max=8, help="Number of classes to show.")] = 5,
    weights: WeightsOption = None,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Change one constant (colors, mean, scale, LRN, pooling) and see how prediction and features move."""
    from alexnet.insight.what_if import what_if as compare
    from alexnet.insight.what_if_picture import draw

    out = chosen(out, "what-if.png", force)
    opened = opened_model(model, device, weights, several=True)
    found = compare(opened.model, image, change or (), top)
    draw(opened.model, found, out, f"{opened.model.card.name} · {image.name}")
    if as_json:
        print_json({"picture": str(out), **found.to_json()})
        return
    layers = list(found.before.cosines)
    rows = (
        (
            each.change or "as it is",
            each.answer,
            f"{each.predictions[0].score:.1%}",
            f"{each.score:.1%}",
            *("–" if each.cosines[layer] is None else f"{each.cosines[layer]:.3f}" for layer in layers),
        )
        for each in (found.before, *found.after)
    )
    say(f"cosine of each layer's features with the unchanged ones; the unchanged answer is {found.before.answer}")
    table(("change", "answer", "score>", f"{found.label}>", *(f"{layer}>" for layer in layers)), rows)
    say(f"picture: {out}")
