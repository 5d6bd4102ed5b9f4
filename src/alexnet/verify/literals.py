"""What each source prints, written down a second time: `alexnet verify` compares it with the networks that are made.

A layout is a line of words: `96@11/4+0:3g2` is a convolution of 96 filters of 11 × 11 pixels, stride 4, padded by 0
pixels before and 3 after, in two groups; `max3/2` and `mean3/2` are pools; norm and cnorm are the response
normalizations across and within maps; `fc4096` is fully connected; `drop.5` scales in training and `hs.5` at test time.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Norm:
    """b = a / (k + s · Σ a²)^.75 over n channels; s is alpha, or alpha / n if `divided`; `towers` are apart."""

    n: int
    alpha: float
    k: float
    divided: bool
    towers: int = 1


_PAPER, _RUN = Norm(5, 1e-4, 2, divided=False, towers=2), Norm(5, 1e-4, 2, divided=True, towers=2)
NORMS = {
    "alexnet-2012": _PAPER,
    "alexnet-2012-tanh": _PAPER,
    "alexnet-2012-as-run": _RUN,
    "alexnet-2012-half": Norm(5, 1e-4, 2, divided=True),
    "alexnet-2012-no-overlap": _RUN,
    "alexnet-2012-conv6": _RUN,
    "alexnet-bvlc": Norm(5, 1e-4, 1, divided=True),
    "caffenet": Norm(5, 1e-4, 1, divided=True),
    "alexnet-tf": Norm(5, 2e-5, 1, divided=False),
    "alexnet-keras": Norm(5, 1e-4, 2, divided=False),
    "alexnet-tf-as-printed": Norm(5, 1e-4, 1, divided=False),
    "alexnet-caltech-lrn": Norm(5, 1e-4, 2, divided=False),
    "alexnet-mnist": Norm(9, 0.001 / 9, 1, divided=False),
    "alexnet-digits": Norm(5, 1e-4, 2, divided=True),
}


def _ends(hidden: int, drop: str, classes: int, act: str = "relu") -> str:
    return f" fc{hidden} {act} {drop} fc{hidden} {act} {drop} fc{classes}"


_HS, _IMAGENET = _ends(4096, "hs.5", 1000), _ends(4096, "drop.5", 1000)
_RUN_12 = "96@11/4+0:3 norm max3/2 relu 256@5+2g2 relu norm cnorm max3/2 "
_RUN_345 = "384@3+1 relu 384@3+1g2 relu 256@3+1g2 max3/2 relu"
_CAFFE_345 = " 384@3+1 relu 384@3+1g2 relu 256@3+1g2 relu max3/2"
_BVLC = "96@11/4 relu norm max3/2 256@5+2g2 relu norm max3/2" + _CAFFE_345 + _IMAGENET
_CAFFENET = "96@11/4 relu max3/2 norm 256@5+2g2 relu max3/2 norm" + _CAFFE_345 + _IMAGENET
_OWT = (
    "64@11/4+2 relu max3/2 192@5+2 relu max3/2 384@3+1 relu 256@3+1 relu 256@3+1 relu max3/2 avg6"
    " drop.5 fc4096 relu drop.5 fc4096 relu "
)
_SLIM = "96@3+1 relu 256@5+2 relu max3/2+0:1 384@3+1 relu 384@3+1 relu 256@3+1 relu max3/2+0:1" + _ends(
    4096, "drop.5", 10
)

LAYOUTS = {
    "alexnet-2012": "96@11/4+0:3 relu norm max3/2 256@5+2g2 relu norm max3/2" + _CAFFE_345 + _HS,
    "alexnet-2012-tanh": "96@11/4+0:3 tanh norm max3/2 256@5+2g2 tanh norm max3/2"
    " 384@3+1 tanh 384@3+1g2 tanh 256@3+1g2 tanh max3/2" + _ends(4096, "hs.5", 1000, "tanh"),
    "alexnet-2012-as-run": _RUN_12 + _RUN_345 + _HS,
    "alexnet-2012-half": "48@11/4+0:3 norm max3/2 relu 128@5+2 relu norm cnorm max3/2"
    " 192@3+1 relu 192@3+1 relu 256@3+1 max3/2 relu" + _HS,
    "alexnet-2012-no-lrn": "96@11/4+0:3 max3/2 relu 256@5+2g2 relu max3/2 " + _RUN_345 + _HS,
    "alexnet-2012-no-overlap": "96@11/4+0:3 norm max2/2+0:1 relu 256@5+1g2 relu norm cnorm max2/2"
    " 384@3+1 relu 384@3+1g2 relu 256@3g2 max2/2+0:1 relu" + _HS,
    "alexnet-2012-conv6": _RUN_12 + _RUN_345 + " 256@3+1 relu" + _HS,
    "alexnet-bvlc": _BVLC,
    "caffenet": _CAFFENET,
    "alexnet-keras": _CAFFENET,
    "alexnet-tf": _BVLC,
    "alexnet-tf-as-printed": _BVLC,
    "alexnet-ungrouped": "96@11/4 relu max3/2 256@5+2 relu max3/2 384@3+1 relu 384@3+1 relu 256@3+1 relu max3/2"
    + _IMAGENET,
    "alexnet-owt": _OWT + "fc1000",
    "alexnet-owt-probe": _OWT.partition(" avg6")[0] + " fc10",
    "alexnet-owt-linear": _OWT.partition(" avg6")[0] + " drop.5 fc10",
    "alexnet-two-class": _OWT + "fc2 logsoftmax",
    "alexnet-digits": "32@3+1 relu norm 64@3+1 relu norm max3/2+0:1 96@3+1 relu 96@3+1 relu 64@3+1 relu max3/2+0:1"
    + _ends(128, "drop.5", 10),
    "alexnet-cifar100": "96@11/2+4:5 relu max3/2 256@5+2 relu max3/2 384@3+1 relu 384@3+1 relu 256@3+1 relu max2/2"
    + _ends(2048, "drop.5", 100),
    "alexnet-cifar10": "96@11/4+3:4 relu max3/2+0:1" + _SLIM.removeprefix("96@3+1 relu"),
    "alexnet-slim": _SLIM,
    "alexnet-slim-regular": _SLIM,
    "alexnet-thinner-2": "48@3+1 relu 128@5+2 relu max3/2+0:1 192@3+1 relu 192@3+1 relu 128@3+1 relu max3/2+0:1"
    + _ends(2048, "drop.5", 10),
    "alexnet-thinner-2-as-run": "48@3+1 relu 128@5+2 relu max3/2+0:1 192@3+1 relu 192@3+1 relu 64@3+1 relu max3/2+0:1"
    + _ends(1024, "drop.5", 10),
    "alexnet-thinner-4": "24@3+1 relu 64@5+2 relu max3/2+0:1 96@3+1 relu 96@3+1 relu 64@3+1 relu max3/2+0:1"
    + _ends(1024, "drop.5", 10),
    "alexnet-caltech": "48@11/4 relu max3/2 bn 128@5+2-bias max3/2 relu bn"
    " 192@3+1 relu 192@3+1 relu 128@3+1 relu max3/2" + _ends(2048, "drop.25", 45),
    "alexnet-caltech-lrn": "48@11/4 relu max3/2 norm 128@5+2-bias max3/2 relu norm"
    " 192@3+1 relu 192@3+1 relu 128@3+1 relu max3/2" + _ends(2048, "drop.25", 45),
    "alexnet-mnist": "96@11+5 relu max2/2 norm 256@5+2 relu max2/2 norm"
    " 384@3+1 relu 384@3+1 relu 256@3+1 relu max2/2+0:1" + _ends(4096, "drop.2", 10),
    "alexnet-bearpaw": "64@11/4+5 relu max2/2 192@5+2 relu max2/2 384@3+1 relu 256@3+1 relu 256@3+1 relu max2/2 fc10",
    "figure1-relu": "32@5+2 relu max3/2+0:1 32@5+2 relu mean3/2+0:1 64@5+2 relu mean3/2+0:1 fc10",
    "figure1-tanh": "32@5+2 tanh max3/2+0:1 32@5+2 tanh mean3/2+0:1 64@5+2 tanh mean3/2+0:1 fc10",
}

# The layer table of the TensorFlow write-up, and with it of everything that keeps the paper's map sizes.
OUTPUTS = {
    "conv1": (96, 55, 55),
    "pool1": (96, 27, 27),
    "conv2": (256, 27, 27),
    "pool2": (256, 13, 13),
    "conv3": (384, 13, 13),
    "conv4": (384, 13, 13),
    "conv5": (256, 13, 13),
    "pool5": (256, 6, 6),
    "fc6": (4096,),
    "fc7": (4096,),
    "fc8": (1000,),
}
WITH_THESE_OUTPUTS = (
    "alexnet-2012",
    "alexnet-2012-as-run",
    "alexnet-bvlc",
    "alexnet-tf",
    "alexnet-tf-as-printed",
    "alexnet-ungrouped",
)

# The parameters by layer that Keras printed for alexnet-caltech.
CALTECH_PARAMETERS = (17_472, 192, 153_600, 512, 221_376, 331_968, 221_312, 9_439_232, 4_196_352, 92_205)


@dataclass(frozen=True)
class Start:
    """How a network's weights start: standard deviations and biases by layer, worked out by hand from the source."""

    network: str
    std: dict[str, float]
    bias: dict[str, float]
    """Every bias of the layer; where `random`, the bound of its uniform draw."""
    random: bool = False
    size: int | None = None
    """Images of this many pixels a side, which keep fc6 small, where no fan depends on it."""


