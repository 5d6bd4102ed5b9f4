"""Drawings of networks: every network of the catalog, the towers of 2012, and nothing unescaped."""

import io
import itertools
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest
from PIL import Image

from alexnet.artifacts.run import Run
from alexnet.errors import InputError
from alexnet.insight.draw import draw, to_png
from alexnet.models.catalog import CATALOG
from alexnet.pages.drawing import Drawing, Label, Line, Polygon

SVG = "{http://www.w3.org/2000/svg}"


@pytest.mark.parametrize("name", CATALOG)
def test_every_network_is_drawn_within_its_frame_and_no_label_covers_another(name: str) -> None:
    drawing = draw(name)
    ElementTree.fromstring(drawing.to_svg())
    labels = [shape for shape in drawing.shapes if isinstance(shape, Label) and shape.anchor == "middle"]
    spans: dict[float, list[tuple[float, float]]] = {}
    for label in labels:
        half = len(label.text) * 5.2 / 2  # at least what a letter of this size takes
        spans.setdefault(round(label.at[1]), []).append((label.at[0] - half, label.at[0] + half))
    for row in spans.values():
        row.sort()
        assert all(first[1] < second[0] for first, second in itertools.pairwise(row)), name
        assert row[0][0] >= 0
        assert row[-1][1] <= drawing.width
    points = [p for shape in drawing.shapes if isinstance(shape, Polygon) for p in shape.points]
    assert all(0 <= x <= drawing.width and 0 <= y <= drawing.height for x, y in points)


def texts(drawing: Drawing) -> list[str]:
    return [shape.text for shape in drawing.shapes if isinstance(shape, Label)]


def crossing(drawing: Drawing) -> int:
    """Kernel rays that lead far up or down: from one tower to the other."""
    rays = [s for s in drawing.shapes if isinstance(s, Line) and s.style == "ray"]
    return sum(abs(ray.start[1] - ray.end[1]) > 95 for ray in rays)


def test_the_towers_of_2012_and_where_they_meet() -> None:
    drawing = draw("alexnet-2012")
    assert {"2 × 48×55×55", "2 × 128×27×27", "2 × 192×13×13", "2 × 2048", "1000", "11×11, stride 4"} <= set(
        texts(drawing)
    )
    # Only conv3 sees both towers: from each of its two sources four rays cross.
    assert crossing(drawing) == 8
    one = draw("alexnet-owt")
    assert crossing(one) == 0
    assert "64×55×55" in texts(one)


def test_classes_and_input_may_be_others() -> None:
    assert "7" in texts(draw("alexnet-owt", classes=7))
    assert "3×128×128" in texts(draw("alexnet-owt", input=(3, 128, 128)))


def test_residual_stages_count_their_blocks() -> None:
    found = texts(draw("resnet-50"))
    assert [text for text in found if "residual" in text] == [f"{n} residual blocks" for n in (3, 4, 6, 3)]
    assert "2048×7×7" in found


def test_text_in_a_drawing_is_escaped() -> None:
    evil = "</text><script>x</script>"
    svg = ElementTree.fromstring(Drawing(evil, 10, 10, [Label((1, 1), evil)]).to_svg())
    assert svg.findall(f".//{SVG}script") == []
    assert [text.text for text in svg.iter(f"{SVG}text")] == [evil]


def test_pixels_for_formats_that_take_no_svg() -> None:
    drawing = draw("alexnet-digits")
    image = Image.open(io.BytesIO(to_png(drawing, 1)))
    assert image.size == (int(drawing.width), int(drawing.height))
    assert len(image.convert("RGB").getcolors(100_000) or ()) > 20


def test_an_unknown_network() -> None:
    with pytest.raises(InputError, match="unknown network"):
        draw("alexnet-2013")


def test_the_verb_writes_what_the_extension_names(
    command: Callable, refused: Callable, trained: Run, tmp_path: Path
) -> None:
    assert command("draw", "alexnet-2012", "--out", tmp_path / "net.svg", "--classes", 37).code == 0
    assert ">37<" in (tmp_path / "net.svg").read_text(encoding="utf-8")
    assert command("draw", trained.path, "--out", tmp_path / "net.png").code == 0
    with Image.open(tmp_path / "net.png") as image:
        assert image.width > 1000
    assert ".svg or .png" in refused("draw", "alexnet-2012", "--out", tmp_path / "net.pdf")
    assert "unknown network" in refused("draw", "alexnet-2013", "--out", tmp_path / "net.svg", "--force")
