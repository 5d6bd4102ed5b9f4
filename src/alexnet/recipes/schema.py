"""Every key of a recipe: its default, its type, its range, and what it means."""

import dataclasses
import re
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, PlainValidator
from pydantic.dataclasses import dataclass

from alexnet.arguments import shown
from alexnet.errors import unknown
from alexnet.recipes.durations import Duration

_CONFIG = ConfigDict(extra="forbid", allow_inf_nan=False)
MOST = 10**9
"""The largest count that a recipe may name."""
PLACES = ("data.labels", "data.quarantine", "model.weights", "model.teacher", "augment.pca_color_from")
"""Keys that name files."""


def key(default: Any, about: str, **limits: Any) -> Any:
    """A recipe key: its default, what it means, and its limits (ge, le, gt)."""
    return Field(default=default, description=about, **limits)


def table(about: str) -> Any:
    """A recipe key that is a table, empty by default."""
    return Field(default_factory=dict, description=about)


def one_of(*choices: str) -> AfterValidator:
    """Restricts a string to `choices`; what is none of them is answered with the nearest."""

    def check(value: str) -> str:
        if value not in choices:
            raise ValueError(str(unknown("value", value, choices)))
        return value

    return AfterValidator(check)


def _share_or_test(value: object) -> float | str:
    if value == "test":
        return "test"
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise ValueError(f"is {shown(value)}; give a fraction such as 0.1, or 'test'")
    if not 0 < value <= 0.9:  # nan too
        raise ValueError(f"is {shown(value)}; it must be above 0 and at most 0.9")
    return float(value)


def _no_flag(value: object) -> object:
    """pydantic takes True for 1.0."""
    if isinstance(value, bool):
        raise ValueError(f"takes a number, not {value}")
    return value


def _shuffle(value: str) -> str:
    if not re.fullmatch(r"auto|epoch|once|none|buffer-[1-9]\d{0,8}|shards(-[1-9]\d{0,5})?", value):
        raise ValueError(
            f"is {value!r}; choose 'auto', 'epoch', 'once', 'none', a buffer such as 'buffer-1000', 'shards', or a "
            "number of them such as 'shards-16'"
        )
    return value


Text = Annotated[str, Field(strict=True, max_length=4096)]
Flag = Annotated[bool, Field(strict=True)]
Whole = Annotated[int, Field(strict=True)]
Number = Annotated[float, Field(strict=True), BeforeValidator(_no_flag)]
Count = Annotated[int, Field(strict=True, ge=0, le=MOST)]
Positive = Annotated[int, Field(strict=True, ge=1, le=MOST)]
NotNegative = Annotated[float, Field(strict=True, ge=0), BeforeValidator(_no_flag)]
Names = tuple[Text, ...]


@dataclass(frozen=True, config=_CONFIG)
class Model:
    name: Text = key("alexnet-digits", "network, one of `alexnet models`")
    init: Text | None = key(None, "initialization. Default: the network's own")
    dropout: Number | None = key(None, "rate of every dropout layer. Default: the network's own", ge=0, le=0.95)
    weights: Text | None = key(None, "pretrained weights to start from: a file of any known format, or a run folder")
    skip: Names = key((), "layers of `weights` to leave out and initialize randomly, such as ['fc8']")
    teacher: Text | None = key(
        None, "distillation: the model whose outputs are learned, a run folder or a weights file with its card"
    )
    freeze: Names = key((), "layers to freeze, by name or range, such as ['conv1..conv5']")


