"""`alexnet predict`."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from alexnet.cli.options import Device, Json, ModelOrRun
from alexnet.cli.screen import print_json, say

if TYPE_CHECKING:
    from alexnet.inference.predict import Predicted


def predict(
    model: ModelOrRun,
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE...", help="Image files.")],
    top: Annotated[int, typer.Option(help="Number of classes to print.")] = 5,
    precision: Annotated[str, typer.Option(help="fp32, bf16, or auto: bf16 if the processor has it.")] = "auto",
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Classify images: the most likely classes with their probabilities."""
    from alexnet.artifacts.store import load_model
    from alexnet.device import choose_device
    from alexnet.inference.fast import at_precision
    from alexnet.inference.predict import predict as ask

    predicted = ask(at_precision(load_model(model, choose_device(device)), precision), images, top)
    if as_json:
        print_json([each.to_json() for each in predicted])
    else:
        _predictions(predicted)


def _predictions(predicted: "Sequence[Predicted]") -> None:
    for one in predicted:
        say(one.path)
        for each in one.predictions:
            say(f"  {each.probability:7.2%}  {each.name}")
