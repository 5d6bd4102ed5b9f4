"""What a report says of a run's network and its weights."""

from collections.abc import Mapping
from typing import Any

from alexnet.artifacts.card import RunCard
from alexnet.artifacts.run import Run, ended
from alexnet.insight.draw import draw, to_png
from alexnet.pages.document import Block, Facts, Picture
from alexnet.pages.text import Words, facts

NETWORK = {
    "name": "network",
    "source": "source",
    "parameters": "parameters",
    "flops": "FLOPs per image",
    "init": "initialization",
    "license": "license",
}
"""Fields of a card, and what a report calls them."""


def network(card: RunCard, words: Words) -> list[Block]:
    named: dict[str, Any] = {words(said): getattr(card, name) for name, said in NETWORK.items()}
    if origin := card.origin:
        about = words("{source}; license: {license}", source=origin.source, license=origin.license)
        named[words("pretrained weights")] = f"{origin.file}: {about}"
    shape = " × ".join(map(str, card.input))
    named[words("input")] = words("{shape} (channels × height × width)", shape=shape)
    named |= {words(f"preprocessing: {name}"): value for name, value in card.preprocessing.to_json().items()}
    for lrn in card.lrn:
        constants = ", ".join(f"{name} {value}" for name, value in lrn.to_json().items() if name != "layer")
        named[f"LRN {lrn.layer}"] = constants
    return facts_of(named)


def environment(card: RunCard, words: Words) -> list[Block]:
    numeric = {"precision": "training precision"}  # 'precision' alone is that of a class
    named = {words(numeric.get(name, name)): value for name, value in card.environment.to_json().items()}
    return facts_of(named | {words("seed"): str(card.seed)})


def weights(card: RunCard, chosen: str, words: Words) -> list[Block]:
    digests = {f"{name}.safetensors": f"sha256 {digest}" for name, digest in card.sha256.items()}
    return facts_of({words("best.safetensors holds"): chosen} | digests)


def facts_of(named: Mapping[str, Any]) -> list[Block]:
    items = facts(named)
    return [Facts(items)] if items else []


def drawing(card: RunCard, words: Words) -> list[Block]:
    made = draw(card.name, len(card.classes), card.input)
    return [Picture(made.to_svg().encode(), words("Drawing of the layers"), raster=to_png(made))]


def unfinished(run: Run, card: RunCard | None, words: Words) -> list[str]:
    if card is None or ended(run, run.recipe):
        return []
    return [
        words(
            "Epoch {done} of {epochs}: this run is under way or was interrupted; alexnet train --resume --out {run} "
            "goes on.",
            done=len(run.metrics),
            epochs=run.recipe.train.epochs,
            run=run.path.name,
        )
    ]
