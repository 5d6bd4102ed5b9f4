"""`alexnet explain`."""

from pathlib import Path
from typing import Annotated

import typer

from alexnet.cli.opening import opened_model
from alexnet.cli.options import AnyModel, Device, Force, Json, WeightsOption, picture
from alexnet.cli.screen import print_json, say
from alexnet.cli.targets import chosen


def explain(
    model: AnyModel,
    image: Annotated[Path, typer.Argument(help="An image file.")],
    out: Annotated[Path | None, picture("explained.png")] = None,
    force: Force = False,
    method: Annotated[
        str, typer.Option(help="gradcam, layercam, guided, smoothgrad, ig, occlusion; several with commas; all.")
    ] = "gradcam",
    top: Annotated[int, typer.Option(min=1, max=8, help="Explain the most likely classes.")] = 3,
    class_: Annotated[list[str] | None, typer.Option("--class", help="Explain this class; repeatable.")] = None,
    layer: Annotated[str | None, typer.Option(help="For gradcam and layercam. Default: the last convolution.")] = None,
    check: Annotated[bool, typer.Option("--check", help="Test the maps; exit with 3 if one does not hold.")] = False,
    weights: WeightsOption = None,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Show which parts of an image speak for a class: Grad-CAM, integrated gradients, occlusion and others."""
    from alexnet.inference.features import network_of
    from alexnet.insight.explain import METHODS, method_named, sanity
    from alexnet.insight.explain_picture import draw, explain_image

    out = chosen(out, "explained.png", force)
    methods = list(METHODS) if method == "all" else [method_named(each, ("all",)) for each in method.split(",")]
    opened = opened_model(model, device, weights, several=True)
    found = explain_image(opened.model, image, methods, top, class_ or (), layer)
    draw(found, out, f"{opened.model.card.name} · {image.name}")
    checks = {}
    if check:
        network = network_of(opened.model)
        checks = {each: sanity(network, found.view.x, found.classes[0], each) for each in methods}
    if as_json:
        content = {"picture": str(out), **found.to_json()}
        print_json(content | ({"checks": {name: each.to_json() for name, each in checks.items()}} if check else {}))
    else:
        for name, probability in zip(found.names, found.probabilities, strict=True):
            say(f"{probability:7.2%}  {name}")
        for name, each in checks.items():
            say(
                f"{name}: rank correlation with randomized weights {each.randomized:.2f} (below 0.7); integrated "
                f"gradients off the logits by {each.completeness:.1%} (below 5%); occlusion finds the planted image in "
                f"{each.planted:.0%} of four corners"
            )
        say(f"picture: {out}")
    if not all(each.passed for each in checks.values()):
        raise typer.Exit(3)
