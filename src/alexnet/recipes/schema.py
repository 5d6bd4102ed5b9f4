"""Every key of a recipe: its default, its type, its range, and what it means, as frozen dataclasses."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from alexnet.errors import InputError


def key(
    default: Any,
    about: str,
    *,
    choices: Sequence[str] = (),
    low: float | None = None,
    high: float | None = None,
    above: float | None = None,
) -> Any:
    """A recipe key: its default, what it means, and the values it takes (low ≤ value ≤ high, value > above)."""
    return field(
        default=default, metadata={"about": about, "choices": choices, "low": low, "high": high, "above": above}
    )


@dataclass(frozen=True)
class Model:
    name: str = key("alexnet-digits", "a network of `alexnet models`")
    init: str | None = key(None, "initialization; none given: the network's own")
    dropout: float | None = key(None, "rate of every dropout layer; none given: the network's own", low=0, high=0.95)
    weights: str | None = key(None, "weights to begin with: a file of any known kind, or a run's folder")
    skip: tuple[str, ...] = key((), "layers of `weights` that are left out and start anew, as in ['fc8']")
    teacher: str | None = key(None, "a run's folder, or a weights file with its card, whose answers are learned from")
    freeze: tuple[str, ...] = key((), "layers that do not learn, by name or range, as in ['conv1..conv5']")


@dataclass(frozen=True)
class Data:
    name: str = key("digits", "dataset")
    validation: float | str = key(
        0.1,
        "fraction cut from training when the set has no validation split; 'test': the test split",
        above=0,
        high=0.9,
    )
    fold: str = key("", "k-fold: the part that validates, as '2/5'; empty: `validation` says")
    fit: str = key("crop", "how images of other shapes are fitted", choices=("crop", "squash"))
    resize: int | None = key(None, "short side before the crop; none given: the network's size", low=8, high=4096)
    normalize: str = key(
        "network",
        "mean and std: the network's own, those of the training images, their mean pixel by pixel on 0–255 without "
        "a std (2012: the center's, for every crop; Caffe: at the crop's own place), 0–1 only, or raw 0–255",
        choices=("network", "data", "pixel", "pixel-at-crop", "scale", "none"),
    )
    first_classes: int | None = key(
        None, "only the first so many classes by name (Caltech-256: 001 is the first, with label 0); none given: all",
        low=2,
    )  # fmt: skip
    per_class: int | None = key(
        None,
        "so many images of each class train (Caltech-256: 60); the others test, or stay out where a set is split",
        low=1,
    )
    train_images: int | None = key(None, "so many images in all train; the others as with `per_class`", low=1)
    workers: int | None = key(
        None,
        "processes that decode images that are not kept in memory; 0: threads; none given: threads for few cores, "
        "else a process for each",
        low=0,
        high=1024,
    )
    synthetic_images: int = key(2048, "images of the set 'synthetic'", low=8)


@dataclass(frozen=True)
class Augment:
    shared: int = key(1, "so many images in a row share crop, shift, flip and cutout; 2012: 32", low=1)
    flip: float = key(0.0, "probability of a horizontal flip", low=0, high=1)
    shift: float = key(0.0, "largest shift both ways, as a fraction of the side", low=0, high=0.5)
    interpolate: bool = key(False, "shift by fractions of a pixel, bilinear (Keras's ImageDataGenerator)")
    fill: str = key("mean", "border that a shift uncovers", choices=("mean", "black", "edge"))
    cutout: int = key(0, "side in pixels of a square filled with the mean; 0: none", low=0)
    resized_crop: tuple[float, ...] = key(
        (), "least and greatest share of the image that is cut out and resized, as in [0.08, 1]", above=0, high=1
    )
    crop_ratio: tuple[float, ...] = key((0.75, 4 / 3), "resized_crop: least and greatest width/height", above=0)
    pca_color: float = key(0.0, "standard deviation of PCA color augmentation's α; 2012: 0.1; 0: none", low=0, high=10)
    pca_color_form: str = key(
        "paper", "α times the eigenvalue, or as the 2012 code ran: times its root, then all ÷ (1 + α's std)",
        choices=("paper", "code"),
    )  # fmt: skip
    pca_color_until: float | None = key(None, "epoch from which there is none; none given: to the end; 2012: 67", low=0)
    pca_color_from: str | None = key(
        None, "a run or a card.json with the matrix; none given: it is computed from the training images"
    )
    rand_ops: int = key(0, "operations on each image, in the manner of RandAugment; 0: none", low=0, high=10)
    rand_strength: float = key(0.3, "of these, 1 the strongest (RandAugment's M/30)", low=0, high=1)
    erase: float = key(0.0, "probability that a rectangle of 2–33 % is erased", low=0, high=1)
    erase_fill: str = key("random", "with one random color or the mean", choices=("random", "mean"))
    mixup: float = key(0.0, "α of mixup's Beta distribution; 0: none", low=0, high=100)
    cutmix: float = key(0.0, "α of cutmix's; 0: none; with both, each image takes one of them", low=0, high=100)
    mix_probability: float = key(1.0, "mixup and cutmix: that an image is mixed", low=0, high=1)


@dataclass(frozen=True)
class Optimizer:
    name: str = key(
        "adamw",
        "'sgd' is torch's; 'velocity' keeps the learning rate inside the velocity (2012 code, Caffe, Keras); "
        "'muon' is SGD with orthogonalized steps for convolutions",
        choices=("sgd", "velocity", "adam", "adamw", "adadelta", "muon"),
    )
    lr: float = key(1e-3, "learning rate", above=0)
    lr_batch: int = key(
        0, "batch size for which `lr` is meant: another train.batch_size scales it; 0: `lr` as it is", low=0
    )
    bias_lr: float = key(1.0, "factor on the rate of biases (2012 code and Caffe: 2)", low=0)
    filter_lr: float = key(0.4, "muon: factor on `lr` for the convolutions' orthogonalized steps", above=0)
    momentum: float = key(0.9, "sgd, velocity and muon", low=0, high=0.9999)
    nesterov: bool = key(False, "sgd and velocity")
    beta1: float = key(0.9, "adam and adamw", low=0, high=0.9999)
    beta2: float = key(0.999, "adam and adamw", low=0, high=0.99999)
    rho: float = key(0.95, "adadelta", low=0, high=0.9999)
    eps: float = key(1e-8, "adam, adamw and adadelta (Keras: 1e-7)", above=0)
    weight_decay: float = key(0.0, "on weights only: never on biases and norms", low=0)
    l2: float = key(0.0, "Keras-style: adds l2 · Σw² to the loss (gradient 2 · l2 · w)", low=0)
    layer_lr: tuple[str, ...] = key((), "factors on `lr` by layer or range, as in ['fc8=10', 'conv1..conv5=0.1']")
    l2_layers: tuple[str, ...] = key((), "layers that carry it, by name or prefix ('conv'); empty: all weights")


@dataclass(frozen=True)
class Schedule:
    name: str = key(
        "cosine", "course of the learning rate", choices=("constant", "step", "plateau", "cosine", "one-cycle")
    )
    warmup: float = key(0.0, "epochs of linear warm-up from 0", low=0)
    milestones: tuple[float, ...] = key((), "step: epochs after which the rate is multiplied by `factor`", low=0)
    factor: float = key(0.1, "step and plateau: what the rate is multiplied by at a drop", above=0, high=1)
    patience: int = key(5, "plateau: drop after so many epochs without a better validation accuracy", low=1)
    final: float = key(
        0.0, "cosine and one-cycle: last rate, plateau: lowest rate, as a fraction of `lr`", low=0, high=1
    )
    unfreeze: tuple[float, ...] = key((), "epochs at which the last layer that is still frozen begins to learn", low=0)
    freeze: tuple[str, ...] = key((), "layers that stop learning after so many epochs, as in ['conv1=72']")
    layer_steps: tuple[str, ...] = key((), "layers whose rate has a factor from an epoch on, as in ['conv1=67:0.1']")
    biases: bool = key(True, "whether the biases' rate follows the schedule (2012: false, it stayed)")
    peak: float = key(0.3, "one-cycle: where in the run the rate peaks", low=0.01, high=0.99)


@dataclass(frozen=True)
class Train:
    epochs: int = key(20, "passes over the training images", low=1)
    steps: int = key(
        0, "stop after so many steps instead, the schedule laid over them; 0: `epochs` decide", low=0, high=10**12
    )
    batch_size: int = key(64, "images in a step", low=1, high=1_000_000)
    accumulate: int = key(
        1, "parts of a batch that are computed one after the other, for less memory; the step is the whole batch's",
        low=1, high=1_000_000,
    )  # fmt: skip
    seed: int = key(0, "of everything random", low=0)
    precision: str = key(
        "auto", "of the forward and backward pass; auto: bf16 where the hardware is quicker with it",
        choices=("auto", "fp32", "bf16"),
    )  # fmt: skip
    channels_last: bool = key(True, "memory format of images and convolutions")
    compile: bool = key(False, "torch.compile the network, once its gradients are shown to be right")
    label_smoothing: float = key(0.0, "share of each target that is spread over all classes", low=0, high=0.9)
    distill_weight: float = key(0.5, "share of model.teacher's answers in the loss, beside the labels", low=0, high=1)
    distill_temperature: float = key(4.0, "softens the answers of model.teacher and of the network", above=0)
    test_views: int = key(1, "views of each test image (where there is none, validation) when the run ends: 1, 2, 10")
    clip_norm: float = key(0.0, "largest norm of the gradient; 0: no clipping", low=0)
    class_weights: bool = key(False, "weigh each class by the inverse of its frequency")
    ema: float = key(
        0.0, "decay of the moving average of the weights that is evaluated and kept; 0: none", low=0, high=0.99999
    )
    patience: int = key(0, "stop after so many epochs without a better validation accuracy; 0: never", low=0)
    checkpoint_seconds: float = key(60.0, "a kill loses at most the work of so many seconds", above=0)


@dataclass(frozen=True)
class Published:
    """A figure that the source printed; it stands beside ours, never in its place."""

    name: str = key("", "what was measured")
    value: float = key(0.0, "")
    unit: str = key("accuracy", "accuracy (a fraction), loss, epochs, seconds …")
    note: str = key("", "conditions")


@dataclass(frozen=True)
class Recipe:
    name: str = key("custom", "")
    title: str = key("", "one line: what it is for")
    source: str = key("", "where it was published")
    model: Model = field(default_factory=Model)
    data: Data = field(default_factory=Data)
    augment: Augment = field(default_factory=Augment)
    optimizer: Optimizer = field(default_factory=Optimizer)
    schedule: Schedule = field(default_factory=Schedule)
    train: Train = field(default_factory=Train)
    published: tuple[Published, ...] = ()

    @property
    def learning_rate(self) -> float:
        """The rate that the schedule's factors multiply: `lr`, scaled to the batch where the recipe says so."""
        lr, batch = self.optimizer.lr, self.optimizer.lr_batch
        return lr * self.train.batch_size / batch if batch else lr


