"""From foreign layers to ours: which network of the catalog they are, and each tensor in that network's layout."""

import math
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from alexnet.arguments import texts
from alexnet.errors import InputError, unknown
from alexnet.models import catalog
from alexnet.models.network import Network
from alexnet.models.spec import Spec
from alexnet.models.structure import LRN, Flatten, Pool, numbered
from alexnet.weights.foreign import Arrays, Foreign, Source


@dataclass
class Fit:
    """How foreign weights lie in a network."""

    network: Network
    """Perhaps without memory (on torch's meta device)."""
    layers: dict[str, str] = field(default_factory=dict)
    """Our layer → the file's."""
    tensors: dict[str, Callable[[], np.ndarray]] = field(default_factory=dict)
    """Our tensor's name → its values, converted when asked for: most networks that are tried do not fit."""
    missing: list[str] = field(default_factory=list)
    """Our tensors that the file does not have."""
    problems: list[str] = field(default_factory=list)
    """What does not fit, tensor by tensor."""
    above: list[str] = field(default_factory=list)
    """The file's layers above a last layer that is skipped: left out."""
    doubtful: bool = False
    """Whether the first dense layer's inputs were ordered by a guess that matters."""

    def state(self) -> dict[str, Tensor]:
        """The converted tensors, each with memory of its own."""
        return {name: torch.from_numpy(np.array(make(), order="C")) for name, make in self.tensors.items()}


def weighted(network: nn.Module) -> dict[str, nn.Module]:
    """The modules with weights or statistics of their own, by name, in the network's order."""
    return {
        name: part
        for name, part in network.named_modules()
        if any(True for _ in part.parameters(recurse=False)) or any(True for _ in part.buffers(recurse=False))
    }


def settled(found: Fit, source: Source) -> Fit:
    """The same fit. InputError when it rests on a guess of the file's layout."""
    if found.doubtful:
        raise source.wrong(
            "does not say in which order its first dense layer counts its inputs: import it with --layout "
            "channels_last (TensorFlow's and Keras's default) or --layout channels_first"
        )
    return found


def select(network: Network, names: Iterable[str]) -> list[str]:
    """Layers by name, and by range as 'conv1..conv5', in the network's order. InputError for one it does not have."""
    layers, chosen = network.layer_names, set()
    for name in texts("skip", names, "['fc8']"):
        first, dots, last = name.partition("..")
        ends = (first, last) if dots else (first, first)
        for end in ends:
            if end not in layers:
                raise unknown(f"layer of {network.spec.name}", end, layers)
        start, stop = (layers.index(end) for end in ends)
        if start > stop:
            raise InputError(f"the layers {name!r} run backwards; say {last}..{first}")
        chosen.update(layers[start : stop + 1])
    return [layer for layer in layers if layer in chosen]


def fit(foreign: Foreign, network: Network, skip: Collection[str] = ()) -> Fit:
    """Lays the foreign weights into `network`, whose layers named in `skip` are left as they are.

    Where its last layer is one of those, the file's layers above that one are left out: a new head takes the place of
    several layers.
    """
    own, result = weighted(network), Fit(network)
    pairs = _pairs(foreign, own)
    theirs, last = list(foreign.layers), list(own)[-1]
    if last in skip and last in pairs:
        result.above = [layer for layer in theirs[theirs.index(pairs[last]) :] if layer not in set(pairs.values())]
    known = {*pairs.values(), *result.above}
    result.problems += [f"{layer} of the file has no place in it" for layer in theirs if layer not in known]
    image = None if foreign.flatten == "NCHW" else _flattened(network)
    first_dense = next((name for name, part in own.items() if isinstance(part, nn.Linear)), None)
    for name, part in own.items():
        if name.split(".")[0] in skip:
            continue
        wanted = {**dict(part.named_parameters(recurse=False)), **dict(part.named_buffers(recurse=False))}
        arrays = foreign.layers[pairs[name]] if name in pairs else {}
        if name in pairs:
            result.layers[name] = pairs[name]
            result.doubtful |= name == first_dense and not foreign.flatten and image is not None and image[1:] != (1, 1)
        result.problems += [f"{pairs[name]}.{role} has no place in {name}" for role in arrays if role not in wanted]
        for role, value in wanted.items():
            full = f"{name}.{role}"
            if role in arrays:
                groups = part.groups if isinstance(part, nn.Conv2d) else 1
                columns = image if name == first_dense and role == "weight" else None
                _place(result, full, arrays[role], tuple(value.shape), groups, columns)
            elif role == "num_batches_tracked" and name in pairs:  # only torch counts them, and nothing here asks
                result.tensors[full] = lambda: np.zeros((), np.int64)
            else:
                result.missing.append(full)
    return result


