"""Weights under other frameworks' names and in their layouts."""

import io

import numpy as np
import torch
from torch import Tensor, nn

from alexnet.errors import InputError
from alexnet.inference.model import Model
from alexnet.models.network import Network
from alexnet.models.structure import Shape, numbered

# https://github.com/pytorch/vision, torchvision/models/alexnet.py: the places of the layers with weights in its rows.
TORCHVISION = {
    "conv1": "features.0",
    "conv2": "features.3",
    "conv3": "features.6",
    "conv4": "features.8",
    "conv5": "features.10",
    "fc6": "classifier.1",
    "fc7": "classifier.4",
    "fc8": "classifier.6",
}
_IS_TORCHVISIONS = ("alexnet-owt", "alexnet-two-class")


def torchvision(model: Model) -> bytes:
    """A state dict that torchvision's `alexnet(num_classes=…)` loads strictly, as torch.save writes it.

    Raises InputError for another network than torchvision's, or one for other than 3 channels.
    """
    name, channels = model.card.name, model.card.input[0]
    if name not in _IS_TORCHVISIONS:
        raise InputError(
            f"{name} is not torchvision's network; these can be exported so: {', '.join(_IS_TORCHVISIONS)}"
        )
    if channels != 3:
        raise InputError(f"torchvision's alexnet takes 3 channels; this {name} takes {channels}")
    state: dict[str, Tensor] = {}
    for key, tensor in model.module.state_dict().items():
        layer, kind = key.split(".")
        state[f"{TORCHVISION[layer]}.{kind}"] = tensor.contiguous().clone()
    content = io.BytesIO()
    torch.save(state, content)
    return content.getvalue()


def keras(model: Model) -> bytes:
    """An .h5 that a Keras network with our layer names (conv1 … fc8, bn1 …) reads with load_weights(…, by_name=True).

    Raises InputError for a network that is no sequential network: Keras has no names for its parts.
    """
    import h5py

    if not isinstance(model.module, Network) or not model.module.layers:
        raise InputError(f"{model.card.name} is no sequential network; as .h5 only the AlexNets can be exported")
    layers = keras_weights(model.module)
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        # The form of Keras 2, which Keras 3 calls legacy: a group per layer, and lists of names as attributes.
        file.attrs["layer_names"] = [name.encode() for name in layers]
        file.attrs["backend"] = b"tensorflow"
        file.attrs["data_format"] = b"channels_last"  # Keras does not ask; our own reader does
        file.attrs["keras_version"] = b"2.15.0"
        for name, weights in layers.items():
            group = file.create_group(name)
            group.attrs["weight_names"] = [f"{name}/{kind}:0".encode() for kind in weights]
            for kind, value in weights.items():
                group.create_dataset(f"{name}/{kind}:0", data=value)
    return content.getvalue()


def keras_weights(network: Network) -> dict[str, dict[str, np.ndarray]]:
    """Each layer's weights in Keras's order, names and layout, float32.

    A convolution's kernel is height × width × in/groups × out, a dense layer's in × out; the first dense layer sees
    its input flattened height × width × channels there, channels × height × width here.
    """
    flat: Shape = ()
    found: dict[str, dict[str, np.ndarray]] = {}
    for name, _, shape in numbered(network.layers, network.input, network.classes):
        part = network.get_submodule(name)
        if isinstance(part, nn.Flatten):
            flat = shape
        elif isinstance(part, nn.Conv2d):
            found[name] = {"kernel": _array(part.weight.permute(2, 3, 1, 0)), **_bias(part)}
        elif isinstance(part, nn.Linear):
            weight = part.weight
            if flat:
                weight, flat = weight.unflatten(1, flat).permute(0, 2, 3, 1).flatten(1), ()
            found[name] = {"kernel": _array(weight.T), **_bias(part)}
        elif isinstance(part, nn.BatchNorm2d):
            assert part.running_mean is not None
            assert part.running_var is not None
            found[name] = {
                "gamma": _array(part.weight),
                "beta": _array(part.bias),
                "moving_mean": _array(part.running_mean),
                "moving_variance": _array(part.running_var),
            }
    return found


def _bias(part: nn.Conv2d | nn.Linear) -> dict[str, np.ndarray]:
    return {} if part.bias is None else {"bias": _array(part.bias)}


def _array(tensor: Tensor) -> np.ndarray:
    return np.ascontiguousarray(tensor.detach().cpu().numpy())
