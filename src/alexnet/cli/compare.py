"""`alexnet compare`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from alexnet.cli import targets
from alexnet.cli.options import Force, Json
from alexnet.cli.screen import print_json, say, table
from alexnet.errors import counted


def compare(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Run folders.")],
    out: Annotated[Path | None, typer.Option(help="An HTML page to write, with curves.")] = None,
    plots: Annotated[Path | None, typer.Option(help="A folder for the curves: epoch.png and seconds.png.")] = None,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Compare runs: accuracy by epoch and by seconds, size, published and measured figures."""
    from alexnet.artifacts.run import Run
    from alexnet.insight import compare as side_by_side
    from alexnet.insight import epochs, paired

    curves = [plots / f"{name}.png" for name in ("epoch", "seconds")] if plots is not None and plots.is_dir() else []
    targets.named(out, ".html", ".htm")
    targets.check((out, *curves), force)
    rows = side_by_side.compare(runs)
    if out is not None or plots is not None:
        side_by_side.write_comparison(runs, out, plots)
    if as_json:
        print_json(rows)
    else:
        comparison(side_by_side.HEAD, [side_by_side.line(row) for row in rows])
        opened = [Run(run) for run in runs]
        for line in epochs.equal({run.path.name: run.metrics for run in opened}):
            name, count, accuracy, seconds, then = line
            say(f"{name}: {accuracy} after {counted(int(count), 'epoch')}, {then} after {seconds}")
        for recipe, numbers, last, test in epochs.seeds(opened):
            say(f"{recipe}, {numbers}: validation, last epoch {last}; test {test}")
        tested, warnings = paired.pairs(opened)
        for each in tested:
            verdict = each.verdict()
            say(
                f"{each.first} − {each.second}: {each.found.difference:+.2%} on {each.count:,} {each.split} images "
                f"(95 % {each.found.low:+.2%} to {each.found.high:+.2%}), McNemar p {each.found.p:.2g}: {verdict}"
            )
        for warning in [*side_by_side.repetitions(rows), *warnings]:
            say(f"warning: {warning}")
        if plots is not None:
            say(f"curves: {plots / 'epoch.png'}, {plots / 'seconds.png'}")
        if out is not None:
            say(f"page: {out}")


def comparison(head: Sequence[str], lines: Sequence[Sequence[str]]) -> None:
    """Runs beside each other; the first two columns are names, the others numbers."""
    table((*head[:2], *(f"{name}>" for name in head[2:])), lines)
