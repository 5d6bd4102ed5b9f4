"""What lies in a folder of images: image files by content, and the folders that no user put there."""

import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from alexnet.data.loading.containers import HEAD, kind_of
from alexnet.data.loading.decode import EXTENSIONS, DecodeError, decode
from alexnet.errors import InputError
from alexnet.files import holds_run, regular

IMAGES = frozenset((
    *EXTENSIONS, ".jpe", ".tif", ".tiff", ".avif", ".jp2", ".j2k", ".jpx", ".pgm", ".ppm", ".pbm", ".pnm",
    ".heic", ".heif", ".jxl", ".psd", ".exr", ".tga", ".svg", ".dcm", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf",
))  # fmt: skip
"""Extensions of images, read or not; any other file is an image when its first bytes say so."""
SYSTEM = frozenset(
    name.casefold()
    for name in (
        "@eaDir", "@SynoResource", "@tmp", "#recycle", "#snapshot", "@Recycle", "@Recently-Snapshot",
        "$RECYCLE.BIN", "RECYCLER", "System Volume Information", "FOUND.000", "Network Trash Folder",
        "Temporary Items", "lost+found", "__MACOSX", "__pycache__", "node_modules", "site-packages",
        ".Trash", ".Trashes", ".Spotlight-V100", ".fseventsd", ".TemporaryItems", ".DocumentRevisions-V100",
        ".AppleDouble", ".AppleDesktop", ".thumbnails", ".thumbs", ".thumb", ".picasaoriginals", ".git", ".svn", ".hg",
        ".dvc", ".cache", ".config", ".local", ".venv", ".idea", ".vscode", ".ipynb_checkpoints", ".stfolder",
        ".stversions", ".sync", ".dropbox.cache", ".snapshot", ".snapshots", ".zfs", ".kaggle", ".DS_Store",
    )
)  # fmt: skip
"""Folders that systems, storage boxes and tools make, in lower case."""
_JUNK = frozenset((".ds_store", "thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", ".localized", ".nomedia"))
_MASKS = re.compile(r"(masks?|annotations?|annots?|segmentations?|segs?|trimaps?|ground[ _-]?truths?|gt|labels?)", re.I)
_MASK_OF = re.compile(r"(?P<stem>.+?)[_. -](?:masks?|seg|segmentation|gt|groundtruth|annotation)(?:[_-]?\d+)?", re.I)

SYSTEM_FOLDER = "a folder of the system or of a tool"
RUN_FOLDER = "a run or a pack of alexnet"
HIDDEN_FOLDER = "a hidden folder inside a class"
HIDDEN_FILE = "a hidden file"
MASK = "a mask of an image beside it"
FEW = 4
"""Gray values of a mask: object, background, border, and one more."""


def same_name(name: str) -> str:
    """A name in the one Unicode form (NFC) in which names are compared: systems store 'é' as one or two characters."""
    return unicodedata.normalize("NFC", name)


@dataclass
class Node:
    """A folder, without what is left out of it."""

    path: Path
    files: list[str] = field(default_factory=list)
    """Names of image files."""
    folders: list["Node"] = field(default_factory=list)

    @property
    def name(self) -> str:
        return same_name(self.path.name)

    @property
    def hidden(self) -> bool:
        return self.path.name.startswith(".")

    @cached_property
    def count(self) -> int:
        """Images at any depth."""
        return len(self.files) + sum(each.count for each in self.folders if not each.hidden)

    @property
    def filled(self) -> list["Node"]:
        """The folders with images."""
        return [each for each in self.folders if each.count]

    def images(self) -> Iterator[Path]:
        """Image files at any depth."""
        yield from (self.path / name for name in self.files)
        for each in self.folders:
            if not each.hidden:
                yield from each.images()


@dataclass
class Tree:
    """A folder of images as it lies on the disk."""

    root: Node
    left_out: list[tuple[str, str]]
    """(name, reason) of folders and files that are no part of it."""
    others: Counter[str]
    """Files that are no images, by extension."""


def scan(root: Path) -> Tree:
    """Links are followed, but into no folder twice and not to one above."""
    return _Scan(root).tree()


