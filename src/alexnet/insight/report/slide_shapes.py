"""What stands on a slide, in inches: charts that stay editable, pictures, tables, text."""

import io
import math
from collections.abc import Sequence
from typing import Any

from alexnet.insight.plots import BLANK, PALETTE
from alexnet.pages.document import Chart, Thumbnail

WIDE, HIGH = 13.333, 7.5
LEFT = 0.6
ACROSS = WIDE - 2 * LEFT
HEAD = 0.36  # height of a table's first row
CELL = 12  # points


def chart(slide: Any, top: float, height: float, number: int, of: int, chart: Chart) -> None:
    """The chart with this number, from 0, of those that stand side by side."""
    from pptx.chart.data import CategoryChartData, XyChartData
    from pptx.dml.color import RGBColor
    from pptx.enum.chart import XL_CHART_TYPE, XL_LEGEND_POSITION
    from pptx.util import Inches, Pt

    form = "0%" if chart.percent else "General"
    if chart.shape == "bars":
        data, kind = CategoryChartData(number_format=form), XL_CHART_TYPE.COLUMN_CLUSTERED
        data.categories = [plain(str(value)) for value in chart.x]
        for name, values in chart.series.items():
            data.add_series(plain(name), values)
    else:
        data, kind = XyChartData(number_format=form), XL_CHART_TYPE.XY_SCATTER_LINES_NO_MARKERS
        for name, values in chart.series.items():
            series = data.add_series(plain(name))
            for x, y in zip(chart.x, values, strict=True):
                if y is not None and math.isfinite(y):
                    series.add_data_point(x, y)
    place = map(Inches, (LEFT + number * ACROSS / of, top, ACROSS / of, height))
    drawn = slide.shapes.add_chart(kind, *place, data).chart
    drawn.font.size = Pt(12)
    drawn.has_title = True
    drawn.chart_title.text_frame.text = plain(chart.title)
    drawn.value_axis.major_gridlines.format.line.color.rgb = RGBColor.from_string(BLANK[1:])
    if chart.percent:
        drawn.value_axis.minimum_scale, drawn.value_axis.maximum_scale = 0, 1
    drawn.value_axis.tick_labels.number_format = form
    drawn.value_axis.tick_labels.number_format_is_linked = False
    if chart.axis:
        drawn.category_axis.has_title = True
        drawn.category_axis.axis_title.text_frame.text = plain(chart.axis)
        drawn.category_axis.has_major_gridlines = False
    if chart.shape == "lines":
        whole = [x for x in chart.x if isinstance(x, int)]
        if len(whole) == len(chart.x) > 1:  # epochs
            drawn.category_axis.minimum_scale, drawn.category_axis.maximum_scale = min(whole), max(whole)
        else:
            drawn.category_axis.minimum_scale = 0
        _colored(drawn.plots[0].series, [name in chart.dotted for name in chart.series])
    drawn.has_legend = len(chart.series) > 1
    if drawn.has_legend:
        drawn.legend.position = XL_LEGEND_POSITION.BOTTOM
        drawn.legend.include_in_layout = False


def _colored(lines: Sequence[Any], dotted: Sequence[bool]) -> None:
    from pptx.dml.color import RGBColor
    from pptx.enum.dml import MSO_LINE
    from pptx.util import Pt

    at = -1
    for line, dots in zip(lines, dotted, strict=True):
        at += not dots
        line.smooth = False
        line.format.line.color.rgb = RGBColor.from_string(PALETTE[at % len(PALETTE)][1:])
        line.format.line.width = Pt(1.25 if dots else 2.25)
        if dots:
            line.format.line.dash_style = MSO_LINE.ROUND_DOT


def picture(slide: Any, top: float, height: float, content: bytes) -> None:
    from pptx.util import Inches

    shape = slide.shapes.add_picture(io.BytesIO(content), Inches(LEFT), Inches(top))
    scale = min(Inches(ACROSS) / shape.width, Inches(height) / shape.height)
    shape.width, shape.height = int(shape.width * scale), int(shape.height * scale)
    shape.left = int((Inches(WIDE) - shape.width) / 2)


def thumbnail(slide: Any, number: int, top: float, item: Thumbnail) -> None:
    """The picture with this number, from 0, of a gallery with six in a row."""
    from pptx.util import Inches, Pt

    left, top = LEFT + number % 6 * 2.05, top + number // 6 * 1.95
    shape = slide.shapes.add_picture(io.BytesIO(item.content), Inches(left), Inches(top), height=Inches(1.4))
    shape.left = Inches(left)
    frame = slide.shapes.add_textbox(Inches(left), Inches(top + 1.42), Inches(2), Inches(0.4)).text_frame
    frame.text = plain(item.title[:28])
    frame.paragraphs[0].font.size = Pt(10)


def table(
    slide: Any,
    top: float,
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    widths: Sequence[float],
    heights: Sequence[float],
) -> None:
    from pptx.util import Inches, Pt

    lines, tall = ([head, *rows], [HEAD, *heights]) if head else (rows, heights)
    grid = slide.shapes.add_table(len(lines), len(widths), *map(Inches, (LEFT, top, ACROSS, sum(tall)))).table
    grid.first_row = bool(head)
    for x, width in enumerate(widths):
        grid.columns[x].width = Inches(width)
    for y, row in enumerate(lines):
        grid.rows[y].height = Inches(tall[y])
        for x, text in enumerate(row):
            cell = grid.cell(y, x)
            cell.text = plain(text)
            cell.margin_top = cell.margin_bottom = Inches(0.03)
            for paragraph in cell.text_frame.paragraphs:
                paragraph.font.size = Pt(CELL)


def box(
    slide: Any,
    top: float,
    height: float,
    lines: Sequence[str],
    size: int,
    font: str | None = None,
    bold: bool = False,
    column: int = 0,
    of: int = 1,
) -> None:
    """Paragraphs of `size` points in one of several columns; `bold`: the first one is a heading."""
    from pptx.util import Inches, Pt

    place = (LEFT + column * ACROSS / of, top, ACROSS / of, height)
    frame = slide.shapes.add_textbox(*map(Inches, place)).text_frame
    frame.word_wrap = True
    for number, each in enumerate(lines):
        paragraph = frame.paragraphs[0] if number == 0 else frame.add_paragraph()
        paragraph.text = plain(each)
        paragraph.font.size = Pt(size)
        paragraph.font.bold = bold and number == 0
        if font:
            paragraph.font.name = font


def plain(text: str) -> str:
    """Without control characters, which XML cannot hold."""
    return "".join(c if c.isprintable() or c == "\n" else "□" for c in text)
