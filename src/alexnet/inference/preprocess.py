"""Preprocessings by name: published features of the same network differ by them."""

from alexnet import arguments
from alexnet.errors import InputError
from alexnet.inference.model import Model
from alexnet.preprocessing import Preprocessing

_IMAGENET = {"colors": "RGB", "scale": 1 / 255, "mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
CHOICES = {
    "own": "as the weights' card says",
    "thingsvision": "short side to 256, center crop, 0–1 less ImageNet's mean over its std",
    "brainscore": "squashed to the input's size, 0–1 less ImageNet's mean over its std",
    "caffe": "squashed to 256, center crop, BGR 0–255 less the mean image, or its mean color",
}
"""thingsvision: thingsvision/core/extraction/torch.py, get_default_transformation; brainscore:
brainscore_vision/model_helpers/activations/pytorch.py, torchvision_preprocess_input; caffe: models/bvlc_alexnet."""


def preprocessing_for(model: Model, choice: str = "own") -> Preprocessing:
    """The preprocessing called `choice`, at the network's own input size. InputError for another name, and where a
    network takes gray images, for which only its own is published."""
    own = model.preprocessing
    arguments.choice("preprocessing", choice, CHOICES)
    if choice == "own":
        return own
    if own.channels != 3:
        raise InputError(f"preprocessing {choice!r} is for color images; {model.card.name} takes gray ones: use own")
    # 256 is published for inputs of 224 and 227 pixels; the same share is kept for other sizes.
    size, side = own.size, min(own.size)
    resize = 256 if 224 <= side <= 256 else round(side * 256 / 224)
    if choice == "thingsvision":
        return Preprocessing(size, resize=resize, **_IMAGENET)
    if choice == "brainscore":
        return Preprocessing(size, fit="squash", **_IMAGENET)
    usual = own.colors == "BGR" and own.scale == 1
    image = own.mean_image if usual and (not own.mean_by_place or own.resize == resize) else None
    return Preprocessing(
        size, resize=resize, fit="squash", colors="BGR", scale=1.0, mean=(104.0, 117.0, 123.0), mean_image=image
    )


def mismatch(model: Model, chosen: Preprocessing) -> str | None:
    """One line when `chosen` gives the network other colors or ranges than its weights were trained with."""
    own = model.preprocessing
    parts = []
    if chosen.colors != own.colors:
        parts.append(f"{chosen.colors} for {own.colors}")
    if chosen.scale / min(chosen.std) > 4 * own.scale / min(own.std) or chosen.scale / min(chosen.std) < (
        0.25 * own.scale / min(own.std)
    ):
        parts.append(f"a range of {255 * chosen.scale / min(chosen.std):.3g} for {255 * own.scale / min(own.std):.3g}")
    return f"{model.card.name} was trained with another preprocessing: {', '.join(parts)}" if parts else None
