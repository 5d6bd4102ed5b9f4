"""Every dataset by name: where it is looked for, how it is recognized, and its splits."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from alexnet.data.dataset import Dataset, parted, refitted
from alexnet.data.loading.decode import stored_size
from alexnet.data.loading.stored import Form, Listing, Progress, open_listing
from alexnet.data.public_sets import PUBLIC
from alexnet.data.readers import caltech, cifar, folder, idx, imagenet, shards
from alexnet.data.readers.digits import read_digits
from alexnet.data.readers.synthetic import make_synthetic
from alexnet.data.splits import Splits, by_names, drawn, stratified
from alexnet.errors import InputError, MissingData, unknown
from alexnet.preprocessing import FITS

Read = dict[str, Dataset]
"""Splits as a set has them: 'train', perhaps 'validation' and 'test'."""

FILES: dict[str, tuple[str, str, Callable[[Path], Read]]] = {
    "mnist": ("mnist", idx.EXPECTED, lambda path: idx.read_idx(path, idx.MNIST)),
    "fashion-mnist": ("fashion-mnist", idx.EXPECTED, lambda path: idx.read_idx(path, idx.FASHION_MNIST)),
    "idx": ("idx", idx.EXPECTED, idx.read_idx),
    "cifar10": ("cifar10", cifar.LAYOUTS["cifar10"].archive, lambda path: cifar.read_cifar(path, "cifar10")),
    "cifar100": ("cifar100", cifar.LAYOUTS["cifar100"].archive, lambda path: cifar.read_cifar(path, "cifar100")),
    "cifar100-coarse": (
        "cifar100",
        cifar.LAYOUTS["cifar100"].archive,
        lambda path: cifar.read_cifar(path, "cifar100-coarse"),
    ),
}
"""Sets that are read from known files: the folder they are looked for in, the files, the reader."""

LISTED: dict[str, tuple[str, Callable[[Path, int | None], Listing]]] = {
    "folder": ("a folder with a folder of images per class", folder.list_folder),
    "caltech256": (caltech.EXPECTED, caltech.list_caltech),
    "imagenet": (imagenet.EXPECTED, imagenet.list_imagenet),
}
"""Sets of image files: what is expected, and what lists them."""

SETS = ("digits", *FILES, *LISTED, "shards", "synthetic")
ANY_SIZE = (*LISTED, "shards", "synthetic")
"""Sets whose images are made as large as they are asked for."""


def open_splits(
    name: str | None = None,
    data: Path | str | None = None,
    *,
    size: tuple[int, int] | None = None,
    channels: int | None = None,
    fit: str = "crop",
    resize: int | None = None,
    validation: float | str | None = 0.1,
    seed: int = 0,
    validation_names: Sequence[str] | None = None,
    progress: Progress | None = None,
    first_classes: int | None = None,
    per_class: int | None = None,
    train_images: int | None = None,
    classes: int = 10,
    count: int = 1000,
) -> Splits:
    """The splits of the dataset `name`, one of SETS; None or 'auto': recognized by what lies at `data`.

    - `data`: a folder or file, of datasets of image files also the shards that they were packed into; None:
      `$ALEXNET_DATA/<set>/`, else `~/.cache/alexnet/<set>/`.
    - `size` (height, width), `fit`, `resize`: as in Preprocessing. The images are as large as `decode.stored_size`
      says; None keeps the set's own size, which class folders do not have.
    - `channels`: 1 or 3; None: the set's own, for folders 3.
    - `validation`: the fraction that is cut from training, stratified and by `seed`, when the set has no validation
      images of its own; 'given': its own; 'test': the test images validate, as some publications did; None: none
      is cut.
    - `validation_names`: the names of a recorded validation split, which is cut again exactly where one is cut.
    - `first_classes`: only so many, in their order; of sets of files and of shards.
    - `per_class`, `train_images`: so many of each class, or so many in all, train, drawn by `seed`; the others test,
      or stay out where the set has test or validation images of its own.
    - `progress(done, total)` is called while image files are read.
    - `classes` and `count`: of the synthetic set.

    Raises InputError for anything wrong in the data or in the arguments, naming what is expected.
    """
    path = Path(data).expanduser() if data is not None else None
    if path is not None and not path.exists():
        raise InputError(f"no file or folder {path}")
    if name in (None, "auto"):
        name = recognize(path)
    if name not in SETS:
        raise unknown("dataset", name, SETS)
    if name in LISTED and name != "folder":
        path = path or _looked_up(name, LISTED[name][0])
    if name in LISTED and path is not None and shards.recognize(path):
        name = "shards"  # the set as `alexnet pack` copied it
    if path is not None and name in ("digits", "synthetic"):
        raise InputError(f"the {name} images are made here, not read; for those in {path} name another set")
    if fit not in FITS:
        raise InputError(f"fit is {fit!r}; choose one of: {', '.join(FITS)}")
    if channels not in (None, 1, 3):
        raise InputError(f"images have 1 channel or 3, not {channels}")
    if first_classes is not None and name not in (*LISTED, "shards"):
        raise InputError(f"data.first_classes is for {', '.join(LISTED)} and shards, not for {name}")
    stored = stored_size(size, resize) if size else None
    skipped: list[tuple[str, str]] = []
    try:
        if name == "digits":
            read: Read = {"train": read_digits()}
        elif name == "synthetic":
            read = make_synthetic(stored or (32, 32), channels or 3, classes, count, seed)
        elif name in LISTED:
            if path is None or stored is None:
                raise InputError(f"class folders need {'data, the path to them' if path is None else 'a size'}")
            form: Form = {"channels": channels or 3, "size": stored, "fit": fit}
            # All of ImageNet takes as long to decode as an epoch: it is trusted until an image proves otherwise.
            read, skipped = open_listing(
                LISTED[name][1](path, first_classes), form, progress, examine=name != "imagenet"
            )
        elif name == "shards":
            if path is None:
                raise InputError("packed images need data, the folder that `alexnet pack` wrote")
            read = shards.read_shards(path, channels=channels, size=stored, fit=fit, first_classes=first_classes)
        else:
            path = path or _looked_up(*FILES[name][:2])
            read = FILES[name][2](path)
    except OSError as error:
        raise InputError(f"{error.filename or path}: cannot be read ({error.strerror or error})") from error
    read = {split: refitted(own, channels or own.channels, stored or own.size, fit) for split, own in read.items()}
    protocol = {"first_classes": first_classes, "per_class": per_class, "train_images": train_images}
    splits = Splits(read["train"], read.get("validation"), read.get("test"), name, path, skipped)
    if any(value is not None for value in protocol.values()):
        splits.protocol = protocol | {"seed": seed}
    del read  # the last hold on arrays that are now parted
    _draw_test(splits, per_class, train_images, seed)
    _cut_validation(splits, validation, seed, validation_names)
    return splits


def list_images(name: str, path: Path) -> Listing:
    """The image files of the set `name` ('auto': recognized) at `path`, none of them decoded."""
    if not path.exists():
        raise InputError(f"no file or folder {path}")
    name = recognize(path) if name == "auto" else name
    if name not in LISTED:
        raise unknown("dataset of image files", name, LISTED)
    try:
        return LISTED[name][1](path, None)
    except OSError as error:
        raise InputError(f"{error.filename or path}: cannot be read ({error.strerror or error})") from error


def recognize(path: Path | None) -> str:
    """Which of SETS lies at `path`: known by its files, not by its name."""
    if path is None:
        raise InputError(f"name a dataset ({', '.join(SETS)}) or a path to images")
    if idx.found(path):
        return "idx"
    if found := cifar.recognize(path):
        return found
    for name, module in (("shards", shards), ("caltech256", caltech), ("imagenet", imagenet)):
        if module.recognize(path):
            return name
    if path.is_dir():
        return "folder"
    raise InputError(
        f"{path} is no dataset; expected IDX files ({idx.EXPECTED}), {cifar.LAYOUTS['cifar10'].archive}, "
        f"{cifar.LAYOUTS['cifar100'].archive}, {caltech.EXPECTED}, {imagenet.TRAIN}, packed images, or a folder with "
        "a folder of images per class"
    )


def _looked_up(name: str, files: str) -> Path:
    """The folder `name` in the usual places; `files`: what should lie there."""
    root = os.environ.get("ALEXNET_DATA")
    places = [Path(root).expanduser() / name] if root else []
    places.append(Path.home() / ".cache" / "alexnet" / name)
    for place in places:
        if place.is_dir():
            return place
    looked = " and ".join(map(str, places)) + ("" if root else " ($ALEXNET_DATA is not set)")
    fetched = f"; `alexnet data {name}` fetches it" if name in PUBLIC else ""
    raise MissingData(
        f"data for {name}",
        f"no data for {name}: put {files} into one folder and name it, or into {looked}, which is missing{fetched}",
    )


def _draw_test(splits: Splits, per_class: int | None, train_images: int | None, seed: int) -> None:
    """Draws what trains, where a protocol asks for it. The others test; where a set is split already, they stay out."""
    if per_class is None and train_images is None:
        return
    if per_class is not None and train_images is not None:
        raise InputError("data.per_class and data.train_images exclude each other")
    train, others = drawn(splits.train.labels, splits.train.classes, per_class, train_images, seed)
    if splits.test is None and splits.validation is None:
        splits.train, splits.test = parted(splits.train, train, others)
    else:
        splits.train = splits.train.subset(train)


def _cut_validation(splits: Splits, validation: float | str | None, seed: int, recorded: Sequence[str] | None) -> None:
    """Chooses the validation images."""
    if isinstance(validation, str):
        if validation not in ("given", "test"):
            raise InputError(f"validation is {validation!r}; choose a fraction between 0 and 1, 'given' or 'test'")
        if validation == "test":
            splits.validation, splits.validation_is_test = splits.test, True
        if splits.validation is None:
            raise InputError(f"validation is {validation!r}, but this set has no such images; give a fraction")
    elif splits.validation is None and validation is not None:
        if recorded is None:
            train, held = stratified(splits.train.labels, validation, seed)
        else:
            train, held = by_names(splits.train.names, recorded)
        splits.train, splits.validation = parted(splits.train, train, held)
