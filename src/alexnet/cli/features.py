"""`alexnet features`."""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from alexnet.cli.launch import is_first, together
from alexnet.cli.opening import opened_model, say_runtime
from alexnet.cli.options import (
    Device,
    Force,
    Json,
    LabelsOption,
    MaybeModel,
    PrecisionOption,
    Processes,
    RuntimeOption,
    SeparatorOption,
    SplitOption,
    WeightsOption,
)
from alexnet.cli.screen import print_json, say, shape
from alexnet.errors import InputError, counted

if TYPE_CHECKING:
    from alexnet.inference.extract import Extracted
    from alexnet.inference.images import Images
    from alexnet.inference.opening import Opened

_SHOWN = 20  # images that could not be read, on the terminal


def features(
    model: MaybeModel = None,
    data: Annotated[
        list[Path] | None, typer.Option("--data", help="A folder, a dataset, or an image file; repeatable for files.")
    ] = None,
    layers: Annotated[str, typer.Option(help="Comma-separated: conv5:pre, fc7, torchvision's features.10 …")] = "fc7",
    out: Annotated[
        Path | None, typer.Option(help="F.npz, .npy, .h5, .mat, .parquet, .csv or .pt; features.npy as THINGSvision.")
    ] = None,
    check: Annotated[Path | None, typer.Option(help="Compute rows of this feature file again, and compare.")] = None,
    rows: Annotated[int, typer.Option(min=1, help="With --check: number of rows, drawn at random.")] = 8,
    preprocess: Annotated[str, typer.Option(help="own, thingsvision, brainscore or caffe.")] = "own",
    pool: Annotated[str, typer.Option(help="none, mean or max over each map.")] = "none",
    flatten: Annotated[bool, typer.Option("--flatten", help="Maps as rows, in C order.")] = False,
    center: Annotated[bool, typer.Option("--center", help="Subtract each column's mean.")] = False,
    pca: Annotated[int | None, typer.Option(min=1, help="Keep this many principal components.")] = None,
    l2: Annotated[bool, typer.Option("--l2", help="Scale each row to length 1.")] = False,
    split: SplitOption = None,
    labels: LabelsOption = None,
    label_separator: SeparatorOption = None,
    weights: WeightsOption = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Images per batch.")] = 64,
    precision: PrecisionOption = "fp32",
    runtime: RuntimeOption = "torch",
    resume: Annotated[bool, typer.Option("--resume", help="Continue an interrupted extraction to --out.")] = False,
    force: Force = False,
    device: Device = "auto",
    processes: Processes = None,
    as_json: Json = False,
) -> None:
    """Write the activations of any layers for many images, with where they come from; or check such a file."""
    if (out is None) == (check is None):
        raise InputError("give --out F to write features, or --check F to compare those of a file")
    from alexnet.cli.progress import bar
    from alexnet.data.readers.source import Labels
    from alexnet.inference.extract import extract
    from alexnet.inference.features import want
    from alexnet.inference.images import open_images
    from alexnet.inference.opening import untrained
    from alexnet.inference.preprocess import mismatch
    from alexnet.inference.rows import Transform
    from alexnet.inference.runtimes import chosen_for

    if model is None or not data:
        raise InputError(
            "give MODEL and --data, the images" + ("; they are never taken from the file" if check else "")
        )
    with together(processes if out else None, device) as world:
        opened = opened_model(model, device, weights, several=True)
        images = open_images(data, split, Labels(labels, label_separator))
        if check is not None:
            _check(opened, images, check, rows, as_json)
            return
        assert out is not None
        names = [layer.strip() for layer in layers.split(",") if layer.strip()]
        chosen = chosen_for(opened.model, precision, runtime)
        say_runtime(runtime, chosen, device)
        wanted = want(
            opened.model,
            names,
            preprocess=preprocess,
            pool=pool,
            flatten=flatten,
            precision=chosen.precision,
            runtime=chosen.runtime,
        )
        for remark in (mismatch(opened.model, wanted.preprocessing), untrained(opened, wanted.taps)):
            if remark:
                say(remark, err=True)
        with bar("features", quiet=as_json) as progress:
            done = extract(
                opened,
                images,
                wanted,
                out,
                transform=Transform(center, pca, l2),
                batch_size=batch_size,
                resume=resume,
                force=force,
                command=shlex.join(["alexnet", *sys.argv[1:]]),
                progress=progress,
                world=world,
            )
    if not is_first():
        return
    if as_json:
        print_json(
            {
                "files": [str(path) for path in done.files],
                "images": done.count,
                "skipped": [{"path": name, "error": reason} for name, reason in done.failed],
                "layers": {layer: list(each) for layer, each in done.shapes.items()},
            }
        )
    else:
        _written(done)
    if done.failed:
        raise typer.Exit(3)


def _written(done: "Extracted") -> None:
    if done.resumed:
        say(f"{counted(done.resumed, 'image was', 'images were')} done already")
    for layer, each in done.shapes.items():
        say(f"{layer}: {done.count:,} × {shape(each)}")
    for path in done.files:
        say(f"wrote {path} ({path.stat().st_size:,} bytes)")
    for name, reason in done.failed[:_SHOWN]:
        say(f"skipped {reason if name in reason else f'{name}: {reason}'}", err=True)
    if len(done.failed) > _SHOWN:
        say(f"skipped {len(done.failed) - _SHOWN:,} more; the file's provenance lists them", err=True)


def _check(opened: "Opened", images: "Images", path: Path, rows: int, as_json: bool) -> None:
    from alexnet.inference.recheck import BOUND, recheck

    found = recheck(opened, images, path, rows)
    if as_json:
        print_json(found.to_json())
    else:
        for layer, difference in found.differences.items():
            told = counted(len(found.names), "row")
            say(f"{layer}: {told} within {difference:.1e} of their length (bound {BOUND:.0e})")
        for name in found.changed:
            say(f"{name} has changed since")
        say("the features agree" if found.agree else "the features do not agree")
    if not found.agree:
        raise typer.Exit(3)
