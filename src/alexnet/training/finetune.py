"""Fine-tuning: which layers are frozen and when, and the learning rate of each of the others."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from torch import nn

from alexnet.errors import InputError, MissingData
from alexnet.models.network import Network
from alexnet.recipes.schema import Recipe
from alexnet.weights.mapping import select, weighted
from alexnet.weights.public import FILES, folder

Value = TypeVar("Value")


class Freezing:
    """Frozen layers get no gradient and keep their running statistics; below the lowest trainable layer, the backward
    pass does nothing at all.

    `schedule.unfreeze` unfreezes them from the last to the first (Howard and Ruder 2018, arXiv 1801.06146): at each of
    its times the last frozen convolution or fully-connected layer, with its BatchNorm. `schedule.freeze` freezes layers
    late, as conv1 of 2012 after 72 of 91 epochs. Both take effect at the start of an epoch. What is frozen is a
    function of the epoch alone, so that a resumed run freezes the same.
    """

    def __init__(self, recipe: Recipe, network: Network):
        self.network = network
        own = {name.split(".")[0] for name in weighted(network)}
        self.layers = [layer for layer in select(network, recipe.model.freeze) if layer in own]
        self.unfreeze = [float(at) for at in recipe.schedule.unfreeze]
        self.late = {layer: float(at) for layer, at in by_layer(recipe.schedule.freeze, network).items()}
        if own and own <= {*self.layers, *self.late}:
            key = "schedule.freeze" if self.late else "model.freeze"
            raise InputError(f"{key} freezes every layer of {network.spec.name}; leave out its last layer")

    def frozen(self, epoch: int) -> list[str]:
        """The layers that are frozen in this epoch (0: the first)."""
        left = list(self.layers)
        for _ in range(sum(epoch >= at for at in self.unfreeze)):
            while left:
                if not left.pop().startswith("bn"):  # a BatchNorm goes with the layer before it
                    break
        return left + [layer for layer, at in self.late.items() if epoch >= at and layer not in left]

    def train(self, epoch: int) -> None:
        """Puts the network into training mode, all but what is frozen."""
        self.network.train()
        frozen = self.frozen(epoch)
        for name, layer in self.network.named_children():
            layer.requires_grad_(name not in frozen)
            if name in frozen:
                layer.eval()


def by_layer(settings: Mapping[str, Value], network: nn.Module) -> dict[str, Value]:
    """Layer → value, from a table of layers or ranges such as {'fc8': 10, 'conv1..conv5': 0.1}.

    Later entries win. Raises InputError for a layer that the network does not have.
    """
    if not settings:
        return {}
    assert isinstance(network, Network)
    return {layer: value for names, value in settings.items() for layer in select(network, [names])}


def anchored(recipe: Recipe) -> Recipe:
    """The recipe with absolute paths to the files that it names, so that it can be resumed from another folder.

    Weights that are not there are looked for among the fetched ones ($ALEXNET_DATA/weights, or the cache); there
    'torchvision' stands for the public file of that name, or for a .safetensors file 'torchvision-….safetensors'.
    Raises MissingData when there is none.
    """
    if recipe.model.teacher is not None:
        teacher = str(Path(recipe.model.teacher).expanduser().absolute())
        recipe = dataclasses.replace(recipe, model=dataclasses.replace(recipe.model, teacher=teacher))
    if recipe.augment.pca_color_from is not None:
        card = str(Path(recipe.augment.pca_color_from).expanduser().absolute())
        recipe = dataclasses.replace(recipe, augment=dataclasses.replace(recipe.augment, pca_color_from=card))
    if recipe.data.quarantine is not None:
        listed = str(Path(recipe.data.quarantine).expanduser().absolute())
        recipe = dataclasses.replace(recipe, data=dataclasses.replace(recipe.data, quarantine=listed))
    if recipe.data.labels is not None:
        table = str(Path(recipe.data.labels).expanduser().absolute())
        recipe = dataclasses.replace(recipe, data=dataclasses.replace(recipe.data, labels=table))
    weights = recipe.model.weights
    if weights is None:
        return recipe
    kept, public = folder(), FILES.get(weights)
    places = [Path(weights).expanduser(), kept / (public.file if public else weights)]
    places += sorted(kept.glob(f"{weights}-*.safetensors")) if public else []
    found = next((path.absolute() for path in places if path.exists()), None)
    if found is None:
        hint = f"; 'alexnet data weights {weights}' fetches them, or put {public.file} there" if public else ""
        raise MissingData(f"weights {weights}", f"no weights {weights!r} here or in {kept}{hint}")
    return dataclasses.replace(recipe, model=dataclasses.replace(recipe.model, weights=str(found)))
