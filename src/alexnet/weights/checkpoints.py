"""Which of a checkpoint's tensors are the network: of several state dicts the averaged one, without what wraps it."""

import re
from collections.abc import Callable, Iterable, Mapping

import numpy as np

from alexnet.weights.foreign import Arrays, Foreign, Source, natural

Tensors = Mapping[str, Callable[[], np.ndarray]]
"""Names of tensors and how each is read."""

# torchvision names AlexNet's layers by their place: features.0, 3, 6, 8, 10 and classifier.1, 4, 6
# (github.com/pytorch/vision, torchvision/models/alexnet.py).
_TORCHVISION = re.compile(r"(features|classifier)(\.\d+)?")
_OURS = re.compile(r"(conv|fc|bn)\d+|stage\d+\..+")
_WRAPPERS = ("module", "_orig_mod")
"""What DataParallel and torch.compile put before, or in between (the old ImageNet example: 'features.module.0')."""
_AVERAGED = re.compile(r"(^|[._])(ema|averaged|swa)([._]|$)|ema$", re.IGNORECASE)
_BESIDE = re.compile(r"(criterion|loss|loss_fn|loss_function|metrics?|(train|val|valid|test)_\w+|n_averaged)")
"""What training keeps in a module beside its network."""


def pick(source: Source, found: Mapping[str, Tensors]) -> Foreign:
    """The network among the state dicts `found` (by their place in the file). InputError when there is none."""
    candidates = {place: _unwrapped(tensors) for place, tensors in found.items()}
    candidates = {place: parts for place, parts in candidates.items() if parts[0]}
    if not candidates:
        raise source.wrong("holds no state dict, which is tensors by name")
    most = max(len(network) for network, _, _ in candidates.values())
    whole = [place for place, (network, _, _) in candidates.items() if len(network) == most]
    place = next((each for each in whole if _AVERAGED.search(each)), whole[0])
    network, origins, left = candidates[place]
    prefix = next(iter(origins.values())).removesuffix(next(iter(origins)))
    # One or two tensors are a figure beside the weights, as the example of torch keeps its best accuracy.
    others = [each or "the outermost" for each, (parts, _, _) in candidates.items() if each != place and len(parts) > 2]
    taken = f"{place or 'the outermost state dict'}{' (averaged weights)' if _AVERAGED.search(place) else ''}, not " + (
        ", ".join(others[:8])
    )
    if _AVERAGED.search(prefix):
        taken = f"{prefix.rstrip('.')} (averaged weights), not the others"
        others = [*others, prefix]
    layers: dict[str, Arrays] = {}
    names: dict[str, str] = {}
    for name in sorted(network, key=natural):
        layer, _, role = name.rpartition(".")
        values = network[name]()
        names[layer] = origins[name].rpartition(".")[0]
        layers.setdefault(layer, {})[role] = values.astype(np.int64) if role == "num_batches_tracked" else values
    kept = {"taken": taken if others else "", "left": tuple(left), "names": names}
    if layers and all(_TORCHVISION.fullmatch(layer) for layer in layers):
        ordered = sorted(layers, key=lambda layer: (not layer.startswith("features"), natural(layer)))
        return Foreign("torch", {layer: layers[layer] for layer in ordered}, prefer=("alexnet-owt",), **kept)
    return Foreign("own", layers, **kept)


def _unwrapped(tensors: Tensors) -> tuple[dict[str, Callable[[], np.ndarray]], dict[str, str], list[str]]:
    """The network's tensors by their names without what wraps them; those names in the file; what is left out."""
    names = {name: ".".join(part for part in name.split(".") if part not in _WRAPPERS) for name in tensors}
    prefix = _prefix(names.values())
    origins, left = {}, []
    for name, short in names.items():
        own = short.removeprefix(prefix)
        layer, dot, _ = own.partition(".")
        if not short.startswith(prefix) or not dot or _BESIDE.fullmatch(layer):
            left.append(name)
        else:
            origins[own] = name
    return {own: tensors[name] for own, name in origins.items()}, origins, left


def _prefix(names: Iterable[str]) -> str:
    """What stands before the names of layers that are known here, as 'model.'; of several, the averaged ones."""
    counts: dict[str, int] = {}
    for name in names:
        parts = name.split(".")[:-1]
        for place in range(len(parts)):
            layer = ".".join(parts[place:])
            if _TORCHVISION.fullmatch(layer) or _OURS.fullmatch(layer):
                prefix = "".join(f"{part}." for part in parts[:place])
                counts[prefix] = counts.get(prefix, 0) + 1
                break
    if not counts:
        return ""
    most = max(counts.values())
    whole = [prefix for prefix, count in counts.items() if count == most]
    return next((prefix for prefix in whole if _AVERAGED.search(prefix)), whole[0])
