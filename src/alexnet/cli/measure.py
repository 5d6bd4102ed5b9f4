"""The verb that measures this machine: how quick training and inference are, and against what. Heavy imports inside."""

import re
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
    """Measure this machine and what networks reach on it: pictures/s, share of its peak, where the time goes."""
    from alexnet.cli import tables
    from alexnet.cli.progress import bar
    from alexnet.errors import InputError
    from alexnet.files import write_json
    from alexnet.recipes.recipe import parse_override

    settings = dict(parse_override(text) for text in set_ or [])
    if batch and not re.fullmatch(r"[1-9]\d{0,6}(,[1-9]\d{0,6})*", batch):
        raise InputError(f"--batch takes numbers such as 64 or 64,128, not {batch!r}")
    batches = [int(size) for size in batch.split(",")] if batch else []
    if out is not None:
        try:
            out.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError):
            raise InputError(f"{str(out)!r} cannot be a folder: a part of its path is a file") from None
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
