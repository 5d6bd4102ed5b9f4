"""The verb that measures this machine: how quick training and inference are, and against what. Heavy imports inside."""

from pathlib import Path
from typing import Annotated

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
    batch: Annotated[str | None, typer.Option(help="Batch sizes, as 64,128; none: the recipe's, or 64.")] = None,
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
    out: Annotated[Path | None, typer.Option(help="A folder for the plot and bench.json.")] = None,
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
    try:
        batches = [int(size) for size in batch.split(",")] if batch else []
    except ValueError:
        raise InputError(f"--batch takes numbers such as 64 or 64,128, not {batch!r}") from None
    if latency:
        from alexnet.benchmark.latency import compare

        with bar("timing", quiet=as_json) as progress:
            told = [
                compare(name, batches or (1, 64), precision, data=data, device=device, rounds=rounds, progress=progress)
                for name in what or ["alexnet-owt"]
            ]
        if as_json:
            print_json([each.to_json() for each in told])
        else:
            tables.latencies(told)
        return
    if peer is not None:
        from alexnet.benchmark import peers

        pairs = [(network, size) for network in what or () for size in batches or [64]]
        with bar(f"alexnet and {peer} in turn", quiet=as_json) as progress:
            compared = peers.compare(
                peer, pairs, python=peer_python, precision=precision, device=device,
                rounds=rounds, seconds=seconds, settings=settings, progress=progress,
            )  # fmt: skip
        if as_json:
            print_json(compared.to_json())
        else:
            tables.side_by_side(compared)
        return
    from alexnet.benchmark import bench as benchmark
    from alexnet.benchmark import plot

    if out is not None:
        try:
            out.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError):
            raise InputError(f"{str(out)!r} cannot be a folder: a part of its path is a file") from None
    with bar("timing", quiet=as_json) as progress:
        measured = benchmark.run(
            what or (), batches, precision.split(","), data=data, settings=settings,
            steps=steps, device=device, progress=progress,
        )  # fmt: skip
    if out is not None:
        write_json(out / "bench.json", measured.to_json())
        plot.roofline(measured, out / "roofline.png")
    if as_json:
        print_json(measured.to_json())
    else:
        tables.bench(measured)
