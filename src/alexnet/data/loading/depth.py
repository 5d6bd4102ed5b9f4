"""The range of deep samples that a whole set uses."""

from alexnet.data import dataset as sets
from alexnet.data.loading.decode import DecodeError, extremes_of
from alexnet.data.loading.samples import Range, common_range, is_deep
from alexnet.data.loading.stored import Listing, Store

_SHALLOW = (".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".gif", ".bmp", ".avif")
"""Extensions of files that have 8 bits a sample: they are not even opened."""
_HEAD = 32


def range_of(listing: Listing) -> tuple[Range | None, int]:
    """The range that serves all images of a set with more than 8 bits a sample, and how many there are.

    None: they are read as single images are, which is right where they use all of their 16 bits.
    """

    def extremes(place: tuple[Store, int]) -> tuple[float, float, bool] | None:
        try:
            return extremes_of(place[0].read(place[1]))
        except DecodeError:  # it is told where the images are decoded
            return None

    deep = [
        (split.store, row)
        for split in listing.splits.values()
        for row, name in enumerate(split.names)
        if not name.lower().endswith(_SHALLOW) and is_deep(split.store.head(row, _HEAD))
    ]
    found = [each for each in sets.pool().map(extremes, deep) if each]
    if not found:
        return None, 0
    return common_range([each[:2] for each in found], any(each[2] for each in found)), len(found)
