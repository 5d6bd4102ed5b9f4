"""A folder with one folder of images per class, with or without train, val and test inside.

Either `cat/001.jpg`, or `train/cat/001.jpg` with `val` and `test` beside `train`, by any of their usual names
(`Training`, `test_set`, `seg_train`, `val2017`, `dev` …). Images may lie deeper inside a class's folder. What is an
image, a file's content decides. What was read as splits and as classes, and what was left out and why, is noted.
"""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from alexnet.data.loading.stored import Listing, Split, printable
from alexnet.data.loading.stores import Files
from alexnet.data.readers import tree
from alexnet.data.readers.source import Labels, ListedSource
from alexnet.data.readers.tree import Node, Tree
from alexnet.errors import InputError, counted, unknown

LAYOUTS = ("auto", "splits", "classes")
"""How the folders below the root are read: by their names, always as splits, or always as classes."""
_ROLES = {
    "train": r"train(?:ing|val)?|trn",
    "validation": r"val|valid|validation|validate|dev|development|eval|evaluation",
    "test": r"test|testing|tst|holdout",
}
_WHAT = r"set|data|dataset|images?|imgs?|pictures?|pics|photos?|samples?|split|folder|files|jpe?gs?|pngs?"
_NAME = {
    split: re.compile(rf"(?:(?P<before>.+?)[\W_]+)?(?:{role})(?:[\W_]*(?:{_WHAT}))*[\W_]*(?:(?:19|20)\d\d|\d)?", re.I)
    for split, role in _ROLES.items()
}
SHOWN = 5
"""Names that a note gives."""


class Folder(ListedSource):
    name = "folder"
    expected = "a folder with a folder of images per class"

    def recognize(self, path: Path) -> bool:
        return path.is_dir()

    def list(
        self, path: Path, first_classes: int | None = None, layout: str = "auto", labels: Labels | None = None
    ) -> Listing:
        return list_folder(path, first_classes, layout)


def list_folder(root: Path, first_classes: int | None = None, layout: str = "auto") -> Listing:
    """The images of a folder by split. Classes are in the alphabetical order of their folders' names."""
    if layout not in LAYOUTS:
        raise unknown("data.layout", layout, LAYOUTS)
    if not root.is_dir():
        raise InputError(f"no folder {root}; expected one with a folder of images per class")
    found = tree.scan(root)
    reading = _Reading(root, found, layout)
    listed = {split: reading.classes_of(split, folder) for split, folder in reading.splits().items()}
    reading.check(listed)
    classes = first(sorted(listed["train"]), first_classes, root)
    splits = {}
    for split, own in listed.items():
        names = [name for one in classes for name in own.get(one, ())]
        labels = np.repeat(np.arange(len(classes)), [len(own.get(one, ())) for one in classes])
        if names:
            splits[split] = Split(names, labels, Files(root, names))
    left_out = [(printable(name), why) for name, why in found.left_out]
    return Listing(
        root, tuple(classes), splits, left_out, reading.told({name: len(s.names) for name, s in splits.items()})
    )


def first(classes: Sequence[str], count: int | None, place: Path) -> Sequence[str]:
    """The first `count` classes; None: all. Raises InputError when there are not so many."""
    if count is not None and count > len(classes):
        raise InputError(f"the first {count} classes are wanted, and {place} has {len(classes)}")
    return classes[:count]


def role(name: str) -> tuple[str, str] | None:
    """The split that a folder's name means, and what stands before it in the name ('seg' of 'seg_train')."""
    for split, pattern in _NAME.items():
        if found := pattern.fullmatch(tree.same_name(name)):
            return split, (found["before"] or "").casefold()
    return None