@dataclass(frozen=True, config=_CONFIG)
class Data:
    name: Text = key("digits", "dataset")
    validation: Annotated[float | str, PlainValidator(_share_or_test)] = key(
        0.1,
        "fraction of the training images to validate on, if the dataset has no validation split; "
        "'test': validate on the test split",
    )
    folds: Count = key(0, "k-fold cross-validation: the number of folds; 0: none")
    fold: Positive = key(1, "k-fold cross-validation: the fold to validate on, from 1")
    fit: Annotated[Text, one_of("crop", "squash")] = key(
        "crop", "how images of other shapes are fitted: crop (resize the short side, cut the center) or squash"
    )
    resize: Whole | None = key(
        None, "length of the short side before cropping, in pixels. Default: the network's", ge=8, le=4096
    )
    normalize: Annotated[Text, one_of("network", "data", "pixel", "pixel-at-crop", "scale", "none")] = key(
        "network",
        "network: the network's own mean and std; data: mean and std of the training images; pixel: subtract the "
        "training images' mean image from 0–255 values (2012: its center, for every crop; pixel-at-crop, as Caffe: "
        "at the crop's own place); scale: 0–1; none: 0–255",
    )
    quarantine: Text | None = key(
        None, "a list of training images to leave out, as `alexnet check --quarantine` writes it"
    )
    group_by: Text | None = key(
        None,
        "regular expression that finds an image's group (a patient, a burst) in its name, in its first parenthesis or "
        "as a whole: a group is never cut into training and validation",
    )
    first_classes: Whole | None = key(
        None, "use only the first classes by name, this many (Caltech-256: 001 is the first, with label 0)",
        ge=2, le=MOST,
    )  # fmt: skip
    per_class: Positive | None = key(
        None,
        "number of images per class to train on (Caltech-256: 60); the others are for testing, or left out if the "
        "dataset has splits",
    )
    train_images: Positive | None = key(None, "number of images to train on; the others as with `per_class`")
    first_images: Whole | None = key(
        None, "use only the first training images by class and name, this many. Default: all", ge=2, le=MOST
    )
    labels: Text | None = key(
        None,
        "a table (.csv, .tsv, .jsonl, .parquet) with the labels of the images in --data, by file; see docs/DATA.md",
    )
    label_separator: Text | None = key(
        None,
        "table of labels: what stands between several labels of an image, such as '|' (multi-label: sigmoid and binary "
        "cross-entropy); '': labels are taken as they are",
    )
    label_columns: Names = key(
        (), "table of labels without a label column: its columns of 0 and 1, one a class. Default: all there are"
    )
    layout: Annotated[Text, one_of("auto", "splits", "classes")] = key(
        "auto", "class folders: whether the folders of --data are splits or classes; auto: by their names"
    )
    transpose: Flag | None = key(None, "IDX files: exchange rows and columns. Default: if the files are EMNIST's")
    samples: tuple[Number, ...] = key(
        (), "images with more than 8 bits per sample: the range that becomes 0–255, such as [0, 4095]. Default: found"
    )
    missing_shards: Annotated[Text, one_of("stop", "skip")] = key(
        "stop", "packed images: what becomes of a shard that cannot be had: stop, or skip: its images are left out"
    )
    antialias: Flag = key(True, "whether resizing antialiases; false: plain bilinear, as OpenCV's")
    shuffle: Annotated[Text, AfterValidator(_shuffle)] = key(
        "auto",
        "order of the training images: 'epoch': shuffled in every epoch, 'once' for all epochs, with a buffer such as "
        "'buffer-1000' (tf.data's shuffle), 'shards': packed shards in a random order, their images shuffled among so "
        "many at a time as fit, or as in 'shards-16', or 'none'; auto: epoch, but shards for those at an address that "
        "do not fit into the folder for fetched ones",
    )
    workers: Whole | None = key(
        None,
        "number of processes that decode images not kept in memory; 0: threads. Default: threads on few cores, else "
        "one process per core",
        ge=0,
        le=1024,
    )
    synthetic_images: Whole = key(2048, "number of images of the dataset 'synthetic'", ge=8, le=MOST)


