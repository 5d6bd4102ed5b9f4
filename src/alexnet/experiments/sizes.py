"""The size at which images are stored beside the size that the network takes: the rest is cut away."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from alexnet.errors import InputError
from alexnet.models import catalog
from alexnet.recipes import recipe as recipes
from alexnet.recipes.schema import Recipe

_SEEN = 0.5  # of the short side, below which it is said: crops of 224 from 256 show .875


def scaled(recipe: str | Path | Recipe, settings: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """`settings` with `data.resize` in proportion where they choose a network of another size than the recipe's, and
    the line that tells it. A recipe for 227 pixels would cut 8 × 8 out of the middle of 256."""
    name, changes = settings.get("model.name"), dict(settings)
    own = recipes.load(recipe)
    if not isinstance(name, str) or "data.resize" in settings or own.data.resize is None:
        return changes, []
    side, wanted = _side(own.model.name), _side(name)
    if side is None or wanted is None or side == wanted:
        return changes, []
    changes["data.resize"] = max(wanted, round(own.data.resize * wanted / side))
    return changes, [
        f"data.resize is {changes['data.resize']}, not the recipe's {own.data.resize}: {name} takes images of "
        f"{wanted} pixels, {own.model.name} of {side}"
    ]


def cut_away(recipe: Recipe) -> list[str]:
    """A line where the network sees less than half of an image's short side."""
    side, resize = _side(recipe.model.name), recipe.data.resize or 0
    if side is None or side >= _SEEN * resize:
        return []
    return [
        f"images are resized to {resize} pixels (data.resize) and cut to {side}: {recipe.model.name} sees "
        f"{side / resize:.0%} of their height and width"
    ]


def _side(network: str) -> int | None:
    """The short side of a network's input, in pixels."""
    try:
        return min(catalog.get(network).input[1:])
    except InputError:  # whoever builds it says what is wrong
        return None