class _Reading:
    """How one folder is read; `notes` grow on the way."""

    def __init__(self, root: Path, found: Tree, layout: str) -> None:
        self.root, self.left_out, self.others, self.layout = root, found.left_out, found.others, layout
        self.top = self._unwrapped(found.root)
        self.found: dict[str, Node] = {}
        self.notes: list[str] = []

    def splits(self) -> dict[str, Node]:
        """The folder of each split; where there are none, the whole is 'train'."""
        named = self._named()
        if "train" in named and self._are_splits(named):
            self.found = named
            for each in self.top.folders:
                if each not in named.values() and each.count:
                    self._out(each.path, "not read as a split")
            self._strays(self.top)
            return {split: self._unwrapped(node, True) for split, node in named.items()}
        if self.layout == "splits":
            names = ", ".join(each.name for each in self.top.folders) or "no folders"
            raise InputError(
                f"data.layout is 'splits', and {self.top.path} holds {names}: name them train, val and test"
            )
        if named and "train" not in named and all(each in named.values() for each in self.top.filled):
            names = ", ".join(node.path.name for node in named.values())
            raise InputError(
                f"{self.top.path} holds {names} but no train; to use one, name it itself, and where these are classes, "
                "set data.layout=classes"
            )
        self._doubts(named)
        return {"train": self.top}

    def _named(self) -> dict[str, Node]:
        """Folders that are called like splits; none where their names do not fit each other."""
        if self.layout == "classes":
            return {}
        named: dict[str, Node] = {}
        before: set[str] = set()
        for each in self.top.folders:
            if each.hidden or (meant := role(each.name)) is None:
                continue
            split, prefix = meant
            if split in named and prefix in before:
                raise InputError(
                    f"{self.top.path} holds both {named[split].path.name} and {each.path.name}; keep one, or set "
                    "data.layout=classes where they are classes"
                )
            named.setdefault(split, each)
            before.add(prefix)
        return {split: named[split] for split in _ROLES if split in named} if len(before) == 1 else {}

    def _are_splits(self, named: dict[str, Node]) -> bool:
        """A class may be called 'train' too: then it holds images, and other classes stand beside it."""
        train = self._unwrapped(named["train"], True)
        alone = all(each in named.values() for each in self.top.folders if not each.hidden)
        if self.layout == "splits" or (alone and (len(named) > 1 or not train.files)):
            if not train.filled:
                raise InputError(f"no class folders in {train.path}; expected a folder of images per class")
            return True
        return len(train.filled) > 1 and train.count - len(train.files) > len(train.files)

    def classes_of(self, split: str, node: Node) -> dict[str, list[str]]:
        """Names of images, relative to the root and sorted, by class; empty for a split that cannot be used."""
        if split != "train" and not node.filled:
            self._unusable(split, node)
            return {}
        self._strays(node)
        listed: dict[str, list[str]] = {}
        deeper: list[str] = []
        for each in node.folders:
            if each.hidden and not each.count:
                continue
            if each.name in listed and each.count:
                self.notes.append(
                    f"two folders are called {each.name!r}, written in two Unicode forms: read as one class"
                )
            names = [path.relative_to(self.root).as_posix() for path in each.images()]
            self._hidden_below(each)
            if not names and any(name.startswith(self._name(each.path) + "/") for name, _ in self.left_out):
                continue  # it holds nothing but what was left out
            listed[each.name] = sorted(listed.get(each.name, []) + names)
            deeper += [f"{each.name}/{below.name}" for below in each.filled]
            if each.hidden:
                self.notes.append(f"the hidden folder {each.name!r} is read as a class")
        if deeper:
            self.notes.append(f"images in folders inside a class belong to the class: {_some(deeper)}")
        return listed

    def _hidden_below(self, node: Node) -> None:
        for each in node.folders:
            if each.hidden:
                self._out(each.path, tree.HIDDEN_FOLDER)
            else:
                self._hidden_below(each)

    def _unusable(self, split: str, node: Node) -> None:
        if not node.count:
            self.notes.append(f"{self._name(node.path)} holds no images, and is not read")
        elif split == "validation":
            raise InputError(
                f"{node.path} holds {counted(node.count, 'image')} and no class folders, so that their classes "
                "are not known: sort them into class folders, or move them away to have validation images cut from "
                "training"
            )
        else:
            self._out(node.path, f"test images without class folders: their classes are not known ({node.count:,})")

    def _unwrapped(self, node: Node, inside_split: bool = False) -> Node:
        """The folder in it that alone holds all images, as archives often unpack; else the folder itself."""
        inner = node
        while not inner.files and len(inner.filled) == 1:
            inner = inner.filled[0]
            if role(inner.name) and not inside_split and self.layout != "classes":
                return node
        return inner if len(inner.filled) > 1 else node

    def _strays(self, node: Node) -> None:
        for name in node.files:
            self._out(node.path / name, "an image beside the class folders")

    def _doubts(self, named: dict[str, Node]) -> None:
        """What is read as classes and might be something else."""
        if self.layout == "classes":
            return
        otherwise = "if they are splits, name them train, val and test; data.layout=classes confirms that they are not"
        filled = self.top.filled
        inner = {each.name: {below.name for below in each.filled} for each in filled}
        alike = [
            name
            for name, below in inner.items()
            if len(below) > 1 and sum(below == more for more in inner.values()) > 1
        ]
        if not alike:
            alike = [
                n
                for n, b in inner.items()
                if any(n != m and len(b & c) > 1 and len(b & c) * 2 > len(b | c) for m, c in inner.items())
            ]
        if alike:
            shared = sorted(set.intersection(*(inner[name] for name in alike)) or inner[alike[0]])
            self.notes.append(
                f"in doubt: {_some(alike)} are read as classes and hold the same folders ({_some(shared)}); {otherwise}"
            )
        elif any(role(each.name) for each in filled) and len(filled) > 1:
            like = [each.name for each in filled if role(each.name)]
            how = "is read as a class" if len(like) == 1 else "are read as classes"
            self.notes.append(f"in doubt: {_some(like)} {how}; {otherwise}")
        masks = [
            each.name for each in filled if re.fullmatch(r"masks|annotations?|segmentations?|trimaps", each.name, re.I)
        ]
        if masks:
            how = "is read as a class; if it holds" if len(masks) == 1 else "are read as classes; if they hold"
            self.notes.append(f"in doubt: {_some(masks)} {how} masks, move {'it' if len(masks) == 1 else 'them'} away")

    def check(self, listed: dict[str, dict[str, list[str]]]) -> None:
        """Raises InputError where there is nothing to train on, and notes names that are nearly the same."""
        train, root = listed["train"], self.root
        if not train:
            raise InputError(f"no class folders in {root}; expected a folder of images per class, such as cat/001.jpg")
        if not any(train.values()):
            raise InputError(f"no images in the class folders of {root}{self._other_files()}")
        for name, files in train.items():
            if not files:
                raise InputError(f"no image in class folder {name!r} of {root}{self._other_files()}")
        if len(train) == 1:
            raise InputError(f"only one class in {root}: {next(iter(train))!r}; training needs at least two")
        plain: dict[str, str] = {}
        for name in sorted(train):
            if (other := plain.setdefault(" ".join(name.casefold().split()), name)) != name:
                self.notes.append(
                    f"{other!r} and {name!r} are two classes, and one on systems that ignore case or spaces"
                )
        for split, own in listed.items():
            for name in sorted(name for name, files in own.items() if files and name not in train):
                near = plain.get(" ".join(name.casefold().split()))
                hint = f" (it knows {near!r})" if near else ""
                raise InputError(f"the {split} images in {root} have class {name!r}, which training never saw{hint}")

    def told(self, counts: dict[str, int]) -> list[str]:
        """The notes, what was read first."""
        notes = []
        where = "" if self.top.path == self.root else f" in {self._name(self.top.path)}"
        if self.found:
            read = (f"{self.found[s].path.name} is {s} ({n:,})" if s in self.found else s for s, n in counts.items())
            notes.append(f"folders read as splits{where}: {', '.join(read)}")
        elif where:
            notes.append(f"class folders read{where}")
        reasons: dict[str, list[str]] = {}
        for name, why in self.left_out:
            reasons.setdefault(why, []).append(printable(name))
        for why, names in reasons.items():
            notes.append(f"left out, {why}: {_some(names)}")
        if self.others:
            notes.append(f"not images: {counted(sum(self.others.values()), 'file')} ({_some(sorted(self.others))})")
        return notes + list(dict.fromkeys(self.notes))

    def _out(self, path: Path, why: str) -> None:
        self.left_out.append((self._name(path), why))

    def _name(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix()

    def _other_files(self) -> str:
        if not self.others:
            return ""
        files = counted(sum(self.others.values()), "file there is no image", "files there are no images")
        return f"; {files} ({_some(sorted(self.others))})"


def _some(names: Sequence[str]) -> str:
    more = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {more:,} more" if more > 0 else "")
