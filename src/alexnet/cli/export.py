"""`alexnet export`."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from alexnet.cli.options import DataOption, Force, Json, ModelOrRun
from alexnet.cli.screen import print_json, say
from alexnet.errors import InputError, counted


def export(
    model: ModelOrRun,
    out: Annotated[
        Path,
        typer.Option(
            help="The file to write (safetensors, torchvision, keras and card: and a .json beside it); for hub, "
            "brainscore and web the folder."
        ),
    ],
    format: Annotated[
        str,
        typer.Option(
            help="onnx, int8 (ONNX), torch (.pt2), safetensors, torchvision (.pth), keras (.h5), hub, brainscore, "
            "web or web-int8 (a page that needs no server), card (.md)."
        ),
    ] = "onnx",
    data: DataOption = None,
    logits: Annotated[bool, typer.Option("--logits", help="onnx, int8, torch: output the logits too.")] = False,
    max_loss: Annotated[
        float | None,
        typer.Option(
            help="int8, web-int8: top-1 accuracy (several labels: mAP) that it may lose, as a fraction. Default: 0.02."
        ),
    ] = None,
    push: Annotated[
        str | None, typer.Option(help="hub: upload the folder to OWNER/NAME on the model hub, as a private repository.")
    ] = None,
    public: Annotated[bool, typer.Option("--public", help="Make the repository of --push public.")] = False,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Write a trained model for other programs, after checking that it computes the same."""
    from alexnet.export.formats import export as write
    from alexnet.inference.model import load_model
    from alexnet.weights import hub

    if (push or public) and format != "hub":
        raise InputError(f"--push and --public are for --format hub, not {format}")
    if public and not push:
        raise InputError("--public makes the repository of --push public; add --push OWNER/NAME")
    if push:
        hub.check_repository(push)
    opened = load_model(model, several=True)
    if opened.remark:
        say(opened.remark, err=True)
    exported = write(opened, format, out, data=data, logits=logits, max_loss=max_loss, force=force)
    address = hub.push(out, push, public) if push else None
    if as_json:
        print_json(exported.to_json() | ({"pushed": address} if address else {}))
        return
    for path, size in exported.files.items():
        say(f"wrote {path} ({size:,} bytes)")
    if address:
        say(f"pushed to {address}; hub://{push} is MODEL for every verb, and opens with alexnet.load")
    if len(exported.files) > 4:
        say(f"in all {sum(exported.files.values()):,} bytes in {len(exported.files)} files")
    if format.startswith("web"):
        say(f"any file server shows it: python -m http.server --directory {shlex.quote(str(out))}")
    first = "likeliest label" if opened.multilabel else "top-1"
    if found := exported.agreement:
        what = "the float32 graph, before it was quantized: same" if exported.quantized else "same"
        images = counted(found.images, f"{found.origin} image")
        say(
            f"{what} as PyTorch on {images}: {first} equal, probabilities within {found.difference:.1e}"
            + ("" if found.logits is None else f", logits within {found.logits:.1e}")
        )
    if int8 := exported.quantized:
        say(
            f"int8 against float32 in ONNX Runtime: {int8.int8_bytes / int8.float_bytes:.2f} × the size, "
            f"{int8.speed:.2f} × the speed (batches of {int8.batch} in turn, {int8.rounds} times: "
            f"{int8.float_ms:.2f} ms and {int8.int8_ms:.2f} ms)\n"
            f"{int8.name} {int8.float_score:.2%} → {int8.int8_score:.2%} on {counted(int8.measured_on, 'image')}; "
            f"calibrated on {counted(int8.calibrated_on, 'other')}\n"
            f"{first} equal on {int8.same:,} of {int8.measured_on:,}, probabilities within {int8.difference:.1e}"
        )
