"""A resized copy of a dataset, made once, that is read several times as fast as the original.

Each image is decoded as training would decode it (see `decode`), cut to `size` and written as JPEG into shards of
10,000 images in WebDataset's layout (see `shards`). A shard is written under another name and renamed when it is
whole and its list is written: after a kill, the shards that are there are kept, the others made anew, and a shard
without a list, or of another length than its list says, is none that was written here.
"""

import base64
import hashlib
import io
import itertools
import json
import re
import tarfile
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import Image

from alexnet.data import dataset as sets
from alexnet.data.loading.decode import DecodeError, decode
from alexnet.data.loading.depth import range_of
from alexnet.data.loading.stored import (
    AHEAD,
    Form,
    Listing,
    Progress,
    Split,
    check_skipped,
    printable,
)
from alexnet.data.readers.archives import BLOCK
from alexnet.data.readers.shards import INDEX, KIND, SEVERAL, VERSION
from alexnet.errors import InputError
from alexnet.files import LOCK, atomic, json_bytes, lock, make_folder, read_json, sweep, write_json
from alexnet.preprocessing import FITS

QUALITY = 95
"""Of the JPEGs, on Pillow's scale."""
IMAGES = 10_000
"""In a shard: about 400 MB at 256 pixels."""


def pack(
    listing: Listing, form: Form, out: Path, progress: Progress | None = None, images: int = IMAGES
) -> dict[str, Any]:
    """Writes the images of `listing` to the folder `out`, `images` a shard, and returns its index.

    Samples of more than 8 bits are spread over the range that all images use, unless the form says another.
    Few unreadable images are left out and named in the index, many raise InputError, as does a folder that holds
    anything but this very pack, unfinished or finished (then there is nothing to do), or is being packed into.
    """
    parts = {
        f"{name}-{number:06}": (name, range(start, min(start + images, len(split.names))))
        for name, split in listing.splits.items()
        for number, start in enumerate(range(0, len(split.names), images))
    }
    if form["fit"] not in FITS:
        raise InputError(f"fit is {form['fit']!r}; choose one of: {', '.join(FITS)}")
    if "samples" not in form and (samples := range_of(listing)[0]):
        form = {**form, "samples": samples}
    make_folder(out)
    _check_foreign(out, parts)
    with lock(out):
        sweep(out)
        return _packed(listing, form, out, parts, progress)


def shuffled(listing: Listing) -> Listing:
    """The same listing, its training images in a random order: each shard then holds some of every class.

    The order is fixed by a seed of 0, so that an unfinished pack goes on with it. Other splits keep their order, in
    which an evaluation reads each shard once.
    """
    split = listing.splits["train"]
    rows = np.random.default_rng(0).permutation(len(split.names))
    mixed = Split([split.names[row] for row in rows], split.labels[rows], split.store.part(rows))
    return replace(listing, splits={**listing.splits, "train": mixed})


def _packed(
    listing: Listing, form: Form, out: Path, parts: dict[str, tuple[str, range]], progress: Progress | None
) -> dict[str, Any]:
    splits: dict[str, list[dict[str, Any]]] = {}
    skipped: list[tuple[str, str]] = []
    trained: set[int] = set()
    done = 0
    for stem, (name, rows) in parts.items():
        split = listing.splits[name]
        plan, step = _plan(listing, split, rows, form), partial(_step, progress, done, listing.count)
        told = _finished(out, stem, plan) or _write(
            out / f"{stem}.tar", name, split, rows, form, step, plan, listing.groups
        )
        done += len(rows)
        _step(progress, done, listing.count, 0)
        skipped += [(one, why) for one, why in told["left_out"]]
        if name == "train":
            trained |= set(itertools.chain(*told["labels"]) if listing.multilabel else told["labels"])
        check_skipped(listing, skipped, None)
        content = json_bytes(told)
        own = {key: told[key] for key in ("file", "count", "bytes", "sha256")}
        own["list"] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        splits.setdefault(name, []).append(own)
    check_skipped(listing, skipped, np.array(sorted(trained)))
    index = {
        "kind": KIND,
        "version": SEVERAL if listing.multilabel else VERSION,
        "classes": list(listing.classes),
        "channels": form["channels"],
        "size": list(form["size"]),
        "fit": form["fit"],
        "quality": QUALITY,
        "samples": form.get("samples"),
        "splits": splits,
        "left_out": [list(one) for one in listing.left_out + skipped],
    }
    write_json(out / INDEX, index)
    return index


def _step(progress: Progress | None, done: int, total: int, more: int) -> None:
    if progress:
        progress(done + more, total)


