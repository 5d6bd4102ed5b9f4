"""Caltech-256 in its official layout: `256_ObjectCategories/NNN.name/NNN_XXXX.jpg`, as a folder or as the tar.

256 categories and 257.clutter, 30,607 images (Griffin, Holub, Perona: Caltech-256 Object Category Dataset, 2007;
https://data.caltech.edu/records/nyy15-4j048). A class is called as its folder is, with the number, so that a model
trained on it as class folders knows the same names.

**The label trap.** The number that stands in every file's name starts at 1. Who takes it for an index, as the
published half of an AlexNet on the first 45 classes did, gives class 1 the label 1: a one-hot vector of width 45 has
places 0 to 44, so every image of class 45 has an empty target, and class 0 is never used. Here a label is the place
of the class's name in the list of names: class 001 has label 0, class 045 label 44.

**What else lies in the folders.** 257.clutter is no category but background, which its authors use for rejection, and
is left out; so are the folder 056.dog/greg and the file 198.spider/RENAME2 of the official archive, .DS_Store and
everything else that is not called NNN_XXXX.jpg, and an image whose number is another than its folder's (which of the
two is right, nobody knows). Each is named with its reason among the files that were left out; more than one in twenty
images with another number stop the reading. Gray images, of which there are some, become three equal channels.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from alexnet.data.loading.stored import FEW, Listing, Split, printable
from alexnet.data.loading.stores import Files, Members
from alexnet.data.readers.archives import members
from alexnet.data.readers.folder import first
from alexnet.data.readers.source import Labels, ListedSource
from alexnet.errors import InputError

FOLDER = "256_ObjectCategories"
EXPECTED = f"{FOLDER} or {FOLDER}.tar"
CLUTTER = "257.clutter"
_CLASS = re.compile(r"(\d{3})\.[^/]+")
_IMAGE = re.compile(r"(\d{3})_\d{4}\.jpe?g", re.IGNORECASE)


class Caltech(ListedSource):
    name = "caltech256"
    expected = EXPECTED
    home = "caltech256"

    def recognize(self, path: Path) -> bool:
        """Whether `path` is Caltech-256 by its name, or a folder that holds it."""
        names = (FOLDER, f"{FOLDER}.tar")
        return path.name in names or any((path / name).exists() for name in names)

    def list(
        self, path: Path, first_classes: int | None = None, layout: str = "auto", labels: Labels | None = None
    ) -> Listing:
        return list_caltech(path, first_classes)


def list_caltech(path: Path, first_classes: int | None = None) -> Listing:
    """The images at `path` (the folder, the tar, or a folder that holds one of them), all of them as 'train'.

    `first_classes`: only so many, by number. Raises InputError when `path` is something else.
    """
    place = next((one for one in (path / FOLDER, path / f"{FOLDER}.tar") if one.exists()), path)
    if place.is_dir():
        places, (by_class, left_out) = None, _sorted_out(_below(place))
    else:
        places = {one.name.rpartition(f"{FOLDER}/")[2]: one for one in members(place)}
        by_class, left_out = _sorted_out(places)
    if len(by_class) < 2:
        raise InputError(f"no Caltech-256 in {place}; expected {EXPECTED}, with folders 001.ak47 … 256.toad in it")
    wrong = [why for _, why in left_out if why.startswith(_OTHER)]
    if len(wrong) > max(1, FEW * sum(map(len, by_class.values()))):
        raise InputError(f"{len(wrong):,} images in {place} do not have their folder's number, too many to leave out")
    classes = tuple(first(sorted(by_class), first_classes, place))
    chosen = [name for one in classes for name in sorted(by_class[one])]
    labels = np.repeat(np.arange(len(classes)), [len(by_class[one]) for one in classes])
    if places is None:
        store = Files(place, chosen)
    else:
        store = Members([place], [(0, places[name].offset, places[name].size) for name in chosen])
    kept_out = [(name, why) for name, why in left_out if first_classes is None or name.split("/")[0] in classes]
    return Listing(place, classes, {"train": Split(chosen, labels, store)}, kept_out)


_OTHER = "its name has the number of another class"


def _sorted_out(names: Iterable[str]) -> tuple[dict[str, list[str]], list[tuple[str, str]]]:
    """Images by class, and what is none with the reason."""
    by_class: dict[str, list[str]] = {}
    left_out, clutter = [], 0
    for name in sorted(names):
        folder, _, rest = name.partition("/")
        numbered, image = _CLASS.fullmatch(folder), _IMAGE.fullmatch(rest)
        if folder == CLUTTER:
            clutter += 1
        elif not numbered or not image:
            left_out.append((printable(name), "is not called NNN.name/NNN_XXXX.jpg"))
        elif numbered[1] != image[1]:
            left_out.append((printable(name), f"{_OTHER}: {image[1]} in folder {folder}"))
        else:
            by_class.setdefault(folder, []).append(name)
    if clutter:
        left_out.append((CLUTTER, f"background, not a category: its {clutter:,} files are left out"))
    return by_class, left_out


def _below(root: Path) -> Iterator[str]:
    """What lies in the folder and in its folders, named from it; the deeper 056.dog/greg by its own name."""
    for one in root.iterdir():
        if one.is_dir():
            yield from (f"{one.name}/{file.name}" for file in one.iterdir())
        else:
            yield one.name
