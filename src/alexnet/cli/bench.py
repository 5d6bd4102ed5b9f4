"""`alexnet bench`."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from alexnet.cli import targets
from alexnet.cli.options import DataOption, Device, Force, Json, SetOption
from alexnet.cli.screen import print_json
from alexnet.errors import InputError


def bench(
    what: Annotated[
        list[str] | None, typer.Argument(metavar="[NETWORK|RECIPE]...", help="What to time; with --latency also runs.")
    ] = None,
    batch: Annotated[
        str | None, typer.Option(help="Batch sizes, such as 64,128. Default: as published, else 64.")
    ] = None,
    precision: Annotated[str, typer.Option(help="auto, fp32, bf16, or several: fp32,bf16.")] = "auto",
    data: DataOption = None,
    set_: SetOption = None,
    steps: Annotated[int, typer.Option(min=1, max=10**6, help="Number of steps to time.")] = 10,
    peer: Annotated[
        str | None,
        typer.Option(help="torch, torch-compile, keras, torchvision, or several: time training in turn with them."),
    ] = None,
    peer_python: Annotated[
        Path | None, typer.Option(help="The Python of an environment with Keras or torchvision. Default: this one.")
    ] = None,
    latency: Annotated[
        bool,
        typer.Option("--latency", help="Time inference, in turn with plain fp32 PyTorch, ONNX Runtime and OpenVINO."),
    ] = False,
    rounds: Annotated[
        int, typer.Option(min=1, max=10**4, help="With --peer and --latency: number of turns of each side.")
    ] = 5,
    seconds: Annotated[float, typer.Option(min=0.0, max=3600.0, help="With --peer: seconds per turn.")] = 4.0,
    out: Annotated[
        Path | None, typer.Option(help="A folder for bench.json and, without --peer and --latency, a plot.")
    ] = None,
    force: Force = False,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Measure this machine and what networks reach on it: images/s, share of peak, time by phase."""
    from alexnet.cli import bench_tables
    from alexnet.cli.progress import bar
    from alexnet.files import make_folder, write_json
    from alexnet.recipes.recipe import parse_override

    settings = dict(parse_override(text) for text in set_ or [])
    if batch and not re.fullmatch(r"[1-9]\d{0,6}(,[1-9]\d{0,6})*", batch):
        raise InputError(f"--batch takes numbers such as 64 or 64,128, not {batch!r}")
    batches = [int(size) for size in batch.split(",")] if batch else []
    if out is not None:
        make_folder(out)
        targets.check((out / "bench.json", out / "roofline.png"), force)
    show: Callable[[Any], None]
    measured: Any
    with bar("timing", quiet=as_json) as progress:
        if latency:
            from alexnet.benchmark import latency as latencies

            show, measured = bench_tables.latencies, latencies.run(
                what or (), batches, precision, data=data, device=device,
                rounds=rounds, progress=progress,
            )  # fmt: skip
        elif peer is not None:
            from alexnet.benchmark import peers

            show, measured = bench_tables.side_by_side, peers.run(
                peer.split(","), what or (), batches, precision, python=peer_python, settings=settings, device=device,
                rounds=rounds, seconds=seconds, progress=progress,
            )  # fmt: skip
        else:
            from alexnet.benchmark import bench as benchmark

            show, measured = bench_tables.bench, benchmark.run(
                what or (), batches, precision.split(","), data=data, settings=settings, device=device,
                steps=steps, progress=progress,
            )  # fmt: skip
    if out is not None:
        write_json(out / "bench.json", measured.to_json())
        if show is bench_tables.bench:
            from alexnet.benchmark.plot import roofline

            roofline(measured, out / "roofline.png")
    if as_json:
        print_json(measured.to_json())
    else:
        show(measured)
