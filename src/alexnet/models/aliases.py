"""Layer names that other programs use, and what they mean there.

torchvision: `features.10` is the fifth convolution's own output, `features.11` what its ReLU makes of it
(torchvision/models/alexnet.py). Caffe: its ReLUs work in place, so that the blobs `conv5` and `fc7` are what leaves
them (models/bvlc_alexnet/train_val.prototxt), and the names are ours already. Keras: the layers of alexnet_weights.h5
(https://github.com/heuritech/convnets-keras, convnetskeras/convnets.py) contain their activation; `dense_3` gives the
logits.
"""

import re
from collections.abc import Sequence

from alexnet.errors import InputError

# Several: the first that a network has. `poolN` stands for what leaves the Nth block's pool and non-linearity.
CONVOLUTIONS: dict[str, tuple[str, ...]] = {
    "features.0": ("conv1:pre",),
    "features.1": ("conv1",),
    "features.2": ("pool1",),
    "features.3": ("conv2:pre",),
    "features.4": ("conv2",),
    "features.5": ("pool2",),
    "features.6": ("conv3:pre",),
    "features.7": ("conv3",),
    "features.8": ("conv4:pre",),
    "features.9": ("conv4",),
    "features.10": ("conv5:pre",),
    "features.11": ("conv5",),
    "features.12": ("pool5",),
    "avgpool": ("avgpool5", "pool5"),
    "conv_1": ("conv1",),
    "convpool_1": ("norm1",),
    "conv_2": ("conv2",),
    "conv_3": ("conv3",),
    "conv_4": ("conv4",),
    "conv_5": ("conv5",),
    "convpool_5": ("pool5",),
}
HIDDEN: dict[str, tuple[str, ...]] = {
    "classifier.0": ("drop5", "avgpool5", "pool5"),
    "classifier.1": ("fc6:pre",),
    "classifier.2": ("fc6",),
    "classifier.3": ("drop6", "fc6"),
    "classifier.4": ("fc7:pre",),
    "classifier.5": ("fc7",),
    "classifier.6": ("fc8",),
    "dense_1": ("fc6",),
    "dense_2": ("fc7",),
    "dense_3": ("fc8",),
}


def resolve(layer_names: Sequence[str], name: str) -> str:
    """The tap ('conv5', 'conv5:pre', 'pool5', …) of a network with these layers that `name` means.

    `name` is a tap itself, or a name of torchvision, Caffe or Keras. Those hold for networks of AlexNet's plan alone:
    five convolutions, and for the fully-connected layers fc6 to fc8. InputError for any other name; it lists the taps.
    """
    taps = names(layer_names)
    if name in taps:
        return name
    for found in _aliases(layer_names).get(name, ()):
        number = re.fullmatch(r"pool(\d)", found)
        if number and _pools_first(layer_names, number[1]):
            found = f"conv{number[1]}"  # what its ReLU, which stands after the pool, gives
        if found in taps:
            return found
    more = " (or torchvision's or Keras's name for it)" if _aliases(layer_names) else ""
    plain = name.replace("_", "").replace("-", "").casefold()
    near = next((each for each in taps if each.casefold() == plain), None)  # conv5 is as near to conv6 as conv4
    hint = f"did you mean {near}? Choose" if near else "choose"
    raise InputError(f"unknown layer {name!r}; {hint} one of: {', '.join(taps)}{more}")


def names(layer_names: Sequence[str]) -> list[str]:
    """Every tap of a network with these layers."""
    weighted = [name for name in layer_names if re.fullmatch(r"(conv|fc)\d+", name)]
    return [*layer_names, *(f"{name}:pre" for name in weighted)]


def own(layer_names: Sequence[str], layer: str) -> str:
    """The tap that is a layer's own output: 'conv1:pre' where 'conv1' is what the non-linearity behind it gives."""
    number = re.fullmatch(r"(?:conv|fc)(\d+)", layer)
    after = number and any(f"{kind}{number[1]}" in layer_names for kind in ("relu", "tanh"))
    return f"{layer}:pre" if after else layer


def _aliases(layer_names: Sequence[str]) -> dict[str, tuple[str, ...]]:
    numbers = {kind: [n for n in layer_names if re.fullmatch(rf"{kind}\d+", n)] for kind in ("conv", "fc")}
    if numbers["conv"] != [f"conv{n}" for n in range(1, 6)]:
        return {}
    return CONVOLUTIONS | (HIDDEN if numbers["fc"] == ["fc6", "fc7", "fc8"] else {})


def _pools_first(layer_names: Sequence[str], number: str) -> bool:
    pool, relu = f"pool{number}", f"relu{number}"
    return pool in layer_names and relu in layer_names and layer_names.index(pool) < layer_names.index(relu)
