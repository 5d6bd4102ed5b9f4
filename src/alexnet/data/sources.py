"""Every dataset by name: where it is looked for, how it is recognized, and its splits."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from alexnet.data import groups
from alexnet.data.dataset import parted, refitted
from alexnet.data.loading.decode import stored_size
from alexnet.data.loading.samples import checked_range
from alexnet.data.loading.stored import Listing, Progress
from alexnet.data.public_sets import PUBLIC, fetch_set, is_partial, offline
from alexnet.data.readers import cifar, idx
from alexnet.data.readers.caltech import Caltech
from alexnet.data.readers.digits import Digits
from alexnet.data.readers.folder import Folder
from alexnet.data.readers.imagenet import ImageNet
from alexnet.data.readers.shards import Shards
from alexnet.data.readers.source import Labels, ListedSource, Request, Source
from alexnet.data.readers.synthetic import Synthetic
from alexnet.data.readers.table import Table
from alexnet.data.remote.address import Address, is_url
from alexnet.data.splits import Splits, by_names, drawn, stratified
from alexnet.errors import InputError, MissingData, counted, unknown
from alexnet.preprocessing import FITS

SOURCES: dict[str, Source] = {
    source.name: source
    for source in (
        *idx.SOURCES,
        *cifar.SOURCES,
        Shards(),
        Table(),
        Caltech(),
        ImageNet(),
        Folder(),
        Digits(),
        Synthetic(),
    )
}
"""Every kind of dataset by its name, in the order in which they are recognized: any folder may be class folders."""

SETS = tuple(SOURCES)
ANY_SIZE = tuple(name for name, source in SOURCES.items() if source.any_size)
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
    quarantine: Sequence[str] = (),
    group_by: str | None = None,
    progress: Progress | None = None,
    fetching: Progress | None = None,
    first_classes: int | None = None,
    first_images: int | None = None,
    per_class: int | None = None,
    train_images: int | None = None,
    labels: Path | str | None = None,
    label_separator: str | None = None,
    label_columns: Sequence[str] = (),
    label_classes: Sequence[str] = (),
    layout: str = "auto",
    transpose: bool | None = None,
    samples: tuple[float, float] | None = None,
    antialias: bool = True,
    missing_shards: str = "stop",
    classes: int = 10,
    count: int = 1000,
) -> Splits:
    """The splits of the dataset `name`, one of SETS; None or 'auto': recognized by what lies at `data`.

    - `data`: a folder or file, of datasets of image files also the shards that they were packed into, or the address
      of such shards (https://…, s3://…); None: `$ALEXNET_DATA/<set>/`, else `~/.cache/alexnet/<set>/`.
    - `size` (height, width), `fit`, `resize`, `antialias`: as in Preprocessing. The images are as large as
      `decode.stored_size` says; None keeps the set's own size, of image files each one's.
    - `channels`: 1 or 3; None: the set's own, for folders 3.
    - `validation`: the fraction that is cut from training, stratified and by `seed`, when the set has no validation
      images of its own; 'given': its own; 'test': the test images validate, as some publications did; None: none
      is cut.
    - `validation_names`: the names of a recorded validation split, which is cut again exactly where one is cut.
    - `quarantine`: names of images that neither train nor are cut from training (`groups.read_quarantine`).
    - `group_by`: a regular expression; images in whose names it finds the same group are cut to the same side.
    - `first_classes`: only so many, in their order; of sets of files and of shards. `first_images`: only so many of the
      images that would train, in the order of classes and names.
    - `labels`: a table (CSV, TSV, JSON lines, Parquet) with the labels of the images below `data`: readers/table.py.
      `label_separator`: between several labels of an image ('': labels are taken as they are); `label_columns`: its
      columns of 0 and 1, one a class; `label_classes`: the classes of the multi-label model whose images these are.
    - `layout`: of class folders, whether the folders are read as 'splits', as 'classes', or 'auto': by their names.
    - `transpose`: of IDX files, whether rows and columns are exchanged; None: where the files are EMNIST's.
    - `samples`: the range of samples of more than 8 bits that becomes 0–255; None: it is found for the whole set.
    - `per_class`, `train_images`: so many of each class, or so many in all, train, drawn by `seed`; the others test,
      or stay out where the set has test or validation images of its own.
    - `progress(done, total)` is called while image files are read.
    - `fetching(done, total)` is called with bytes while a public set that is not on this machine is fetched and
      verified; None, or $ALEXNET_OFFLINE: it is not fetched.
    - `missing_shards`: of packed images; 'stop', or 'skip': the images of a shard that cannot be had are left out.
    - `classes` and `count`: of the synthetic set.

    Raises InputError for anything wrong in the data or in the arguments, naming what is expected.
    """
    table = Path(labels).expanduser() if labels is not None else None
    said = Labels(table, label_separator, tuple(label_columns or ()), tuple(label_classes or ()))
    if table is not None and data is None:
        raise InputError("a table of labels (--labels) needs --data, the folder that its files are relative to")
    name = said.kind(name)
    address = Address.parsed(str(data)) if is_url(data) else None
    if address is not None:
        source, path, fetched = _elsewhere(name, address), None, []
    else:
        source, path, fetched = _found(name, Path(data).expanduser() if data is not None else None, fetching)
    said.check(source.name)
    if fit not in FITS:
        raise InputError(f"fit is {fit!r}; choose one of: {', '.join(FITS)}")
    if channels not in (None, 1, 3):
        raise InputError(f"images have 1 channel or 3, not {channels}")
    if first_classes is not None and not source.picks_classes:
        able = ", ".join(each.name for each in SOURCES.values() if each.picks_classes)
        raise InputError(f"data.first_classes is for {able}, not for {source.name}")
    stored = stored_size(size, resize) if size else None
    request = Request(
        path,
        stored,
        channels,
        fit,
        antialias,
        checked_range(samples) if samples is not None else None,
        layout,
        transpose,
        said,
        first_classes,
        progress,
        classes,
        count,
        seed,
        address,
        missing_shards,
    )
    try:
        opened = source.open(request)
    except OSError as error:
        raise _unreadable(error, path) from error
    read = {
        split: refitted(own, channels or own.channels, stored or own.size, fit, antialias)
        for split, own in opened.splits.items()
    }
    if first_images is not None:
        if not 1 < first_images <= len(read["train"]):
            raise InputError(f"the first {first_images:,} images are wanted, and there are {len(read['train']):,}")
        read["train"] = read["train"].subset(np.arange(first_images))
    protocol: dict[str, Any] = {
        "first_classes": first_classes,
        "first_images": first_images,
        "per_class": per_class,
        "train_images": train_images,
    }
    splits = Splits(
        read["train"],
        read.get("validation"),
        read.get("test"),
        source.name,
        path,
        opened.skipped,
        notes=fetched + opened.notes,
        samples=opened.samples,
        address=address.shown if address else "",
        index=opened.index,
    )
    if any(value is not None for value in protocol.values()):
        splits.protocol = protocol | {"seed": seed}
    if missing_shards != "stop":
        splits.protocol |= {"missing_shards": missing_shards}
    if layout != "auto" or transpose is not None:
        splits.protocol |= {"layout": layout, "transpose": transpose}
    if table is not None:
        splits.protocol |= {"labels": str(table.absolute())}
    if said.form:
        splits.protocol |= {"label_separator": said.separator, "label_columns": said.columns}
    splits.groups = opened.groups
    del read, opened  # the last hold on arrays that are now parted
    _draw_test(splits, per_class, train_images, seed)
    if quarantine:
        splits.train, splits.quarantined = groups.without(splits.train, quarantine)
        splits.notes.append(f"{counted(len(splits.quarantined), 'training image')} in the quarantine list: left out")
        if others := len(quarantine) - len(splits.quarantined):
            splits.notes.append(
                f"{counted(others, 'name is', 'names are')} in the quarantine list and of no training image"
            )
    _cut_validation(splits, validation, seed, validation_names, group_by)
    if group_by is not None:
        there = (("train", splits.train), ("validation", splits.validation), ("test", splits.test))
        splits.notes += groups.shared([(split, own) for split, own in there if own is not None], group_by)
    return splits


def list_images(name: str, path: Path, labels: Labels | None = None, several: bool = False) -> Listing:
    """The image files of the set `name` ('auto': recognized) at `path`, none of them decoded. labels: their table;
    several: it may say several labels an image, which is an InputError otherwise."""
    listed = [source.name for source in SOURCES.values() if isinstance(source, ListedSource)]
    name = labels.kind(name) or name if labels else name
    if name != "auto" and name not in listed:
        raise unknown("dataset of image files", name, listed)
    if not path.exists():
        raise InputError(f"no file or folder {path}")
    source = SOURCES[recognize(path) if name == "auto" else name]
    if not isinstance(source, ListedSource):
        raise unknown("dataset of image files", source.name, listed)
    if labels:
        labels.check(source.name)
    try:
        listing = source.list(path, labels=labels)
    except OSError as error:
        raise _unreadable(error, path) from error
    if listing.multilabel and not several:
        raise InputError(
            f"{path} has several labels an image; train, evaluate, predict, report and export take such sets"
        )
    return listing


def recognize(path: Path | None) -> str:
    """Which of SETS lies at `path`: known by its files, not by its name."""
    if path is None:
        raise InputError(f"name a dataset ({', '.join(SETS)}) or a path to images")
    for source in SOURCES.values():
        try:
            if source.recognize(path):
                return source.name
        except OSError as error:
            raise _unreadable(error, path) from error
    expected = dict.fromkeys(source.expected for source in SOURCES.values() if source.expected)
    raise InputError(f"{path} is no dataset; expected {'; or '.join(expected)}")


def _found(name: str | None, path: Path | None, fetching: Progress | None) -> tuple[Source, Path | None, list[str]]:
    """The source called `name` (None or 'auto': recognized), where it is read, and what was fetched."""
    if path is not None and not path.exists():
        raise InputError(f"no file or folder {path}")
    name = recognize(path) if name in (None, "auto") else name
    if name not in SOURCES:
        raise unknown("dataset", name, SETS)
    source = SOURCES[name]
    fetched: list[str] = []
    if path is not None and not source.expected:
        raise InputError(f"the {name} images are made here, not read; for those in {path} name another set")
    if path is None and source.expected:
        path, fetched = _looked_up(source, fetching)
    if path is not None and isinstance(source, ListedSource) and SOURCES["shards"].recognize(path):
        source = SOURCES["shards"]  # the set as `alexnet pack` copied it
    return source, path, fetched


def _elsewhere(name: str | None, address: Address) -> Source:
    """The source called `name` for what lies at an address: packed images only."""
    if name not in (None, "auto") and name not in SOURCES:
        raise unknown("dataset", name, SETS)
    if name not in (None, "auto", "shards") and not isinstance(SOURCES[name], ListedSource):
        raise InputError(f"{address.shown} is read as packed images, not as {name}; copy {name} to this machine")
    return SOURCES["shards"]


def _unreadable(error: OSError, path: Path | None) -> InputError:
    return InputError(f"{error.filename or path}: cannot be read ({error.strerror or error})")


def _looked_up(source: Source, fetching: Progress | None) -> tuple[Path, list[str]]:
    """The folder of a set in the usual places, where a public set is fetched to if it is not there."""
    home = source.home
    if home is None:
        raise InputError(f"the set {source.name!r} needs --data (in Python data=), the path to {source.expected}")
    root = os.environ.get("ALEXNET_DATA")
    places = [Path(root).expanduser() / home] if root else []
    places.append(Path.home() / ".cache" / "alexnet" / home)
    public = PUBLIC.get(home)
    fetches = public is not None and fetching is not None and not offline()
    there = next((place for place in places if place.is_dir() and any(place.iterdir())), None)
    if there and not (fetches and is_partial(home, there)):
        return there, []
    why = ""
    if public and fetches:
        try:
            place = fetch_set(home, there, fetching, attempts=2)
            return place, [f"fetched {home} from {public.base} to {place}; license: {public.license or 'none stated'}"]
        except InputError as error:
            why = f"{error}; "
    looked = " or ".join(map(str, places)) + ("" if root else " ($ALEXNET_DATA is not set)")
    fetched, said = f"run `alexnet data {home}`" if public else "", f"{why}no data for {source.name}: "
    put = f"or put {source.expected} into {looked}"
    raise MissingData(
        f"data for {source.name}",
        f"{said}{fetched and fetched + ', '}give --data PATH, {put}",
        f"{said}{fetched + ', ' + put if fetched else put.removeprefix('or ')}",
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


def _cut_validation(
    splits: Splits,
    validation: float | str | None,
    seed: int,
    recorded: Sequence[str] | None,
    group_by: str | None,
) -> None:
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
            numbers = groups.of(splits.train.names, splits.groups, group_by)
            targets = splits.train.targets
            if numbers is None:
                train, held = stratified(targets, validation, seed)
            else:
                train, held = groups.cut(targets, numbers, validation, seed)
        else:
            train, held = by_names(splits.train.names, recorded)
        splits.train, splits.validation = parted(splits.train, train, held)
