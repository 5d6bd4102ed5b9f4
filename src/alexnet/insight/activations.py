"""What each layer makes of one image: its maps, their shapes, sparsity and ranges."""

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from matplotlib import colormaps

from alexnet.device import own_settings
from alexnet.inference.features import network_of
from alexnet.inference.model import Model
from alexnet.insight import view as views
from alexnet.models import aliases
from alexnet.models.mode import evaluating
from alexnet.models.network import Network

SHOWN = 16
"""Maps of a layer in the picture: those of the largest mean."""


@dataclass(frozen=True)
class LayerView:
    """One layer's answer to an image."""

    layer: str
    shape: tuple[int, ...]
    zeros: float
    """The share of exact zeros: after a ReLU, its silent units."""
    low: float
    high: float
    mean: float

    def to_json(self) -> dict[str, object]:
        return asdict(self)


def stages(network: Network) -> list[str]:
    """conv1 … the logits: the convolutions (of residual networks the stages) and the fully-connected layers."""
    weighted = {name.partition(":")[0] for name in aliases.names(network.layer_names) if ":" in name}
    return [name for name in network.layer_names if name in weighted or name.startswith("stage") or name == "fc"]


@own_settings()
def look(model: Model, image: Path | str | np.ndarray) -> tuple[views.View, list[LayerView], dict[str, np.ndarray]]:
    """The image, and for conv1 … the logits what is measured of each layer, and its activations (float32 C×h×w or C).

    Convolutions and hidden layers are seen after their non-linearity.
    """
    network = network_of(model)
    seen = views.view(model, image)
    with torch.inference_mode(), evaluating(network):
        taps = network.tap(seen.x, stages(network))
    values = {name: tap[0].float().cpu().numpy() for name, tap in taps.items()}
    rows = [
        LayerView(name, each.shape, float((each == 0).mean()), float(each.min()), float(each.max()), float(each.mean()))
        for name, each in values.items()
    ]
    return seen, rows, values


def draw(
    model: Model, seen: views.View, rows: list[LayerView], values: dict[str, np.ndarray], out: Path, title: str
) -> None:
    """The image, then each layer's strongest maps as a mosaic, and of each fully-connected layer its units in order."""
    columns = 3
    figure, axes = views.panels(-(-(1 + len(rows)) // columns), columns, title, 2.4, 2.4)
    axes[0].imshow(views.rgb(seen.pixels), interpolation="nearest")
    views.label(axes[0], f"input {' × '.join(map(str, model.preprocessing.size))}")
    for panel, row in zip(axes[1:], rows, strict=False):
        panel.imshow(_picture(values[row.layer]), interpolation="nearest")
        views.label(
            panel,
            f"{row.layer}  {' × '.join(map(str, row.shape))}",
            f"{row.zeros:.0%} zeros, {row.low:.3g} to {row.high:.3g}",
        )
    views.write(figure, out)


def _picture(values: np.ndarray) -> np.ndarray:
    """uint8 H×W×3."""
    if values.ndim == 1:
        side = int(np.ceil(np.sqrt(len(values))))
        square = np.full(side * side, np.nan, np.float32)
        square[: len(values)] = values
        return _colored(square.reshape(side, side))
    strongest = np.argsort(-values.mean((1, 2)), kind="stable")[:SHOWN]
    return views.mosaic([_colored(values[each]) for each in strongest], gap=max(1, values.shape[1] // 24))


def _colored(values: np.ndarray) -> np.ndarray:
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    share = (values - min(low, 0.0)) / max(high - min(low, 0.0), 1e-12)
    colors = colormaps["magma"](np.nan_to_num(share))[..., :3]
    colors[np.isnan(values)] = 1
    return np.rint(255 * colors).astype(np.uint8)
