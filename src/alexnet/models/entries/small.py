"""The networks for digits, CIFAR and parts of Caltech-256."""

from functools import partial

from alexnet.models import alexnet
from alexnet.models.network import ReLU, Tanh
from alexnet.models.spec import Figure, Spec
from alexnet.preprocessing import Preprocessing

CIFAR10 = Preprocessing((32, 32), scale=1.0, mean=(125.307, 122.95, 113.865), std=(62.9932, 62.0887, 66.7048))
_KERAS_CIFAR10 = "'[Keras-AlexNet] CIFAR-10', a Chinese blog, section 2"
_CALTECH = "'AlexNet reading and TensorFlow 2 reproduction', a Chinese blog; its printed model.summary()"
_MNIST = "'CNN training task 1', a course report, https://outofmemory.cn/zaji/5701482.html"

_keras_cifar10 = partial(Spec, year=2018, classes=10, preprocessing=CIFAR10)

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
        year=2020,
        classes=100,
        architecture=alexnet.CIFAR100,
        init="keras-uniform",
        preprocessing=Preprocessing((32, 32)),
        parameters=8_674_788,
        source="'Classic convolutional networks (2): AlexNet', a Chinese blog, TensorFlow 2.1",
        published=(
            Figure("validation accuracy", 0.1143, "", "epoch 5, on the test images"),
            Figure("validation loss", 3.7646, "nats", "epoch 5, on the test images"),
            Figure("training accuracy", 0.1084, "", "epoch 5, running mean"),
            Figure("epoch time", 301, "s", "the author's CPU, 385 ms a step of 64"),
        ),
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
        published=(Figure("test accuracy", 0.90, "", "'more than 90 %', 300 epochs"),),
    ),
    _keras_cifar10(
        name="alexnet-slim-regular",
        title="alexnet-slim with he_normal initialization and L2 on its convolutions",
        architecture=alexnet.SLIM,
        init="keras-he",
        parameters=87_650_186,
        source=_KERAS_CIFAR10 + ".3",
        published=(Figure("test accuracy", 0.92, "", "300 epochs; the author's best"),),
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
        traps=("called 'every width halved' by its author; only these widths have the published count",),
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
        year=2020,
        classes=45,
        architecture=alexnet.CALTECH,
        init="keras-glorot",
        preprocessing=Preprocessing((227, 227), fit="squash"),
        parameters=14_674_221,
        statistics=352,
        counts_statistics=True,
        source=_CALTECH,
        published=(
            Figure("training accuracy", 0.9390, "", "epoch 30"),
            Figure("test accuracy", 0.2613, "", "1,102 images"),
            Figure("test loss", 7.0082, "nats", "1,102 images"),
        ),
        traps=(
            "labels start at 1, so class 45 falls outside the one-hot vector and output 0 is never used",
            "conv5 is followed by two ReLUs; one is the same function",
        ),
    ),
    Spec(
        name="alexnet-caltech-lrn",
        title="alexnet-caltech with the paper's LRN where it has BatchNorm",
        year=2020,
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
        preprocessing=CIFAR10,
        parameters=2_472_266,
        source="https://github.com/bearpaw/pytorch-classification, models/cifar/alexnet.py and README.md",
        published=(
            Figure("test error", 22.78, "%", "CIFAR-10, 164 epochs"),
            Figure("test error", 56.13, "%", "CIFAR-100, 164 epochs"),
        ),
        traps=("its best epoch is chosen on the test set",),
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
            published=published,
            traps=(
                "the paper gives no widths: this is the one four-layer network without regularization in its code",
                *traps,
            ),
        )
        for name, title, activation, published, traps in (
            ("relu", "with ReLU", ReLU(), (Figure("speed-up over tanh", 6, "×", "epochs to 25 % training error"),), ()),
            (
                "tanh",
                "with tanh",
                Tanh(),
                (),
                ("cuda-convnet's tanh has a scale and a slope; the paper gives neither",),
            ),
        )
    ),
)