def check(recipe: Recipe) -> None:
    """Raises InputError for choices that exclude each other."""
    if not re.fullmatch(r"[^./\\\x00-\x1f][^/\\\x00-\x1f]*", recipe.name):
        raise InputError(f"name is {recipe.name!r}; it names the run's folder: no slashes, no dot in front")
    if isinstance(recipe.data.validation, str) and recipe.data.validation != "test":
        raise InputError(f"data.validation is {recipe.data.validation!r}; give a fraction such as 0.1, or 'test'")
    if recipe.data.per_class is not None and recipe.data.train_images is not None:
        raise InputError("data.per_class and data.train_images exclude each other: both say what trains")
    if recipe.data.fold:
        number, slash, of = recipe.data.fold.partition("/")
        if not (slash and number.isdecimal() and of.isdecimal() and 1 <= int(number) <= int(of) >= 2):
            raise InputError(f"data.fold is {recipe.data.fold!r}; say which part of how many validates, as '2/5'")
        if recipe.data.validation == "test":
            raise InputError("data.fold cuts validation from training; leave data.validation = 'test' out")
    if recipe.optimizer.nesterov and not recipe.optimizer.momentum:
        raise InputError("optimizer.nesterov needs optimizer.momentum above 0")
    for name in ("milestones", "unfreeze"):
        if list(getattr(recipe.schedule, name)) != sorted(getattr(recipe.schedule, name)):
            raise InputError(f"schedule.{name} must rise")
    for name in ("resized_crop", "crop_ratio"):
        bounds = getattr(recipe.augment, name)
        if len(bounds) not in ((0, 2) if name == "resized_crop" else (2,)) or list(bounds) != sorted(bounds):
            raise InputError(f"augment.{name} takes [least, greatest], not {list(bounds)}")
    if recipe.augment.resized_crop and recipe.augment.shift:
        raise InputError("augment.resized_crop moves the image already; leave augment.shift at 0")
    if recipe.train.test_views not in (1, 2, 10):
        raise InputError(f"train.test_views is {recipe.train.test_views}; choose 1, 2 (mirrored) or 10 (with corners)")
    if recipe.model.skip and recipe.model.weights is None:
        raise InputError("model.skip leaves out layers of model.weights, and none are given")
    if recipe.schedule.unfreeze and not recipe.model.freeze:
        raise InputError("schedule.unfreeze needs model.freeze, the layers that stand still at first")
    for text in recipe.optimizer.layer_lr:
        if not re.fullmatch(r"[^=]+=(\d+\.?\d*|\.\d+)(e-?\d+)?", text):
            raise InputError(f"optimizer.layer_lr takes layer=factor such as 'fc8=10', not {text!r}")
    if recipe.schedule.name == "one-cycle" and recipe.schedule.warmup:
        raise InputError("schedule 'one-cycle' warms up by itself, until schedule.peak; leave schedule.warmup at 0")
    for text in recipe.schedule.layer_steps:
        if not re.fullmatch(r"[^=]+=\d+:(\d+\.?\d*|\.\d+)(e-?\d+)?", text):
            raise InputError(f"schedule.layer_steps takes layer=epoch:factor such as 'conv1=67:0.1', not {text!r}")
    for text in recipe.schedule.freeze:
        if not re.fullmatch(r"[^=]+=\d+", text):
            raise InputError(f"schedule.freeze takes layer=epochs such as 'conv1=72', not {text!r}")
    if recipe.schedule.name == "plateau" and recipe.data.validation == "test":
        raise InputError("schedule 'plateau' would let the test images set the rate; give data.validation a fraction")
    if recipe.schedule.name == "step" and not recipe.schedule.milestones:
        raise InputError("schedule 'step' needs schedule.milestones, the epochs after which the rate drops")
