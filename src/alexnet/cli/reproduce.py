"""The verb that re-runs the published experiments. Heavy imports stand inside it."""

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from alexnet.cli.app import Device, Json, app, print_json


@app.command()
def reproduce(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="Experiments, or how they begin; none: all.")
    ] = None,
    budget: Annotated[
        str, typer.Option(help="Time to spend, as 30m or 2h; 0 runs nothing and says what fits.")
    ] = "30m",
    out: Annotated[Path, typer.Option(help="Where runs, table and pages are kept.")] = Path("runs/reproduction"),
    seeds: Annotated[int, typer.Option(min=1, help="Runs of each recipe, with seeds 0, 1 …")] = 1,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Re-run the published experiments: published, as published by us, ours; finished runs are reused."""
    from alexnet.cli import tables
    from alexnet.cli.progress import terminal
    from alexnet.reproduce import reproduce as rerun
    from alexnet.reproduce import table
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
            tell=lambda line: print(line, file=sys.stderr if as_json else sys.stdout, flush=True),
        )
    except Interrupted:
        again = shlex.join(["alexnet", *sys.argv[1:]])
        print(f"stopped; everything is saved. Go on with: {again}", file=sys.stderr if as_json else sys.stdout)
        raise typer.Exit(130) from None
    finally:
        if screen:
            screen.close()
    if as_json:
        return print_json(rows)
    tables.reproduction(*table.cells(rows), table.left_out(rows))
    print(f"table: {out / 'reproduction.md'}")
