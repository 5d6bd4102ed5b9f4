"""Verbs that measure: this machine, and the published experiments. Heavy imports stand inside them."""

import re
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from alexnet.cli.app import DataOption, Device, Json, SetOption, app, print_json

PeerPython = Annotated[
    Path | None, typer.Option(help="The interpreter of an environment with the peer; none: this one.")
]


@app.command()
def bench(
    what: Annotated[
        list[str] | None, typer.Argument(metavar="[NETWORK|RECIPE]...", help="What is timed; with --latency also runs.")
    ] = None,
    batch: Annotated[str | None, typer.Option(help="Batch sizes, as 64,128; none: as published, or 64.")] = None,
    precision: Annotated[str, typer.Option(help="auto, fp32, bf16, or several as fp32,bf16.")] = "auto",
    data: DataOption = None,
    set_: SetOption = None,
    steps: Annotated[int, typer.Option(min=1, help="Steps to time.")] = 10,
    peer: Annotated[str | None, typer.Option(help="keras or torchvision: training side by side, in turn.")] = None,
    peer_python: PeerPython = None,
    latency: Annotated[
        bool, typer.Option("--latency", help="Inference as `predict` does it against plain fp32 PyTorch, in turn.")
    ] = False,
    rounds: Annotated[int, typer.Option(min=1, help="With --peer and --latency: turns of each side.")] = 5,
    seconds: Annotated[float, typer.Option(min=0.0, help="With --peer: length of a turn.")] = 4.0,
    out: Annotated[
        Path | None, typer.Option(help="A folder for bench.json and, of networks and recipes, a plot.")
    ] = None,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Measure this machine and what networks reach on it: images/s, share of its peak, where the time goes."""
    from alexnet.cli import tables
    from alexnet.cli.progress import bar
    from alexnet.errors import InputError
    from alexnet.files import make_folder, write_json
    from alexnet.recipes.recipe import parse_override

    settings = dict(parse_override(text) for text in set_ or [])
    if batch and not re.fullmatch(r"[1-9]\d{0,6}(,[1-9]\d{0,6})*", batch):
        raise InputError(f"--batch takes numbers such as 64 or 64,128, not {batch!r}")
    batches = [int(size) for size in batch.split(",")] if batch else []
    if out is not None:
        make_folder(out)
    show: Callable[[Any], None]
    measured: Any
    with bar("timing", quiet=as_json) as progress:
        if latency:
            from alexnet.benchmark import latency as latencies

            show, measured = tables.latencies, latencies.run(
                what or (), batches, precision, data=data, device=device,
                rounds=rounds, progress=progress,
            )  # fmt: skip
        elif peer is not None:
            from alexnet.benchmark import peers

            show, measured = tables.side_by_side, peers.run(
                peer, what or (), batches, precision, python=peer_python, settings=settings, device=device,
                rounds=rounds, seconds=seconds, progress=progress,
            )  # fmt: skip
        else:
            from alexnet.benchmark import bench as benchmark

            show, measured = tables.bench, benchmark.run(
                what or (), batches, precision.split(","), data=data, settings=settings, device=device,
                steps=steps, progress=progress,
            )  # fmt: skip
    if out is not None:
        write_json(out / "bench.json", measured.to_json())
        if show is tables.bench:
            from alexnet.benchmark.plot import roofline

            roofline(measured, out / "roofline.png")
    if as_json:
        print_json(measured.to_json())
    else:
        show(measured)


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
    from alexnet.experiments import reproduce as rerun
    from alexnet.experiments import table
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
