"""What if one constant were wrong? One image through a network as it is and with one thing changed.

Weights load all the same under wrong colors, ranges or constants, and merely answer worse: this shows what each such
mistake does to the prediction and to the features of every layer.
"""

import copy
import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from alexnet import arguments
from alexnet.data.dataset import NO_LABEL
from alexnet.device import own_settings
from alexnet.errors import InputError, unknown
from alexnet.inference.features import network_of
from alexnet.inference.model import Model
from alexnet.inference.predict import Prediction
from alexnet.insight.activations import stages
from alexnet.insight.view import View, view
from alexnet.models.layers import LocalResponseNorm
from alexnet.models.mode import evaluating
from alexnet.models.network import Network
from alexnet.preprocessing import Preprocessing

CHANGES = {
    "channels": "RGB or BGR: the order in which the network gets the colors; mean and std stay in their places",
    "mean": "what is subtracted: one number, or one per channel; no mean image",
    "std": "what is divided by: one number, or one per channel",
    "scale": "what pixels of 0 to 255 are multiplied by: a number, or 1/255",
    "fit": "crop or squash",
    "resize": "the short side in pixels before the crop",
    "lrn.alpha": "a number",
    "lrn.beta": "a number",
    "lrn.k": "a number",
    "lrn.size": "an odd number of channels",
    "lrn.divide": "true or false: whether alpha is divided by the size",
    "no-lrn": "without local response normalization",
    "pool": "mean, max, or a window's size in pixels; strides stay",
}
"""What can be changed, and to what. Several at once are joined by '+': channels=BGR+mean=0."""

MISTAKES = ("channels=BGR", "mean=0", "scale=1", "scale=1/255", "no-lrn", "lrn.alpha=1", "pool=mean")
"""What people get wrong most; those that a network allows are tried where nothing is named."""


@dataclass(frozen=True)
class Outcome:
    """What a network, changed or not, makes of the image."""

    change: str
    """'' for the network as it is."""
    input: Tensor
    """float32 1 × C × H × W."""
    predictions: tuple[Prediction, ...]
    """The likeliest classes first."""
    score: float
    """The probability of the class that the unchanged network finds likeliest."""
    cosines: dict[str, float | None]
    """By layer, the cosine of its features with the unchanged network's; None: its shape is another."""
    lengths: dict[str, float | None]
    """By layer, the length of its features over the unchanged network's."""
    labels: tuple[str, ...] | None = None
    """The labels that the image is given, likeliest first, by a model that may name several; None: one is named."""

    @property
    def answer(self) -> str:
        """In a line: the likeliest class, or all labels that are given."""
        return self.predictions[0].label if self.labels is None else ", ".join(self.labels) or NO_LABEL

    def to_json(self) -> dict[str, Any]:
        return {
            "change": self.change,
            "predictions": [dataclasses.asdict(each) for each in self.predictions],
            "score": self.score,
            "cosines": self.cosines,
            "lengths": self.lengths,
            **({} if self.labels is None else {"labels": list(self.labels)}),
        }


@dataclass(frozen=True)
class WhatIf:
    view: View
    before: Outcome
    after: tuple[Outcome, ...]
    """One for each change."""

    @property
    def label(self) -> str:
        """The class that the unchanged network finds likeliest."""
        return self.before.predictions[0].label

    def to_json(self) -> dict[str, Any]:
        return {"before": self.before.to_json(), "after": [each.to_json() for each in self.after]}


@own_settings()
def what_if(model: Model, image: Path | str | np.ndarray, changes: Sequence[str] = (), top: int = 5) -> WhatIf:
    """One image (a path, or uint8 height × width × channels) through `model` as it is and under each of `changes`.

    A change is KEY=VALUE (`CHANGES`), several at once joined by '+'; none: those of `MISTAKES` that apply. The model is
    left as it was. InputError for a change that there is not, or that this network cannot have.
    """
    network = network_of(model)
    changes, top = arguments.texts("changes", changes, "['channels=BGR', 'no-lrn']"), arguments.whole("top", top)
    chosen = list(dict.fromkeys(changes)) or _usual(model)
    changed = [(each, *changed_model(model, each)) for each in chosen]
    own, seen = _run(model, network, view(model, image).x, "as it is")
    before = _outcome("", model, view(model, image).x, own, seen, own, seen, top)
    after = []
    for name, other, how in changed:
        x = view(dataclasses.replace(model, preprocessing=how), image).x
        found, features = _run(model, other, x, name)
        after.append(_outcome(name, model, x, found, features, own, seen, top))
    return WhatIf(view(model, image), before, tuple(after))


def changed_model(model: Model, change: str) -> tuple[Network, Preprocessing]:
    """The network, which shares its weights with the model's, and the preprocessing under a change."""
    network, how = network_of(model), model.preprocessing
    for part in change.split("+"):
        key, equals, value = part.strip().partition("=")
        if key not in CHANGES:
            raise unknown("change", key, CHANGES)
        if bool(equals) == (key == "no-lrn"):
            raise InputError(f"{part!r} is no change: " + ("no-lrn takes no value" if equals else f"write {key}=VALUE"))
        value = value.strip()
        if key == "pool":
            network = _replaced(network, (nn.MaxPool2d, nn.AvgPool2d), lambda old, v=value: _pool(old, v), part)
        elif "lrn" in key:
            network = _replaced(network, (LocalResponseNorm,), lambda old, k=key, v=value: _norm(old, k, v), part)
        else:
            how = _preprocessing(how, key, value)
    return network, how


def _usual(model: Model) -> list[str]:
    """Those of MISTAKES that change something of this model."""
    found = []
    for change in MISTAKES:
        try:
            network, how = changed_model(model, change)
        except InputError:
            continue
        if network is not model.module or how != model.preprocessing:
            found.append(change)
    return found


