"""A folder with one folder of images per class, with or without train, val and test inside.

Either `cat/001.jpg`, or `train/cat/001.jpg` with `val` (or `valid`, `validation`) and `test` beside `train`. Images
may lie deeper inside a class's folder. Hidden files, and files that are not named like an image, are left alone.
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from alexnet.data.loading.decode import EXTENSIONS
from alexnet.data.loading.stored import Files, Listing, Split
from alexnet.data.readers.source import ListedSource
from alexnet.errors import InputError

SPLITS = {"train": ("train",), "validation": ("val", "valid", "validation"), "test": ("test",)}


class Folder(ListedSource):
    name = "folder"
    expected = "a folder with a folder of images per class"

    def recognize(self, path: Path) -> bool:
        return path.is_dir()

    def list(self, path: Path, first_classes: int | None = None) -> Listing:
        return list_folder(path, first_classes)


def list_folder(root: Path, first_classes: int | None = None) -> Listing:
    """The images of a folder by split. Classes are in the alphabetical order of their folders."""
    listed = {split: listed_images(root, folder) for split, folder in _split_folders(root).items()}
    _check_classes(root, listed)
    classes = first(sorted(listed["train"]), first_classes, root)
    splits = {}
    for split, own in listed.items():
        names = [name for one in classes for name in own.get(one, ())]
        labels = np.repeat(np.arange(len(classes)), [len(own.get(one, ())) for one in classes])
        if names:
            splits[split] = Split(names, labels, Files(root, names))
    return Listing(root, tuple(classes), splits)


def first(classes: Sequence[str], count: int | None, place: Path) -> Sequence[str]:
    """The first `count` classes; None: all. Raises InputError when there are not so many."""
    if count is not None and count > len(classes):
        raise InputError(f"the first {count} classes are wanted, and {place} has {len(classes)}")
    return classes[:count]


def _split_folders(root: Path) -> dict[str, Path]:
    """The folder of each split, when a `train` with class folders is there; else the root itself is 'train'."""
    if not root.is_dir():
        raise InputError(f"no folder {root}; expected one with a folder of images per class")
    folders = {path.name.lower(): path for path in subfolders(root)}
    found: dict[str, Path] = {}
    for split, names in SPLITS.items():
        there = [folders[name] for name in names if name in folders]
        if len(there) > 1:
            raise InputError(f"{root} holds both {there[0].name} and {there[1].name}; keep one")
        if there:
            found[split] = there[0]
    if "train" in found and subfolders(found["train"]) and not any(map(is_image, found["train"].iterdir())):
        return found
    if found and len(found) == len(folders):  # nothing but splits, so these are no classes
        if "train" in found:
            raise InputError(f"no class folders in {found['train']}; expected a folder of images per class")
        names = ", ".join(path.name for path in found.values())
        raise InputError(f"{root} holds {names} but no train; to use one, name it itself")
    return {"train": root}


def _check_classes(root: Path, listed: dict[str, dict[str, list[str]]]) -> None:
    train = listed["train"]
    if not train:
        raise InputError(f"no class folders in {root}; expected a folder of images per class, such as cat/001.jpg")
    if not any(train.values()):
        raise InputError(f"no images in the class folders of {root}; read are {', '.join(EXTENSIONS)}")
    for name, files in train.items():
        if not files:
            raise InputError(f"no image in class folder {name!r} of {root}; read are {', '.join(EXTENSIONS)}")
    if len(train) == 1:
        raise InputError(f"only one class in {root}: {next(iter(train))!r}; training needs at least two")
    for split, own in listed.items():
        unseen = sorted(name for name, files in own.items() if files and name not in train)
        if unseen:
            raise InputError(f"the {split} images in {root} have class {unseen[0]!r}, which training never saw")


def listed_images(root: Path, folder: Path) -> dict[str, list[str]]:
    """Names of images, relative to `root` and sorted, by class."""
    return {
        one.name: sorted(path.relative_to(root).as_posix() for path in _files(one, root)) for one in subfolders(folder)
    }


def _files(folder: Path, root: Path) -> Iterator[Path]:
    """Image files at any depth. Links are followed, but into no folder twice and not to one above the classes."""
    seen = {os.path.realpath(above) for above in (root, *root.resolve().parents)}
    for place, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = [name for name in folders if not hidden(name)]
        for name in files:
            if is_image(Path(name)):
                yield Path(place, name)


def subfolders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and not hidden(path.name))


def is_image(path: Path) -> bool:
    return path.suffix.lower() in EXTENSIONS and not hidden(path.name)


def hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"
