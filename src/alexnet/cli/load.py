"""`alexnet load`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from alexnet.cli.options import Json, ModelOrRun
from alexnet.cli.screen import print_json, say, table
from alexnet.errors import InputError


def load(
    model: ModelOrRun,
    image: Annotated[Path, typer.Option(help="The image that every client sends.")],
    clients: Annotated[int, typer.Option(min=1, max=1024, help="Connections.")] = 64,
    seconds: Annotated[float, typer.Option(min=0.1, help="Seconds per turn.")] = 60.0,
    requests: Annotated[
        int | None, typer.Option(min=1, help="As many requests instead of --seconds: whether memory stays flat.")
    ] = None,
    rounds: Annotated[int, typer.Option(min=0, help="Turns of batching against one by one; 0: one turn of load.")] = 0,
    peer_python: Annotated[
        Path | None, typer.Option(help="A Python that has litserve and this package: --rounds against LitServe.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Measure the server under load: requests/s, latency, memory."""
    from alexnet.benchmark import load as measure
    from alexnet.cli.progress import bar

    if not image.is_file():
        raise InputError(f"no image at {str(image)!r}")
    if peer_python and not rounds:
        raise InputError("--peer-python is for --rounds, in which both take turns")
    content = image.read_bytes()
    with bar("asking", quiet=as_json) as progress:
        how: dict[str, Any] = {"clients": clients, "seconds": seconds, "requests": requests, "progress": progress}
        if rounds:
            found = measure.batching(model, content, rounds=rounds, peer=peer_python, **how)
            turns = [each for pair in zip(found.together, found.other, strict=True) for each in pair]
        else:
            found = measure.load(model, content, **how)
            turns = [found]
    if as_json:
        print_json(found.to_json())
        return
    head = ("clients>", "batch>", "requests/s>", "p50 ms>", "p99 ms>", "statuses", "MB after so many requests")
    table(
        head,
        [
            (
                each.clients, each.batch, f"{each.per_second:,.0f}", f"{each.p50:.1f}", f"{each.p99:.1f}",
                ", ".join(f"{count:,} × {status}" for status, count in sorted(each.answers.items())),
                ", ".join(f"{count:,}: {size:.0f}" for count, size in each.memory.items()),
            )
            for each in turns
        ],
    )  # fmt: skip
    if isinstance(found, measure.Batching):
        other = "LitServe" if peer_python else "one image at a time"
        say(f"batches answer {found.ratio:.2f} × as many requests as {other} (medians of {rounds} turns)")
