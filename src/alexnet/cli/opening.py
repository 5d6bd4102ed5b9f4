"""MODEL for the verbs that look inside it, and what computes it."""

from pathlib import Path
from typing import TYPE_CHECKING

from alexnet.cli.screen import say

if TYPE_CHECKING:
    from alexnet.inference.model import Model
    from alexnet.inference.opening import Opened
    from alexnet.inference.runtimes import Chosen
    from alexnet.serving.engine import Engine


def say_runtime(
    asked: str, found: "Model | Chosen | Engine", device: str = "cpu", of: str = "", err: bool = True
) -> None:
    """Prints what computes, where --runtime `asked` for another than the usual, and what is slow; of: which model's."""
    from alexnet.device import choose_device, emulated

    if asked != "torch":
        say(f"runtime{of}: {found.runtime} in {found.precision}", err=err)
    if found.runtime == "torch" and (slow := emulated(found.precision, choose_device(device))):
        say(slow, err=err)


def opened_model(
    model: Path, device: str, weights: Path | None, graphs: bool = False, several: bool = False
) -> "Opened":
    """The model, as `inference.opening.open_model` gives it; what its user must know of it is printed."""
    from alexnet.device import choose_device
    from alexnet.inference.opening import open_model

    found = open_model(model, choose_device(device), weights, graphs=graphs, several=several)
    if found.remark:
        say(found.remark, err=True)
    return found
