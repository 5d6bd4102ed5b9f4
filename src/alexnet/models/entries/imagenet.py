"""AlexNet on ImageNet: 2012 as written and as run, Caffe's, TensorFlow's, torchvision's."""

from dataclasses import replace
from functools import partial

from alexnet.models import alexnet
from alexnet.models.spec import Figure, Spec
from alexnet.preprocessing import Preprocessing

_PAPER = "Krizhevsky, Sutskever, Hinton, ImageNet Classification with Deep Convolutional Neural Networks, NIPS 2012"
_CODE = "https://github.com/computerhistory/AlexNet-Source-Code, layers/layers-"
_CAFFE = "https://github.com/BVLC/caffe, models/"
_TENSORFLOW = "'Deep learning notes 16: AlexNet and its TensorFlow implementation', a Chinese blog, 2018"

# ImageNet's mean color as Caffe gives it; 2012 subtracted the mean image's center instead, pixel by pixel.
_RGB = Preprocessing((224, 224), resize=256, scale=1.0, mean=(123.0, 117.0, 104.0))
_BGR = Preprocessing((227, 227), resize=256, fit="squash", colors="BGR", scale=1.0, mean=(104.0, 117.0, 123.0))
TORCHVISION = Preprocessing((224, 224), resize=256, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))

_TEN_VIEWS = "ILSVRC-2012 validation, 10 views"


def _errors(top1: float, top5: float, note: str) -> tuple[Figure, Figure]:
    return Figure("top-1 error", top1, "%", note), Figure("top-5 error", top5, "%", note)


def _accuracies(top1: float, top5: float, note: str) -> tuple[Figure, Figure]:
    return Figure("top-1 accuracy", top1, "%", note), Figure("top-5 accuracy", top5, "%", note)


_as_2012 = partial(Spec, year=2012, classes=1000, init="as-run", preprocessing=_RGB)
_as_caffe = partial(Spec, classes=1000, preprocessing=_BGR)

