"""`alexnet predict`."""

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from alexnet.cli.evaluate_labels import refuse_reject
from alexnet.cli.opening import opened_model, say_runtime
from alexnet.cli.options import MODEL, Device, Force, Json, PrecisionOption, RuntimeOption, WeightsOption
from alexnet.cli.screen import print_json, say
from alexnet.errors import InputError, counted

if TYPE_CHECKING:
    from alexnet.inference.model import Model
    from alexnet.inference.predict import Predicted

_LISTED = 20


def predict(
    model: Annotated[
        Path, typer.Argument(metavar="MODEL", help=MODEL.removesuffix(".") + ", or a file of `alexnet export`.")
    ],
    images: Annotated[
        list[str],
        typer.Argument(metavar="IMAGE...", help="Files, folders, patterns, a .txt of paths, or - for paths on stdin."),
    ],
    top: Annotated[int, typer.Option(max=10**6, help="Number of classes to print.")] = 5,
    out: Annotated[
        Path | None, typer.Option(help="Write a .csv, .jsonl or .parquet file; an interrupted one is continued.")
    ] = None,
    copy_to: Annotated[
        Path | None,
        typer.Option(help="Copy each image into a folder of its class, or of each label."),
    ] = None,
    reject: Annotated[float, typer.Option(help="Answer 'unknown' below this probability.")] = 0.0,
    force: Force = False,
    precision: PrecisionOption = "fp32",
    runtime: RuntimeOption = "torch",
    weights: WeightsOption = None,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Classify images: the most likely classes with their probabilities."""
    from alexnet.inference.answers import Answers, fingerprint
    from alexnet.inference.copies import Copies
    from alexnet.inference.gather import Gathered
    from alexnet.inference.predict import UNKNOWN, stream
    from alexnet.inference.runtimes import ready

    if not 0 <= reject <= 1:
        raise InputError(f"--reject is a probability from 0 to 1, not {reject}")
    opened = ready(opened_model(model, device, weights, graphs=True, several=True).model, precision, runtime)
    say_runtime(runtime, opened, device)
    if opened.multilabel:
        check_several(opened, reject)
    if reject and UNKNOWN in opened.classes:
        raise InputError(f"--reject answers {UNKNOWN!r}, which is a class of this model; leave it out")
    copies = Copies(copy_to, opened.classes, images) if copy_to else None
    kept = None
    if out:
        question = {"model": fingerprint(opened), "top": top, "reject": reject, "precision": opened.precision}
        kept = Answers(out, question, force)
        if kept.done:
            say(
                f"continuing {kept.partial}: {counted(len(kept.done), 'image was', 'images were')} answered before",
                err=True,
            )
    gathered = Gathered(images, sys.stdin)
    paths = (path for path in gathered if kept is None or str(path) not in kept.done)
    start, count, broken = time.perf_counter(), 0, []
    collected: list[Predicted] = []
    for each in stream(opened, paths, top):
        found = each.rejecting(reject)
        count += 1
        if found.error is not None:
            broken.append(found)
        elif copies:
            copies.add(found)
        if kept:
            kept.add(found)
        if as_json:
            collected.append(found)
        elif not kept and found.error is None:
            _show(found)
    seconds = time.perf_counter() - start
    if not count and not (kept and kept.done):
        raise InputError(f"no image in {', '.join(images)}")
    if kept:
        kept.finish()
    if as_json:
        print_json([each.to_json() for each in collected])
    _summary(count, seconds, opened.precision, broken if count > 1 or out or as_json else [], len(gathered.passed_over))
    if copies and copies.there:
        say(f"{counted(copies.there, 'copy was', 'copies were')} there already", err=True)
    if out:
        say(f"wrote {out}", err=True)
    elif broken and len(broken) == count == 1 and not as_json:
        raise InputError(f"{broken[0].path}: {broken[0].error}")
    if broken:
        raise typer.Exit(3)


def check_several(model: "Model", reject: float) -> None:
    """Refuses what means nothing for a model that may name several labels, and tells from where on it names them."""
    refuse_reject(reject > 0)
    found = model.card.thresholds
    how = (
        f"its threshold, chosen on {counted(found.count, f'{found.split} image')}"
        if found
        else "0.5: its card has no thresholds"
    )
    say(f"multi-label: a label is given (*) from {how}", err=True)


def _show(found: "Predicted") -> None:
    say(found.path)
    for each in found.predictions:
        given = "" if found.labels is None else "* " if each.label in found.labels else "  "
        say(f"  {each.score:7.2%}  {given}{each.label}")


def _summary(count: int, seconds: float, precision: str, broken: "list[Predicted]", passed_over: int) -> None:
    """On stderr: it is no part of the answers."""
    if count > 1:
        say(f"{count:,} images in {seconds:.1f} s: {count / seconds:,.0f} images/s in {precision}", err=True)
    if passed_over:
        say(
            f"{counted(passed_over, 'other file is no image and was', 'other files are no images and were')} skipped",
            err=True,
        )
    if broken:
        say(f"{len(broken):,} of {count:,} images could not be read:", err=True)
    for each in broken[:_LISTED]:
        say(f"  {each.path}: {each.error}", err=True)
    if len(broken) > _LISTED:
        say(f"  and {len(broken) - _LISTED:,} more; --out lists them all", err=True)
