"""Residual networks: rows of depth, learned parameters, running statistics and published figures."""

from functools import partial

from alexnet.models import resnet
from alexnet.models.entries.imagenet import TORCHVISION
from alexnet.models.entries.small import CIFAR10
from alexnet.models.spec import Figure, Spec

_HE = "He et al. 2015, arXiv 1512.03385"
_HE2 = "He et al. 2016, arXiv 1603.05027"
_VISION = "https://github.com/pytorch/vision, torchvision/models/resnet.py"
_OFFICIAL = "https://github.com/tensorflow/models, official/resnet/resnet_model.py"
_CIFAR_TEST = "CIFAR-10 test"
_FIRST_WEIGHTS = "ILSVRC-2012 validation, center crop, torchvision's first weights"

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
        published=(Figure("test error", error, "%", _CIFAR_TEST), Figure("parameters", millions, "M", "Table 6")),
    )
    for depth, learned, statistics, error, millions in (
        (20, 269_722, 1_376, 8.75, 0.27),
        (32, 464_154, 2_272, 7.51, 0.46),
        (44, 658_586, 3_168, 7.17, 0.66),
        (56, 853_018, 4_064, 6.97, 0.85),
        (110, 1_727_962, 8_096, 6.43, 1.7),
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

_BOTTLENECKS = tuple(
    _for_cifar(
        name=f"resnet-{depth}-v2",
        title=f"ResNet-{depth} for CIFAR, version 2 with bottlenecks",
        year=2016,
        architecture=resnet.cifar_bottleneck(depth),
        init="tensorflow-resnet",
        parameters=learned,
        statistics=statistics,
        source=f"{_HE2}; {_OFFICIAL}",
        published=tuple(Figure("test error", error, "%", _CIFAR_TEST + ", Table 4") for error in errors),
    )
    for depth, learned, statistics, errors in (
        (29, 312_218, 4_064, ()),
        (56, 590_426, 8_096, ()),
        (110, 1_146_842, 16_160, ()),
        (164, 1_703_258, 24_224, (5.46,)),
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
        published=(
            Figure("top-1 error", top1, "%", _FIRST_WEIGHTS),
            Figure("top-5 error", top5, "%", _FIRST_WEIGHTS),
        ),
    )
    for depth, learned, statistics, top1, top5 in (
        (18, 11_689_512, 9_600, 30.24, 10.92),
        (34, 21_797_672, 17_024, 26.70, 8.58),
        (50, 25_557_032, 53_120, 23.85, 7.13),
        (101, 44_549_160, 105_344, 22.63, 6.44),
        (152, 60_192_808, 151_424, 21.69, 5.94),
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

ENTRIES = (*_ZERO_PADDED, *_PROJECTED, *_BOTTLENECKS, *_IMAGENET, *_IMAGENET_2)
