"""AlexNet, and what its descendants changed: each network is its layers, written down in the order in which they run.

    Conv(filters, kernel)   SAME padding and stride 1 unless it says other; `groups=2` is one half per GPU
    LRN(…)                  local response normalisation; its three published forms differ in k and in who divides alpha
    Pool(3, 2)              overlapping max pooling, 3 × 3 every 2
    Linear(4096)            Linear(None) scores the classes

Layers get their names from their place: conv1, relu1, norm1, pool1, … conv5, fc6, relu6, drop6, fc7, fc8.
"""

from alexnet.models.network import (
    LRN,
    AveragePool,
    BatchNorm,
    Conv,
    Dropout,
    Layer,
    Linear,
    LogSoftmax,
    Pool,
    ReLU,
)

Layers = tuple[Layer, ...]

# Local response normalisation as it was published ---------------------------------------------------------------------

PAPER_LRN = LRN(5, alpha=1e-4, beta=0.75, k=2, divide=False)
AS_RUN_LRN = LRN(5, alpha=1e-4, beta=0.75, k=2, divide=True)


def hidden(width: int, dropout: Layer) -> Layers:
    """The two hidden fully-connected layers and the scores."""
    return (Linear(width), ReLU(), dropout, Linear(width), ReLU(), dropout, Linear(None))


# One GPU's worth, and smaller pictures --------------------------------------------------------------------------------

CIFAR100_SEED: Layers = (
    *(Conv(96, 11, stride=2), ReLU(), Pool(3, 2)),
    *(Conv(256, 5), ReLU(), Pool(3, 2)),
    *(Conv(384, 3), ReLU()),
    *(Conv(384, 3), ReLU()),
    *(Conv(256, 3), ReLU(), Pool(2, 2)),
    *hidden(2048, Dropout(0.5)),
)


def cifar10(first: Layers, widths: tuple[int, int, int, int] = (256, 384, 384, 256), fc: int = 4096) -> Layers:
    """Keras's AlexNet for 32 × 32 pixels: every pool is SAME; `first` is all that stands before conv2."""
    two, three, four, five = widths
    return (
        *first,
        *(Conv(two, 5), ReLU(), Pool(3, 2, "same")),
        *(Conv(three, 3), ReLU()),
        *(Conv(four, 3), ReLU()),
        *(Conv(five, 3), ReLU(), Pool(3, 2, "same")),
        *hidden(fc, Dropout(0.5)),
    )


CIFAR10 = cifar10(first=(Conv(96, 11, stride=4), ReLU(), Pool(3, 2, "same")))
SLIM = cifar10(first=(Conv(96, 3), ReLU()))
THINNER_2 = cifar10((Conv(48, 3), ReLU()), widths=(128, 192, 192, 128), fc=2048)
THINNER_2_AS_RUN = cifar10((Conv(48, 3), ReLU()), widths=(128, 192, 192, 64), fc=1024)
THINNER_4 = cifar10((Conv(24, 3), ReLU()), widths=(64, 96, 96, 64), fc=1024)


def caltech(norm: Layer) -> Layers:
    """Half of AlexNet, with `norm` after its first two pools; conv2 has no bias, and its ReLU stands after the pool."""
    return (
        *(Conv(48, 11, stride=4, padding=0), ReLU(), Pool(3, 2), norm),
        *(Conv(128, 5, bias=False), Pool(3, 2), ReLU(), norm),
        *(Conv(192, 3), ReLU()),
        *(Conv(192, 3), ReLU()),
        *(Conv(128, 3), ReLU(), Pool(3, 2)),
        *hidden(2048, Dropout(0.25)),
    )


CALTECH = caltech(BatchNorm(eps=1e-3, momentum=0.01))  # Keras's constants
CALTECH_LRN = caltech(PAPER_LRN)

_MNIST_LRN = LRN(9, alpha=0.001 / 9, beta=0.75, k=1, divide=False)  # TensorFlow, depth radius 4
MNIST: Layers = (
    *(Conv(96, 11), ReLU(), Pool(2, 2, "same"), _MNIST_LRN),
    *(Conv(256, 5), ReLU(), Pool(2, 2, "same"), _MNIST_LRN),
    *(Conv(384, 3), ReLU()),
    *(Conv(384, 3), ReLU()),
    *(Conv(256, 3), ReLU(), Pool(2, 2, "same")),
    *hidden(4096, Dropout(0.2)),
)

DIGITS: Layers = (
    *(Conv(32, 3), ReLU(), AS_RUN_LRN),
    *(Conv(64, 3), ReLU(), AS_RUN_LRN, Pool(3, 2, "same")),
    *(Conv(96, 3), ReLU()),
    *(Conv(96, 3), ReLU()),
    *(Conv(64, 3), ReLU(), Pool(3, 2, "same")),
    *hidden(128, Dropout(0.5)),
)

# One weird trick (Krizhevsky 2014, arXiv 1404.5997), as torchvision has it: one GPU, no normalisation -----------------

OWT: Layers = (
    *(Conv(64, 11, stride=4, padding=2), ReLU(), Pool(3, 2)),
    *(Conv(192, 5), ReLU(), Pool(3, 2)),
    *(Conv(384, 3), ReLU()),
    *(Conv(256, 3), ReLU()),
    *(Conv(256, 3), ReLU(), Pool(3, 2), AveragePool(6)),
    *(Dropout(0.5), Linear(4096), ReLU(), Dropout(0.5), Linear(4096), ReLU(), Linear(None)),
)
TWO_CLASS: Layers = (*OWT, LogSoftmax())
