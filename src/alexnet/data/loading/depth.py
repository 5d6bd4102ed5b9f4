"""The range of deep samples that a whole set uses."""

from alexnet.data import dataset as sets
from alexnet.data.loading.decode import DecodeError, decode, extremes_of
from alexnet.data.loading.samples import NARROW, Range, common_range, is_deep
from alexnet.data.loading.stored import Listing
from alexnet.data.loading.stores import Store
from alexnet.errors import counted

_SHALLOW = (".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".gif", ".bmp", ".avif")
"""Extensions of files that have 8 bits a sample: they are not even opened."""
_HEAD = 32
_COLOR = (b"\x10\x02", b"\x10\x06")
"""Depth and color type of a PNG whose samples are 16-bit RGB, with transparency or without."""
_LOOKED_AT = 32
"""16-bit color images of which the brightest sample is looked for."""


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


def dim_color(listing: Listing) -> str | None:
    """What is said of 16-bit color PNGs that use few of their bits: Pillow reads the high byte of each sample only.

    None: there are none, or they use their range.
    """
    places = [
        (split.store, row)
        for split in listing.splits.values()
        for row, name in enumerate(split.names)
        if not name.lower().endswith(_SHALLOW)
        and (head := split.store.head(row, _HEAD)).startswith(b"\x89PNG\r")
        and head[24:26] in _COLOR
    ]

    def brightest(place: tuple[Store, int]) -> int:
        try:
            return int(decode(place[0].read(place[1])).max())
        except DecodeError:
            return 0

    looked_at = places[:: max(1, len(places) // _LOOKED_AT)]
    most = max(sets.pool().map(brightest, looked_at), default=255)
    if most >= NARROW * 255:
        return None
    return (
        f"in doubt: {counted(len(places), 'color image has', 'color images have')} 16 bits a sample, of which the high "
        f"byte is read, and that is at most {most} of 255: such images are nearly black; convert them to 8 bits over "
        "the range that they use"
    )
