"""What `check` found, as a page with thumbnails."""

from pathlib import Path

from alexnet.data.loading.decode import DecodeError, decode
from alexnet.insight.check.check import Checked
from alexnet.insight.check.faults import Fault, counts_of
from alexnet.insight.check.listing import SPLITS
from alexnet.insight.thumbnails import thumbnail
from alexnet.pages.document import Block, Document, Gallery, Section, Table, Text, Thumbnail, Tile
from alexnet.pages.text import Words

ITEMS = 24  # of one kind that are shown; the JSON has them all
TOGETHER = 6  # images of one item
CLASSES = 200  # rows of the table of classes


def describe(checked: Checked, words: Words | None = None) -> Document:
    """The page: how many images in which split and class, then each kind of fault."""
    words = words or Words()
    listed = checked.listed
    count = sum(len(fault.items) for fault in checked.faults)
    serious = sum(len(fault.items) for fault in checked.faults if fault.serious)
    tiles = [
        Tile(words("images"), f"{len(listed.names):,}", words("{count} classes", count=len(listed.classes))),
        Tile(words("serious faults"), f"{serious:,}", words("figures would be wrong, or training would not start")),
        Tile(words("other faults"), f"{count - serious:,}", words("to look at")),
        Tile(words("quarantine"), f"{len(checked.quarantine):,}", words("images that training is better without")),
    ]
    none = [] if checked.faults else [Text(words("Nothing was found."))]
    return Document(
        title=words("Check of {name}", name=Path(listed.place).name or str(listed.place)),
        about=f"{listed.place} · {listed.kind}",
        tiles=tiles,
        all_sections=[
            Section(words("Result"), none),
            *(_section(checked, fault, words) for fault in checked.faults),
            Section(words("Images by split and class"), _counts(checked, words)),
        ],
        language=words.language,
    )


def _section(checked: Checked, fault: Fault, words: Words) -> Section:
    title = f"{words(fault.kind)} ({len(fault.items):,})" + (" – " + words("serious") if fault.serious else "")
    shown = fault.items[:ITEMS]
    pictures: list[Thumbnail] = []
    lines: list[tuple[str, str]] = []
    for item in shown:
        if not item.images:
            lines.append((item.text, ""))
        for row in item.images[:TOGETHER]:
            name = checked.listed.names[row]
            if (content := _thumbnail(checked, row)) is None:
                lines.append((name, item.text))
            else:
                listed = checked.listed
                where = SPLITS[listed.splits[row]] if listed.splits[row] >= 0 else ""
                known = " · ".join(part for part in (where, listed.said(row)) if part)
                pictures.append(Thumbnail(content, name, [part for part in (known, item.text) if part]))
    blocks: list[Block] = [Text(words(fault.about))]
    if pictures:
        blocks.append(Gallery(pictures))
    if lines:
        blocks.append(Table([words("what"), words("detail")], lines))
    if more := len(fault.items) - len(shown):
        blocks.append(Text(words("… and {count} more (see the JSON)", count=f"{more:,}")))
    return Section(title, blocks)


def _thumbnail(checked: Checked, row: int) -> bytes | None:
    """A small JPEG of an image; None where it cannot be read."""
    try:
        content = checked.listed.images.content(row)
        return thumbnail(decode(content) if isinstance(content, bytes) else content)
    except DecodeError:
        return None


def _counts(checked: Checked, words: Words) -> list[Block]:
    counts = counts_of(checked.listed)
    there = [split for split in range(len(SPLITS)) if counts[split].any()]
    rows = [
        (name, *(f"{counts[split, label]:,}" for split in there))
        for label, name in enumerate(checked.listed.classes[:CLASSES])
    ]
    blocks: list[Block] = [Table([words("class"), *(words(SPLITS[split]) for split in there)], rows)]
    if (more := len(checked.listed.classes) - CLASSES) > 0:
        blocks.append(Text(words("… and {count} more", count=f"{more:,}")))
    return blocks
