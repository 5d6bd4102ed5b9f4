"""`alexnet report`."""

from pathlib import Path
from typing import Annotated

import typer

from alexnet.cli import targets
from alexnet.cli.options import Force
from alexnet.cli.screen import say


def report(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Run folders, trained here or elsewhere.")],
    format: Annotated[
        str, typer.Option(help="html, md, pdf, pptx, ipynb; or a tracker's folder: tensorboard, mlflow, wandb.")
    ] = "html",
    out: Annotated[
        Path | None, typer.Option(help="The file to write. Default, of one run: report.FORMAT in its folder.")
    ] = None,
    force: Force = False,
    language: Annotated[str, typer.Option(help="en or zh.")] = "en",
) -> None:
    """Draw plots and write the report of one run, or of several beside each other, from their files alone."""
    from alexnet.insight.report.trackers import TRACKERS
    from alexnet.insight.report.write import files_of
    from alexnet.insight.report.write import report as write

    if out is not None and format not in TRACKERS:  # a tracker's folder is a new one anyway
        targets.check([out], force)
        if format == "md":
            targets.check_folder(files_of(out), force)
    path, left = write(runs, format, out, language)
    for line in left:
        say(f"not drawn: {line}")
    say(f"wrote {path}")
