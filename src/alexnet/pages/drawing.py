"""A line drawing as data, and as SVG: polygons, lines and labels in pixels, y downward."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from alexnet.pages.html import environment

Point = tuple[float, float]
Style = Literal["front", "top", "side", "kernel", "ray", "wire", "name", "label", "title", "note"]


@dataclass(frozen=True)
class Polygon:
    points: Sequence[Point]
    style: Style
    kind: ClassVar = "polygon"


@dataclass(frozen=True)
class Line:
    start: Point
    end: Point
    style: Style = "wire"
    kind: ClassVar = "line"


@dataclass(frozen=True)
class Label:
    at: Point
    text: str
    style: Style = "label"
    anchor: Literal["middle", "start"] = "middle"
    kind: ClassVar = "label"


@dataclass(frozen=True)
class Drawing:
    title: str
    width: float
    height: float
    shapes: Sequence[Polygon | Line | Label]

    def to_svg(self) -> str:
        """A complete SVG file; light or dark as the reader's machine is. Every text is escaped."""
        return environment().get_template("drawing.svg").render(drawing=self)
