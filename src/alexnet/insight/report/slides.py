"""A document as slides: charts stay editable, tables are tables."""

import io
from collections.abc import Iterator, Sequence
from typing import Any

from alexnet.errors import InputError
from alexnet.pages.document import Block, Chart, Code, Document, Facts, Finding, Fold, Gallery, Picture, Table, Text

ROWS = 14  # of a table on one slide
LINES = 22  # of code on one slide
_WIDE, _HIGH = 13.333, 7.5  # inches
_LEFT, _TOP, _BODY = 0.6, 1.35, 5.7


def render(document: Document) -> bytes:
    """The .pptx file. InputError without python-pptx."""
    try:
        import pptx
    except ImportError:
        raise InputError("slides need python-pptx: pip install 'alexnet[report]'") from None
    from pptx.util import Inches

    deck = pptx.Presentation()
    deck.slide_width, deck.slide_height = Inches(_WIDE), Inches(_HIGH)
    _title(deck, document)
    if document.tiles:
        _table(_slide(deck, document.title), ("", "", ""), [(t.name, t.value, t.detail) for t in document.tiles])
    for section in document.sections:
        for block in _flat(section.blocks):
            _put(deck, section.title, block)
    file = io.BytesIO()
    deck.save(file)
    return file.getvalue()


def _title(deck: Any, document: Document) -> None:
    slide = deck.slides.add_slide(deck.slide_layouts[0])
    slide.shapes.title.text = _plain(document.title)
    slide.placeholders[1].text = _plain("\n".join([document.about, *document.notes]))


def _slide(deck: Any, title: str) -> Any:
    from pptx.util import Inches, Pt

    slide = deck.slides.add_slide(deck.slide_layouts[5])
    heading = slide.shapes.title
    heading.left, heading.top, heading.width, heading.height = map(Inches, (_LEFT, 0.35, _WIDE - 2 * _LEFT, 0.8))
    heading.text = _plain(title)
    heading.text_frame.paragraphs[0].font.size = Pt(28)
    return slide


def _flat(blocks: Sequence[Block]) -> Iterator[Block]:
    for block in blocks:
        if isinstance(block, Fold):
            yield from _flat(block.blocks)
        else:
            yield block


def _put(deck: Any, title: str, block: Block) -> None:
    match block:
        case Chart() if block.series and block.x:
            _chart(_slide(deck, title), block)
        case Picture():
            _picture(_slide(deck, title), block.pixels)
        case Table():
            for start in range(0, max(1, len(block.rows)), ROWS):
                _table(_slide(deck, title), block.head, block.rows[start : start + ROWS])
        case Facts():
            for start in range(0, len(block.items), ROWS):
                _table(_slide(deck, title), ("", ""), block.items[start : start + ROWS])
        case Text():
            _text(_slide(deck, title), [block.text], 18)
        case Code():
            lines = block.text.splitlines()
            for start in range(0, len(lines), LINES):
                _text(_slide(deck, title), lines[start : start + LINES], 12, "Consolas")
        case Finding():
            _text(
                _slide(deck, f"{title}: {block.title}"),
                [line for line in (block.where, *block.plain) if line],
                18,
            )
        case Gallery():
            slide = _slide(deck, title)
            for number, item in enumerate(block.items[:18]):
                _thumbnail(slide, number, item.content, item.title)


def _chart(slide: Any, block: Chart) -> None:
    from pptx.chart.data import CategoryChartData
    from pptx.enum.chart import XL_CHART_TYPE, XL_LEGEND_POSITION
    from pptx.util import Inches

    data = CategoryChartData(number_format="0%" if block.percent else "General")
    data.categories = [_plain(str(value)) for value in block.x]
    for name, values in block.series.items():
        data.add_series(_plain(name), values)
    kind = XL_CHART_TYPE.LINE if block.shape == "lines" else XL_CHART_TYPE.COLUMN_CLUSTERED
    place = map(Inches, (_LEFT, _TOP, _WIDE - 2 * _LEFT, _BODY))
    chart = slide.shapes.add_chart(kind, *place, data).chart
    chart.has_legend = len(block.series) > 1
    if chart.has_legend:
        chart.legend.position = XL_LEGEND_POSITION.BOTTOM
        chart.legend.include_in_layout = False


def _picture(slide: Any, content: bytes) -> None:
    from pptx.util import Inches

    shape = slide.shapes.add_picture(io.BytesIO(content), Inches(_LEFT), Inches(_TOP))
    scale = min(Inches(_WIDE - 2 * _LEFT) / shape.width, Inches(_BODY) / shape.height)
    shape.width, shape.height = int(shape.width * scale), int(shape.height * scale)
    shape.left = int((Inches(_WIDE) - shape.width) / 2)


def _thumbnail(slide: Any, number: int, content: bytes, title: str) -> None:
    from pptx.util import Inches, Pt

    left, top = _LEFT + number % 6 * 2.05, _TOP + number // 6 * 1.95
    shape = slide.shapes.add_picture(io.BytesIO(content), Inches(left), Inches(top), height=Inches(1.4))
    shape.left = Inches(left)
    frame = slide.shapes.add_textbox(Inches(left), Inches(top + 1.42), Inches(2), Inches(0.4)).text_frame
    frame.text = _plain(title[:28])
    frame.paragraphs[0].font.size = Pt(10)


def _table(slide: Any, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from pptx.util import Inches, Pt

    place = map(Inches, (_LEFT, _TOP, _WIDE - 2 * _LEFT, 0.36 * (len(rows) + 1)))
    grid = slide.shapes.add_table(len(rows) + 1, len(head), *place).table
    for y, row in enumerate([head, *rows]):
        for x, text in enumerate(row):
            cell = grid.cell(y, x)
            cell.text = _plain(text[:160])
            cell.margin_top = cell.margin_bottom = Inches(0.03)
            for paragraph in cell.text_frame.paragraphs:
                paragraph.font.size = Pt(12)


def _text(slide: Any, lines: Sequence[str], size: int, font: str | None = None) -> None:
    from pptx.util import Inches, Pt

    place = map(Inches, (_LEFT, _TOP, _WIDE - 2 * _LEFT, _BODY))
    frame = slide.shapes.add_textbox(*place).text_frame
    frame.word_wrap = True
    for number, line in enumerate(lines):
        paragraph = frame.paragraphs[0] if number == 0 else frame.add_paragraph()
        paragraph.text = _plain(line)
        paragraph.font.size = Pt(size)
        if font:
            paragraph.font.name = font


def _plain(text: str) -> str:
    """Without control characters, which XML cannot hold."""
    return "".join(c if c.isprintable() or c == "\n" else "□" for c in text)
