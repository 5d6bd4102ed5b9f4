"""Arguments and options that several verbs share."""

from pathlib import Path
from typing import Annotated, Any

import typer

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
DataOption = Annotated[Path | None, typer.Option("--data", help="Where the images are: a folder or a file.")]
_DATA_OR_ADDRESS = typer.Option(
    "--data",
    metavar="PATH|URL",
    help="Where the images are: a folder, a file, or the address of packed shards (https://…, s3://…).",
)
DataOrAddress = Annotated[str | None, _DATA_OR_ADDRESS]
NeededDataOrAddress = Annotated[str, _DATA_OR_ADDRESS]
LabelsOption = Annotated[
    Path | None,
    typer.Option("--labels", help="A table (.csv, .tsv, .jsonl, .parquet) with the labels of the images in --data."),
]
SeparatorOption = Annotated[
    str | None,
    typer.Option(
        "--label-separator",
        help="What stands between several labels of an image in the table, such as '|' ('': nothing does).",
        show_default=False,
    ),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Set a recipe key (see `alexnet recipes --keys`); repeatable."),
]
ModelOrRun = Annotated[
    Path,
    typer.Argument(
        metavar="MODEL", help="A run folder, a weights file with its card, a hub folder, or hub://OWNER/NAME."
    ),
]
Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:1 …")]
Processes = Annotated[
    int | None, typer.Option("--processes", min=1, max=1024, help="Number of processes that share the images.")
]
MODEL = "A run folder, a weights file with its card, a hub folder, hub://OWNER/NAME, or a network of `alexnet models`."
ANY_FORM = (
    "A run folder, a weights file with its card, a hub folder, hub://OWNER/NAME, or a file of `alexnet export` (ONNX, "
    "int8, torch, Keras)."
)
ExportedToo = Annotated[Path, typer.Argument(metavar="MODEL", help=ANY_FORM)]
AnyModel = Annotated[Path, typer.Argument(metavar="MODEL", help=MODEL)]
MaybeModel = Annotated[Path | None, typer.Argument(metavar="MODEL", help=MODEL)]
WeightsOption = Annotated[
    Path | None, typer.Option("--weights", help="For a network of `alexnet models`: a file of any known kind.")
]
PrecisionOption = Annotated[
    str,
    typer.Option(
        "--precision", help="fp32, bf16, auto (bf16 if the processor has it), or int8 (OpenVINO: fc weights)."
    ),
]
RuntimeOption = Annotated[
    str,
    typer.Option("--runtime", help="torch, onnxruntime, openvino, or auto: the quickest that is installed, by timing."),
]
SplitOption = Annotated[str | None, typer.Option(help="train, validation or test. Default: all images.")]
Force = Annotated[bool, typer.Option("--force", help="Replace existing files; without it none is replaced.")]


def picture(name: str, more: str = "") -> Any:
    """The option --out of a verb that writes a PNG, called `name` where none is given."""
    stem = Path(name).stem
    return typer.Option("--out", help=f"The PNG to write{more}. Default: {name}, or {stem}-2.png … where that exists.")
