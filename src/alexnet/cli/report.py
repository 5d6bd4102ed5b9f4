"""`alexnet report`."""

from pathlib import Path
from typing import Annotated

import typer

from alexnet.cli.screen import say


def report(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder, trained here or elsewhere.")],
    format: Annotated[str, typer.Option(help="html, md, pdf, pptx or ipynb.")] = "html",
    out: Annotated[Path | None, typer.Option(help="The file to write. Default: report.FORMAT in the run.")] = None,
    language: Annotated[str, typer.Option(help="en or zh.")] = "en",
) -> None:
    """Draw a run's plots and write its report again, from the files in its folder alone."""
    from alexnet.insight.report.write import report as write

    path, left = write(run, format, out, language)
    for line in left:
        say(f"not drawn: {line}")
    say(f"wrote {path}")
