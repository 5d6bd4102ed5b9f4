"""AlexNet, and what its descendants changed: each network is its layers, written down in the order in which they run.

    Conv(filters, kernel)   SAME padding and stride 1 unless it says other; `groups=2` is one half per GPU
    LRN(…)                  local response normalization; its three published forms differ in k and in who divides alpha
    Pool(3, 2)              overlapping max pooling, 3 × 3 every 2
    Linear(4096)            Linear(None) gives the logits

Layers get their names from their place: conv1, relu1, norm1, pool1, … conv5, fc6, relu6, drop6, fc7, fc8.
"""

from dataclasses import replace

from alexnet.models.structure import (
    LRN,
    AveragePool,
    BatchNorm,
    Conv,
    Dropout,
    Layer,
    Linear,
    LogSoftmax,
    MeanPool,
    Pool,
    ReLU,
    SpatialNorm,
    Tanh,
)

Layers = tuple[Layer, ...]

# The paper (Krizhevsky, Sutskever, Hinton 2012, section 3) ------------------------------------------------------------

PAPER_LRN = LRN(5, alpha=1e-4, beta=0.75, k=2, divide=False)  # section 3.3, whose sum is not divided by n


def hidden(width: int, dropout: Layer) -> Layers:
    """The two hidden fully-connected layers and the logits."""
    return (Linear(width), ReLU(), dropout, Linear(width), ReLU(), dropout, Linear(None))


ALEXNET: Layers = (
    *(Conv(96, 11, stride=4, padding="ceil"), ReLU(), replace(PAPER_LRN, groups=2), Pool(3, 2)),
    *(Conv(256, 5, groups=2), ReLU(), replace(PAPER_LRN, groups=2), Pool(3, 2)),
    *(Conv(384, 3), ReLU()),
    *(Conv(384, 3, groups=2), ReLU()),
    *(Conv(256, 3, groups=2), ReLU(), Pool(3, 2)),
    *hidden(4096, Dropout(0.5, scaled=True)),
)
TANH: Layers = tuple(Tanh() if isinstance(layer, ReLU) else layer for layer in ALEXNET)

# What was run (https://github.com/computerhistory/AlexNet-Source-Code, layers/) ---------------------------------------

AS_RUN_LRN = LRN(5, alpha=1e-4, beta=0.75, k=2, divide=True)


def as_run(conv2: Conv, conv5: Conv, pool: Pool) -> Layers:
    """Configuration 145, where the 2012 runs differ among themselves: two convolutions and the pools."""
    norm = replace(AS_RUN_LRN, groups=2)
    return (
        *(Conv(96, 11, stride=4, padding="ceil"), norm, pool, ReLU()),
        *(conv2, ReLU(), norm, SpatialNorm(5, alpha=1e-3, beta=0.75), pool),
        *(Conv(384, 3), ReLU()),
        *(Conv(384, 3, groups=2), ReLU()),
        *(conv5, pool, ReLU()),
        *hidden(4096, Dropout(0.5, scaled=True)),
    )


AS_RUN = as_run(Conv(256, 5, groups=2), Conv(256, 3, groups=2), Pool(3, 2))
NO_LRN: Layers = tuple(layer for layer in AS_RUN if not isinstance(layer, LRN | SpatialNorm))
NO_OVERLAP = as_run(Conv(256, 5, padding=1, groups=2), Conv(256, 3, padding=0, groups=2), Pool(2, 2, "ceil"))
SIX_CONVS = (*AS_RUN[:-7], Conv(256, 3), ReLU(), *AS_RUN[-7:])

HALF: Layers = (
    *(Conv(48, 11, stride=4, padding="ceil"), AS_RUN_LRN, Pool(3, 2), ReLU()),
    *(Conv(128, 5), ReLU(), AS_RUN_LRN, SpatialNorm(5, alpha=1e-3, beta=0.75), Pool(3, 2)),
    *(Conv(192, 3), ReLU()),
    *(Conv(192, 3), ReLU()),
    *(Conv(256, 3), Pool(3, 2), ReLU()),
    *hidden(4096, Dropout(0.5, scaled=True)),
)


def figure1(activation: Layer) -> Layers:
    """The paper's Figure 1, as far as is known: four layers with weights, on CIFAR-10."""
    return (
        *(Conv(32, 5), activation, Pool(3, 2, "ceil")),
        *(Conv(32, 5), activation, MeanPool(3, 2)),
        *(Conv(64, 5), activation, MeanPool(3, 2)),
        Linear(None),
    )


# Caffe, and through its weights TensorFlow ----------------------------------------------------------------------------

CAFFE_LRN = LRN(5, alpha=1e-4, beta=0.75, k=1, divide=True)


def caffe(*after_conv: Layer) -> Layers:
    """Caffe's AlexNet, with what stands between a ReLU and the next convolution: norm → pool, or pool → norm."""
    return (
        *(Conv(96, 11, stride=4, padding=0), ReLU(), *after_conv),
        *(Conv(256, 5, groups=2), ReLU(), *after_conv),
        *(Conv(384, 3), ReLU()),
        *(Conv(384, 3, groups=2), ReLU()),
        *(Conv(256, 3, groups=2), ReLU(), Pool(3, 2)),
        *hidden(4096, Dropout(0.5)),
    )


BVLC = caffe(CAFFE_LRN, Pool(3, 2))
CAFFENET = caffe(Pool(3, 2), CAFFE_LRN)
TENSORFLOW_AS_PRINTED = caffe(replace(CAFFE_LRN, divide=False), Pool(3, 2))
TENSORFLOW = caffe(replace(CAFFE_LRN, alpha=2e-5, divide=False), Pool(3, 2))
KERAS = caffe(Pool(3, 2), PAPER_LRN)
UNGROUPED: Layers = tuple(replace(layer, groups=1) if isinstance(layer, Conv) else layer for layer in caffe(Pool(3, 2)))

# One weird trick (Krizhevsky 2014, arXiv 1404.5997), as torchvision has it: one GPU, no normalization -----------------

OWT: Layers = (
    *(Conv(64, 11, stride=4, padding=2), ReLU(), Pool(3, 2)),
    *(Conv(192, 5), ReLU(), Pool(3, 2)),
    *(Conv(384, 3), ReLU()),
    *(Conv(256, 3), ReLU()),
    *(Conv(256, 3), ReLU(), Pool(3, 2), AveragePool(6)),
    *(Dropout(0.5), Linear(4096), ReLU(), Dropout(0.5), Linear(4096), ReLU(), Linear(None)),
)
TWO_CLASS: Layers = (*OWT, LogSoftmax())
OWT_PROBE: Layers = (*OWT[:13], Linear(None))  # conv1 to pool5
OWT_LINEAR: Layers = (*OWT[:13], Dropout(0.5), Linear(None))
BEARPAW: Layers = (
    *(Conv(64, 11, stride=4, padding=5), ReLU(), Pool(2, 2)),
    *(Conv(192, 5), ReLU(), Pool(2, 2)),
    *(Conv(384, 3), ReLU()),
    *(Conv(256, 3), ReLU()),
    *(Conv(256, 3), ReLU(), Pool(2, 2)),
    Linear(None),
)

# One GPU's worth, and smaller images --------------------------------------------------------------------------------

CIFAR100: Layers = (
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
