"""Slides: nothing overlaps or leaves the slide, short sections share one, charts hold the numbers of their picture."""

import io
from itertools import pairwise
from typing import Any

import pytest
from PIL import Image

from alexnet.insight.report import slides
from alexnet.pages.document import Block, Chart, Code, Document, Facts, Picture, Section, Table, Text, Tile

pptx = pytest.importorskip("pptx")


def png() -> bytes:
    content = io.BytesIO()
    Image.new("RGB", (300, 200)).save(content, "PNG")
    return content.getvalue()


def deck(*sections: tuple[str, list[Block]], language: str = "en") -> list[Any]:
    """The slides after the first."""
    tiles = [Tile("accuracy", "90 %")] if not sections else []
    document = Document("title", "about", tiles, (), [Section(name, blocks) for name, blocks in sections], language)
    found = list(pptx.Presentation(io.BytesIO(slides.render(document))).slides)
    for slide in found[1:]:
        placed = sorted(slide.shapes, key=lambda shape: (shape.top, shape.left))
        assert len(placed) > 1, "a title alone"
        for one, two in pairwise(placed):
            below = one.top + one.height <= two.top + 9144  # a hundredth of an inch
            assert below or one.left + one.width <= two.left + 9144, (one.name, two.name)
        assert all(each.left >= 0 and each.left + each.width <= 12192000 + 9144 for each in placed)
        assert all(each.top + each.height <= 6858000 for each in placed)
    return found[1:]


def texts(slide: Any) -> list[str]:
    return [shape.text_frame.text for shape in slide.shapes if shape.has_text_frame]


def cells(slide: Any) -> list[list[str]]:
    return [[cell.text for cell in row.cells] for shape in slide.shapes if shape.has_table for row in shape.table.rows]


def test_short_sections_share_a_slide_each_under_its_heading() -> None:
    (slide,) = deck(("one", [Facts([("a", "b")])]), ("two", [Text("words")]), ("three", [Table(["x"], [["y"]])]))
    assert texts(slide) == ["one", "two", "words", "three"]
    assert cells(slide) == [["a", "b"], ["x"], ["y"]]


def test_a_section_that_does_not_fit_begins_a_slide_and_leaves_no_heading_behind() -> None:
    long = Table(["x"], [["y"]] * 12)
    first, second = deck(("one", [long]), ("two", [long]))
    assert (texts(first), texts(second)) == (["one"], ["two"])


def test_a_picture_takes_what_is_left_but_begins_a_section_on_a_slide_of_its_own() -> None:
    first, second = deck(("one", [Text("words"), Picture(png(), "alt")]), ("two", [Picture(png(), "alt")]))
    assert (len(first.shapes), texts(first)) == (3, ["one", "words"])
    assert texts(second) == ["two"]


def test_a_table_of_many_rows_goes_on_under_its_head_and_says_what_is_left_out() -> None:
    found = deck(("one", [Table(["number"], [[str(i)] for i in range(100)])]))
    assert len(found) == 3
    assert all(cells(slide)[0] == ["number"] for slide in found)
    said = [row[0] for slide in found for row in cells(slide) if row != ["number"]]
    assert said == [str(i) for i in range(40)]
    assert texts(found[-1])[-1] == "… and 60 more rows, in the other formats of this report"
    assert "另有 1 行" in texts(deck(("one", [Table(["n"], [["1"]] * 41)]), language="zh")[-1])[-1]


def test_a_table_without_rows_is_its_head() -> None:
    (slide,) = deck(("one", [Table(["n"], [])]))
    assert cells(slide) == [["n"]]


def test_long_and_chinese_cells_take_more_height() -> None:
    def height(text: str) -> int:
        (slide,) = deck(("one", [Facts([("name", text)])]))
        return next(shape.height for shape in slide.shapes if shape.has_table)

    assert height("a" * 150) > height("short")
    assert height("字" * 120) > height("a" * 120)


def test_a_recipe_stands_in_two_columns() -> None:
    lines = [f"key{i} = {i}" for i in range(70)]
    found = deck(("Recipe", [Text("about"), Code("\n".join(lines))]))
    said = [line for slide in found for text in texts(slide) for line in text.split("\n") if line.startswith("key")]
    assert said == lines
    assert len(found) == 2


def test_a_chart_holds_the_numbers_of_its_picture() -> None:
    curves = Chart("Loss", "lines", [1, 2, 3], {"a": [0.5, None, 0.25], "b": [1.0, 2.0, 3.0]}, dotted=frozenset("b"))
    bars = Chart("How sure", "bars", ["low", "high"], {"right": [0.25, 1.0]}, percent=True)
    (slide,) = deck(("one", [Picture(png(), "alt", charts=[curves, bars])]))
    left, right = (shape.chart for shape in slide.shapes if shape.has_chart)
    assert not any(shape.shape_type == 13 for shape in slide.shapes)  # no picture
    points = [
        [
            (float(x.text), float(y.text))
            for x, y in zip(*(line._element.xpath(f"c:{n}//c:v") for n in ("xVal", "yVal")), strict=False)
        ]
        for line in left.plots[0].series
    ]
    assert points == [[(1, 0.5), (3, 0.25)], [(1, 1), (2, 2), (3, 3)]]
    assert (left.chart_title.text_frame.text, left.has_legend, right.has_legend) == ("Loss", True, False)
    assert list(right.plots[0].categories) == ["low", "high"]
    assert right.plots[0].series[0].values == (0.25, 1.0)
    assert right.value_axis.maximum_scale == 1
    one, other = (line.format.line for line in left.plots[0].series)
    assert one.color.rgb == other.color.rgb
    assert other.dash_style is not None
    assert one.dash_style is None


def test_a_line_without_a_value_is_left_empty() -> None:
    chart = Chart("Loss", "lines", [1.5], {"a": [None], "b": [float("nan")]})
    (slide,) = deck(("one", [Picture(png(), "alt", charts=[chart])]))
    assert [shape.has_chart for shape in slide.shapes] == [False, True]


def test_the_figures_stand_on_a_slide() -> None:
    (slide,) = deck()
    assert cells(slide) == [["accuracy", "90 %", ""]]
