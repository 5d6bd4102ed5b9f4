"""`alexnet reproduce`."""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from alexnet.cli.options import Device, Json
from alexnet.cli.screen import print_json, say, table


def reproduce(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME]...", help="Experiments, or prefixes of their names. Default: all."),
    ] = None,
    budget: Annotated[str, typer.Option(help="Time to spend, such as 30m or 2h; 0 lists what would run.")] = "30m",
    out: Annotated[Path, typer.Option(help="The folder for runs, table and pages.")] = Path("runs/reproduction"),
    seeds: Annotated[int, typer.Option(min=1, max=1000, help="Number of runs of each recipe, with seeds 0, 1, …")] = 1,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Re-run the published experiments within a time budget; finished runs are reused."""
    from alexnet.cli.progress import terminal
    from alexnet.experiments import reproduce as rerun
    from alexnet.experiments import table as published
    from alexnet.training.interrupts import Interrupted

    screen = None if as_json else terminal()
    try:
        rows = rerun.reproduce(
            names or (),
            out=out,
            budget=rerun.seconds_of(budget),
            seeds=seeds,
            device=device,
            reporter=screen,
            tell=lambda line: say(line, err=as_json),
        )
    except Interrupted:
        again = shlex.join(["alexnet", *sys.argv[1:]])
        say(f"interrupted; everything is saved. Resume with: {again}", err=as_json)
        raise typer.Exit(130) from None
    finally:
        if screen:
            screen.close()
    if as_json:
        return print_json(rows)
    _rows(*published.cells(rows), published.left_out(rows))
    say(f"table: {out / 'reproduction.md'}")
    if (
        names
        and rerun.seconds_of(budget)
        and not any(arm and arm["runs"] for row in rows for arm in (row["as_published"], row["ours"]))
    ):
        raise typer.Exit(3)


def _rows(lines: Sequence[Sequence[str]], machines: Sequence[str], left_out: Sequence[str]) -> None:
    """Published experiments beside ours; below them where they ran, and what did not."""
    from alexnet.experiments.table import HEAD

    table((HEAD[0], *(f"{name}>" for name in HEAD[1:])), lines)
    for number, machine in enumerate(machines, 1):
        say(f"hardware {number}: {machine}")
    for line in left_out:
        say(f"not run: {line}")
