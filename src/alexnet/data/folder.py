"""A folder with one folder of pictures per class, with or without train, val and test inside.

Either `cat/001.jpg`, or `train/cat/001.jpg` with `val` (or `valid`, `validation`) and `test` beside `train`. Pictures
may lie deeper inside a class's folder. Hidden files, and files that are not named like a picture, are left alone.
"""

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypedDict

import numpy as np

from alexnet.data import pictures as sets
from alexnet.data.decode import EXTENSIONS, DecodeError, decode, read
from alexnet.data.pictures import ArrayPictures, PictureSet
from alexnet.data.pictures import stack_digests as stack
from alexnet.errors import InputError

SPLITS = {"train": ("train",), "validation": ("val", "valid", "validation"), "test": ("test",)}
FEW = 0.05
"""The share of unreadable pictures (or one picture, if that is more) that a folder is read without."""
BLOCK = 1024
"""Pictures that wait for the decoding threads at a time."""

Progress = Callable[[int, int], None]
"""Called with pictures done and pictures in all."""


class Form(TypedDict):
    """How pictures are decoded: see `decode`."""

    channels: int
    size: tuple[int, int]
    fit: str


class FolderPictures(PictureSet):
    """Picture files, decoded when asked for; for sets too large to keep in memory."""

    def __init__(
        self,
        root: Path,
        labels: np.ndarray,
        classes: Sequence[str],
        names: Sequence[str],
        digests: np.ndarray,
        form: Form,
    ) -> None:
        super().__init__(labels, classes, names, channels=form["channels"], size=form["size"], digests=digests)
        self.root = root
        self.form = form

    def batch(self, indices: np.ndarray) -> np.ndarray:
        paths = [self.root / self.names[index] for index in indices]
        pictures = sets.pool().map(lambda path: decode(path, **self.form), paths)
        return sets.stack_pictures(list(pictures), self.size, self.channels)


def read_folder(
    root: Path,
    *,
    channels: int,
    size: tuple[int, int],
    fit: str = "crop",
    progress: Progress | None = None,
) -> tuple[dict[str, PictureSet], list[tuple[str, str]]]:
    """The splits in `root` ('train', and 'validation' and 'test' where they are there), and what was left out.

    Every picture is decoded once, so that what is unreadable is known before a run starts: few are left out and
    returned as (name, reason), many raise InputError, as do a missing class, a single class, and a class that the
    training pictures lack. Sets that fit are kept in memory. Classes are in the alphabetical order of their folders.
    """
    listed = {split: _listed(root, folder) for split, folder in _split_folders(root).items()}
    _check_classes(root, listed)
    classes = sorted(listed["train"])
    total = sum(len(names) for own in listed.values() for names in own.values())
    keep = total * channels * size[0] * size[1] < sets.MEMORY_LIMIT
    form: Form = {"channels": channels, "size": size, "fit": fit}
    splits: dict[str, PictureSet] = {}
    skipped: list[tuple[str, str]] = []
    done = 0
    for split, own in listed.items():
        found = [(name, label) for label, one in enumerate(classes) for name in own.get(one, ())]
        images = np.empty((len(found) if keep else 0, *size, channels), np.uint8)
        names, labels, digests = [], [], []
        for (name, label), result in zip(found, _examined(root, [name for name, _ in found], form), strict=True):
            if isinstance(result, DecodeError):
                skipped.append((name if name.isprintable() else ascii(name), result.reason))
            else:
                digest, picture = result
                if keep:
                    images[len(names)] = picture
                names.append(name)
                labels.append(label)
                digests.append(digest)
            done += 1
            if progress:
                progress(done, total)
        if not names:
            continue
        if keep:
            splits[split] = ArrayPictures(images[: len(names)], np.array(labels), classes, names, stack(digests))
        else:
            splits[split] = FolderPictures(root, np.array(labels), classes, names, stack(digests), form)
    if skipped:
        _check_skipped(root, skipped, total, classes, splits.get("train"))
    return splits, skipped


