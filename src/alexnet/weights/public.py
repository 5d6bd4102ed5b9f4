"""Public files of weights: where their projects put them, what they publish about them, under which license.

Digests are those that the sources print, and only those: torchvision's file names carry the first eight digits of the
SHA-256, Caffe's model pages a SHA-1. Who prints none is trusted only on request, and what was fetched then is recorded.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from alexnet.artifacts.card import UNKNOWN, Origin, RunCard
from alexnet.data.download import Digest, Progress, fetch
from alexnet.data.public_sets import folder as data_folder
from alexnet.errors import InputError, unknown
from alexnet.files import sha256, write_text
from alexnet.weights.foreign import Foreign, Source
from alexnet.weights.mapping import Fit


@dataclass(frozen=True)
class PublicFile:
    name: str
    url: str
    model: str
    """The network that it holds."""
    source: str
    license: str | None
    """As the source states it; None: it states none."""
    digest: Digest | None

    @property
    def file(self) -> str:
        return self.url.rpartition("/")[2]


_CAFFE = "http://dl.caffe.berkeleyvision.org/"
FILES: dict[str, PublicFile] = {
    each.name: each
    for each in (
        PublicFile(
            "torchvision",
            "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",
            "alexnet-owt",
            "https://github.com/pytorch/vision, torchvision/models/alexnet.py, AlexNet_Weights.IMAGENET1K_V1",
            "BSD-3-Clause",
            Digest("sha256", "7be5be79"),
        ),
        PublicFile(
            "bvlc-alexnet",
            _CAFFE + "bvlc_alexnet.caffemodel",
            "alexnet-bvlc",
            "https://github.com/BVLC/caffe, models/bvlc_alexnet/readme.md",
            "unrestricted",
            Digest("sha1", "9116a64c0fbe4459d18f4bb6b56d647b63920377"),
        ),
        PublicFile(
            "caffenet",
            _CAFFE + "bvlc_reference_caffenet.caffemodel",
            "caffenet",
            "https://github.com/BVLC/caffe, models/bvlc_reference_caffenet/readme.md",
            "unrestricted",
            Digest("sha1", "4c8d77deb20ea792f84eb5e6d0a11ca0a8660a46"),
        ),
        PublicFile(
            "bvlc-alexnet-npy",
            "https://www.cs.toronto.edu/~guerzhoy/tf_alexnet/bvlc_alexnet.npy",
            "alexnet-tf",
            "https://www.cs.toronto.edu/~guerzhoy/tf_alexnet/, Caffe's bvlc_alexnet for TensorFlow",
            None,
            None,
        ),
    )
}


def identify(source: Source) -> PublicFile | None:
    """Which public file this is: by the digest that its source publishes, else by its place; None: no one's.

    By its place: where fetched weights are kept, NAME-….safetensors is what a recipe's `model.weights = "NAME"` takes.
    """
    for each in FILES.values():
        if each.digest and source.digest(each.digest.algorithm).startswith(each.digest.value):
            return each
    if source.path.suffix != ".safetensors" or source.path.absolute().parent != folder().absolute():
        return None
    return next((each for each in FILES.values() if source.path.name.startswith(f"{each.name}-")), None)


def origin_of(foreign: Foreign, source: Source, found: Fit, skipped: Sequence[str] = ()) -> Origin:
    """Where these weights come from and under which license, as far as their card or the table of public files says.

    A run's weights carry the license of those that it started from; nobody has said one of others.
    """
    card, known = foreign.card, identify(source)
    license, told = UNKNOWN, UNKNOWN
    if card is not None:
        license = card.license
        own = f"run of recipe {card.recipe}, seed {card.seed}" if isinstance(card, RunCard) else card.source
        told = own if card.origin is None else card.origin.source
    elif known is not None:
        license, told = known.license or UNKNOWN, known.source
    return Origin(
        file=source.path.name,
        kind=foreign.kind,
        sha256=source.sha256,
        license=license,
        source=told,
        layers={ours: foreign.names.get(theirs, theirs) for ours, theirs in found.layers.items()},
        taken=foreign.taken,
        left_out=foreign.left,
        missing=tuple(found.missing),
        skipped=tuple(skipped),
    )


def folder() -> Path:
    """Where fetched weights are kept: $ALEXNET_DATA/weights, else ~/.cache/alexnet/weights."""
    return data_folder("weights")


def fetch_public(
    name: str, to: Path | None = None, trust_first: bool = False, progress: Progress | None = None
) -> Path:
    """Fetches the public file `name` into the folder `to` (none: `folder()`), or finds it there, and checks it.

    trust_first: accept a file whose source publishes no digest; its SHA-256 is written beside it, and from then on
    every download must have it. Raises InputError for an unknown name and for whatever goes wrong on the way.
    """
    if name not in FILES:
        raise unknown("public weights:", name, FILES)
    public = FILES[name]
    path = (to or folder()) / public.file
    record = path.with_name(f"{path.name}.sha256")
    digest = public.digest
    if digest is None and record.is_file():
        digest = Digest("sha256", record.read_text(encoding="ascii").strip())
    if digest is None and not trust_first:
        raise InputError(
            f"the source of {name} publishes no digest to check it by; --trust-first takes what is there now, records "
            "its SHA-256 and holds later downloads to it"
        )
    fetch(public.url, path, digest=digest, progress=progress)
    if digest is None:
        write_text(record, sha256(path) + "\n")
    return path
