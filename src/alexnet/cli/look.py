"""Verbs that look at networks and recipes. One verb is one function; heavy imports stand inside it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from alexnet.cli.app import Json, app, print_json

if TYPE_CHECKING:
    from alexnet.models.summary import Summary


@app.command()
def models(as_json: Json = False) -> None:
    """List every network: name, parameters, FLOPs, input, source."""
    from alexnet.cli import tables
    from alexnet.models.catalog import CATALOG
    from alexnet.models.summary import outline

    outlines = [outline(name) for name in CATALOG]
    if as_json:
        print_json([_outline_json(each) for each in outlines])
    else:
        tables.models(outlines)


@app.command()
def summary(
    model: Annotated[str, typer.Argument(help="A network of `alexnet models`.")],
    classes: Annotated[int | None, typer.Option(min=1, help="Number of classes.")] = None,
    as_json: Json = False,
) -> None:
    """Print a network's layers: name, output shape, parameters, FLOPs."""
    from alexnet.cli import tables
    from alexnet.models.summary import outline

    described = outline(model, classes)
    if as_json:
        layers = [vars(layer) for layer in described.layers]
        print_json({**_outline_json(described), "file_bytes": described.file_bytes, "layers": layers})
    else:
        tables.summary(described)


@app.command()
def recipes(
    name: Annotated[str | None, typer.Argument(help="Print this one as TOML, to copy.")] = None,
    keys: Annotated[bool, typer.Option("--keys", help="List every key, its default and its meaning.")] = False,
    as_json: Json = False,
) -> None:
    """List the recipes, or print one as TOML."""
    from alexnet.cli import tables
    from alexnet.recipes import recipe

    if keys:
        tables.recipe_keys(recipe.describe())
    elif name is not None:
        print(recipe.to_toml(recipe.load(name)), end="")
    else:
        loaded = [recipe.load(each) for each in recipe.names()]
        if as_json:
            print_json([{"name": r.name, "title": r.title, "model": r.model.name, "set": r.data.name} for r in loaded])
        else:
            tables.recipes(loaded)


@app.command()
def compare(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Folders of runs.")],
    out: Annotated[Path | None, typer.Option(help="Write a page with curves by epoch and by seconds.")] = None,
    as_json: Json = False,
) -> None:
    """Put runs beside each other: accuracy by epoch and by seconds, size, published against ours."""
    from alexnet.cli import tables
    from alexnet.insight import compare as side_by_side

    rows = side_by_side.compare(runs)
    if out is not None:
        side_by_side.write_comparison(runs, out)
    if as_json:
        print_json(rows)
    else:
        tables.comparison(side_by_side.HEAD, [side_by_side.line(row) for row in rows])
        if out is not None:
            print(f"page: {out}")


@app.command()
def verify(
    failures: Annotated[bool, typer.Option("--failures", help="Print only what is off.")] = False,
    as_json: Json = False,
) -> None:
    """Check every network, LRN form and count against its published source; exit 1 if anything is off."""
    from alexnet.cli import tables
    from alexnet.verify.check import verify as check_all

    line = tables.check_line(failures)
    checks = check_all(lambda check: None if as_json else line(check))
    wrong = sum(not check.passed for check in checks)
    if as_json:
        print_json([vars(check) for check in checks])
    else:
        print(f"{len(checks) - wrong} of {len(checks)} checks passed")
    if wrong:
        raise typer.Exit(1)


def _outline_json(summary: "Summary") -> dict[str, Any]:
    from alexnet.models.catalog import get

    spec = get(summary.name)
    return {
        "name": summary.name,
        "parameters": summary.parameters,
        "trainable_parameters": summary.trainable_parameters,
        "flops": summary.flops,
        "input": list(spec.input),
        "source": spec.source,
    }
