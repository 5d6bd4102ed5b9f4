"""A document as slides: charts stay editable, tables are tables, and short blocks share a slide."""

import io
import math
import unicodedata
from collections.abc import Iterator, Sequence
from typing import Any

from alexnet.errors import InputError
from alexnet.insight.report import slide_shapes as shapes
from alexnet.pages.document import Block, Code, Document, Facts, Finding, Fold, Gallery, Picture, Table, Text
from alexnet.pages.text import Words

_TOP, _BODY = 1.35, 5.7  # inches, as everything here
_GAP = 0.25  # between two blocks on a slide
_HEADING = 0.55  # height of a section's title below another section
_LEAST_PICTURE = 3.2  # height that a picture gets below another block; where less is left, a slide of its own
_ROWS = 40  # of a table
_PROSE, _CODE = 18, 12  # points
_CODE_LINE = _CODE * 1.25 / 72


def render(document: Document) -> bytes:
    """The .pptx file. InputError without python-pptx."""
    try:
        import pptx
    except ImportError:
        raise InputError("slides need python-pptx: pip install 'alexnet[report]'") from None
    from pptx.util import Inches

    deck = pptx.Presentation()
    deck.slide_width, deck.slide_height = Inches(shapes.WIDE), Inches(shapes.HIGH)
    _title(deck, document)
    flow, words = _Flow(deck), Words(document.language)
    if document.tiles:
        flow.begin(document.title)
        _tables(flow, (), [(tile.name, tile.value, tile.detail) for tile in document.tiles], words)
    for section in document.sections:
        flow.begin(section.title)
        for block in _flat(section.blocks):
            _put(flow, block, words)
    file = io.BytesIO()
    deck.save(file)
    return file.getvalue()


class _Flow:
    """Blocks one below another. What no longer fits begins the next slide under the same title; a section that fits
    below the one before it follows there, under a heading."""

    def __init__(self, deck: Any) -> None:
        self.deck, self.title, self.slide, self.top = deck, "", None, _TOP
        self.new = True
        """Whether nothing of this section has been placed."""

    def begin(self, title: str) -> None:
        self.title, self.new = title, True

    @property
    def room(self) -> float:
        """Height that is left on this slide for the next block."""
        if self.slide is None:
            return _BODY
        return _TOP + _BODY - self.top - (_HEADING if self.new else 0)

    def place(self, height: float, least: float | None = None) -> tuple[Any, float, float]:
        """The slide, the top and the height for a block of `height`, or of what is left, but of `least`."""
        if self.slide is None or self.room < (height if least is None else least) - 1e-6:
            self.slide, self.top = _slide(self.deck, self.title), _TOP
        elif self.new:
            shapes.box(self.slide, self.top, _HEADING, [self.title], 20)
            self.top += _HEADING
        self.new = False
        top, height = self.top, min(height, self.room)
        self.top += height + _GAP
        return self.slide, top, height


def _title(deck: Any, document: Document) -> None:
    from pptx.enum.text import MSO_ANCHOR
    from pptx.util import Inches, Pt

    slide = deck.slides.add_slide(deck.slide_layouts[0])
    below = "\n".join([document.about, *document.notes])
    for shape, top, height, text, size in (
        (slide.shapes.title, 1.3, 2.3, document.title, 40),
        (slide.placeholders[1], 3.9, 2.8, below, 20),
    ):
        shape.left, shape.top, shape.width, shape.height = map(Inches, (shapes.LEFT, top, shapes.ACROSS, height))
        shape.text = shapes.plain(text)
        for paragraph in shape.text_frame.paragraphs:
            paragraph.font.size = Pt(size)
    slide.shapes.title.text_frame.vertical_anchor = MSO_ANCHOR.BOTTOM


def _slide(deck: Any, title: str) -> Any:
    from pptx.util import Inches, Pt

    slide = deck.slides.add_slide(deck.slide_layouts[5])
    heading = slide.shapes.title
    heading.left, heading.top, heading.width, heading.height = map(Inches, (shapes.LEFT, 0.35, shapes.ACROSS, 0.8))
    heading.text = shapes.plain(title)
    heading.text_frame.paragraphs[0].font.size = Pt(28)
    return slide


