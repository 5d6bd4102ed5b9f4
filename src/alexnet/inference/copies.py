"""Images copied into a folder of their class, never among the images that are being read."""

import filecmp
import os
import re
import shutil
from collections.abc import Iterable
from pathlib import Path

from alexnet.data.dataset import NO_LABEL
from alexnet.errors import InputError
from alexnet.files import atomic, make_folder
from alexnet.inference.predict import UNKNOWN, Predicted


class Copies:
    """`add` copies an image into the folder of its first label; of a model that may name several labels an image, into
    the folder of each that it is given, or of NO_LABEL."""

    def __init__(self, folder: Path, classes: Iterable[str], named: Iterable[str] = ()):
        """named: the files, folders and patterns that are read. InputError where `folder` is, holds, or lies in one of
        those folders: the copies would be read as images of it."""
        self.folder, self._place = folder, _real(folder)
        self.there = 0
        """Copies that were there already, with the same content."""
        self._names = folder_names([*classes, UNKNOWN, NO_LABEL])
        for name in named:
            source = _real(Path(name))
            if Path(name).is_dir() and (self._place.is_relative_to(source) or source.is_relative_to(self._place)):
                raise InputError(
                    f"--copy-to {str(folder)!r} would put copies among the images that are read from {name!r}; choose "
                    "a folder outside of it"
                )

    def add(self, found: Predicted) -> list[Path]:
        """The copies. An image whose content is there already, under its name or its name with a number, is left so.
        InputError for an image that lies in the folder of the copies."""
        source = Path(found.path)
        if _real(source).is_relative_to(self._place):
            raise InputError(f"{found.path!r} lies in the folder of --copy-to; choose another one for the copies")
        labels = [found.predictions[0].label] if found.labels is None else found.labels or [NO_LABEL]
        return [self._copied(source, self.folder / self._names[label]) for label in labels]

    def _copied(self, source: Path, place: Path) -> Path:
        make_folder(place)
        target, number = place / source.name, 1
        while target.exists() or target.is_symlink():
            if target.is_file() and not target.is_symlink() and filecmp.cmp(source, target, shallow=False):
                self.there += 1
                return target
            number += 1
            target = place / f"{source.stem}-{number}{source.suffix}"
        with source.open("rb") as read, atomic(target) as write:
            shutil.copyfileobj(read, write)
        return target


def _real(path: Path) -> Path:
    """Where a path leads. `Path.resolve` raises for a link that leads to itself, before Python 3.13."""
    return Path(os.path.realpath(path))


def folder_names(labels: Iterable[str]) -> dict[str, str]:
    """For each label a folder of its own, also where a system takes `Cat` and `cat` for one name."""
    found: dict[str, str] = {}
    taken: set[str] = set()
    for label in dict.fromkeys(labels):
        plain = name = folder_name(label)
        number = 1
        while name.casefold() in taken:
            number += 1
            name = f"{plain}-{number}"
        taken.add(name.casefold())
        found[label] = name
    return found


def folder_name(label: str) -> str:
    """A label as the name of a folder in every system: never another place."""
    name = re.sub(r'[\x00-\x1f\x7f<>:"/\\|?*]', "_", label).strip(" .")[:100]
    return name or "_"
