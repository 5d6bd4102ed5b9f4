"""AlexNet on ImageNet: 2012 as written and as run, Caffe's, TensorFlow's, torchvision's."""

from dataclasses import replace
from functools import partial

from alexnet.models import alexnet
from alexnet.models.spec import Spec
from alexnet.preprocessing import Preprocessing

_PAPER = "Krizhevsky, Sutskever, Hinton, ImageNet Classification with Deep Convolutional Neural Networks, NIPS 2012"
_CODE = "https://github.com/computerhistory/AlexNet-Source-Code, layers/layers-"
_CAFFE = "https://github.com/BVLC/caffe, models/"
_TENSORFLOW = "'Deep learning notes 16: AlexNet and its TensorFlow implementation', a Chinese blog, 28 September 2018"
_KRATZERT = "; the code is https://github.com/kratzert/finetune_alexnet_with_tensorflow's"

# ImageNet's mean color as Caffe gives it; 2012 subtracted the mean image's center instead, pixel by pixel.
_RGB = Preprocessing((224, 224), resize=256, scale=1.0, mean=(123.0, 117.0, 104.0))
_BGR = Preprocessing((227, 227), resize=256, fit="squash", colors="BGR", scale=1.0, mean=(104.0, 117.0, 123.0))
TORCHVISION = Preprocessing((224, 224), resize=256, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))

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
        traps=("conv5 and the hidden layers keep their full width, so that the parameters are nearly as many",),
    ),
    _as_2012(
        name="alexnet-2012-no-lrn",
        title="alexnet-2012-as-run without normalization: configuration 148",
        architecture=alexnet.NO_LRN,
        parameters=60_965_224,
        source=_CODE + "148.cfg",
    ),
    _as_2012(
        name="alexnet-2012-no-overlap",
        title="alexnet-2012-as-run with 2 × 2 pools every 2: configuration 147",
        architecture=alexnet.NO_OVERLAP,
        parameters=60_965_224,
        source=_CODE + "147.cfg",
        traps=("conv2 and conv5 lose a pixel of padding too, which keeps the maps at 13 × 13 and 6 × 6",),
    ),
    _as_2012(
        name="alexnet-2012-conv6",
        title="alexnet-2012-as-run with a sixth convolution over the last pool: configuration 146",
        architecture=alexnet.SIX_CONVS,
        parameters=61_555_304,
        source=_CODE + "146-2012-2011.cfg",
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
        traps=(
            "k = 1 where the paper has 2, and LRN crosses the groups: its constants travel with its weights",
            "its best snapshot was iteration 358,000; the one given out, of 57.1 / 80.2 %, is iteration 360,000",
        ),
    ),
    _as_caffe(
        name="caffenet",
        title="Caffe's reference network: AlexNet with pool and norm exchanged",
        year=2013,
        architecture=alexnet.CAFFENET,
        init="caffenet",
        parameters=60_965_224,
        source=_CAFFE + "bvlc_reference_caffenet/train_val.prototxt and readme.md",
    ),
    _as_caffe(
        name="alexnet-tf",
        title="Caffe's AlexNet in TensorFlow, with LRN constants that fit its weights",
        year=2018,
        architecture=alexnet.TENSORFLOW,
        init="tensorflow",
        parameters=60_965_224,
        source=_TENSORFLOW + _KRATZERT + "; alpha as Caffe means it",
    ),
    _as_caffe(
        name="alexnet-tf-as-printed",
        title="Caffe's AlexNet in TensorFlow, with LRN constants as a write-up printed them",
        year=2018,
        architecture=alexnet.TENSORFLOW_AS_PRINTED,
        init="tensorflow",
        parameters=60_965_224,
        source=_TENSORFLOW + _KRATZERT,
        traps=(
            "TensorFlow does not divide alpha by the window: 1e-4 is five times what the loaded weights want",
            "its variables have no initializer, so biases too start as Glorot uniform",
            "trainable=False where it reuses variables does not freeze them: they were made trainable before",
        ),
    ),
    _as_caffe(
        name="alexnet-ungrouped",
        title="AlexNet on one GPU, as most tutorials print it: no groups and no normalization",
        year=2018,
        architecture=alexnet.UNGROUPED,
        init="tensorflow",
        parameters=62_378_344,
        source=_TENSORFLOW + ", its table of layers",
        traps=(
            "called AlexNet, but each filter of conv2, conv4 and conv5 sees all channels: 1,413,120 parameters more",
            "its 5 × 5 × 96 and 3 × 3 × 384 filters are not those of the code below it, which has two groups and LRN",
            "Caffe's and TensorFlow's ready weights are of the grouped network and do not fill it",
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
        name="alexnet-owt-linear",
        title="conv1 to conv5 of torchvision's AlexNet under dropout and one linear layer, at 224 pixels",
        year=2026,
        classes=10,
        architecture=alexnet.OWT_LINEAR,
        init="torch",
        preprocessing=TORCHVISION,
        parameters=2_561_866,
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
