"""A plane of images as one self-contained interactive page: zoom, move, read names; it loads nothing."""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from alexnet.pages.html import environment


@dataclass(frozen=True)
class Point:
    """An image: its place in 0 to 1 (right and down), its name, class and color."""

    x: float
    y: float
    name: str
    label: str
    color: str


@dataclass(frozen=True)
class Sheet:
    """`about` is the line below the title; `sprite` a JPEG of all thumbnails, `side` pixels each, row by row."""

    title: str
    about: str
    points: Sequence[Point]
    legend: Sequence[tuple[str, str]]
    """Class and color."""
    sprite: bytes
    side: int
    columns: int


def render(sheet: Sheet) -> str:
    """The page. Its policy allows one script, by its hash, and no connection, form or navigation."""
    templates = environment()
    script = templates.get_template("map.js").render()
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    data = {"side": sheet.side, "columns": sheet.columns, "points": [asdict(point) for point in sheet.points]}
    return templates.get_template("map.html").render(sheet=sheet, script=script, digest=digest, data=data)
