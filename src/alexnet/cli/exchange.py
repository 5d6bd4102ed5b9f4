"""Verbs that take weights and images in, and hand them out. Heavy imports stand inside them."""

from pathlib import Path
from typing import Annotated

import typer

from alexnet.cli.app import DataOption, Device, Json, ModelOrRun, app, print_json
from alexnet.errors import InputError, unknown


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help=".npy, .caffemodel, .h5, .keras, .pth or .safetensors.")],
    out: Annotated[Path, typer.Option(help="X.safetensors; its card becomes X.json.")],
    model: Annotated[str | None, typer.Option(help="The network that it holds; none: found from its shapes.")] = None,
    classes: Annotated[Path | None, typer.Option(help="A text file with a class name a line.")] = None,
    as_json: Json = False,
) -> None:
    """Read weights of another program and write them as safetensors with a card."""
    from alexnet.weights.imports import import_weights

    imported = import_weights(file, out, model, _names(classes) if classes else None)
    card = imported.card
    if as_json:
        print_json(card)
        return
    origin = card["imported"]
    print(
        f"{file}: {card['name']}, {card['parameters']:,} parameters, from {origin['kind']}, SHA-256 {origin['sha256']}"
    )
    for ours, theirs in origin["layers"].items():
        print(f"  {ours:8} ← {theirs}")
    if imported.missing:
        print(f"not in the file: {', '.join(imported.missing)}; alexnet train --weights {out} starts them anew")
    print(f"license: {card['license'] or 'not known: ask where the file comes from'}")
    print(f"written: {out} and {out.with_suffix('.json').name}")


@app.command()
def data(
    set_: Annotated[str | None, typer.Argument(metavar="[NAME]", help="A dataset, or weights.")] = None,
    name: Annotated[str | None, typer.Argument(metavar="[FILE]", help="Which weights; none: list them.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder; none: below $ALEXNET_DATA or ~/.cache/alexnet.")] = None,
    trust_first: Annotated[
        bool, typer.Option("--trust-first", help="Take a file without a published digest, and record its SHA-256.")
    ] = False,
) -> None:
    """Fetch and verify a public dataset, or weights: `alexnet data NAME`, `alexnet data weights FILE`."""
    from alexnet.cli import tables
    from alexnet.cli.progress import bar
    from alexnet.data.public_sets import PUBLIC, fetch_set
    from alexnet.weights.public import FILES, fetch_public

    if set_ is None:
        tables.public_sets(PUBLIC)
        return
    if set_ not in ("weights", *PUBLIC):
        raise unknown("public data:", set_, ("weights", *PUBLIC))
    if set_ != "weights":
        if name is not None or trust_first:
            raise InputError(f"alexnet data {set_} fetches all its files, which have published digests; leave out more")
        with bar(f"fetching {set_}") as progress:
            print(fetch_set(set_, out, progress))
        return
    if name is None:
        tables.public_files(tuple(FILES.values()))
        return
    with bar(f"fetching {name}") as progress:
        path = fetch_public(name, out, trust_first, progress)
    print(f"{path}\nnext: alexnet import {path} --model {FILES[name].model} --out {name}.safetensors")


@app.command()
def doctor(
    model: ModelOrRun,
    data: Annotated[Path, typer.Option("--data", help="Labeled images that the model should find easy.")],
    images: Annotated[int, typer.Option(min=1, help="At most so many images.")] = 200,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Find out which preprocessing and LRN constants some weights want."""
    from alexnet.artifacts.store import load_model
    from alexnet.cli import tables
    from alexnet.cli.progress import bar
    from alexnet.device import choose_device
    from alexnet.insight.doctor import examine

    opened = load_model(model, choose_device(device))
    with bar("trying", quiet=as_json) as progress:
        diagnosis = examine(opened, data, images, progress)
    if as_json:
        print_json(diagnosis.to_json())
    else:
        tables.diagnosis(diagnosis)


@app.command()
def export(
    model: ModelOrRun,
    out: Annotated[Path, typer.Option(help="The file to write.")],
    format: Annotated[
        str,
        typer.Option(help="onnx, int8 (ONNX), torch (.pt2), safetensors, torchvision (.pth), keras (.h5), card (.md)."),
    ] = "onnx",
    data: DataOption = None,
    logits: Annotated[bool, typer.Option("--logits", help="onnx, int8, torch: give the logits too.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace what is there.")] = False,
    as_json: Json = False,
) -> None:
    """Write a trained model for other programs, once it is shown to be the same network."""
    from alexnet.artifacts.store import load_model
    from alexnet.export.formats import export as write

    exported = write(load_model(model), format, out, data=data, logits=logits, force=force)
    if as_json:
        print_json(exported.to_json())
        return
    for path, size in exported.files.items():
        print(f"wrote {path} ({size:,} bytes)")
    if found := exported.agreement:
        print(
            f"same as PyTorch on {found.images} {found.origin} images: top-1 equal, probabilities within "
            f"{found.difference:.1e}" + ("" if found.logits is None else f", logits within {found.logits:.1e}")
        )
    if int8 := exported.quantized:
        print(
            f"int8 against float32 in ONNX Runtime: {int8.int8_bytes / int8.float_bytes:.2f} × the size, "
            f"{int8.speed:.2f} × the speed (batches of {int8.batch} in turn, {int8.rounds} times: "
            f"{int8.float_ms:.2f} ms and {int8.int8_ms:.2f} ms)\n"
            f"top-1 {int8.float_top1:.2%} → {int8.int8_top1:.2%} on {int8.measured_on:,} images; calibrated on "
            f"{int8.calibrated_on} others"
        )


@app.command()
def pack(
    data: Annotated[Path, typer.Option("--data", help="Where the images are: a folder, or an official archive.")],
    out: Annotated[Path, typer.Option(help="The folder of the shards: a new one, or one to go on with.")],
    size: Annotated[int, typer.Option(min=8, max=4096, help="Side in pixels of the copies.")] = 256,
    set_: Annotated[str, typer.Option("--set", help="folder, caltech256 or imagenet; auto: by its files.")] = "auto",
    fit: Annotated[str, typer.Option(help="crop (short side and center) or squash, as in training.")] = "crop",
    as_json: Json = False,
) -> None:
    """Make a resized copy of images in tar shards, once, that trains several times as fast; goes on after a kill."""
    from alexnet.cli.progress import bar
    from alexnet.data.pack import pack as write
    from alexnet.data.sources import list_images

    listing = list_images(set_, data)
    with bar("packing", quiet=as_json) as progress:
        index = write(listing, {"channels": 3, "size": (size, size), "fit": fit}, out, progress)
    if as_json:
        print_json(index)
        return
    for name, shards in index["splits"].items():
        count, size_ = (sum(shard[key] for shard in shards) for key in ("count", "bytes"))
        print(f"{name}: {count:,} images in {len(shards)} shards, {size_ / 1e6:,.1f} MB")
    for name, reason in index["left_out"]:
        print(f"left out: {name}: {reason}")
    print(f"next: alexnet train --data {out}")


def _names(path: Path) -> tuple[str, ...]:
    try:
        return tuple(line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip())
    except (OSError, UnicodeDecodeError):
        raise InputError(f"{str(path)!r} is not a readable text file with a class name a line") from None
