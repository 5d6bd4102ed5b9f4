"""Images to try, the nearest of an index, and what a broken constant does: what the page shows beside the answer."""

import base64
import io
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import Any

import numpy as np
from PIL import Image

from alexnet.data.loading import decode
from alexnet.errors import InputError
from alexnet.export.agree import samples
from alexnet.inference.images import Images, of_arrays, open_images
from alexnet.inference.model import Model
from alexnet.inference.opening import open_model
from alexnet.insight.similar import Index
from alexnet.insight.what_if import what_if
from alexnet.preprocessing import Preprocessing
from alexnet.serving.engine import Engine

SAMPLES = 8


class Neighbors:
    """An index (`alexnet features`, `alexnet similar --index`) of a model, and its images where they are given."""

    def __init__(self, model: Path | str, index: Path, data: Sequence[Path] = (), layer: str | None = None) -> None:
        """Raises InputError where the index is not the model's. Without `data` only names and distances are known."""
        self.index = Index.load(index, open_model(model, several=True), layer)
        self._images: Images | None = open_images(list(data)) if data else None
        self._rows = {name: row for row, name in enumerate(self._images.names)} if self._images else {}

    def nearest(self, engine: Engine, content: bytes, count: int) -> list[dict[str, Any]]:
        """The `count` nearest, nearest first: name (as the index has it), label, distance, and the image as a PNG."""
        found = self.index.similar(of_arrays([whole(engine, content)]), count)[0]
        return [
            {"name": _shareable(near.name), "label": near.label, "distance": near.distance}
            | self._shown(near.name, engine.model.preprocessing)
            for near in found
        ]

    def _shown(self, name: str, wants: Preprocessing) -> dict[str, str]:
        if self._images is None or name not in self._rows:
            return {}
        try:
            return {"image": as_png(self._images.read(self._rows[name], wants)[0])}
        except InputError:  # it was removed or changed since: its name is all there is
            return {}


def _shareable(name: str) -> str:
    """An image's name, such as cat/001.jpg; of one that is a path to elsewhere, its file's alone."""
    path = PurePath(name)
    return path.name if path.is_absolute() or path.parts[:1] in (("..",), ("~",)) else name


def whole(engine: Engine, content: bytes) -> np.ndarray:
    """An encoded image at its own size, uint8 H×W×C. Raises what `Engine.decoded` raises."""
    engine.decoded(content)
    return decode.decode(content, 1 if engine.model.preprocessing.colors == "L" else 3)


def broken(engine: Engine, content: bytes, changes: str, top: int) -> dict[str, Any]:
    """`insight.what_if` of an image: `changes` separated by ';', '' for the usual mistakes."""
    chosen = [each.strip() for each in changes.split(";") if each.strip()]
    found = what_if(engine.model, whole(engine, content), chosen, top)
    return {"label": found.label, **found.to_json()}


def to_try(model: Model) -> list[str]:
    """A few images of the model's own test or validation split as PNGs; none where they are not at hand."""
    found = samples(model, None, SAMPLES)
    return [as_png(image) for image in found.images] if found.origin == "real" else []


def as_png(image: np.ndarray) -> str:
    """uint8 H×W×C as a data URL."""
    file = io.BytesIO()
    Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image).save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
