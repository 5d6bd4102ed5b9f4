"""`alexnet explain`: the most likely classes beside each other, each with the map of what speaks for it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from matplotlib import colormaps

from alexnet.device import own_settings
from alexnet.errors import InputError
from alexnet.inference.features import network_of
from alexnet.inference.model import Model
from alexnet.insight import view as views
from alexnet.insight.explain import METHODS, PIXELWISE, SIGNED, explain
from alexnet.insight.view import View
from alexnet.models.mode import evaluating

TITLES = {
    "gradcam": "Grad-CAM",
    "layercam": "LayerCAM",
    "guided": "guided backpropagation",
    "smoothgrad": "SmoothGrad",
    "ig": "integrated gradients",
    "occlusion": "occlusion",
}


@dataclass(frozen=True)
class Explained:
    """The maps of some classes of one image."""

    view: View
    classes: tuple[int, ...]
    names: tuple[str, ...]
    probabilities: tuple[float, ...]
    methods: tuple[str, ...]
    maps: dict[tuple[str, int], np.ndarray]
    """(method, class) → float32 H×W."""

    def to_json(self) -> dict[str, object]:
        """For each class and method where the map is strongest, and the box that holds the pixels above half of it."""
        return {
            "classes": [
                {
                    "label": name,
                    "score": probability,
                    "maps": {method: _figures(self.maps[method, number]) for method in self.methods},
                }
                for number, name, probability in zip(self.classes, self.names, self.probabilities, strict=True)
            ]
        }


@own_settings()
def explain_image(
    model: Model,
    image: Path | str | np.ndarray,
    methods: Sequence[str] = ("gradcam",),
    top: int = 3,
    classes: Sequence[str] = (),
    layer: str | None = None,
) -> Explained:
    """The maps of the `top` most likely classes, or of those named. InputError for a class that the model lacks."""
    network = network_of(model)
    unknown_class = next((name for name in classes if name not in model.classes), None)
    if unknown_class is not None:
        some = ", ".join(model.classes[:12]) + (", …" if len(model.classes) > 12 else "")
        raise InputError(f"unknown class {unknown_class!r}; the model knows: {some}")
    if layer is not None and not any("cam" in method for method in methods):
        raise InputError(f"a layer is for gradcam and layercam, not for {', '.join(methods)}")
    methods = tuple(dict.fromkeys(methods))
    seen = views.view(model, image)
    with torch.no_grad(), evaluating(network):
        probabilities = model.probabilities(network(seen.x))[0].cpu()
    order = probabilities.topk(min(top, len(model.classes))).indices.tolist()
    chosen = [model.classes.index(name) for name in dict.fromkeys(classes)] or order
    maps = {
        (method, number): explain(network, seen.x, number, method, layer if "cam" in method else None).numpy()
        for method in methods
        for number in chosen
    }
    names = tuple(model.classes[number] for number in chosen)
    likely = tuple(float(probabilities[number]) for number in chosen)
    return Explained(seen, tuple(chosen), names, likely, tuple(methods), maps)


def draw(found: Explained, out: Path | str, title: str = "") -> None:
    """A row for each method: the image, then each class's map over it. Maps share a row's scale, which ends at the
    99.5th percentile for gradients of single pixels."""
    figure, axes = views.panels(len(found.methods), 1 + len(found.classes), title)
    places = iter(axes)
    for method in found.methods:
        first = next(places)
        first.imshow(views.rgb(found.view.pixels), interpolation="nearest")
        views.label(first, TITLES[method])
        # A few pixels of a gradient are far above all others, and would leave the map black.
        share = 0.995 if method in PIXELWISE else 1.0
        strongest = max(float(np.quantile(np.abs(found.maps[method, number]), share)) for number in found.classes)
        for number, name, probability in zip(found.classes, found.names, found.probabilities, strict=True):
            panel = next(places)
            panel.imshow(overlay(found.view.pixels, found.maps[method, number], strongest, method in SIGNED))
            views.label(panel, f"{name} · {probability:.1%}")
    views.write(figure, out)


def overlay(pixels: np.ndarray, heat: np.ndarray, strongest: float, signed: bool) -> np.ndarray:
    """uint8 H×W×3: the image in gray under its map; the stronger, the more color. Signed: blue speaks against."""
    gray = (views.rgb(pixels).astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)) / 255
    base = np.repeat((0.15 + 0.85 * gray)[:, :, None], 3, 2)
    share = np.clip(heat / max(strongest, 1e-12), -1, 1)
    if signed:
        color = colormaps["RdBu_r"](0.5 + 0.5 * share)[:, :, :3]
        weight = np.abs(share) ** 0.6
    else:
        color = colormaps["inferno"](0.15 + 0.85 * np.clip(share, 0, 1))[:, :, :3]
        weight = np.clip(share, 0, 1) ** 0.7
    weight = (0.85 * weight)[:, :, None]
    return np.rint(255 * ((1 - weight) * base + weight * color)).clip(0, 255).astype(np.uint8)


def _figures(heat: np.ndarray) -> dict[str, object]:
    strength = np.abs(heat)
    row, column = divmod(int(strength.argmax()), heat.shape[1])
    rows, columns = np.nonzero(strength >= 0.5 * max(float(strength.max()), 1e-12))
    box = [int(rows.min()), int(columns.min()), int(rows.max()) + 1, int(columns.max()) + 1] if len(rows) else None
    return {"peak": [row, column], "box": box, "sum": float(heat.sum()), "max": float(heat.max())}


ALL = tuple(METHODS)