def _write(
    path: Path,
    name: str,
    split: Split,
    rows: range,
    form: Form,
    step: Callable[[int], None],
    plan: str,
    groups: Mapping[str, str],
) -> dict[str, Any]:
    """Writes one shard and its list; returns the list. groups: as `Listing.groups`."""

    def encode(row: int) -> bytes | DecodeError:
        try:
            content = io.BytesIO()
            image = decode(split.store.read(row), **form)
            Image.fromarray(image[:, :, 0] if form["channels"] == 1 else image).save(content, "JPEG", quality=QUALITY)
            return content.getvalue()
        except DecodeError as error:
            return error

    names, labels, offsets, lengths, digests, left_out = [], [], [], [], b"", []
    kind = "cls" if split.labels.ndim == 1 else "json"  # as WebDataset decodes them: a number, or a list
    with atomic(path) as file:
        hashed = _Hashed(file)
        with tarfile.open(fileobj=hashed, mode="w|", format=tarfile.USTAR_FORMAT) as tar:  # pyright: ignore
            for start in range(rows.start, rows.stop, AHEAD):
                block = range(start, min(start + AHEAD, rows.stop))
                for row, content in zip(block, sets.pool().map(encode, block), strict=True):
                    if isinstance(content, DecodeError):
                        left_out.append((printable(split.names[row]), content.reason))
                        continue
                    key = f"{name}-{row:08}"
                    names.append(split.names[row])
                    labels.append(_said(split.labels[row]))
                    offsets.append(tar.offset + BLOCK)
                    lengths.append(len(content))
                    digests += hashlib.sha256(content).digest()
                    _add(tar, f"{key}.jpg", content)
                    _add(tar, f"{key}.{kind}", json.dumps(labels[-1]).encode())
                step(block.stop - rows.start)
        told = {
            "file": path.name,
            "count": len(names),
            "bytes": hashed.count,
            "sha256": hashed.digest.hexdigest(),
            "names": names,
            "labels": labels,
            "offsets": offsets,
            "lengths": lengths,
            "digests": base64.b64encode(digests).decode(),
            "left_out": left_out,
            "plan": plan,
        }
        if groups:
            told["groups"] = [groups.get(each) for each in names]
        write_json(path.with_suffix(".json"), told)
    return told


def _said(label: np.ndarray) -> int | list[int]:
    """An image's class, or where it may have several labels all of them."""
    return int(label) if label.ndim == 0 else np.flatnonzero(label).tolist()


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)  # with no time and no owner: packed twice, the shards are the same
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))


class _Hashed:
    """A file that is written once, from its beginning to its end, and hashed on the way."""

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.count, self.digest = file, 0, hashlib.sha256()

    def write(self, content: bytes) -> int:
        self.count += len(content)
        self.digest.update(content)
        return self.file.write(content)


def _plan(listing: Listing, split: Split, rows: range, form: Form) -> str:
    """A digest of everything that a shard depends on, the images' contents by their lengths."""
    sizes, labels = split.store.sizes()[rows.start : rows.stop], split.labels[rows.start : rows.stop]
    named = (split.names[row].encode(errors="surrogateescape").hex() for row in rows)
    told = [VERSION, QUALITY, form, list(listing.classes), list(named), labels.tolist(), sizes.tolist()]
    if listing.groups:
        told.append([listing.groups.get(split.names[row]) for row in rows])
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def _finished(out: Path, stem: str, plan: str) -> dict[str, Any] | None:
    """The list of a shard that is whole; None when it is still to be made."""
    shard, told = out / f"{stem}.tar", out / f"{stem}.json"
    if not told.is_file():
        return None
    content = read_json(told)
    if content["plan"] != plan:
        raise InputError(f"{out} holds a pack of other images or of another size; choose another folder, or empty it")
    if not shard.exists():
        return None
    if shard.stat().st_size != content["bytes"]:
        raise InputError(f"{shard} was changed since it was packed; remove it to have it packed again")
    return content


def _check_foreign(out: Path, stems: Collection[str]) -> None:
    ours = {INDEX, *(f"{stem}{kind}" for stem in stems for kind in (".tar", ".json"))}

    def is_ours(path: Path) -> bool:
        """Also by content: other programs have an index.json too."""
        if re.fullmatch(r"\..*\.tmp", path.name):  # what a kill left of one of ours
            return path.name[1:].rsplit(".", 2)[0] in ours
        if path.name == LOCK:
            return True
        if path.name not in ours:
            return False
        if path.suffix == ".tar":
            return path.with_suffix(".json").exists()
        try:
            content = read_json(path)
        except InputError:
            return False
        return isinstance(content, dict) and (content.get("kind") == KIND if path.name == INDEX else "plan" in content)

    foreign = sorted(path.name for path in out.iterdir() if not is_ours(path))
    if foreign:
        raise InputError(f"{out} holds something else ({foreign[0]}); choose an empty or a new folder")
