"""`alexnet evaluate`."""

from typing import TYPE_CHECKING, Annotated

import typer

from alexnet.cli.options import DataOption, Device, Json, ModelOrRun
from alexnet.cli.screen import print_json, say

if TYPE_CHECKING:
    from alexnet.inference.evaluate import Figures


def evaluate(
    model: ModelOrRun,
    data: DataOption = None,
    split: Annotated[
        str | None, typer.Option(help="train, validation or test. Default: test, if there is one.")
    ] = None,
    views: Annotated[
        int, typer.Option(help="Views averaged per image: 1, 2 (mirrored) or 10 (corners, mirrored).")
    ] = 1,
    precision: Annotated[str, typer.Option(help="fp32, bf16, or auto: bf16 if the processor has it.")] = "fp32",
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Measure a trained model on labeled images: top-1, top-5, loss."""
    from alexnet.artifacts.store import load_model
    from alexnet.cli.progress import bar
    from alexnet.device import choose_device
    from alexnet.inference.data import dataset_for
    from alexnet.inference.evaluate import evaluate as measure
    from alexnet.inference.fast import at_precision
    from alexnet.inference.views import corners

    opened = at_precision(load_model(model, choose_device(device)), precision)
    dataset = dataset_for(opened, data, split, lambda line: say(line, err=as_json))
    with bar("evaluating", quiet=as_json) as progress:
        evaluation = measure(opened, dataset, progress=progress, views=views)
    if as_json:
        print_json(evaluation.figures.to_json())
    else:
        _figures(evaluation.figures)
        if views == 10 and (told := corners(opened)):
            say(told)


def _figures(measured: "Figures") -> None:
    say(
        f"top-1 {measured.top1:.2%}   top-5 {measured.top5:.2%}   loss {measured.loss:.4f}   "
        f"{measured.count:,} images in {measured.precision}"
        + (f", {measured.views} views each" if measured.views > 1 else "")
    )
