"""Which recipe trains one's own images where none is named: the one place that decides it.

    pretrained weights are on this machine, or --pretrained fetches them    recipes/folder-pretrained.toml
    otherwise, and with --from-scratch                                      recipes/folder.toml

Without --pretrained and --from-scratch, weights that are not here are fetched only if a person at a terminal says so.
Gray images are not mirrored: they are digits, letters or X-rays more often than photographs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from alexnet.artifacts.run import recipe_for
from alexnet.data.loading.decode import DecodeError, decode
from alexnet.data.public_sets import offline
from alexnet.data.readers.source import Labels
from alexnet.data.remote.address import is_url
from alexnet.data.sources import ANY_SIZE, list_images
from alexnet.errors import InputError, MissingData
from alexnet.experiments import sizes
from alexnet.recipes import recipe as recipes
from alexnet.recipes.schema import Recipe
from alexnet.training.finetune import anchored
from alexnet.training.reporter import Reporter
from alexnet.weights.public import FILES, fetch_public

PRETRAINED, SCRATCH = "folder-pretrained", "folder"
WEIGHTS = "torchvision"
_LOOKED_AT = 48  # images, spread over all of them


@dataclass(frozen=True)
class Start:
    """The recipe to train, with absolute paths, and what to tell of the choice."""

    recipe: Recipe
    remarks: tuple[str, ...] = ()


def start(
    recipe: str | Path | Recipe | None,
    data: Path | str | None,
    changes: Mapping[str, Any],
    pretrained: bool | None = None,
    reporter: Reporter | None = None,
) -> Start:
    """`recipe` with `changes`; none given: the one for the images at `data`, as this file's first lines say.

    pretrained: True: start from pretrained convolutions, which are fetched where they are missing; False: from scratch;
    None: from those that are on this machine, or that `reporter.confirm` agrees to fetch.
    Raises InputError for `pretrained` beside a recipe, weights or a network, and for a download that fails.
    """
    settings = dict(changes)
    if "data.labels" in settings:
        settings.setdefault("data.name", "table")
    name = recipe_for(data, settings) if recipe is None else recipe
    own = recipe is None and name == SCRATCH and not any(key.startswith("model.") for key in settings)
    if not own:
        if pretrained is not None:
            raise InputError(
                "starting from pretrained weights or from scratch is a choice for images of one's own (data) without a "
                "recipe, weights or model settings; a recipe decides that itself, with model.weights"
            )
        settings, remarks = sizes.scaled(name, settings)
        return _started(name, settings, remarks)
    assert data is not None  # without images the recipe is another one
    remarks = []
    if "augment.flip" not in settings and not is_url(data) and _gray(settings, Path(data)):
        settings["augment.flip"] = 0.0
        remarks.append("the images are gray: they are not mirrored (--set augment.flip=0.5 mirrors half of them)")
    if pretrained is not False:
        try:
            return _started(PRETRAINED, settings, remarks)
        except MissingData as missing:
            if pretrained or _wanted(reporter):
                fetch_public(WEIGHTS, progress=reporter.fetching if reporter else None)
                return _started(PRETRAINED, settings, remarks)
            remarks.append(f"training from scratch: {missing}; --pretrained fetches them and starts from them")
    return _started(SCRATCH, settings, remarks)


def _started(recipe: str | Path | Recipe, settings: Mapping[str, Any], remarks: Sequence[str]) -> Start:
    found = anchored(recipes.load(recipe, settings))
    return Start(found, (*remarks, *sizes.cut_away(found)))


def _wanted(reporter: Reporter | None) -> bool:
    public = FILES[WEIGHTS]
    question = (
        f"Pretrained weights usually train better on one's own images. Fetch {public.file} (244 MB, {public.license}) "
        f"from {public.url}?"
    )
    return reporter is not None and not offline() and reporter.confirm(question)


def _gray(settings: Mapping[str, Any], data: Path) -> bool:
    """Whether no image, of some that are spread over all of them, has a color."""
    name, labels = settings["data.name"], settings.get("data.labels")
    if name not in ANY_SIZE:
        return False
    try:
        said = Labels(Path(labels) if labels else None, settings.get("data.label_separator"))
        splits = list_images(name, data, said, several=True).splits.values()
    except InputError:  # packed, or not to be listed: whoever opens it says what is wrong
        return False
    found = [(part, row) for part in splits for row in range(len(part.names))]
    seen = 0
    for part, row in found[:: max(len(found) // _LOOKED_AT, 1)]:
        try:
            image = decode(part.store.read(row), 3, (32, 32)).astype(np.int16)
        except DecodeError:
            continue
        seen += 1
        if np.ptp(image, axis=2).max() > 2:  # JPEG's rounding
            return False
    return seen > 0
