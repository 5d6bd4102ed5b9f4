"""`alexnet report`."""

from pathlib import Path
from typing import Annotated

import typer

from alexnet.cli import targets
from alexnet.cli.options import Force
from alexnet.cli.screen import say
from alexnet.errors import InputError


def report(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Run folders, trained here or elsewhere.")],
    format: Annotated[
        str | None,
        typer.Option(
            help="html, md, pdf, pptx, ipynb; or a tracker's folder: tensorboard, mlflow, wandb. Default: as --out is "
            "named, else html."
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="The file to write. Default, of one run: report.FORMAT in its folder.")
    ] = None,
    force: Force = False,
    language: Annotated[str, typer.Option(help="en or zh.")] = "en",
) -> None:
    """Draw plots and write the report of one run, or of several beside each other, from their files alone."""
    from alexnet.insight.report.trackers import TRACKERS
    from alexnet.insight.report.write import FORMATS, files_of
    from alexnet.insight.report.write import report as write

    if format is None:
        named = "html" if out is None else out.suffix.lower().removeprefix(".")
        format = "html" if named == "htm" else named
        if out is not None and format not in FORMATS:
            raise InputError(f"--out is {str(out)!r}: end it in .html, .md, .pdf, .pptx or .ipynb, or add --format")
    elif format in FORMATS and format not in TRACKERS:
        targets.named(out, f".{format}", *([".htm"] if format == "html" else []))
    if out is not None and format not in TRACKERS:  # a tracker's folder is a new one anyway
        targets.check([out], force)
        if format == "md":
            targets.check_folder(files_of(out), force)
    path, left = write(runs, format, out, language)
    for line in left:
        say(f"not drawn: {line}")
    say(f"wrote {path}")
