"""Datasets, images and archives that are fuzzed: small files that their readers take."""

import dataclasses
import gzip
import io
import json
import struct
import tarfile
import tempfile
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

Files = dict[str, bytes]


def pixels(side: int = 6, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3), np.uint8)


def image(kind: str, mode: str = "RGB", **how: Any) -> bytes:
    from PIL import Image

    content = io.BytesIO()
    Image.fromarray(pixels(24)).convert(mode).save(content, kind, **how)
    return content.getvalue()


def _tar(files: Files, packed: bool = False) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz" if packed else "w") as archive:
        for name, own in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(own)
            archive.addfile(member, io.BytesIO(own))
    return content.getvalue()


def idx(packed: bool = False) -> Files:
    files = {}
    for split, count in (("train", 12), ("t10k", 4)):
        shape = (count, 4, 4)
        images = np.arange(count * 16).astype(np.uint8).tobytes()
        files[f"{split}-images-idx3-ubyte"] = struct.pack(">4I", 0x803, *shape) + images
        files[f"{split}-labels-idx1-ubyte"] = struct.pack(">2I", 0x801, count) + bytes(i % 3 for i in range(count))
    return {f"{name}.gz": gzip.compress(content) for name, content in files.items()} if packed else files


def _small(name: str) -> Any:
    """A layout of CIFAR with files of four records: the official ones have 30 MB."""
    from alexnet.data.readers import cifar

    layout = cifar.LAYOUTS[name]
    few = {part: dict.fromkeys(getattr(layout, part), 4) for part in ("train", "test")}
    return dataclasses.replace(layout, **few)


def cifar(name: str) -> Files:
    layout = _small(name)
    record = bytes(range(layout.label_bytes)) + bytes(3072)
    files = {file: record * count for file, count in layout.records.items()}
    return files | {layout.names: "".join(f"class {i}\n" for i in range(layout.classes)).encode()}


def cifar_archive(name: str) -> Files:
    layout = _small(name)
    return {layout.archive: _tar({f"{layout.folder}/{file}": own for file, own in cifar(name).items()}, packed=True)}


def read_cifar(path: Path, name: str) -> None:
    from unittest import mock

    from alexnet.data.readers import cifar

    with mock.patch.dict(cifar.LAYOUTS, {name: _small(name)}):
        cifar.read_cifar(path, name)


def devkit() -> Files:
    from scipy.io import savemat

    fields = [("ILSVRC2012_ID", "O"), ("WNID", "O"), ("words", "O"), ("gloss", "O"), ("num_children", "O")]
    rows = [(1, "n03126707", "crane", "", 0), (2, "n01440764", "tench", "", 0), (9, "n00001740", "entity", "", 3)]
    files = {}
    for packed in (True, False):
        content = io.BytesIO()
        savemat(content, {"synsets": np.array(rows, fields)[:, None]}, do_compression=packed)
        files["meta.mat" if packed else "plain.mat"] = content.getvalue()
    files["ILSVRC2012_validation_ground_truth.txt"] = b"1\n2\n1\n"
    return files


def devkit_folder() -> Files:
    return {name: own for name, own in devkit().items() if name != "plain.mat"}


def devkit_plain() -> Files:
    """Nothing in its meta.mat is compressed, so that changes meet its numbers."""
    files = devkit()
    return {"meta.mat": files["plain.mat"], **{name: own for name, own in files.items() if not name.endswith(".mat")}}


def devkit_archive() -> Files:
    own = {f"ILSVRC2012_devkit_t12/data/{name}": content for name, content in devkit_folder().items()}
    return {"ILSVRC2012_devkit_t12.tar.gz": _tar(own, packed=True)}


def read_devkit(path: Path) -> None:
    from alexnet.data.readers import devkit

    devkit.find(path)


def imagenet() -> Files:
    jpeg = image("JPEG")
    synsets = {name: _tar({f"{name}_{i}.JPEG": jpeg for i in range(2)}) for name in ("n01440764", "n03126707")}
    values = {f"ILSVRC2012_val_{i:08}.JPEG": jpeg for i in range(1, 4)}
    return {
        "ILSVRC2012_img_train.tar": _tar({f"{name}.tar": own for name, own in synsets.items()}),
        "ILSVRC2012_img_val.tar": _tar(values),
        "synset_words.txt": b"n01440764 tench, Tinca tinca\nn03126707 crane\n",
        **devkit_folder(),
    }


def caltech() -> Files:
    jpeg = image("JPEG")
    names = ("001.ak47", "002.american-flag")
    files = {f"256_ObjectCategories/{name}/{name[:3]}_{i:04}.jpg": jpeg for name in names for i in range(1, 4)}
    return {"256_ObjectCategories.tar": _tar(files)}


def folder() -> Files:
    return {f"{name}/{i}.{kind}": image(kind) for name in "ab" for i, kind in enumerate(("png", "jpeg", "gif"))}


def table(suffix: str) -> Files:
    """A table of the labels of `_images`."""
    rows = [
        {"file": f"{i}.png", "label": "ab"[i % 2], "split": ("train", "test")[i // 4], "patient": i // 2}
        | {"x": i % 2, "y": float(i % 3 == 0)}
        for i in range(6)
    ]
    if suffix == "jsonl":
        content = "".join(json.dumps(row) + "\n" for row in rows).encode()
    elif suffix == "csv":
        content = "\n".join([",".join(rows[0]), *(",".join(map(str, row.values())) for row in rows)]).encode()
    else:
        import pyarrow
        from pyarrow import parquet

        file = io.BytesIO()
        parquet.write_table(pyarrow.Table.from_pylist(rows), file)
        content = file.getvalue()
    return {f"labels.{suffix}": content}


@lru_cache
def _images() -> tempfile.TemporaryDirectory[str]:
    """Six images in a folder that goes with the process."""
    folder = tempfile.TemporaryDirectory()
    for number in range(6):
        (Path(folder.name) / f"{number}.png").write_bytes(image("PNG"))
    return folder


def read_table(path: Path) -> None:
    from alexnet.data.readers.source import Labels
    from alexnet.data.readers.table import list_table

    for asked in (Labels(), Labels(columns=("x", "y"))):
        list_table(path, Path(_images().name), asked=asked)


def shards() -> Files:
    """As `alexnet pack` writes them."""
    from alexnet.data.pack import pack
    from alexnet.data.readers.folder import Folder

    with tempfile.TemporaryDirectory() as root:
        for name, content in folder().items():
            (Path(root) / "in" / name).parent.mkdir(parents=True, exist_ok=True)
            (Path(root) / "in" / name).write_bytes(content)
        out = Path(root) / "out"
        form = {"channels": 3, "size": (8, 8), "fit": "crop", "antialias": True, "samples": None}
        pack(Folder().list(Path(root) / "in"), form, out)  # pyright: ignore[reportArgumentType]
        return {each.name: each.read_bytes() for each in out.iterdir() if each.name != ".lock"}


def read_images(path: Path) -> None:
    """Recognizes what lies there, reads it, and decodes its first images, as training does."""
    from alexnet.data.sources import open_splits

    splits = open_splits(None, path, size=(8, 8), validation=None)
    splits.train.batch(np.arange(min(4, len(splits.train))))


def read_image(path: Path) -> None:
    """One image file, as predict decodes it, and as the range of deep samples is found."""
    from alexnet.data.loading import decode
    from alexnet.preprocessing import Preprocessing

    decode.prepare(path, Preprocessing((16, 16)))
    decode.extremes_of(path.read_bytes())