def _place(
    result: Fit,
    name: str,
    array: np.ndarray,
    shape: tuple[int, ...],
    groups: int,
    image: tuple[int, int, int] | None,
) -> None:
    """Takes `array` for the tensor `name`, or says why it does not fit."""
    if array.shape == shape:
        result.tensors[name] = (lambda: _channels_first(array, image)) if image else (lambda: array)
        return
    if array.ndim == len(shape) == 4 and (array.shape[0], *array.shape[2:]) == (shape[0], *shape[2:]):
        has, wants = array.shape[1], shape[1]
        if has == groups * wants and _block_diagonal(array, groups):
            result.tensors[name] = lambda: _grouped(array, groups)
            return
        if groups == 1 and wants % has == 0 and shape[0] % (wants // has) == 0:
            result.tensors[name] = lambda: _ungrouped(array, wants // has)
            return
    sides = ["×".join(map(str, each)) or "one number" for each in (array.shape, shape)]
    result.problems.append(f"{name} is {sides[0]}, the network wants {sides[1]}")


def _channels_first(array: np.ndarray, image: tuple[int, int, int]) -> np.ndarray:
    """Columns counted rows × columns × channels, put into our order: channels × rows × columns."""
    channels, height, width = image
    return array.reshape(-1, height, width, channels).transpose(0, 3, 1, 2).reshape(array.shape)


def _blocks(array: np.ndarray, groups: int) -> np.ndarray:
    """out × in × h × w as groups × out/groups × groups × in/groups × h × w."""
    out, inputs, height, width = array.shape
    return array.reshape(groups, out // groups, groups, inputs // groups, height, width)


def _block_diagonal(array: np.ndarray, groups: int) -> bool:
    """Whether an ungrouped convolution is a grouped one: no group sees another's channels."""
    blocks = _blocks(array, groups)
    return all(not blocks[a, :, b].any() for a in range(groups) for b in range(groups) if a != b)


def _grouped(array: np.ndarray, groups: int) -> np.ndarray:
    blocks = _blocks(array, groups)
    return np.concatenate([blocks[group, :, group] for group in range(groups)])


def _ungrouped(array: np.ndarray, groups: int) -> np.ndarray:
    """A grouped convolution as one over all channels, with zeros where a group does not look."""
    out, inputs, height, width = array.shape
    whole = np.zeros((groups, out // groups, groups, inputs, height, width), np.float32)
    for group in range(groups):
        whole[group, :, group] = array.reshape(groups, -1, inputs, height, width)[group]
    return whole.reshape(out, groups * inputs, height, width)


def _flattened(network: Network) -> tuple[int, int, int] | None:
    """Channels, height and width of what the first dense layer sees; None for one that is not sequential."""
    rows = numbered(network.layers, network.input, network.classes) if network.layers else ()
    for _, layer, shape in rows:
        if isinstance(layer, Flatten):
            channels, height, width = shape
            return channels, height, width
    return None


def _pairs(foreign: Foreign, own: Mapping[str, nn.Module]) -> dict[str, str]:
    """Our layer → the file's: by name where the file uses our names; else each of ours takes the file's first free
    layer of its kind and shape (some files do not keep the order), and what is left over is paired in order."""
    if all(layer in own for layer in foreign.layers):
        return {layer: layer for layer in foreign.layers}
    pairs: dict[str, str] = {}
    shapes = {name: tuple(next(part.parameters(recurse=False)).shape) for name, part in own.items()}
    for kind in ("conv", "dense", "norm"):
        ours = {name: shape for name, shape in shapes.items() if _kind(shape) == kind}
        theirs = [name for name, arrays in foreign.layers.items() if _kind(_sides(arrays)) == kind]
        for name, shape in ours.items():
            free = next((each for each in theirs if _sides(foreign.layers[each]) == shape), None)
            if free is not None:
                pairs[name] = free
                theirs.remove(free)
        pairs |= dict(zip((name for name in ours if name not in pairs), theirs, strict=False))
    return pairs


def _sides(arrays: Arrays) -> tuple[int, ...]:
    return arrays["weight"].shape if "weight" in arrays else ()


def _kind(shape: tuple[int, ...]) -> str:
    return {4: "conv", 2: "dense"}.get(len(shape), "norm")


def choose(foreign: Foreign, source: Source, name: str | None = None) -> Fit:
    """The network of the catalog that the file holds, or the one called `name`, and how the file lies in it.

    InputError when nothing fits (tensor by tensor, for the network that comes nearest), when `name` is not what the
    file holds, or when several networks fit that are not the same function.
    """
    name = name or (foreign.card.name if foreign.card else None)
    if name is not None:
        return settled(_named(foreign, source, catalog.get(name)), source)
    # Residual networks are no sequential network; only files with our own names hold them.
    residual = any(layer.startswith("stage") for layer in foreign.layers)
    specs = [spec for spec in catalog.CATALOG.values() if spec.layers or residual]
    fits = [_try(foreign, spec) for spec in specs if contradiction(foreign, spec) is None]
    best = min(fits, key=lambda each: (len(each.problems), len(each.missing)))
    if best.problems:
        raise source.wrong(
            f"fits no network of `alexnet models`; nearest is {best.network.spec.name}: {listed(best.problems)}"
        )
    fits = [each for each in fits if not each.problems]
    fits = [each for each in fits if each.network.spec.name in foreign.prefer] or fits
    fits = [each for each in fits if not each.missing] or fits
    functions = {(s.architecture, s.preprocessing, s.output) for s in (each.network.spec for each in fits)}
    if len(functions) > 1:
        names = " and ".join(each.network.spec.name for each in fits)
        raise source.wrong(f"has the shapes of {names}, which compute different things: say which with --model NAME")
    return settled(fits[0], source)


def _named(foreign: Foreign, source: Source, spec: Spec) -> Fit:
    found = _try(foreign, spec)
    reasons = found.problems or [contradiction(foreign, spec)]
    if reasons != [None]:
        raise source.wrong(f"is no {spec.name}: {listed(map(str, reasons))}")
    return found


def _try(foreign: Foreign, spec: Spec) -> Fit:
    """The fit in a network without memory, with as many classes as the file's last layer has."""
    with torch.device("meta"):
        network = catalog.build(spec, spec.input, spec.classes)
        own = weighted(network)
        theirs = foreign.layers.get(_pairs(foreign, own).get(list(own)[-1], ""), {})
        if "weight" in theirs and theirs["weight"].shape[0] != spec.classes:
            network = catalog.build(spec, spec.input, theirs["weight"].shape[0])
    return fit(foreign, network)


def contradiction(foreign: Foreign, spec: Spec) -> str | None:
    """What the file itself says that this network is not; shapes do not tell Caffe's two networks apart."""
    own = catalog.CATALOG.get(foreign.card.name) if foreign.card else None
    if own is not None and own.architecture != spec.architecture:
        return f"its card says that it is {own.name}"
    norms = [layer for layer in spec.layers if isinstance(layer, LRN)]
    if foreign.pool_first is not None and norms:
        first = next(isinstance(layer, Pool) for layer in spec.layers if isinstance(layer, LRN | Pool))
        if first != foreign.pool_first:
            order = ("it pools before it normalizes", "it normalizes before it pools")
            return f"{order[not foreign.pool_first]}, {spec.name} the other way round"
    if foreign.lrn is not None and norms:
        norm = norms[0]
        ours = (norm.size, norm.alpha / norm.size if norm.divide else norm.alpha, norm.beta, norm.k)
        if not all(math.isclose(a, b, rel_tol=1e-5) for a, b in zip(ours, foreign.lrn, strict=True)):
            said, own = ("n={} α={:g} β={:g} k={:g}".format(*each) for each in (foreign.lrn, ours))
            return f"its LRN has {said} (α per value), that of {spec.name} {own}"
    return None


def listed(items: Iterable[str], most: int = 12) -> str:
    """At most so many of them in one line."""
    told = list(items)
    more = f"; and {len(told) - most} more" if len(told) > most else ""
    return "; ".join(told[:most]) + more
