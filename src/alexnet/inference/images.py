"""Images in a given order: files, folders, datasets. Each is read when it is asked for, and may fail alone."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch

from alexnet import arguments
from alexnet.data.dataset import Dataset, label_sets, rows_of, threads
from alexnet.data.loading import decode
from alexnet.data.loading.ahead import ahead
from alexnet.data.loading.decode import EXTENSIONS, DecodeError
from alexnet.data.pick import dataset as open_dataset
from alexnet.data.readers.source import Labels
from alexnet.data.sources import ANY_SIZE, SETS, list_images, recognize
from alexnet.errors import InputError
from alexnet.preprocessing import Preprocessing

AHEAD = 3
"""Batches that are read while a GPU computes."""
CPU = torch.device("cpu")
_THREADS_PER_CORE = 2  # one waits for the disk while another decodes

Part = TypeVar("Part", bound=Iterable[Any])
R = TypeVar("R")


@dataclass(frozen=True)
class Images:
    """What is looked at."""

    names: tuple[str, ...]
    read: Callable[[int, Preprocessing], tuple[np.ndarray, bytes]] = field(repr=False)
    """row, preprocessing → the image as `Augmenter.evaluate` takes it (uint8 H×W×C), and the SHA-256 of the file's
    content (of its pixels, where there is no file). Raises DecodeError."""
    labels: np.ndarray
    """int64 [n]; −1: not known."""
    classes: tuple[str, ...] = ()
    place: str = ""
    """Where they lie, for a record."""
    sets: bool = False
    """Whether a class is a whole set of labels, because an image may have several."""

    def __len__(self) -> int:
        return len(self.names)

    def subset(self, rows: Sequence[int] | np.ndarray) -> "Images":
        own = rows_of(rows, len(self))
        names = tuple(self.names[row] for row in own)
        return replace(self, names=names, read=lambda row, how: self.read(int(own[row]), how), labels=self.labels[own])


def several(images: Any) -> Iterable[Any]:
    """`images`, which are several. InputError for a single one: of an array each row would be taken for an image."""
    if isinstance(images, str | Path):
        raise InputError(f"images are a list; put {str(images)!r} into a list")
    if isinstance(images, np.ndarray) and (images.ndim < 3 or (images.ndim == 3 and images.shape[2] in (1, 3))):
        raise InputError(f"images are a list; put this one, an array {images.shape}, into a list")
    if isinstance(images, Dataset):
        raise InputError(
            "images are a list of paths or arrays, not a dataset: alexnet.evaluate and alexnet.features take one, and "
            "[dataset[i][0] for i in range(5)] are its first five images"
        )
    if not isinstance(images, Iterable):
        raise InputError(f"images are a list of paths or arrays, not {arguments.kind(images)}")
    return images


def check_image(image: object) -> None:
    """InputError for what is neither a path nor an array of an image."""
    if not isinstance(image, str | Path | np.ndarray):
        raise InputError(
            f"an image is a path, or a NumPy array, uint8 height × width (× 1 or 3), not {arguments.kind(image)}"
        )
    if isinstance(image, np.ndarray) and not (
        image.dtype == np.uint8 and image.ndim in (2, 3) and image.shape[2:] in ((), (1,), (3,)) and image.size
    ):
        raise InputError(f"an image is uint8 height × width (× 1 or 3), not {image.dtype} {image.shape}")


def fitted(image: Path | str | np.ndarray, how: Preprocessing) -> np.ndarray:
    """One image as `Augmenter.evaluate` takes it (uint8 H×W×C). InputError where it is none, or cannot be read."""
    check_image(image)
    return _refit(image, how) if isinstance(image, np.ndarray) else decode.prepare(arguments.path("image", image), how)


def of_files(paths: Sequence[Path | str]) -> Images:
    """Image files in the order given."""
    files = [Path(path) for path in paths]
    return Images(tuple(map(str, paths)), lambda row, how: _read(files[row], how), np.full(len(files), -1))


def of_arrays(arrays: Sequence[np.ndarray], *, hashed: bool = True) -> Images:
    """uint8 arrays height × width (× 1 or 3). hashed: with their SHA-256; else with empty ones, which take no time."""
    for array in arrays:
        check_image(array)
    names = tuple(f"image {number}" for number in range(len(arrays)))
    return Images(names, lambda row, how: _refitted(arrays[row], how, hashed), np.full(len(arrays), -1))


def of_dataset(dataset: Dataset) -> Images:
    """The images of a dataset, which are fitted to a preprocessing one by one."""
    labels, classes, sets = _classes(dataset.targets, dataset.classes)
    return Images(
        dataset.names, lambda row, how: _refitted(dataset.batch(np.array([row]))[0], how), labels, classes, sets=sets
    )


def _classes(targets: np.ndarray, classes: tuple[str, ...]) -> tuple[np.ndarray, tuple[str, ...], bool]:
    """`Images`' labels, classes and sets."""
    return (*label_sets(targets, classes), True) if targets.ndim == 2 else (targets, classes, False)