class _Scan:
    def __init__(self, root: Path) -> None:
        self.root, self.left_out, self.others = root, list[tuple[str, str]](), Counter[str]()
        self.seen = {os.path.realpath(above) for above in root.resolve().parents}

    def tree(self) -> Tree:
        node = self.node(self.root) or Node(self.root)
        return Tree(node, self.left_out, self.others)

    def node(self, path: Path) -> Node | None:
        real = os.path.realpath(path)
        if real in self.seen:
            return None
        self.seen.add(real)
        entries = sorted(os.scandir(path), key=lambda entry: entry.name)
        names = {entry.name for entry in entries}
        if path != self.root and _is_ours(names):
            return self.out(path, RUN_FOLDER)
        node = Node(path)
        for entry in entries:
            if not entry.is_dir():
                if self.is_image(entry):
                    node.files.append(entry.name)
            elif entry.name.casefold() in SYSTEM or entry.name.startswith(".Trash-"):
                self.out(path / entry.name, SYSTEM_FOLDER)
            elif below := self.node(path / entry.name):
                node.folders.append(below)
        self.drop_masks(node)
        return node

    def out(self, path: Path, why: str) -> None:
        self.left_out.append((path.relative_to(self.root).as_posix(), why))

    def is_image(self, entry: os.DirEntry[str]) -> bool:
        name, suffix = entry.name, Path(entry.name).suffix.lower()
        if name.lower() in _JUNK or name.startswith("._"):
            return False
        if name.startswith("."):
            if suffix in IMAGES:
                self.out(Path(entry.path), HIDDEN_FILE)
            return False
        if suffix in IMAGES or kind_of(_head(entry.path)):
            return True
        self.others[suffix or "no extension"] += 1
        return False

    def drop_masks(self, node: Node) -> None:
        """Leaves out the masks of images that lie beside them, in a folder of their own or with a name of their own."""
        stems = {Path(name).stem for name in node.files}
        masks = [name for name in node.files if (own := _MASK_OF.fullmatch(Path(name).stem)) and own["stem"] in stems]
        if masks:
            node.files = [name for name in node.files if name not in set(masks)]
            for name in masks:
                self.out(node.path / name, MASK)
        for each in [each for each in node.folders if each.files and _MASKS.fullmatch(each.name)]:
            beside = {path.stem for other in node.folders if other is not each for path in other.images()} | stems
            own = [Path(name).stem for name in each.files]
            if all(stem in beside or ((m := _MASK_OF.fullmatch(stem)) and m["stem"] in beside) for stem in own):
                if _siblings_are_classes(node, each) and not _of_few_values(each):
                    continue
                node.folders.remove(each)
                self.out(each.path, MASK)
        for each in [each for each in node.filled if not each.files and _MASKS.fullmatch(each.name)]:
            others = [other for other in node.filled if other is not each]
            if len(others) == 1 and _below(each) <= _below(others[0]):
                node.folders.remove(each)
                self.out(each.path, MASK)


def _is_ours(names: set[str]) -> bool:
    """Whether a folder with these names in it is a run, a learning-rate range, or packed images."""
    run = holds_run(names)
    return bool(run) or {"lr_range.json", "lr_range.png"} <= names or {"index.json", "train-000000.tar"} <= names


def _siblings_are_classes(node: Node, masks: Node) -> bool:
    """Whether the folder stands beside several others with images: files that are numbered alike prove nothing then."""
    return len([each for each in node.folders if each is not masks and each.count]) > 1


def _of_few_values(masks: Node) -> bool:
    """Whether the folder's first images have no more gray values than a mask has."""
    try:
        return all(len(np.unique(decode(masks.path / name, 1))) <= FEW for name in masks.files[:3])
    except DecodeError:
        return False


def _below(node: Node) -> set[tuple[str, str]]:
    """(folder, name without extension) of the images in it; a mask's name is its image's."""
    found = ((path.parent.relative_to(node.path).as_posix(), path.stem) for path in node.images())
    return {(folder, own["stem"] if (own := _MASK_OF.fullmatch(stem)) else stem) for folder, stem in found}


def _head(path: str) -> bytes:
    try:
        with regular(path) as file:
            return file.read(HEAD)
    except (OSError, InputError):
        return b""
