"""ImageNet (ILSVRC 2012) as it is handed out, packed or unpacked; nothing is unpacked to the disk.

In one folder, each in any of its forms:

- training images: ILSVRC2012_img_train.tar (a tar of a tar per synset), or a folder `train` with a folder or a tar
  per synset (`n01440764`, `n01440764.tar`);
- validation images: ILSVRC2012_img_val.tar, or a folder `val` with the flat ILSVRC2012_val_00000001.JPEG …, both
  of which need the development kit (see `devkit`), or `val` with a folder per synset;
- class names: from the kit, else from `synset_words.txt` or `LOC_synset_mapping.txt` (a line is 'n01440764 tench,
  Tinca tinca'), else the synsets themselves. Two synsets with the same words (n02012849 and n03126707 are both
  'crane') are told apart by their synset in brackets. Classes are in the alphabetical order of their synsets.

The validation images are the set's *test* split here: the labels of ImageNet's own test images were never handed
out, so that every published figure is of these, and they must not choose anything. Named themselves (the tar, or its
flat folder), they are all the images that there are.

Images are decoded when they are needed, never all at the start. The real set holds a PNG that is called JPEG
(n02105855_2933) and 22 CMYK images, all of them training images (n02447366_23489 …; listed in
github.com/cytsai/ilsvrc-cmyk-image-list): `decode` goes by content and reads them all. An image that is damaged ends
the run that meets it with its name; `alexnet pack` meets every image and leaves a few damaged ones out.
"""

import re
from pathlib import Path

import numpy as np

from alexnet.data.loading.decode import EXTENSIONS
from alexnet.data.loading.stored import Listing, Split
from alexnet.data.loading.stores import Files, Members
from alexnet.data.readers import devkit
from alexnet.data.readers.archives import Member, members
from alexnet.data.readers.folder import first
from alexnet.data.readers.source import Labels, ListedSource
from alexnet.errors import InputError
from alexnet.files import content_of

TRAIN, VAL = "ILSVRC2012_img_train.tar", "ILSVRC2012_img_val.tar"
EXPECTED = f"{TRAIN}, {VAL} and {devkit.ARCHIVE}, or folders train and val"
WORDS = ("synset_words.txt", "LOC_synset_mapping.txt")
MAX_WORDS = 2**22
"""Bytes of the largest list of words that is read."""
_SYNSET = re.compile(r"n\d{8}")
_VAL = re.compile(r"ILSVRC2012_val_(\d{8})\.JPEG")


class ImageNet(ListedSource):
    name = "imagenet"
    expected = EXPECTED
    home = "imagenet"
    examine = False  # all of it takes as long to decode as an epoch: it is trusted until an image proves otherwise

    def recognize(self, path: Path) -> bool:
        """Whether `path` is one of the official archives or a folder with one, or with flat validation images."""
        if path.is_file():
            return path.name in (TRAIN, VAL)
        marks = (TRAIN, VAL, devkit.ARCHIVE, "ILSVRC2012_devkit_t12")
        return any((path / mark).exists() for mark in marks) or _is_flat(path) or _is_flat(path / "val")

    def list(
        self, path: Path, first_classes: int | None = None, layout: str = "auto", labels: Labels | None = None
    ) -> Listing:
        return list_imagenet(path, first_classes)


def list_imagenet(path: Path, first_classes: int | None = None) -> Listing:
    """The images at `path`: 'train', and as 'test' the validation images where they are there.

    Raises InputError for what does not fit.
    """
    root = path if path.is_dir() else path.parent
    alone = path.name == VAL or _is_flat(path)
    train = {} if alone else _by_synset(root, root / "train", root / TRAIN)
    kit = devkit.find(root) or (devkit.find(root.parent) if alone else None)
    val = _validation(path if alone else root, kit)
    if not train and not alone:
        raise InputError(f"no ImageNet training images in {root}; expected {EXPECTED}")
    synsets = list(first(sorted(train or val), first_classes, root))
    splits = {}
    for name, own in (("train", train or val), ("test", val if train else {})):
        if unseen := sorted(set(own) - set(train or val)):
            raise InputError(f"the validation images in {root} have class {unseen[0]}, which training never saw")
        if any(own.get(synset) for synset in synsets):
            splits[name] = _split(own, synsets)
    return Listing(root, _names(synsets, root, kit), splits)


