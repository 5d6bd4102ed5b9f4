"""Activations of any layers, for any images, in one pass."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from alexnet import arguments
from alexnet.artifacts import card as cards
from alexnet.data.dataset import Dataset
from alexnet.data.loading.decode import DecodeError
from alexnet.data.transforms.augment import Augmenter
from alexnet.device import autocast, own_settings
from alexnet.errors import InputError
from alexnet.inference.images import Images, batches, check_image, of_arrays, of_dataset, of_files, several
from alexnet.inference.model import Model, check_model
from alexnet.inference.preprocess import preprocessing_for
from alexnet.inference.runtimes import chosen_for, tapped
from alexnet.models import aliases, quick
from alexnet.models.mode import evaluating
from alexnet.models.network import Network
from alexnet.preprocessing import Preprocessing

BATCH = 64
POOLS = ("none", "mean", "max")

AnyImages = Dataset | Images | Sequence[Path | str | np.ndarray]
"""What Python passes as images."""


@dataclass(frozen=True)
class Wanted:
    """What is to be taken from a network; equal for equal features."""

    layers: tuple[str, ...]
    """As asked for: our names, or another library's."""
    taps: tuple[str, ...]
    """The taps that they mean."""
    preprocessing: Preprocessing
    pool: str = "none"
    """Over the places of a map: none, mean or max."""
    flatten: bool = False
    """Channels × height × width in one row, in C order."""
    precision: str = "fp32"
    runtime: str = "torch"


@dataclass
class Chunk:
    """The features of consecutive images."""

    rows: range
    good: list[int] = field(default_factory=list)
    """Of `rows`, those that could be read."""
    digests: list[bytes] = field(default_factory=list)
    """SHA-256 of each good image."""
    layers: dict[str, np.ndarray] = field(default_factory=dict)
    """float32 len(good) × …; empty where no image was good."""
    failed: list[tuple[int, str]] = field(default_factory=list)
    """Row and reason."""


@own_settings()
def features(
    model: Model | Network,
    images: AnyImages,
    layers: Sequence[str] = ("fc7",),
    *,
    preprocess: str = "own",
    pool: str = "none",
    flatten: bool = False,
    batch_size: int = BATCH,
    precision: str = "fp32",
    runtime: str = "torch",
) -> dict[str, np.ndarray]:
    """Activations by layer name as it was asked for: float32, one row per image, in the images' order.

    - `images`: a dataset, paths, or uint8 arrays height × width (× 1 or 3).
    - `layers`: taps such as 'conv5' (after its non-linearity), 'conv5:pre' or 'pool5', or the names that torchvision
      and Keras have for them (`alexnet.models.aliases`).
    - `preprocess`: one of `preprocess.CHOICES`; `pool`: 'mean' or 'max' over each map's places; `flatten`: maps become
      rows, in C order (channel, row, column).

    - `precision`: 'fp32', 'bf16', 'auto' (bf16 where the processor has it), or 'int8' with OpenVINO.
    - `runtime`: 'torch', or 'onnxruntime' or 'openvino', in which the network's graph gives the taps, once they are
      within `runtimes.BOUND` of PyTorch's; 'auto': the quickest that is installed, by timing.

    Everything is kept in memory; `alexnet features` streams to a file. InputError for an unknown layer, and for an
    image that cannot be read.
    """
    model = of_module(model)
    network_of(model)  # refused before its runtime is chosen
    chosen = chosen_for(model, precision, runtime)
    wanted = want(
        model,
        layers,
        preprocess=preprocess,
        pool=pool,
        flatten=flatten,
        precision=chosen.precision,
        runtime=chosen.runtime,
    )
    found: dict[str, list[np.ndarray]] = {layer: [] for layer in wanted.layers}
    for chunk in run(model, as_images(images), wanted, batch_size):
        if chunk.failed:
            raise InputError(chunk.failed[0][1])
        for layer, values in chunk.layers.items():
            found[layer].append(values)
    shapes = shapes_of(model, wanted)
    return {
        layer: np.concatenate(parts) if parts else np.zeros((0, *shapes[layer]), np.float32)
        for layer, parts in found.items()
    }


def of_module(model: Model | Network) -> Model:
    """A bare network with the catalog's preprocessing as a model."""
    if not isinstance(model, Network):
        return model
    classes = tuple(str(number) for number in range(model.classes))
    card = cards.make(model, classes, model.spec.preprocessing)
    return Model(model, classes, model.spec.preprocessing, card, Path(model.spec.name))


