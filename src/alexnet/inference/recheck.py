"""Whether the features of a file are those of a model and of images: a few rows computed again."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from alexnet.artifacts import store
from alexnet.artifacts.card import lrn_constants
from alexnet.device import own_settings
from alexnet.errors import InputError
from alexnet.inference import rows as row_transforms
from alexnet.inference.feature_read import read
from alexnet.inference.feature_table import Features
from alexnet.inference.features import Wanted, run, want
from alexnet.inference.images import Images
from alexnet.inference.opening import Opened
from alexnet.inference.rows import Transform
from alexnet.preprocessing import Preprocessing

BOUND = 1e-4
"""The most that a row may differ, in lengths of the row. The batch size moved fc7 of alexnet-owt by at most 2.1e-6 at a
largest value of 2.4, and conv5 not at all (fp32, 64 images in batches of 1 to 32, AVX2)."""


@dataclass(frozen=True)
class Rechecked:
    names: tuple[str, ...]
    """The images that were computed again."""
    differences: dict[str, float]
    """By layer: the largest distance of a row to the row in the file, in lengths of that row."""
    changed: tuple[str, ...]
    """Of `names`, images whose content is no longer what the file records."""

    @property
    def agree(self) -> bool:
        return not self.changed and all(each <= BOUND for each in self.differences.values())

    def to_json(self) -> dict[str, Any]:
        return {
            "agree": self.agree,
            "rows": list(self.names),
            "largest_difference": self.differences,
            "bound": BOUND,
            "changed_images": list(self.changed),
        }


@own_settings()
def recheck(opened: Opened, images: Images, path: Path | str, count: int = 8, seed: int = 0) -> Rechecked:
    """Computes `count` rows of the feature file again, drawn by `seed`.

    InputError when the file has no provenance, its numbers do not fit their recorded SHA-256, or the network, its
    weights or its LRN constants are not those that it records, and when an image is not among `images`.
    """
    found = read(path)
    said = found.provenance
    if not said or not found.names or "layers" not in said or "preprocessing" not in said:
        raise InputError(f"{str(path)!r} does not say where its features come from, so they cannot be checked")
    found.verify()
    same_model(opened, said, found)
    place = {name: row for row, name in enumerate(images.names)}
    chosen = np.sort(np.random.default_rng(seed).permutation(len(found.names))[:count])
    names = [found.names[row] for row in chosen]
    for name in names:
        if name not in place:
            raise InputError(f"{str(path)!r} has features of {name!r}, which is not among the images given")
    wanted = wanted_of(opened, said, found)
    transform, arrays = transform_of(said, found)
    again: dict[str, list[np.ndarray]] = {layer: [] for layer in wanted.layers}
    changed = []
    for chunk in run(opened.model, images.subset([place[name] for name in names]), wanted):
        if chunk.failed:
            raise InputError(chunk.failed[0][1])
        for row, digest in zip(chunk.good, chunk.digests, strict=True):
            if found.digests and found.digests[chosen[row]] != digest.hex():
                changed.append(names[row])
        for layer, values in chunk.layers.items():
            own = {n.rpartition("/")[2]: array for n, array in arrays.items() if n.rpartition("/")[0] == layer}
            again[layer].append(row_transforms.apply(values, transform, own))
    return Rechecked(
        tuple(names),
        {layer: _distance(np.concatenate(parts), found.layers[layer][chosen]) for layer, parts in again.items()},
        tuple(changed),
    )


def _distance(ours: np.ndarray, theirs: np.ndarray) -> float:
    ours, theirs = ours.reshape(len(ours), -1), np.asarray(theirs, np.float32).reshape(len(theirs), -1)
    length = np.maximum(np.linalg.norm(theirs, axis=1), 1e-12)
    return float((np.linalg.norm(ours - theirs, axis=1) / length).max())


def same_model(opened: Opened, said: Mapping[str, Any], found: Features) -> None:
    card = opened.model.card
    if said.get("network") != card.name:
        raise InputError(f"{str(found.path)!r} holds features of {said.get('network')}, not of {card.name}")
    theirs, ours = said.get("weights"), opened.weights
    theirs = theirs if isinstance(theirs, dict) else {}
    if theirs.get("sha256") != ours.get("sha256") or theirs.get("initialized") != ours.get("initialized"):
        short = [
            str(each.get("sha256") or f"initialized by seed {each.get('initialized')}")[:24] for each in (theirs, ours)
        ]
        raise InputError(f"{str(found.path)!r} was made with other weights ({short[0]}) than the model's ({short[1]})")
    lrn = json.loads(json.dumps(lrn_constants(opened.model.module)))
    if said.get("lrn") != lrn:
        raise InputError(f"{str(found.path)!r} was made with other LRN constants ({said.get('lrn')}) than {lrn}")


def wanted_of(opened: Opened, said: Mapping[str, Any], found: Features) -> Wanted:
    try:
        own = opened.model.preprocessing.mean_image
        image = own if said["preprocessing"].get("mean_image") else None
        preprocessing = Preprocessing.from_json(dict(said["preprocessing"]), image)
        wanted = want(opened.model, list(said["layers"]), pool=said["pool"], precision=said["precision"])
        return Wanted(wanted.layers, wanted.taps, preprocessing, said["pool"], bool(said["flatten"]), said["precision"])
    except (TypeError, KeyError, AttributeError, ValueError) as error:
        raise InputError(f"the provenance of {str(found.path)!r} is not of this version: {error}") from None


def transform_of(said: Mapping[str, Any], found: Features) -> tuple[Transform, dict[str, np.ndarray]]:
    """What was done to the rows after the network, and its arrays, which lie beside the features."""
    try:
        transform = Transform(**{key: said["transform"][key] for key in ("center", "pca", "l2")})
    except (TypeError, KeyError, AttributeError) as error:
        raise InputError(f"the provenance of {str(found.path)!r} is not of this version: {error}") from None
    if not transform.center and not transform.pca:
        return transform, {}
    path = row_transforms.beside(found.path)
    if not path.is_file():
        raise InputError(f"{str(found.path)!r} was centered; its means, {path.name}, must lie beside it")
    return transform, {name: value.float().numpy() for name, value in store.load_tensors(path).items()}