def _flat(blocks: Sequence[Block]) -> Iterator[Block]:
    for block in blocks:
        if isinstance(block, Fold):
            yield from _flat(block.blocks)
        else:
            yield block


def _put(flow: _Flow, block: Block, words: Words) -> None:
    match block:
        case Picture():
            place = flow.place(_BODY, _BODY if flow.new else _LEAST_PICTURE)
            for number, chart in enumerate(block.charts):
                shapes.chart(*place, number, len(block.charts), chart)
            if not block.charts:
                shapes.picture(*place, block.pixels)
        case Table():
            _tables(flow, block.head, block.rows, words)
        case Facts():
            _tables(flow, (), block.items, words)
        case Text():
            _text(flow, [block.text], _PROSE)
        case Code():
            _code(flow, block.text.splitlines())
        case Finding():
            _text(flow, [line for line in (block.title, block.where, *block.plain) if line], _PROSE, bold=True)
        case Gallery():
            slide, _, _ = flow.place(_BODY)
            for number, item in enumerate(block.items[:18]):
                shapes.thumbnail(slide, number, _TOP, item)


def _tables(flow: _Flow, head: Sequence[str], rows: Sequence[Sequence[str]], words: Words) -> None:
    """A table, on the slides that it takes, each with the head; of a long one the first rows. Without a head every row
    is one of values."""
    left = len(rows) - _ROWS
    rows = [[text[:160] for text in row] for row in rows[:_ROWS]]
    columns = len(head) or max(map(len, rows), default=0)
    if not columns:
        return
    longest = [max(4, *(min(_width(row[x]), 70) for row in (head, *rows) if x < len(row))) for x in range(columns)]
    widths = [shapes.ACROSS * each / sum(longest) for each in longest]
    heights = [
        0.14 + 0.2 * max(_lines(text, width, shapes.CELL) for text, width in zip(row, widths, strict=False))
        for row in rows
    ]
    above = shapes.HEAD if head else 0.0
    for start, end in _parts(heights, above, flow.room):
        slide, top, _ = flow.place(above + sum(heights[start:end]))
        shapes.table(slide, top, head, rows[start:end], widths, heights[start:end])
    if left > 0:
        _text(flow, [words("… and {count} more rows, in the other formats of this report", count=left)], shapes.CELL)


def _parts(heights: Sequence[float], above: float, room: float) -> Iterator[tuple[int, int]]:
    """The rows of each slide: a table that fits on one stays whole, a longer one fills `room` first."""
    whole = above + sum(heights)
    if room < min(whole, above + 1.0) or room < whole <= _BODY:
        room = _BODY
    start = end = 0
    while True:
        used = above
        while end < len(heights) and (end == start or used + heights[end] <= room):
            used, end = used + heights[end], end + 1
        yield start, end
        if end == len(heights):
            return
        start, room = end, _BODY


def _text(flow: _Flow, lines: Sequence[str], size: int, font: str | None = None, bold: bool = False) -> None:
    """Paragraphs; `bold`: the first one is a heading."""
    high = 0.1 + size * 1.25 / 72 * sum(_lines(each, shapes.ACROSS, size) for each in lines)
    shapes.box(*flow.place(min(_BODY, high)), lines, size, font, bold)


def _code(flow: _Flow, lines: Sequence[str]) -> None:
    """In two columns."""
    while lines:
        most = max(5, int(min(flow.room, _BODY) / _CODE_LINE) - 1)
        here = min(most, math.ceil(len(lines) / 2))
        place = flow.place(0.1 + here * _CODE_LINE)
        for column in range(2):
            shapes.box(*place, lines[column * here : (column + 1) * here], _CODE, "Consolas", column=column, of=2)
        lines = lines[2 * here :]


def _lines(text: str, width: float, points: int) -> int:
    """About how many lines a text takes: half its size is a letter's mean width, and a Chinese one is a whole."""
    letters = max(1, int((width - 0.2) * 72 / points / 0.52))
    return sum(max(1, math.ceil(_width(line) / letters)) for line in text.split("\n"))


def _width(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)