def open_images(paths: Sequence[Path | str], split: str | None = None, table: Labels | None = None) -> Images:
    """Image files in the order given; or one folder of images, with or without class folders; or one dataset, by its
    path or by its name (digits, cifar10, …). Of images with several labels each the whole sets of labels are classes.

    split: train, validation or test; None: all that there are, one after the other. table: of the labels of the images
    in the folder. InputError when nothing is there.
    """
    table = table or Labels()
    found = [Path(path).expanduser() for path in paths]
    if not found:
        raise InputError("no image is given")
    if len(found) > 1 or (found[0].is_file() and is_image(found[0])):
        for path in found:
            if path.is_dir():
                raise InputError(f"{str(path)!r} is a folder; give one folder alone, or files alone")
            if not path.exists():
                raise InputError(f"no file {str(path)!r}")
        table.check("image files")
        return of_files(paths)
    path = found[0]
    if not path.exists() and str(paths[0]) not in SETS:
        raise InputError(f"no file or folder {str(path)!r}")
    name = table.kind("auto" if path.exists() else str(paths[0]))
    name = recognize(path) if name in (None, "auto") else name
    if name in ANY_SIZE and name not in ("shards", "synthetic") and (path.is_dir() or name == "table"):
        return _listed(name, path, split, table)
    table.check(name)
    dataset = open_dataset(name, split or "train", path if path.exists() else None, size=None)
    return replace(of_dataset(dataset), place=str(path))


def open_parts(paths: Sequence[Path | str]) -> tuple[Images, Images | None]:
    """The images to fit something to, and those to measure it on: the training split, and the test split, else the
    validation split; all images and None where there is neither."""
    for split in ("test", "validation"):
        try:
            held_out = open_images(paths, split)
        except InputError:
            continue
        if len(paths) == 1 and not is_image(Path(paths[0])):
            return open_images(paths, "train"), held_out
    return open_images(paths), None


def batches(
    images: Images, preprocessing: Preprocessing, batch_size: int, first: int = 0, device: torch.device = CPU
) -> Iterator[tuple[range, list[tuple[np.ndarray, bytes] | DecodeError]]]:
    """Consecutive rows from `first` on with what was read of each, for a network on `device`."""

    def read(row: int) -> tuple[np.ndarray, bytes] | DecodeError:
        try:
            return images.read(row, preprocessing)
        except DecodeError as error:
            return error

    parts = (range(start, min(start + batch_size, len(images))) for start in range(first, len(images), batch_size))
    return in_threads(read, parts, device)


def in_threads(read: Callable[[Any], R], parts: Iterable[Part], device: torch.device) -> Iterator[tuple[Part, list[R]]]:
    """Each part with what `read` makes of its items, in threads; constant memory.

    The next parts are read while a GPU computes. A CPU computes on all its cores: threads that decode meanwhile would
    hold up its own, and an image would take 5 to 7 % longer (docs/LOG.md).
    """

    def begin(part: Part) -> Callable[[], list[R]]:
        reading = pool.map(read, part)
        return lambda: list(reading)

    with ThreadPoolExecutor(_THREADS_PER_CORE * threads()) as pool:
        try:
            yield from ahead(begin, parts, 0 if device.type == "cpu" else AHEAD)
        finally:
            pool.shutdown(cancel_futures=True)


def is_image(path: Path) -> bool:
    """Whether a file is named like an image."""
    return path.suffix.lower() in EXTENSIONS and not path.name.startswith(".")


def _listed(set_name: str, path: Path, split: str | None, table: Labels) -> Images:
    try:
        listing = list_images(set_name, path, table, several=True)
    except InputError:
        if table.path is not None or table.form:
            raise
        flat = sorted(each for each in path.rglob("*") if is_image(each) and each.is_file())
        if not flat or split:
            raise
        names = tuple(each.relative_to(path).as_posix() for each in flat)
        return Images(names, lambda row, how: _read(flat[row], how), np.full(len(flat), -1), (), str(path))
    if split is not None and split not in listing.splits:
        raise InputError(f"{str(path)!r} has no split {split!r}; it has: {', '.join(listing.splits)}")
    parts = [listing.splits[split]] if split else list(listing.splits.values())
    where = [(part, row) for part in parts for row in range(len(part.names))]

    def read(row: int, how: Preprocessing) -> tuple[np.ndarray, bytes]:
        part, own = where[row]
        try:
            return _decoded(part.store.read(own), how)
        except DecodeError as error:
            raise DecodeError(part.names[own], error.reason) from error

    names = tuple(name for part in parts for name in part.names)
    labels, classes, sets = _classes(np.concatenate([part.labels for part in parts]), listing.classes)
    return Images(names, read, labels, classes, str(path), sets)


def _read(path: Path, how: Preprocessing) -> tuple[np.ndarray, bytes]:
    try:
        return _decoded(decode.read(path), how)
    except DecodeError as error:
        raise DecodeError(str(path), error.reason) from error


def _decoded(content: bytes, how: Preprocessing) -> tuple[np.ndarray, bytes]:
    return decode.prepare(content, how), hashlib.sha256(content).digest()


def _refitted(image: np.ndarray, how: Preprocessing, hashed: bool = True) -> tuple[np.ndarray, bytes]:
    return _refit(image, how), hashlib.sha256(np.ascontiguousarray(image).data).digest() if hashed else b""


def _refit(image: np.ndarray, how: Preprocessing) -> np.ndarray:
    array = image if image.ndim == 3 else image[:, :, None]
    return decode.refit(array, how.channels, decode.stored_size(how.size, how.resize), how.fit, how.antialias)
