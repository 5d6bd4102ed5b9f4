"""`alexnet recipes`."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from alexnet.cli.options import Json
from alexnet.cli.screen import print_json, say, table

if TYPE_CHECKING:
    from alexnet.recipes.schema import Recipe


def recipes(
    name: Annotated[str | None, typer.Argument(help="A recipe to print as TOML.")] = None,
    keys: Annotated[bool, typer.Option("--keys", help="List every recipe key with its default and meaning.")] = False,
    as_json: Json = False,
) -> None:
    """List the recipes, or print one as TOML."""
    from alexnet.recipes import recipe

    if keys:
        _keys(recipe.describe())
    elif name is not None:
        say(recipe.to_toml(recipe.load(name)), end="")
    else:
        loaded = [recipe.load(each) for each in recipe.names()]
        if as_json:
            print_json([{"name": r.name, "title": r.title, "model": r.model.name, "set": r.data.name} for r in loaded])
        else:
            _recipes(loaded)


def _recipes(loaded: "Sequence[Recipe]") -> None:
    table(
        ("recipe", "network", "images", "epochs>", "what it is for"),
        ((each.name, each.model.name, each.data.name, each.train.epochs, each.title) for each in loaded),
    )


def _keys(rows: Sequence[tuple[str, Any, str]]) -> None:
    lines = ((name, "none" if default is None else repr(default), about) for name, default, about in rows)
    table(("key", "default", "meaning"), lines)
