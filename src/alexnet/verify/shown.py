"""How each network is shown to be its origin: the strongest comparison that there is, and with what.

Functions and gradients are compared on shared weights in `parity/` (docs/PARITY.md) or in `tests/models`; counts,
layout and shapes by `alexnet verify`. docs/FAMILY.md has this as a column.
"""

from collections.abc import Callable

from alexnet.models import catalog

_FULL = "function and gradients"
_LITERALS = "count, layout and shapes; no living origin"
_OURS = "count and shapes; ours, without an origin"

SHOWN: dict[str, str] = {
    **dict.fromkeys(
        (
            "alexnet-cifar100", "alexnet-cifar10", "alexnet-slim", "alexnet-slim-regular", "alexnet-thinner-2",
            "alexnet-thinner-2-as-run", "alexnet-thinner-4", "alexnet-caltech", "alexnet-caltech-lrn",
        ),
        f"{_FULL}: Keras",
    ),
    **dict.fromkeys(("alexnet-tf", "alexnet-tf-as-printed", "alexnet-keras", "alexnet-mnist"), f"{_FULL}: TensorFlow"),
    "alexnet-bvlc": "function by layer: OpenCV's Caffe reader, ONNX Runtime",
    "caffenet": "function by layer: OpenCV's Caffe reader",
    **dict.fromkeys(("alexnet-owt", "alexnet-two-class"), f"{_FULL}: torchvision's layer list"),
    **dict.fromkeys(
        (
            "figure1-relu", "figure1-tanh", "alexnet-2012", "alexnet-2012-as-run", "alexnet-2012-half",
            "alexnet-2012-no-overlap", "alexnet-2012-no-lrn", "alexnet-2012-conv6", "alexnet-bearpaw",
        ),
        _LITERALS,
    ),
    "alexnet-ungrouped": "count, layout and shapes: the write-up's table",
    **dict.fromkeys(("alexnet-2012-tanh", "alexnet-owt-probe", "alexnet-owt-linear", "alexnet-digits"), _OURS),
    **dict.fromkeys(("resnet-18", "resnet-34", "resnet-50", "resnet-101"), f"{_FULL}: torchvision's layer list"),
    **dict.fromkeys(
        ("resnet-20-v2-official", "resnet-32-v2-official", "resnet-18-v2", "resnet-50-v2"),
        f"{_FULL}: TensorFlow's official layer list",
    ),
    "resnet-20-projection": f"{_FULL}: Keras's cifar10_resnet",
    **dict.fromkeys(("resnet-20", "resnet-29-v2"), f"{_FULL}: a plain transcription"),
}  # fmt: skip
"""Networks that are compared by themselves."""


def shown(name: str) -> str:
    """How a network of the catalog is shown: by itself, or by one with the same blocks and its own count."""
    catalog.get(name)
    return SHOWN[name] if name in SHOWN else f"count and blocks; function as {_sister(name)}"


def _sister(name: str) -> str:
    """The deepest compared network of its kind that is shallower: it has the same blocks."""
    _, depth, *kind = name.split("-", 2)
    alike = [other for other in SHOWN if other.startswith("resnet-") and other.split("-", 2)[2:] == kind]
    return max((other for other in alike if int(other.split("-")[1]) < int(depth)), key=_rank(name))


def _rank(name: str) -> Callable[[str], tuple[bool, int]]:
    sides = catalog.get(name).input
    return lambda other: (catalog.get(other).input == sides, int(other.split("-")[1]))
