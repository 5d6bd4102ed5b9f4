"""The command line's app, and the options that several verbs share."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from alexnet import __version__

app = typer.Typer(
    name="alexnet",
    help="Every published AlexNet as it was written and as it was run: train it on anything, and see what it learned.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
DataOption = Annotated[Path | None, typer.Option("--data", help="Where the images are: a folder or a file.")]
SetOption = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Any recipe key; repeatable.")]
ModelOrRun = Annotated[Path, typer.Argument(metavar="MODEL-OR-RUN", help="A run's folder, or a .safetensors file.")]
Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:1 …")]


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context, version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False
) -> None:
    if version:
        print(__version__)
        raise typer.Exit
    if context.invoked_subcommand is None:
        print(context.get_help())


def print_json(content: Any) -> None:
    print(json.dumps(content, indent=2, ensure_ascii=False))
