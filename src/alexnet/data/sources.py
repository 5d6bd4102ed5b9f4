"""Every picture set by name: where it is looked for, how it is recognised, and its splits."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from alexnet.data import cifar, idx
from alexnet.data.decode import stored_size
from alexnet.data.digits import read_digits
from alexnet.data.folder import Progress, read_folder
from alexnet.data.pictures import PictureSet, refitted
from alexnet.data.splits import Splits, by_names, stratified
from alexnet.data.synthetic import make_synthetic
from alexnet.errors import InputError, MissingData, unknown
from alexnet.preprocessing import FITS

Read = dict[str, PictureSet]
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

SETS = ("digits", *FILES, "folder", "synthetic")


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
    classes: int = 10,
    count: int = 1000,
) -> Splits:
    """The splits of the picture set `name`, one of SETS; None or 'auto': recognised by what lies at `data`.

    - `data`: a folder or file; None: `$ALEXNET_DATA/<set>/`, else `~/.cache/alexnet/<set>/`.
    - `size` (height, width), `fit`, `resize`: as in Preprocessing. The pictures are as large as `decode.stored_size`
      says; None keeps the set's own size, which class folders do not have.
    - `channels`: 1 or 3; None: the set's own, for folders 3.
    - `validation`: the fraction that is cut from training, stratified and by `seed`, when the set has no validation
      pictures of its own; 'given': its own; 'test': the test pictures validate, as some publications did; None: none
      is cut.
    - `validation_names`: the names of a recorded validation split, which is cut again exactly where one is cut.
    - `progress(done, total)` is called while a folder's pictures are read.
    - `classes` and `count`: of the synthetic set.

    Raises InputError for anything wrong in the data or in the arguments, naming what is expected.
    """
    path = Path(data).expanduser() if data is not None else None
    if path is not None and not path.exists():
        raise InputError(f"no file or folder {path}")
    if name in (None, "auto"):
        name = recognise(path)
    if name not in SETS:
        raise unknown("picture set", name, SETS)
    if path is not None and name in ("digits", "synthetic"):
        raise InputError(f"the {name} pictures are made here, not read; for those in {path} name another set")
    if fit not in FITS:
        raise InputError(f"fit is {fit!r}; choose one of: {', '.join(FITS)}")
    if channels not in (None, 1, 3):
        raise InputError(f"pictures have 1 channel or 3, not {channels}")
    stored = stored_size(size, resize) if size else None
    skipped: list[tuple[str, str]] = []
    try:
        if name == "digits":
            read: Read = {"train": read_digits()}
        elif name == "synthetic":
            read = make_synthetic(stored or (32, 32), channels or 3, classes, count, seed)
        elif name == "folder":
            if path is None or stored is None:
                raise InputError(f"class folders need {'data, the path to them' if path is None else 'a size'}")
            read, skipped = read_folder(path, channels=channels or 3, size=stored, fit=fit, progress=progress)
        else:
            path = path or _looked_up(name)
            read = FILES[name][2](path)
    except OSError as error:
        raise InputError(f"{error.filename or path}: cannot be read ({error.strerror or error})") from error
    read = {split: refitted(own, channels or own.channels, stored or own.size, fit) for split, own in read.items()}
    return _validated(read, validation, seed, validation_names, Splits(read["train"], None, None, name, path, skipped))


def recognise(path: Path | None) -> str:
    """Which of SETS lies at `path`: known by its files, not by its name."""
    if path is None:
        raise InputError(f"name a picture set ({', '.join(SETS)}) or a path to pictures")
    if idx.found(path):
        return "idx"
    if found := cifar.recognise(path):
        return found
    if path.is_dir():
        return "folder"
    raise InputError(
        f"{path} is no picture set; expected IDX files ({idx.EXPECTED}), {cifar.LAYOUTS['cifar10'].archive}, "
        f"{cifar.LAYOUTS['cifar100'].archive}, or a folder with a folder of pictures per class"
    )


def _looked_up(name: str) -> Path:
    folder, files, _ = FILES[name]
    root = os.environ.get("ALEXNET_DATA")
    places = [Path(root).expanduser() / folder] if root else []
    places.append(Path.home() / ".cache" / "alexnet" / folder)
    for place in places:
        if place.is_dir():
            return place
    looked = " and ".join(map(str, places)) + ("" if root else " ($ALEXNET_DATA is not set)")
    raise MissingData(
        f"data for {name}",
        f"no data for {name}: put {files} into one folder and name it, or into {looked}, which is missing",
    )


def _validated(
    read: Read, validation: float | str | None, seed: int, recorded: Sequence[str] | None, splits: Splits
) -> Splits:
    """The splits with their validation pictures chosen."""
    splits.test = read.get("test")
    splits.validation = read.get("validation")
    if isinstance(validation, str):
        if validation not in ("given", "test"):
            raise InputError(f"validation is {validation!r}; choose a fraction between 0 and 1, 'given' or 'test'")
        if validation == "test":
            splits.validation, splits.validation_is_test = splits.test, True
        if splits.validation is None:
            raise InputError(f"validation is {validation!r}, but this set has no such pictures; give a fraction")
    elif splits.validation is None and validation is not None:
        if recorded is None:
            train, held = stratified(splits.train.labels, validation, seed)
        else:
            train, held = by_names(splits.train.names, recorded)
        splits.train, splits.validation = splits.train.subset(train), splits.train.subset(held)
    return splits
