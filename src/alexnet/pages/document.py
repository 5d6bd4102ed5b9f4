"""A document as data: sections of blocks, which pages, slides, Markdown and notebooks are written from.

Every string in it is plain text, whoever wrote it: what writes a format escapes it for that format.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

Cells = Sequence[str]


@dataclass(frozen=True)
class Text:
    """A paragraph; a `note` stands out, as what the reader must know before the figures."""

    text: str
    note: bool = False
    kind: ClassVar = "text"


@dataclass(frozen=True)
class Tile:
    """One figure, large: its name, its value, and how it was measured."""

    name: str
    value: str
    detail: str = ""


@dataclass(frozen=True)
class Table:
    head: Cells
    rows: Sequence[Cells]
    marked: frozenset[int] = frozenset()
    """Rows that stand out."""
    kind: ClassVar = "table"


@dataclass(frozen=True)
class Facts:
    """Names and values."""

    items: Sequence[tuple[str, str]]
    kind: ClassVar = "facts"


@dataclass(frozen=True)
class Chart:
    """The numbers of a picture of lines or bars, for formats in which a chart stays editable."""

    title: str
    shape: Literal["lines", "bars"]
    x: Sequence[str | float]
    """Numbers for lines, names for bars."""
    series: Mapping[str, Sequence[float | None]]
    """Name → one value for each of `x`, None where there is none."""
    percent: bool = False
    dotted: frozenset[str] = frozenset()
    """Lines in the color of the series before them."""
    axis: str = ""
    """What `x` is."""


@dataclass(frozen=True)
class Picture:
    """A PNG, JPEG or SVG file's content."""

    content: bytes
    alt: str
    caption: str = ""
    raster: bytes = b""
    """A PNG of the same, for formats that take no SVG; empty: `content` is one."""
    charts: Sequence[Chart] = ()
    """What it shows, side by side."""
    kind: ClassVar = "picture"

    @property
    def mime(self) -> str:
        return mime(self.content)

    @property
    def pixels(self) -> bytes:
        """As PNG or JPEG."""
        return self.raster or self.content


@dataclass(frozen=True)
class Thumbnail:
    """A small picture with a title and lines below it."""

    content: bytes
    title: str
    lines: Cells = ()

    @property
    def mime(self) -> str:
        return mime(self.content)


@dataclass(frozen=True)
class Gallery:
    items: Sequence[Thumbnail]
    kind: ClassVar = "gallery"


@dataclass(frozen=True)
class Code:
    text: str
    language: str = ""
    kind: ClassVar = "code"


@dataclass(frozen=True)
class Finding:
    """Something that is wrong, where it was found, and labeled lines about it."""

    title: str
    where: str
    lines: Sequence[tuple[str, str]]
    kind: ClassVar = "finding"

    @property
    def plain(self) -> list[str]:
        """The lines with their labels, for formats in which a label is no type of its own."""
        return [f"{label}{'' if label.endswith('：') else ' '}{text}" if label else text for label, text in self.lines]


@dataclass(frozen=True)
class Fold:
    """Blocks that are hidden behind a line until the reader asks for them, where the format can."""

    summary: str
    blocks: "Sequence[Block]"
    open: bool = False
    kind: ClassVar = "fold"


Block = Text | Table | Facts | Picture | Gallery | Code | Finding | Fold


@dataclass(frozen=True)
class Section:
    title: str
    blocks: Sequence[Block]


@dataclass(frozen=True)
class Document:
    """`about` is the line below the title. Sections without blocks are left out."""

    title: str
    about: str = ""
    tiles: Sequence[Tile] = ()
    notes: Cells = ()
    """What stands above the sections because it changes how every figure is read."""
    all_sections: Sequence[Section] = ()
    language: str = "en"

    @property
    def sections(self) -> list[Section]:
        return [section for section in self.all_sections if section.blocks]


def mime(content: bytes) -> str:
    """The media type of a picture's content."""
    if content.startswith(b"\x89PNG"):
        return "image/png"
    return "image/jpeg" if content.startswith(b"\xff\xd8") else "image/svg+xml"