@dataclass(frozen=True, config=_CONFIG)
class Augment:
    shared: Positive = key(1, "number of consecutive images that share crop, shift, flip and cutout (2012: 32)")
    flip: Number = key(0.0, "probability of a horizontal flip", ge=0, le=1)
    shift: Number = key(0.0, "largest shift in both directions, as a fraction of the side", ge=0, le=0.5)
    interpolate: Flag = key(False, "shift by fractions of a pixel, bilinear (as Keras's ImageDataGenerator)")
    fill: Annotated[Text, one_of("mean", "black", "edge")] = key("mean", "what fills the border that a shift uncovers")
    cutout: Count = key(0, "cutout: side in pixels of a square filled with the mean; 0: none")
    resized_crop: tuple[Annotated[float, Field(strict=True, gt=0, le=1)], ...] = key(
        (), "random resized crop: smallest and largest fraction of the image's area, such as [0.08, 1]"
    )
    crop_ratio: tuple[Annotated[float, Field(strict=True, gt=0)], ...] = key(
        (0.75, 4 / 3), "random resized crop: smallest and largest aspect ratio, width / height"
    )
    pca_color: Number = key(0.0, "PCA color augmentation: standard deviation of α (2012: 0.1); 0: none", ge=0, le=10)
    pca_color_form: Annotated[Text, one_of("paper", "code")] = key(
        "paper",
        "PCA color augmentation: paper: α times the eigenvalue; code, as the 2012 code ran: α times its square root, "
        "then everything divided by 1 + α's standard deviation",
    )
    pca_color_until: Duration | None = key(
        None, "PCA color augmentation: when it ends (2012: 67). Default: at the end of training"
    )
    pca_color_from: Text | None = key(
        None, "PCA color augmentation: a run or a card.json with the matrix. Default: computed from the training images"
    )
    randaugment_ops: Whole = key(0, "RandAugment: number of operations per image; 0: none", ge=0, le=10)
    randaugment_magnitude: Number = key(0.3, "RandAugment: strength, 1 is the strongest (M / 30)", ge=0, le=1)
    random_erasing: Number = key(0.0, "random erasing: probability that a rectangle of 2–40 % is erased", ge=0, le=1)
    random_erasing_fill: Annotated[Text, one_of("random", "mean")] = key(
        "random", "random erasing: fill with one random color, or with the mean"
    )
    mixup: Number = key(0.0, "mixup: α of the Beta distribution; 0: none", ge=0, le=100)
    cutmix: Number = key(
        0.0, "CutMix: α of the Beta distribution; 0: none; with mixup too, each image gets one of them", ge=0, le=100
    )
    mix_probability: Number = key(1.0, "mixup and CutMix: probability that an image is mixed", ge=0, le=1)


@dataclass(frozen=True, config=_CONFIG)
class Optimizer:
    name: Annotated[Text, one_of("sgd", "velocity", "adam", "adamw", "adadelta", "muon")] = key(
        "adamw",
        "sgd: torch's; velocity: SGD with the learning rate inside the velocity (2012 code, Caffe, Keras); muon: SGD "
        "with orthogonalized updates for convolutions; adam, adamw, adadelta",
    )
    lr: Number = key(1e-3, "learning rate", gt=0)
    lr_batch: Count = key(
        0, "batch size that `lr` is meant for: with another train.batch_size, `lr` is scaled in proportion; 0: never"
    )
    bias_lr: NotNegative = key(1.0, "factor on the learning rate of biases (2012 code and Caffe: 2)")
    filter_lr: Number = key(0.4, "muon: factor on `lr` for the orthogonalized updates of convolutions", gt=0)
    momentum: Number = key(0.9, "momentum of sgd, velocity and muon", ge=0, le=0.9999)
    nesterov: Flag = key(False, "sgd, velocity: Nesterov momentum")
    beta1: Number = key(0.9, "adam, adamw: decay of the mean of the gradients", ge=0, le=0.9999)
    beta2: Number = key(0.999, "adam, adamw: decay of the mean of the squared gradients", ge=0, le=0.99999)
    rho: Number = key(0.95, "adadelta: decay of the mean of the squared gradients", ge=0, le=0.9999)
    eps: Number = key(1e-8, "adam, adamw, adadelta: added to the denominator (Keras: 1e-7)", gt=0)
    weight_decay: NotNegative = key(0.0, "weight decay, on weights only: never on biases and normalization layers")
    l2: NotNegative = key(0.0, "L2 penalty as in Keras: adds l2 · Σw² to the loss (gradient 2 · l2 · w)")
    l2_layers: Names = key((), "layers with an L2 penalty, by name or prefix ('conv'). Default: all")
    layer_lr: dict[Text, NotNegative] = table(
        "factors on the learning rate by layer or range, such as {fc8 = 10, 'conv1..conv5' = 0.1}"
    )


@dataclass(frozen=True, config=_CONFIG)
class Drop:
    """A factor on a layer's learning rate from a point of the run on."""

    after: Duration
    factor: NotNegative