Image = tuple[str, Path, int, int]
"""Name, the folder that it is named from and two zeros, or the archive with offset and length."""
Found = dict[str, list[Image]]
"""Images by synset."""


def _by_synset(root: Path, folder: Path, archive: Path) -> Found:
    found: Found = {}
    if folder.is_dir() and (synsets := _subfolders(folder)):
        for synset in synsets:
            names = sorted(path.relative_to(root).as_posix() for path in synset.rglob("*") if _is_image(path))
            if not names:
                raise InputError(f"no image in class folder {synset}")
            found[synset.name] = [(name, root, 0, 0) for name in names]
    elif folder.is_dir():
        for tar in sorted(folder.glob("*.tar")):
            found[tar.stem] = _in(tar, tar.stem, None)
    elif archive.is_file():
        for inner in members(archive):
            found[Path(inner.name).stem] = _in(archive, Path(inner.name).stem, inner)
    for synset, images in found.items():
        if not _SYNSET.fullmatch(synset):
            raise InputError(
                f"{root}: {synset!r} is no synset such as n01440764; for other classes: data.name = 'folder'"
            )
        if not images:
            raise InputError(f"no image of synset {synset} in {root}")
    return found


def _in(archive: Path, synset: str, inside: Member | None) -> list[Image]:
    named = ((f"train/{synset}/{Path(one.name).name}", archive, *one[1:]) for one in members(archive, inside))
    return sorted(one for one in named if _is_image(Path(one[0])))


def _validation(place: Path, kit: devkit.Devkit | None) -> Found:
    """Validation images by synset; empty when there are none."""
    folder = place if _is_flat(place) else place / "val"
    archive = place if place.is_file() else place / VAL
    flat: list[Image] = []
    if _is_flat(folder):
        flat = [(f"val/{path.name}", folder, 0, 0) for path in folder.iterdir() if _VAL.fullmatch(path.name)]
    elif folder.is_dir():
        return _by_synset(folder.parent, folder, folder / VAL)
    elif archive.is_file():
        found = ((Path(one.name).name, one) for one in members(archive))
        flat = [(f"val/{name}", archive, *one[1:]) for name, one in found if _VAL.fullmatch(name)]
    if not flat:
        return {}
    if kit is None:
        raise InputError(f"the validation images in {place} need their labels: put {devkit.ARCHIVE} beside them")
    by_synset: Found = {}
    for image, synset in zip(sorted(flat), kit.validation_synsets(len(flat)), strict=True):
        by_synset.setdefault(synset, []).append(image)
    return by_synset


def _subfolders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(("__MACOSX", ".")))


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in EXTENSIONS and not path.name.startswith(".")


def _is_flat(folder: Path) -> bool:
    return folder.is_dir() and any(_VAL.fullmatch(path.name) for path in folder.iterdir())


def _split(found: Found, synsets: list[str]) -> Split:
    images = [image for synset in synsets for image in found.get(synset, ())]
    names = [name for name, *_ in images]
    labels = np.repeat(np.arange(len(synsets)), [len(found.get(synset, ())) for synset in synsets])
    archives = list(dict.fromkeys(path for _, path, _, _ in images))
    if archives[0].is_dir():  # a split is either files or members, never both
        flat = _is_flat(archives[0])
        return Split(names, labels, Files(archives[0], [Path(name).name for name in names] if flat else names))
    number = {path: index for index, path in enumerate(archives)}
    places = np.array([(number[path], offset, length) for _, path, offset, length in images], np.int64)
    return Split(names, labels, Members(archives, places))


def _names(synsets: list[str], root: Path, kit: devkit.Devkit | None) -> tuple[str, ...]:
    words = kit.words if kit else _words(root)
    named = [words.get(synset, synset) for synset in synsets]
    twice = {name for name in named if named.count(name) > 1}
    return tuple(f"{name} ({synset})" if name in twice else name for name, synset in zip(named, synsets, strict=True))


def _words(root: Path) -> dict[str, str]:
    for file in (root / name for name in WORDS):
        if file.is_file():
            lines = content_of(file, MAX_WORDS).decode("utf-8-sig", "replace").splitlines()
            return {synset: text.strip() for synset, _, text in (line.partition(" ") for line in lines) if text}
    return {}