_LAYERS = ("conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8")
_SAME_STD: dict[str, float] = dict.fromkeys(_LAYERS, 0.01)
_NO_BIAS: dict[str, float] = dict.fromkeys(_LAYERS, 0.0)
_CAFFE_STD = _SAME_STD | {"fc6": 0.005, "fc7": 0.005}


def _positive(bias: float) -> dict[str, float]:
    return _NO_BIAS | dict.fromkeys(("conv2", "conv4", "conv5", "fc6", "fc7"), bias)


STARTS = {
    "paper": Start("alexnet-2012", _SAME_STD, _positive(1), size=67),
    "as-run": Start(
        "alexnet-2012-as-run", _SAME_STD | dict.fromkeys(("conv3", "conv4", "conv5"), 0.03), _positive(1), size=67
    ),
    "figure1": Start(
        "figure1-relu", {"conv1": 1e-4, "conv2": 0.01, "conv3": 0.01, "fc4": 0.01}, {"conv1": 0.0, "fc4": 0.0}
    ),
    "caffe-alexnet": Start("alexnet-bvlc", _CAFFE_STD, _positive(0.1), size=67),
    "caffenet": Start("caffenet", _CAFFE_STD, _positive(1), size=67),
    "keras-glorot": Start(
        "alexnet-caltech",
        {"conv1": (2 / (363 + 121 * 48)) ** 0.5, "conv2": (2 / (25 * 48 + 25 * 128)) ** 0.5, "fc7": (1 / 2048) ** 0.5},
        {"conv1": 0.0, "conv3": 0.0, "fc8": 0.0},
        size=67,
    ),
    "keras-uniform": Start(
        "alexnet-cifar10",
        dict.fromkeys(_LAYERS[:5], 0.1 / 12**0.5) | {"fc6": (2 / (256 + 4096)) ** 0.5, "fc8": (2 / 4106) ** 0.5},
        _NO_BIAS,
    ),
    "keras-he": Start(
        "alexnet-thinner-4",
        {"conv1": (2 / 27) ** 0.5, "conv2": (2 / 600) ** 0.5, "conv5": (2 / 864) ** 0.5, "fc7": (1 / 1024) ** 0.5},
        _NO_BIAS,
    ),
    "tensorflow": Start(
        "alexnet-tf",
        {"conv1": (2 / (363 + 121 * 96)) ** 0.5, "conv2": (2 / (25 * 48 + 25 * 256)) ** 0.5, "fc7": (1 / 4096) ** 0.5},
        {"conv1": (3 / 96) ** 0.5, "conv2": (3 / 256) ** 0.5, "fc7": (3 / 4096) ** 0.5},
        random=True,
        size=67,
    ),
    "torch": Start(
        "alexnet-bearpaw",
        {"conv1": (3 * 363) ** -0.5, "conv2": (3 * 1600) ** -0.5, "fc6": (3 * 256) ** -0.5},
        {"conv1": 363**-0.5, "conv2": 1600**-0.5},
        random=True,
    ),
    "torchvision": Start("resnet-18", {"conv1": (2 / (49 * 64)) ** 0.5, "fc": (3 * 512) ** -0.5}, {}),
    "tensorflow-resnet": Start("resnet-29-v2", {"conv1": 27**-0.5, "fc": (2 / 266) ** 0.5}, {"fc": 0.0}),
    "he": Start("resnet-20", {"conv1": (2 / 27) ** 0.5, "fc": (2 / 64) ** 0.5}, {"fc": 0.0}),
    "zero-last": Start("alexnet-digits", {"conv1": (2 / 9) ** 0.5, "conv2": (2 / 288) ** 0.5, "fc8": 0.0}, _NO_BIAS),
    "ours": Start("alexnet-digits", {"conv1": (2 / 9) ** 0.5, "conv2": (2 / 288) ** 0.5, "fc8": 0.01}, _NO_BIAS),
}