def as_images(images: AnyImages, *, hashed: bool = False) -> Images:
    """hashed: arrays with their SHA-256, as files always have it; it takes time."""
    if isinstance(images, Images):
        return images
    if isinstance(images, Dataset):
        return of_dataset(images)
    if not isinstance(images, Sequence | np.ndarray):
        images = list(several(images))
    for image in several(images):
        check_image(image)
    arrays = [image for image in images if isinstance(image, np.ndarray)]
    if len(arrays) == len(images):
        return of_arrays(arrays, hashed=hashed)
    if arrays:
        raise InputError("images are paths or arrays, not both")
    return of_files([image for image in images if not isinstance(image, np.ndarray)])


def want(
    model: Model,
    layers: Sequence[str],
    *,
    preprocess: str = "own",
    pool: str = "none",
    flatten: bool = False,
    precision: str = "fp32",
    runtime: str = "torch",
) -> Wanted:
    """A checked request. InputError for a layer, a preprocessing or a way of pooling that there is not."""
    layers = arguments.texts("layers", layers, "['conv5', 'fc7']")
    if not layers:
        raise arguments.refusal("layers", "a list of at least one layer, such as ['conv5', 'fc7']", layers)
    arguments.choice("pooling", pool, POOLS)
    flatten = arguments.flag("flatten", flatten)
    taps = tuple(aliases.resolve(network_of(model).layer_names, layer) for layer in layers)
    twice = next((layer for number, layer in enumerate(layers) if layer in layers[:number]), None)
    if twice:
        raise InputError(f"layer {twice!r} is asked for twice")
    return Wanted(layers, taps, preprocessing_for(model, preprocess), pool, flatten, precision, runtime)


def network_of(model: Model) -> Network:
    """The network of a model; InputError where it is none whose layers can be seen."""
    check_model(model)
    if not isinstance(model.module, Network):
        raise InputError(f"the layers of {arguments.kind(model.module)} cannot be seen; use the network it came from")
    return model.module


def shapes_of(model: Model, wanted: Wanted) -> dict[str, tuple[int, ...]]:
    """The shape of one image's features by layer."""
    network = network_of(model)
    height, width = wanted.preprocessing.size
    device = next(network.parameters()).device
    image = torch.zeros(1, wanted.preprocessing.channels, height, width, device=device)
    return {layer: values.shape[1:] for layer, values in _forward(network, image, wanted).items()}


def run(model: Model, images: Images, wanted: Wanted, batch_size: int = BATCH, first: int = 0) -> Iterator[Chunk]:
    """The features of `images` from row `first` on, a batch at a time; images that cannot be read are reported."""
    batch_size = arguments.whole("batch_size", batch_size)
    network = network_of(model)
    device = next(network.parameters()).device
    augmenter = Augmenter(wanted.preprocessing)
    tap = None if wanted.runtime == "torch" else tapped(model, wanted.taps, wanted.precision, wanted.runtime)
    for rows, read in batches(images, wanted.preprocessing, batch_size, first, device):
        chunk = Chunk(rows)
        pixels: list[np.ndarray] = []
        for row, each in zip(rows, read, strict=True):
            if isinstance(each, DecodeError):
                chunk.failed.append((row, str(each)))
            else:
                pixels.append(each[0])
                chunk.good.append(row)
                chunk.digests.append(each[1])
        if pixels:
            with torch.inference_mode():
                batch = augmenter.evaluate(torch.from_numpy(np.stack(pixels)).to(device))
            chunk.layers = _forward(network, batch, wanted, tap)
        yield chunk


@torch.inference_mode()
def _forward(
    network: Network, batch: Tensor, wanted: Wanted, tap: Callable[[Tensor], Mapping[str, Tensor]] | None = None
) -> dict[str, np.ndarray]:
    """`tap`: what gives the taps in place of the network."""
    with evaluating(network), contextlib.nullcontext() if tap else autocast(batch.device, wanted.precision):
        seen: Mapping[str, Tensor] = tap(batch) if tap else quick.tap(network, batch, wanted.taps)
    return {layer: _pooled(seen[tap], wanted) for layer, tap in zip(wanted.layers, wanted.taps, strict=True)}


def _pooled(values: Tensor, wanted: Wanted) -> np.ndarray:
    values = values.float()
    if values.ndim == 4 and wanted.pool != "none":
        values = values.mean((2, 3)) if wanted.pool == "mean" else values.amax((2, 3))
    if wanted.flatten:
        values = values.flatten(1)
    return np.ascontiguousarray(values.cpu().numpy())
