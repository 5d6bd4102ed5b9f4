"""`alexnet serve`."""

import contextlib
import os
from pathlib import Path
from typing import Annotated

import typer

from alexnet.cli.failures import Terminated
from alexnet.cli.opening import say_runtime
from alexnet.cli.options import PrecisionOption, RuntimeOption
from alexnet.cli.screen import say
from alexnet.errors import InputError, counted

_TOKEN = "ALEXNET_TOKEN"
_DEMO = Path("runs") / "digits"


def serve(
    models: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[MODEL]...", help="Run folders or weights files; none: the demo's digits."),
    ] = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on; 0.0.0.0: every network this machine is in.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0: any that is free.")] = 8000,
    precision: PrecisionOption = "fp32",
    runtime: RuntimeOption = "torch",
    index: Annotated[
        Path | None,
        typer.Option(
            help="Features that alexnet similar --index wrote: the page shows the first model's nearest images."
        ),
    ] = None,
    data: Annotated[
        list[Path] | None, typer.Option("--data", help="The images of --index, to be shown; else their names are.")
    ] = None,
    max_megabytes: Annotated[int, typer.Option(min=1, max=1024, help="Largest request.")] = 32,
    max_images: Annotated[int, typer.Option(min=1, max=4096, help="Most images in a request.")] = 64,
) -> None:
    """Serve models over HTTP: a page for people, an API for programs."""
    try:
        from alexnet.serving.app import create_app
        from alexnet.serving.server import bound, run
    except ModuleNotFoundError as error:
        raise InputError(f"serving needs {error.name}: pip install 'alexnet[serve]'") from None
    from alexnet.inference.model import load_model
    from alexnet.serving.limits import Limits
    from alexnet.serving.neighbors import Neighbors

    listening = bound(host, port)
    with listening:
        opened = [load_model(model, several=True) for model in models or [_demo()]]
        for each in opened:
            if each.remark:
                say(each.remark, err=True)
        if data and not index:
            raise InputError("--data is for an --index, whose images it shows")
        neighbors = Neighbors(models[0] if models else _DEMO, index, data or []) if index else None
        limits = Limits(body_bytes=max_megabytes * 2**20, images=max_images)
        token = os.environ.get(_TOKEN) or None
        app = create_app(opened, limits, token=token, precision=precision, runtime=runtime, neighbors=neighbors)
        for engine in app.state.engines.all.values():
            say_runtime(runtime, engine, of=f" of {engine.name}", err=False)
        shown = f"[{host}]" if ":" in host else host
        number = listening.getsockname()[1]
        count = counted(len(opened), "model")
        say(f"serving {count} on http://{shown}:{number}/ (Ctrl-C stops)")
        if host not in ("127.0.0.1", "::1", "localhost") and not os.environ.get(_TOKEN):
            say(f"anyone who reaches {host} can use it: set ${_TOKEN} to ask for a bearer token")
        with contextlib.suppress(
            Terminated
        ):  # what was accepted is finished: a service that stopped as it was asked to
            run(app, listening)


def _demo() -> Path:
    """The run of the digits that `alexnet train` makes; it is trained first where it is not there."""
    from alexnet.artifacts.run import Run

    if not Run(_DEMO).weights.is_file():
        from alexnet.experiments.train import train

        say(f"no model was named: training the demo on handwritten digits into {_DEMO} …")
        train("digits", out=_DEMO)
    return _DEMO
