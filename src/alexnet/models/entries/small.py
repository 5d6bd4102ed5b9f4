"""The networks for digits, CIFAR and parts of Caltech-256."""

from functools import partial

from alexnet.models import alexnet
from alexnet.models.spec import Spec
from alexnet.models.structure import ReLU, Tanh
from alexnet.preprocessing import Preprocessing

CIFAR10 = Preprocessing((32, 32), scale=1.0, mean=(125.307, 122.95, 113.865), std=(62.9932, 62.0887, 66.7048))
_KERAS_CIFAR10 = "'[Keras-AlexNet] CIFAR-10', a Chinese blog, section 2"
_CALTECH = "'AlexNet reading and TensorFlow 2 reproduction', a Chinese blog; its printed model.summary()"
_MNIST = "'CNN training task 1', a course report, https://outofmemory.cn/zaji/5701482.html"

_keras_cifar10 = partial(Spec, year=None, classes=10, preprocessing=CIFAR10)

ENTRIES = (
    Spec(
        name="alexnet-digits",
        title="A small AlexNet for 8 × 8 handwritten digits",
        year=2026,
        classes=10,
        architecture=alexnet.DIGITS,
        init="ours",
        preprocessing=Preprocessing((8, 8), colors="L", mean=(0.3053,), std=(0.3760,)),
        parameters=263_306,
        source="this project; images of scikit-learn's load_digits",
    ),
    Spec(
        name="alexnet-cifar100",
        title="AlexNet on CIFAR-100 in Keras, half-width hidden layers",
        year=None,
        classes=100,
        architecture=alexnet.CIFAR100,
        init="keras-uniform",
        preprocessing=Preprocessing((32, 32)),
        parameters=8_674_788,
        source="'Classic convolutional networks (2): AlexNet', a Chinese blog",
        traps=("Keras 'uniform' convolutions (±.05, whatever the fan-in) are why it learns so slowly",),
    ),
    _keras_cifar10(
        name="alexnet-cifar10",
        title="AlexNet on CIFAR-10 in Keras, full width",
        architecture=alexnet.CIFAR10,
        init="keras-uniform",
        parameters=21_622_154,
        source=_KERAS_CIFAR10 + ".1",
        traps=(
            "the printed SGD rate .1 never acts: the schedule sets .01 at the first epoch",
            "'same' padding of the 11 × 11 stride-4 convolution on 32 pixels is 3 before and 4 after",
        ),
    ),
    _keras_cifar10(
        name="alexnet-slim",
        title="AlexNet on CIFAR-10, first convolution and pool replaced by one 3 × 3 convolution",
        architecture=alexnet.SLIM,
        init="keras-uniform",
        parameters=87_650_186,
        source=_KERAS_CIFAR10 + ".2",
    ),
    _keras_cifar10(
        name="alexnet-slim-regular",
        title="alexnet-slim with he_normal initialization and L2 on its convolutions",
        architecture=alexnet.SLIM,
        init="keras-he",
        parameters=87_650_186,
        source=_KERAS_CIFAR10 + ".3",
    ),
    _keras_cifar10(
        name="alexnet-thinner-2",
        title="alexnet-slim-regular with every width halved, as its author says",
        architecture=alexnet.THINNER_2,
        init="keras-he",
        parameters=21_925_834,
        source=_KERAS_CIFAR10 + ".4",
        traps=("the published count, 6,074,250, is not half of every width: see alexnet-thinner-2-as-run",),
    ),
    _keras_cifar10(
        name="alexnet-thinner-2-as-run",
        title="alexnet-slim-regular with half of conv1–4 and a quarter of conv5 and of the hidden layers",
        architecture=alexnet.THINNER_2_AS_RUN,
        init="keras-he",
        parameters=6_074_250,
        source=_KERAS_CIFAR10 + ".4, its parameter count",
        traps=(
            "called 'every width halved' by its author; of the widths that have the published count (48, 128, 256, "
            "128, 64 with 1024 has it too), these are the ones that quarter whole layers",
        ),
    ),
    _keras_cifar10(
        name="alexnet-thinner-4",
        title="alexnet-slim-regular with every width quartered",
        architecture=alexnet.THINNER_4,
        init="keras-he",
        parameters=5_488_106,
        source=_KERAS_CIFAR10 + ".4",
    ),
    Spec(
        name="alexnet-caltech",
        title="One GPU's half of AlexNet on 45 classes of Caltech-256, BatchNorm for LRN",
        year=None,
        classes=45,
        architecture=alexnet.CALTECH,
        init="keras-glorot",
        preprocessing=Preprocessing((227, 227), fit="squash"),
        parameters=14_674_221,
        statistics=352,
        counts_statistics=True,
        source=_CALTECH,
        traps=(
            "labels start at 1, so class 45 falls outside the one-hot vector and output 0 is never used",
            "conv5 is followed by two ReLUs; one is the same function",
        ),
    ),
    Spec(
        name="alexnet-caltech-lrn",
        title="alexnet-caltech with the paper's LRN where it has BatchNorm",
        year=None,
        classes=45,
        architecture=alexnet.CALTECH_LRN,
        init="keras-glorot",
        preprocessing=Preprocessing((227, 227), fit="squash"),
        parameters=14_673_517,
        source=_CALTECH + "; the LRN that it leaves as an exercise",
        traps=("its formula writes a_i² under the sum over j, and its layer class divides without summing",),
    ),
    Spec(
        name="alexnet-mnist",
        title="AlexNet on MNIST in TensorFlow 1",
        year=2022,
        classes=10,
        architecture=alexnet.MNIST,
        init="ours",
        preprocessing=Preprocessing((28, 28), colors="L"),
        parameters=37_327_562,
        source=_MNIST + ", section 3 (1)",
        traps=(
            "weight shapes and initialization are left out: widths are the family's, the initialization is ours",
            "alpha .001/9 undivided in TensorFlow with radius 4 is Caffe's .001 divided by its window of 9",
        ),
    ),
    Spec(
        name="alexnet-bearpaw",
        title="A CIFAR AlexNet without hidden fully-connected layers",
        year=2017,
        classes=10,
        architecture=alexnet.BEARPAW,
        init="torch",
        preprocessing=Preprocessing((32, 32), mean=(0.4914, 0.4822, 0.4465), std=(0.2023, 0.1994, 0.2010)),
        parameters=2_472_266,
        source="https://github.com/bearpaw/pytorch-classification, models/cifar/alexnet.py and README.md",
        traps=(
            "its best epoch is chosen on the test set",
            "its std .2023 .1994 .2010 is the mean of each image's own std; that of all pixels is .247 .2435 .2616",
        ),
    ),
    *(
        Spec(
            name=f"figure1-{name}",
            title=f"The four-layer CIFAR-10 network of the paper's Figure 1, {title}",
            year=2012,
            classes=10,
            architecture=alexnet.figure1(activation),
            init="figure1",
            preprocessing=Preprocessing((32, 32), scale=1.0, mean=CIFAR10.mean),
            parameters=89_578,
            source="Krizhevsky et al. 2012, Figure 1; 2012 code, example-layers/layers-19pct.cfg",
            traps=(
                "the paper gives no widths: this is the one four-layer network without normalization in its code",
                *traps,
            ),
        )
        for name, title, activation, traps in (
            ("relu", "with ReLU", ReLU(), ()),
            (
                "tanh",
                "with tanh",
                Tanh(),
                ("cuda-convnet's tanh has a scale and a slope; the paper gives neither",),
            ),
        )
    ),
)
