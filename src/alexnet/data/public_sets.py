"""Public datasets: where they are kept, their license, and the MD5 that their sources publish of each file."""

import os
from dataclasses import dataclass
from pathlib import Path

from alexnet.data.download import Digest, Progress, fetch
from alexnet.errors import unknown


@dataclass(frozen=True)
class PublicSet:
    base: str
    """The address that the files' names are put behind."""
    files: dict[str, str]
    """MD5 by file, in hexadecimal."""
    source: str
    """Who publishes the digests."""
    license: str | None
    """As the source states it; None: it states none."""


_IDX = (
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
)
_KRIZ = "https://www.cs.toronto.edu/~kriz/"

PUBLIC: dict[str, PublicSet] = {
    "mnist": PublicSet(
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        dict(zip(_IDX, (
            "f68b3c2dcbeaaa9fbdd348bbdeb94873", "d53e105ee54ea40749a09fcbcd1e9432",
            "9fb629c4189551a2d022fa330f9573f3", "ec29112dd5afa0611ce80d1b7f02629c",
        ), strict=True)),
        "torchvision, torchvision/datasets/mnist.py, which keeps this copy of LeCun's files",
        None,
    ),
    "fashion-mnist": PublicSet(
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        dict(zip(_IDX, (
            "8d4fb7e6c68d591d4c3dfef9ec88bf0d", "25c81989df183df01b3e8a0aad5dffbe",
            "bef4ecab320f06d8554ea6380940ec79", "bb300cfdad3c16e7a12a480ee83cd310",
        ), strict=True)),
        "https://github.com/zalandoresearch/fashion-mnist, README.md",
        "MIT",
    ),
    "cifar10": PublicSet(
        _KRIZ, {"cifar-10-binary.tar.gz": "c32a1d4ab5d03f1284b67883e8d87530"}, f"{_KRIZ}cifar.html", None
    ),
    "cifar100": PublicSet(
        _KRIZ, {"cifar-100-binary.tar.gz": "03b5dce01913d631647c71ecec9e9cb8"}, f"{_KRIZ}cifar.html", None
    ),
    "caltech256": PublicSet(
        "https://data.caltech.edu/records/nyy15-4j048/files/",
        {"256_ObjectCategories.tar": "67b4f42ca05d46448c6bb8ecd2220f6d"},
        "https://data.caltech.edu/records/nyy15-4j048",
        "CC-BY-4.0",
    ),
}  # fmt: skip
"""By the name of the set, which is also its folder's; ImageNet is handed out to registered users only."""


def folder(name: str) -> Path:
    """Where a set is looked for first: $ALEXNET_DATA/NAME, else ~/.cache/alexnet/NAME."""
    root = os.environ.get("ALEXNET_DATA")
    return (Path(root).expanduser() if root else Path.home() / ".cache" / "alexnet") / name


def offline() -> bool:
    """Whether the user wants nothing to be fetched: $ALEXNET_OFFLINE is set, and not to 0."""
    return os.environ.get("ALEXNET_OFFLINE", "0") not in ("", "0")


def is_partial(name: str, place: Path) -> bool:
    """Whether a fetch into the folder was cut: some of the set's files are there, and not all."""
    files = PUBLIC[name].files
    there = [any((place / each).exists() for each in (file, file.removesuffix(".gz"))) for file in files]
    return any(place.glob("*.part")) or any(there) > all(there)


def fetch_set(name: str, to: Path | None = None, progress: Progress | None = None, attempts: int = 5) -> Path:
    """Fetches the files of a set into the folder `to` (None: `folder(name)`), or finds them there, and checks them.

    What was cut is resumed; `attempts`: as in `fetch`. Returns the folder. Raises InputError for an unknown name and
    whatever goes wrong.
    """
    if name not in PUBLIC:
        raise unknown("public dataset", name, PUBLIC)
    place = to or folder(name)
    for file, digest in PUBLIC[name].files.items():
        target = place / file
        fetch(PUBLIC[name].base + file, target, digest=Digest("md5", digest), progress=progress, attempts=attempts)
    return place