@dataclass(frozen=True, config=_CONFIG)
class Schedule:
    """Durations are numbers of epochs, or strings: '500 steps', '5%' of the run."""

    name: Annotated[Text, one_of("constant", "step", "plateau", "cosine", "one-cycle")] = key(
        "cosine", "learning-rate schedule: constant, step, plateau, cosine or one-cycle"
    )
    warmup: Duration = key(0.0, "duration of the linear warm-up from 0")
    milestones: tuple[Duration, ...] = key((), "step: when the learning rate is multiplied by `factor`")
    factor: Number = key(0.1, "step, plateau: factor on the learning rate at a drop", gt=0, le=1)
    patience: Duration = key(5.0, "plateau: how long to wait for a better validation accuracy before a drop")
    final: Number = key(
        0.0, "cosine, one-cycle: last learning rate, plateau: lowest learning rate, as a fraction of `lr`", ge=0, le=1
    )
    unfreeze: tuple[Duration, ...] = key((), "when the last layer that is still frozen is unfrozen, one at a time")
    freeze: dict[Text, Duration] = table("when layers are frozen, such as {conv1 = 72}")
    layer_drops: dict[Text, Drop] = table(
        "layers whose learning rate drops, such as {conv1 = {after = 67, factor = 0.1}}"
    )
    biases: Flag = key(True, "whether the schedule applies to biases too (2012: false)")
    peak: Number = key(0.3, "one-cycle: fraction of the run at which the learning rate peaks", ge=0.01, le=0.99)


@dataclass(frozen=True, config=_CONFIG)
class Train:
    epochs: Positive = key(20, "number of epochs")
    steps: Whole = key(
        0, "number of steps, instead of `epochs`; warm-up and milestones scale with it; 0: as many as `epochs` have",
        ge=0, le=10**12,
    )  # fmt: skip
    least_steps: Count = key(
        0, "smallest number of steps per epoch: an epoch passes over a small dataset several times; 0: one pass"
    )
    batch_size: Whole = key(64, "images per step", ge=1, le=1_000_000)
    accumulate: Whole = key(
        1, "number of parts that a batch is computed in, one after the other, to save memory; one step as before",
        ge=1, le=1_000_000,
    )  # fmt: skip
    seed: Whole = key(0, "random seed", ge=0, le=2**53)  # as large as the card holds
    precision: Annotated[Text, one_of("auto", "fp32", "bf16")] = key(
        "auto", "of the forward and backward pass; auto: bf16 if the hardware is faster with it"
    )
    channels_last: Flag = key(True, "memory format of images and convolutions")
    compile: Flag = key(False, "torch.compile the network, after checking its gradients")
    parallel: Annotated[Text, one_of("data", "towers", "owt")] = key(
        "data", "how several processes share the network and the images: see docs/SCALE.md"
    )
    label_smoothing: Number = key(0.0, "label smoothing", ge=0, le=0.9)
    distill_weight: Number = key(0.5, "distillation: weight of the teacher's outputs in the loss", ge=0, le=1)
    distill_temperature: Number = key(4.0, "distillation: temperature of the teacher's and the network's outputs", gt=0)
    test_views: Whole = key(1, "views per test image (without a test split: validation image) after training: 1, 2, 10")
    clip_norm: NotNegative = key(0.0, "largest norm of the gradients; 0: no clipping")
    class_weights: Flag = key(False, "weight each class by the inverse of its frequency in the loss")
    ema: Number = key(
        0.0, "decay of the moving average of the weights, which is what is evaluated and saved; 0: none",
        ge=0, le=0.99999,
    )  # fmt: skip
    patience: Duration = key(0.0, "early stopping: how long to wait for a better validation accuracy; 0: never stop")
    checkpoint_seconds: Number = key(60.0, "seconds between saved states: the most that a kill can lose", gt=0)


@dataclass(frozen=True, config=_CONFIG)
class Published:
    """A figure that the source printed, shown beside the measured one."""

    name: Text = key("", "what was measured")
    value: Number = key(0.0, "the figure")
    unit: Text = key("accuracy", "accuracy (a fraction), loss, mse, epochs, seconds …")
    note: Text = key("", "conditions")


@dataclass(frozen=True, config=_CONFIG)
class Recipe:
    name: Text = key("custom", "names the run's folder")
    title: Text = key("", "one line: what it is for")
    source: Text = key("", "where it was published")
    model: Model = dataclasses.field(default_factory=Model)
    data: Data = dataclasses.field(default_factory=Data)
    augment: Augment = dataclasses.field(default_factory=Augment)
    optimizer: Optimizer = dataclasses.field(default_factory=Optimizer)
    schedule: Schedule = dataclasses.field(default_factory=Schedule)
    train: Train = dataclasses.field(default_factory=Train)
    published: tuple[Published, ...] = ()

    @property
    def learning_rate(self) -> float:
        """The rate that the schedule's factors multiply: `lr`, scaled to the batch where the recipe says so."""
        lr, batch = self.optimizer.lr, self.optimizer.lr_batch
        return lr * self.train.batch_size / batch if batch else lr