ENTRIES = (
    _as_2012(
        name="alexnet-2012",
        title="AlexNet as the paper describes it",
        architecture=alexnet.ALEXNET,
        init="paper",
        parameters=60_965_224,
        source=_PAPER,
        published=(
            *_errors(40.7, 18.2, _TEN_VIEWS + ", Table 2, '1 CNN'"),
            *_errors(37.5, 17.0, "ILSVRC-2010 test, 10 views, Table 1"),
        ),
        traps=(
            "224 pixels, an 11-pixel kernel and stride 4 give no 55 × 55 maps without padding; the code rounds up",
            "253,440 neurons of layer 1 are not 55 · 55 · 96 = 290,400",
            "LRN's N counts all kernels of a layer, yet the GPUs do not meet before layer 3: it is per GPU here",
            "std .01 and an undivided LRN sum are not what was run: see alexnet-2012-as-run",
        ),
    ),
    _as_2012(
        name="alexnet-2012-tanh",
        title="alexnet-2012 with tanh for ReLU",
        architecture=alexnet.TANH,
        init="paper",
        parameters=60_965_224,
        source=_PAPER + ", section 3.1",
        traps=("never run: no configuration of the 2012 code has it; the paper's tanh network is figure1-tanh",),
    ),
    _as_2012(
        name="alexnet-2012-as-run",
        title="AlexNet as it was trained: configuration 145",
        architecture=alexnet.AS_RUN,
        parameters=60_965_224,
        source=_CODE + "145.cfg and layer-params-145.cfg",
        published=_errors(40.6640, 18.2100, _TEN_VIEWS + ", epoch 91"),
        traps=(
            "conv1's ReLU stands after LRN and pool, so that LRN sees negative values: not the paper's function",
            "a spatial normalization follows norm2 that the paper does not mention",
            "configuration 120-2012, despite its name, is another network",
        ),
    ),
    _as_2012(
        name="alexnet-2012-half",
        title="One GPU's column of alexnet-2012-as-run: configuration 145-half",
        architecture=alexnet.HALF,
        parameters=59_798_312,
        source=_CODE + "145-half.cfg",
        published=_errors(39.1680, 18.2287, "ILSVRC-2010 test, 10 views, epoch 96"),
        traps=("conv5 and the hidden layers keep their full width, so that the parameters are nearly as many",),
    ),
    _as_2012(
        name="alexnet-2012-no-lrn",
        title="alexnet-2012-as-run without normalization: configuration 148",
        architecture=alexnet.NO_LRN,
        parameters=60_965_224,
        source=_CODE + "148.cfg",
        published=_errors(42.0340, 19.3620, _TEN_VIEWS + ", epoch 97"),
    ),
    _as_2012(
        name="alexnet-2012-no-overlap",
        title="alexnet-2012-as-run with 2 × 2 pools every 2: configuration 147",
        architecture=alexnet.NO_OVERLAP,
        parameters=60_965_224,
        source=_CODE + "147.cfg",
        published=_errors(41.0580, 18.5100, _TEN_VIEWS + ", epoch 90"),
        traps=("conv2 and conv5 lose a pixel of padding too, which keeps the maps at 13 × 13 and 6 × 6",),
    ),
    _as_2012(
        name="alexnet-2012-conv6",
        title="alexnet-2012-as-run with a sixth convolution over the last pool: configuration 146",
        architecture=alexnet.SIX_CONVS,
        parameters=61_555_304,
        source=_CODE + "146-2012-2011.cfg",
        published=_errors(38.9900, 16.6220, _TEN_VIEWS + ", pretrained on ImageNet Fall 2011, epoch 54"),
        traps=("its fully-connected layers are fc7, fc8 and fc9; conv6 sees both GPUs",),
    ),
    _as_caffe(
        name="alexnet-bvlc",
        title="Caffe's AlexNet",
        year=2014,
        architecture=alexnet.BVLC,
        init="caffe-alexnet",
        parameters=60_965_224,
        source=_CAFFE + "bvlc_alexnet/train_val.prototxt and readme.md",
        published=_accuracies(57.1, 80.2, "ILSVRC-2012 validation, center crop, iteration 360,000"),
        traps=("k = 1 where the paper has 2, and LRN crosses the groups: its constants travel with its weights",),
    ),
    _as_caffe(
        name="caffenet",
        title="Caffe's reference network: AlexNet with pool and norm exchanged",
        year=2013,
        architecture=alexnet.CAFFENET,
        init="caffenet",
        parameters=60_965_224,
        source=_CAFFE + "bvlc_reference_caffenet/train_val.prototxt and readme.md",
        published=_accuracies(57.4, 80.4, "ILSVRC-2012 validation, center crop, iteration 310,000"),
    ),
    _as_caffe(
        name="alexnet-tf",
        title="Caffe's AlexNet in TensorFlow, with LRN constants that fit its weights",
        year=2018,
        architecture=alexnet.TENSORFLOW,
        init="tensorflow",
        parameters=60_965_224,
        source=_TENSORFLOW + "; alpha as Caffe means it",
    ),
    _as_caffe(
        name="alexnet-tf-as-printed",
        title="Caffe's AlexNet in TensorFlow, with LRN constants as a write-up printed them",
        year=2018,
        architecture=alexnet.TENSORFLOW_AS_PRINTED,
        init="tensorflow",
        parameters=60_965_224,
        source=_TENSORFLOW,
        traps=(
            "TensorFlow does not divide alpha by the window: 1e-4 is five times what the loaded weights want",
            "its variables have no initializer, so biases too start as Glorot uniform",
        ),
    ),
    Spec(
        name="alexnet-keras",
        title="AlexNet in Keras 1: CaffeNet's order with the paper's LRN, whose weights are alexnet_weights.h5",
        year=2015,
        classes=1000,
        architecture=alexnet.KERAS,
        init="keras-glorot",
        preprocessing=replace(_BGR, colors="RGB", mean=(123.68, 116.779, 103.939)),
        parameters=60_965_224,
        source="https://github.com/heuritech/convnets-keras, convnetskeras/convnets.py and README.md",
        traps=("alpha 1e-4 is not divided: torch's form of it is 5e-4; its colors are RGB where Caffe's are BGR",),
    ),
    Spec(
        name="alexnet-owt",
        title="torchvision's AlexNet ('one weird trick')",
        year=2014,
        classes=1000,
        architecture=alexnet.OWT,
        init="torch",
        preprocessing=TORCHVISION,
        parameters=61_100_840,
        source="https://github.com/pytorch/vision, torchvision/models/alexnet.py; Krizhevsky 2014, arXiv 1404.5997",
        published=_accuracies(56.522, 79.066, "ILSVRC-2012 validation, center crop, torchvision's weights"),
        traps=("dropout stands before the hidden layers, not after them",),
    ),
    Spec(
        name="alexnet-owt-probe",
        title="conv1 to conv5 of torchvision's AlexNet under one linear layer, at 128 pixels",
        year=2026,
        classes=10,
        architecture=alexnet.OWT_PROBE,
        init="torch",
        preprocessing=replace(TORCHVISION, size=(128, 128), resize=None),
        parameters=2_492_746,
        source="ours; convolutions of torchvision/models/alexnet.py",
    ),
    Spec(
        name="alexnet-two-class",
        title="torchvision's AlexNet with two classes and log-probabilities ('MineAlexNet')",
        year=2022,
        classes=2,
        architecture=alexnet.TWO_CLASS,
        init="torch",
        preprocessing=TORCHVISION,
        parameters=57_012_034,
        source="'CNN training task 1', a course report, https://outofmemory.cn/zaji/5701482.html, the PyTorch class",
        traps=(
            "the report's results are the TensorFlow network's, not this one's; its preprocessing is torchvision's",
        ),
        output="log-probabilities",
    ),
)
