"""ImageNet's development kit (ILSVRC2012_devkit_t12): which synset an ILSVRC number means, and the validation labels.

`data/ILSVRC2012_validation_ground_truth.txt` has one number a line, for ILSVRC2012_val_00000001.JPEG and on; what the
numbers mean stands in `data/meta.mat`, a struct array with ILSVRC2012_ID, WNID, words and num_children, where the
synsets without children (numbers 1 to 1000) are the classes (the kit's readme.txt).

**The label trap.** These numbers are not the alphabetical order of the synsets, by which networks count their outputs
(Caffe, torchvision, and here): number 1 is n02119789, a kit fox, and output 0 is n01440764, a tench. Who takes
number − 1 for the index trains well and then measures as good as chance. Here both become synsets before labels.
"""

from dataclasses import dataclass
from pathlib import Path

from alexnet.data.readers import mat5
from alexnet.data.readers.archives import unpacked
from alexnet.errors import InputError
from alexnet.files import content_of

ARCHIVE = "ILSVRC2012_devkit_t12.tar.gz"
TRUTH = "ILSVRC2012_validation_ground_truth.txt"
META = "meta.mat"
MAX_BYTES = 2**22
"""The largest meta.mat and list of labels that are read; the official ones are far smaller."""
MAX_UNPACKED = 2**26
"""Bytes that the archive may unpack to."""


@dataclass(frozen=True)
class Devkit:
    """What the kit says."""

    place: Path
    synsets: dict[int, str]
    """ILSVRC number → synset, of the classes."""
    words: dict[str, str]
    """Synset → its words, such as 'tench, Tinca tinca'."""
    truth: list[int]
    """The ILSVRC number of each validation image, in the order of their names."""

    def validation_synsets(self, images: int) -> list[str]:
        """The synset of each of the validation images; InputError when there are not as many."""
        if len(self.truth) != images:
            raise InputError(f"{TRUTH} in {self.place} has {len(self.truth):,} labels for {images:,} images")
        return [self.synsets[number] for number in self.truth]


def find(root: Path) -> Devkit | None:
    """The kit in `root`: its archive, its folder, or its two files; None when it is not there."""
    for folder in (root, root / "ILSVRC2012_devkit_t12" / "data", root / "ILSVRC2012_devkit_t12", root / "data"):
        if (folder / TRUTH).is_file():
            for file in (TRUTH, META):
                if not (folder / file).is_file():
                    raise InputError(f"{folder} lacks {file}, without which its numbers have no meaning; see {ARCHIVE}")
            return _read(folder, *(content_of(folder / file, MAX_BYTES) for file in (META, TRUTH)))
    if (root / ARCHIVE).is_file():
        return _read(root / ARCHIVE, *_unpacked(root / ARCHIVE))
    return None


def _unpacked(archive: Path) -> tuple[bytes, bytes]:
    found: dict[str, bytes] = {}
    with unpacked(archive, 1000, MAX_UNPACKED) as files:
        for member, content in files:
            name = member.name.rpartition("/")[2]
            if name in (TRUTH, META):
                found[name] = content.read(MAX_BYTES)
    for file in (META, TRUTH):
        if file not in found:
            raise InputError(f"{archive} lacks {file}; this is not the official archive")
    return found[META], found[TRUTH]


def _read(place: Path, meta: bytes, truth: bytes) -> Devkit:
    synsets, words = _read_meta(place, meta)
    numbers = []
    for count, line in enumerate(truth.split(), 1):
        if not line.isdigit() or int(line) not in synsets:
            shown = line[:20].decode(errors="replace")
            raise InputError(
                f"{TRUTH} in {place}, line {count}: {shown!r} is none of the {len(synsets):,} class numbers"
            )
        numbers.append(int(line))
    return Devkit(place, synsets, words, numbers)


def _read_meta(place: Path, content: bytes) -> tuple[dict[int, str], dict[str, str]]:
    """Number → synset and synset → words of the classes."""
    try:
        rows = mat5.read_struct(content, "synsets", ("ILSVRC2012_ID", "WNID", "words", "num_children"))
    except mat5.DamagedMat as error:
        raise InputError(f"{META} in {place} cannot be read as the official one ({error})") from error
    leaves = [
        (int(number), wnid, str(words or wnid))
        for number, wnid, words, children in rows
        if isinstance(number, float) and isinstance(wnid, str) and not children
    ]
    synsets = {number: wnid for number, wnid, _ in leaves}
    if not leaves or len(set(synsets.values())) != len(leaves):
        raise InputError(f"{META} in {place} names a number or a synset twice, or none at all")
    return synsets, {wnid: text for _, wnid, text in leaves}
