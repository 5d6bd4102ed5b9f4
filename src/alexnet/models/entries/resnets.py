"""Residual networks: rows of depth, learned parameters and running statistics."""

from functools import partial

from alexnet.models import resnet
from alexnet.models.entries.imagenet import TORCHVISION
from alexnet.models.entries.small import CIFAR10
from alexnet.models.spec import Spec

_HE = "He et al. 2015, arXiv 1512.03385"
_HE2 = "He et al. 2016, arXiv 1603.05027"
_VISION = "https://github.com/pytorch/vision, torchvision/models/resnet.py"
_OFFICIAL = "https://github.com/tensorflow/models, official/resnet/resnet_model.py"

_for_cifar = partial(Spec, year=2015, classes=10, init="he", preprocessing=CIFAR10)
_for_imagenet = partial(Spec, year=2015, classes=1000, init="torchvision", preprocessing=TORCHVISION)

_ZERO_PADDED = tuple(
    _for_cifar(
        name=f"resnet-{depth}",
        title=f"ResNet-{depth} for CIFAR, zero-padded shortcuts (option A)",
        architecture=resnet.cifar(depth, zeros=True),
        parameters=learned,
        statistics=statistics,
        source=_HE + ", section 4.2 and Table 6",
    )
    for depth, learned, statistics in (
        (20, 269_722, 1_376),
        (32, 464_154, 2_272),
        (44, 658_586, 3_168),
        (56, 853_018, 4_064),
        (110, 1_727_962, 8_096),
    )
)

_PROJECTED = tuple(
    _for_cifar(
        name=f"resnet-{depth}-projection",
        title=f"ResNet-{depth} for CIFAR, projected shortcuts (option B)",
        architecture=resnet.cifar(depth),
        parameters=learned,
        statistics=statistics,
        source=_HE + ", section 3.3; its CIFAR figures are all option A's",
    )
    for depth, learned, statistics in (
        (20, 272_474, 1_568),
        (32, 466_906, 2_464),
        (44, 661_338, 3_360),
        (56, 855_770, 4_256),
        (110, 1_730_714, 8_288),
    )
)

_OFFICIAL_CIFAR = tuple(
    _for_cifar(
        name=f"resnet-{depth}-v2-official",
        title=f"ResNet-{depth} for CIFAR, version 2 with 6n + 2 layers, as in TensorFlow's official model",
        year=2018,
        architecture=resnet.cifar(depth, version=2),
        init="tensorflow-resnet",
        parameters=learned,
        statistics=statistics,
        source=f"{_OFFICIAL} and cifar10_main.py; counts are ours",
        traps=("its first stage projects its shortcut although neither size nor width changes",),
    )
    for depth, learned, statistics in (
        (20, 272_538, 1_376),
        (32, 466_970, 2_272),
        (44, 661_402, 3_168),
        (56, 855_834, 4_064),
        (110, 1_730_778, 8_096),
    )
)

_BOTTLENECKS = tuple(
    _for_cifar(
        name=f"resnet-{depth}-v2",
        title=f"ResNet-{depth} for CIFAR, version 2 with bottlenecks (9n + 2 layers)",
        year=2016,
        architecture=resnet.cifar_bottleneck(depth),
        init="tensorflow-resnet",
        parameters=learned,
        statistics=statistics,
        source=f"{_HE2}, Table 4 (164 layers); blocks of {_OFFICIAL}",
        traps=(
            "TensorFlow's cifar10_main.py takes 6n + 2 layers only; the 9n + 2 of other depths is Keras's "
            "cifar10_resnet example, whose stride stands on the first 1 × 1 convolution and whose convolutions have "
            "biases",
        ),
    )
    for depth, learned, statistics in (
        (29, 312_218, 4_064),
        (56, 590_426, 8_096),
        (110, 1_146_842, 16_160),
        (164, 1_703_258, 24_224),
    )
)

_IMAGENET = tuple(
    _for_imagenet(
        name=f"resnet-{depth}",
        title=f"ResNet-{depth} for ImageNet",
        architecture=resnet.imagenet(depth),
        parameters=learned,
        statistics=statistics,
        source=f"{_HE}, Table 1; {_VISION}",
    )
    for depth, learned, statistics in (
        (18, 11_689_512, 9_600),
        (34, 21_797_672, 17_024),
        (50, 25_557_032, 53_120),
        (101, 44_549_160, 105_344),
        (152, 60_192_808, 151_424),
    )
)

_IMAGENET_2 = tuple(
    _for_imagenet(
        name=f"resnet-{depth}-v2",
        title=f"ResNet-{depth} for ImageNet, version 2",
        year=2016,
        architecture=resnet.imagenet(depth, version=2),
        init="tensorflow-resnet",
        parameters=learned,
        statistics=statistics,
        source=f"{_HE2}; {_OFFICIAL}; counts are ours",
    )
    for depth, learned, statistics in (
        (18, 11_691_816, 7_808),
        (34, 21_799_976, 15_232),
        (50, 25_549_352, 45_440),
        (101, 44_541_480, 97_664),
        (152, 60_185_128, 143_744),
    )
)

ENTRIES = (*_ZERO_PADDED, *_PROJECTED, *_OFFICIAL_CIFAR, *_BOTTLENECKS, *_IMAGENET, *_IMAGENET_2)
