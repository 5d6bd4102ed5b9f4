"""The verb that hands a trained model to other programs."""

from pathlib import Path
from typing import Annotated

import typer

from alexnet.cli.app import DataOption, Json, ModelOrRun, app, print_json


@app.command()
def export(
    model: ModelOrRun,
    out: Annotated[Path, typer.Option(help="The file to write.")],
    format: Annotated[
        str,
        typer.Option(help="onnx, int8 (ONNX), torch (.pt2), safetensors, torchvision (.pth), keras (.h5), card (.md)."),
    ] = "onnx",
    data: DataOption = None,
    logits: Annotated[bool, typer.Option("--logits", help="onnx, int8, torch: give the raw scores too.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace what is there.")] = False,
    as_json: Json = False,
) -> None:
    """Write a trained model for other programs, once it is shown to be the same network."""
    from alexnet.export.formats import export as write
    from alexnet.weights.store import open as open_model

    exported = write(open_model(model), format, out, data=data, logits=logits, force=force)
    if as_json:
        print_json(exported.to_json())
        return
    for path, size in exported.files.items():
        print(f"wrote {path} ({size:,} bytes)")
    if found := exported.agreement:
        print(
            f"same as PyTorch on {found.pictures} {found.origin} pictures: top-1 equal, probabilities within "
            f"{found.difference:.1e}" + ("" if found.logits is None else f", logits within {found.logits:.1e}")
        )
    if int8 := exported.quantised:
        print(
            f"int8 against float32 in ONNX Runtime: {int8.int8_bytes / int8.float_bytes:.2f} × the size, "
            f"{int8.speed:.2f} × the speed (batches of {int8.batch} in turn, {int8.rounds} times: "
            f"{int8.float_ms:.2f} ms and {int8.int8_ms:.2f} ms)\n"
            f"top-1 {int8.float_top1:.2%} → {int8.int8_top1:.2%} on {int8.measured_on:,} pictures; calibrated on "
            f"{int8.calibrated_on} others"
        )