def _examined(root: Path, names: list[str], form: Form) -> Iterator[tuple[bytes, np.ndarray] | DecodeError]:
    """For each name the content's SHA-256 and the decoded picture, or why there is none; in order."""

    def examine(name: str) -> tuple[bytes, np.ndarray] | DecodeError:
        try:
            content = read(root / name)
            return hashlib.sha256(content).digest(), decode(content, **form)
        except DecodeError as error:
            return error

    for start in range(0, len(names), BLOCK):
        yield from sets.pool().map(examine, names[start : start + BLOCK])


def _check_skipped(
    root: Path, skipped: list[tuple[str, str]], total: int, classes: list[str], train: PictureSet | None
) -> None:
    first = "the first: " + ": ".join(skipped[0])
    if len(skipped) == total:
        raise InputError(f"none of the {total:,} pictures in {root} can be read; {first}")
    if len(skipped) > max(1, FEW * total):
        raise InputError(
            f"{len(skipped):,} of {total:,} pictures in {root} cannot be read, too many to leave out; {first}"
        )
    lost = np.setdiff1d(np.arange(len(classes)), [] if train is None else train.labels)
    if len(lost):
        raise InputError(f"no training picture of class {classes[lost[0]]!r} in {root} can be read; {first}")


def _split_folders(root: Path) -> dict[str, Path]:
    """The folder of each split, when a `train` with class folders is there; else the root itself is 'train'."""
    if not root.is_dir():
        raise InputError(f"no folder {root}; expected one with a folder of pictures per class")
    folders = {path.name.lower(): path for path in _subfolders(root)}
    found: dict[str, Path] = {}
    for split, names in SPLITS.items():
        there = [folders[name] for name in names if name in folders]
        if len(there) > 1:
            raise InputError(f"{root} holds both {there[0].name} and {there[1].name}; keep one")
        if there:
            found[split] = there[0]
    if "train" in found and _subfolders(found["train"]) and not any(map(_is_picture, found["train"].iterdir())):
        return found
    if found and len(found) == len(folders):  # nothing but splits, so these are no classes
        if "train" in found:
            raise InputError(f"no class folders in {found['train']}; expected a folder of pictures per class")
        names = ", ".join(path.name for path in found.values())
        raise InputError(f"{root} holds {names} but no train; to use one, name it itself")
    return {"train": root}


def _check_classes(root: Path, listed: dict[str, dict[str, list[str]]]) -> None:
    train = listed["train"]
    if not train:
        raise InputError(f"no class folders in {root}; expected a folder of pictures per class, such as cat/001.jpg")
    if not any(train.values()):
        raise InputError(f"no pictures in the class folders of {root}; read are {', '.join(EXTENSIONS)}")
    for name, files in train.items():
        if not files:
            raise InputError(f"no picture in class folder {name!r} of {root}; read are {', '.join(EXTENSIONS)}")
    if len(train) == 1:
        raise InputError(f"only one class in {root}: {next(iter(train))!r}; training needs at least two")
    for split, own in listed.items():
        unseen = sorted(name for name, files in own.items() if files and name not in train)
        if unseen:
            raise InputError(f"the {split} pictures in {root} have class {unseen[0]!r}, which training never saw")


def _listed(root: Path, folder: Path) -> dict[str, list[str]]:
    """Names of pictures, relative to `root` and sorted, by class."""
    return {
        one.name: sorted(path.relative_to(root).as_posix() for path in _files(one, root)) for one in _subfolders(folder)
    }


def _files(folder: Path, root: Path) -> Iterator[Path]:
    """Picture files at any depth. Links are followed, but into no folder twice and not to one above the classes."""
    seen = {os.path.realpath(above) for above in (root, *root.resolve().parents)}
    for place, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = [name for name in folders if not _hidden(name)]
        for name in files:
            if _is_picture(Path(name)):
                yield Path(place, name)


def _subfolders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and not _hidden(path.name))


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in EXTENSIONS and not _hidden(path.name)


def _hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"