def _preprocessing(how: Preprocessing, key: str, value: str) -> Preprocessing:
    if key == "channels":
        choices = ("RGB", "BGR") if how.channels == 3 else (how.colors,)
        if value not in choices:
            raise InputError(f"channels={value}: this network can take {' or '.join(choices)}")
        return dataclasses.replace(how, colors=value)
    if key == "fit":
        return dataclasses.replace(how, fit=value)
    if key == "resize":
        side = _whole(key, value, min(how.size), 4096)
        if how.mean_by_place:
            raise InputError("resize: this network's mean image is that of the stored images, whose size is fixed")
        return dataclasses.replace(how, resize=side)
    numbers = tuple(_number(key, each) for each in value.split(","))
    if key == "scale":
        if len(numbers) != 1 or numbers[0] <= 0:
            raise InputError(f"scale={value}: scale is one number above 0")
        return dataclasses.replace(how, scale=numbers[0])
    if key == "mean":
        return dataclasses.replace(how, mean=numbers, mean_image=None)
    return dataclasses.replace(how, std=numbers)


def _number(key: str, text: str) -> float:
    top, slash, bottom = text.partition("/")
    try:
        number = float(top) / (float(bottom) if slash else 1)
    except (ValueError, ZeroDivisionError):
        number = float("nan")
    if np.isnan(number):
        raise InputError(f"{key}={text}: not a number such as 0.5 or 1/255")
    if abs(number) > 1e9:
        raise InputError(f"{key}={text}: it must lie between -1e9 and 1e9")
    return number


def _whole(key: str, text: str, low: int, high: int) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 9 or not low <= int(text) <= high:
        raise InputError(f"{key}={text}: it must be a whole number from {low} to {high}")
    return int(text)


def _norm(old: nn.Module, key: str, value: str) -> nn.Module:
    if key == "no-lrn":
        return nn.Identity()
    assert isinstance(old, LocalResponseNorm)
    new, name = copy.copy(old), key.removeprefix("lrn.")
    if name == "divide":
        if value not in ("true", "false"):
            raise InputError(f"lrn.divide={value}: choose true or false")
        new.divide = value == "true"
    elif name == "size":
        new.size = _whole(key, value, 1, 4095)
        if new.size % 2 == 0:
            raise InputError(f"lrn.size={value}: the window is centered, so its size must be odd")
    else:
        number = _number(key, value)
        if number < 0:
            raise InputError(f"{key}={value}: it must not be below 0")
        setattr(new, name, number)
    return new


def _pool(old: nn.Module, value: str) -> nn.Module:
    assert isinstance(old, (nn.MaxPool2d, nn.AvgPool2d))
    kind: type[nn.MaxPool2d] | type[nn.AvgPool2d] = type(old)
    size, padding = old.kernel_size, old.padding
    if value in ("mean", "max"):
        kind = nn.AvgPool2d if value == "mean" else nn.MaxPool2d
    elif value.isdigit():
        size, padding = _whole("pool", value, 1, 64), 0
    else:
        raise InputError(f"pool={value}: choose mean, max, or a window's size in pixels")
    if kind is nn.AvgPool2d:
        return nn.AvgPool2d(size, old.stride, padding, old.ceil_mode, count_include_pad=False)
    return nn.MaxPool2d(size, old.stride, padding, ceil_mode=old.ceil_mode)


def _replaced(
    network: Network, kinds: tuple[type[nn.Module], ...], make: Callable[[nn.Module], nn.Module], change: str
) -> Network:
    """A network of the same modules but for those of these kinds."""
    parts = list(network.named_children())
    if not any(isinstance(part, kinds) for _, part in parts):
        raise InputError(f"{change}: this network has no such layer")
    made = [(name, make(part) if isinstance(part, kinds) else part) for name, part in parts]
    other = Network(made, network.input, network.classes, network.layers)
    other.spec = network.spec
    return other.train(network.training)


@torch.inference_mode()
def _run(model: Model, network: Network, x: Tensor, change: str) -> tuple[Tensor, dict[str, Tensor]]:
    """Probabilities, and the activations of each stage."""
    try:
        with evaluating(network):
            seen = network.tap(x, stages(network))
        found = model.probabilities(list(seen.values())[-1])
        if not found.isfinite().all():
            raise InputError(f"{change}: the outputs are not finite")
        return found[0].cpu(), {name: each[0].float().flatten().cpu() for name, each in seen.items()}
    except RuntimeError as error:
        if "shapes cannot be multiplied" not in str(error) and "too small" not in str(error):
            raise
        raise InputError(f"{change}: the layers behind it take maps of another size") from None


def _outcome(
    name: str,
    model: Model,
    x: Tensor,
    found: Tensor,
    features: dict[str, Tensor],
    own: Tensor,
    seen: dict[str, Tensor],
    top: int,
) -> Outcome:
    best = found.topk(min(top, len(found)))
    predictions = tuple(
        Prediction(model.classes[place], score)
        for score, place in zip(best.values.tolist(), best.indices.tolist(), strict=True)
    )
    cosines: dict[str, float | None] = {}
    lengths: dict[str, float | None] = {}
    for layer, values in features.items():
        same = values.shape == seen[layer].shape
        one, other = values.double(), seen[layer].double()
        both = float(one.norm() * other.norm())
        cosines[layer] = (float(one @ other) / both if both else 0.0) if same else None
        lengths[layer] = float(one.norm() / other.norm()) if same and other.any() else None
    labels = None
    if model.multilabel:
        given = found.numpy() >= model.thresholds
        labels = tuple(model.classes[place] for place in found.argsort(descending=True).tolist() if given[place])
    return Outcome(name, x, predictions, float(found[int(own.argmax())]), cosines, lengths, labels)
