"""A network as a drawing in the manner of Figure 2 of Krizhevsky et al. 2012: volumes, kernels, and the two towers.

A volume is what a convolution puts out: its height and its depth in the drawing are the image's sides, its width the
channels (both under a square root, so that small maps stay visible). A network with grouped convolutions is drawn as
two towers, whose lines cross where a layer sees both.
"""

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from matplotlib.figure import Figure
from matplotlib.patches import Polygon as Patch

from alexnet.models import catalog
from alexnet.models.structure import numbered
from alexnet.models.summary import Summary, outline
from alexnet.pages.drawing import Drawing, Label, Line, Point, Polygon

_TALL = 132.0  # pixels that the input's height takes
_DEPTH = (0.42, 0.26)  # how far one pixel of depth goes right and up
_GAP, _MARGIN, _HEAD = 44.0, 26.0, 66.0
_LETTER = 6.2  # mean width of a letter of a label
_LINE = 14.0
_KINDS = {"relu": "ReLU", "tanh": "tanh", "norm": "LRN", "cnorm": "LRN within maps", "bn": "batch norm",
          "logsoftmax": "log-softmax"}  # fmt: skip


@dataclass
class _Column:
    """One volume, or a bar of units, and what is written below it."""

    name: str
    shape: tuple[int, ...]
    boxes: int = 1
    kernel: int = 0
    """Side of the kernel with which it was made, in pixels of the column before; 0: none."""
    crossing: bool = True
    """Whether each tower sees both towers of the column before."""
    lines: list[str] = field(default_factory=list)


def draw(name: str, classes: int | None = None, input: tuple[int, int, int] | None = None) -> Drawing:
    """The drawing of a network of the catalog, for another number of classes and another input where they are given.

    Raises InputError for an unknown name.
    """
    spec, summary = catalog.get(name), outline(name, classes)
    classes = spec.classes if classes is None else classes
    shape = spec.input if input is None else input
    if spec.layers:
        columns = _sequential(list(numbered(spec.layers, shape, classes)), shape)
    else:
        columns = _staged(summary, spec.input)
    mega = summary.flops / 1e6
    cost = f"{mega / 1e3:,.2f} GFLOPs" if mega >= 1e3 else f"{mega:,.1f} MFLOPs"
    size = f"{summary.parameters:,} parameters, {cost} per image" if shape == spec.input else ""
    return _laid_out(name, f"{spec.title} ({spec.dated})" + (f" · {size}" if size else ""), columns)


def _sequential(rows: Sequence[tuple[str, Any, tuple[int, ...]]], input: tuple[int, int, int]) -> list[_Column]:
    columns = [_Column("input", input)]
    towers = any(layer.kind == "conv" and layer.groups == 2 for _, layer, _ in rows)
    for name, layer, shape in rows:
        if layer.kind == "conv":
            step = f", stride {layer.stride}" if layer.stride > 1 else ""
            crossing = layer.groups == 1
            column = _Column(name, layer.output(shape), 1 + towers, layer.kernel, crossing)
            column.lines.append(f"{layer.kernel}×{layer.kernel}{step}")
            columns.append(column)
        elif layer.kind == "fc":
            columns.append(_Column(name, layer.output(shape), 1 + towers, lines=["dense"]))
        elif told := _told(layer):
            columns[-1].lines.append(told)
    columns[-1].boxes = 1  # the logits stand on one GPU, whole
    return columns


def _staged(summary: Summary, input: tuple[int, int, int]) -> list[_Column]:
    """A residual network: its stem, a volume for each stage, its logits."""
    columns = [_Column("input", input)]
    blocks: dict[str, set[str]] = {}
    for layer in summary.layers:
        name, *rest = layer.name.split(".")
        if rest:
            if name not in blocks:
                columns.append(_Column(name, layer.output))
                blocks[name] = set()
            blocks[name].add(rest[0])
            columns[-1].shape = layer.output if ".shortcut" not in layer.name else columns[-1].shape
        elif name.startswith(("conv", "fc")):
            columns.append(_Column(name, layer.output, lines=["dense"] if name.startswith("fc") else []))
        elif name.startswith("pool"):
            columns[-1].lines.append("max pool")
        elif name == "avgpool":
            columns[-1].lines.append("mean of each map")
    for column in columns:
        if column.name in blocks:
            column.lines.insert(0, f"{len(blocks[column.name])} residual blocks")
    return columns


def _told(layer: Any) -> str:
    """A layer without weights in a few letters; '' for those that are not told."""
    if layer.kind == "pool":
        mean = "mean" if type(layer).__name__.startswith("Mean") else "max"
        return f"{mean} pool {layer.size}×{layer.size}, /{layer.stride}"
    if layer.kind == "avgpool":
        return f"mean pool to {layer.size}×{layer.size}"
    return f"dropout {layer.p:g}" if layer.kind == "drop" else _KINDS.get(layer.kind, "")


# Geometry -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Box:
    """A box in the plane: the front's lower left corner is (x, y)."""

    x: float
    y: float
    width: float
    height: float
    depth: Point
    """How far the back stands right and up; (0, 0): a bar."""
    side: int
    """Of the maps in pixels."""

    def at(self, across: float, up: float, back: float) -> Point:
        """A point of the box by its shares of width, height and depth."""
        return (
            self.x + across * self.width + back * self.depth[0],
            self.y - up * self.height - back * self.depth[1],
        )

    def polygons(self) -> list[Polygon]:
        corner = self.at
        front = Polygon([corner(0, 0, 0), corner(1, 0, 0), corner(1, 1, 0), corner(0, 1, 0)], "front")
        if self.depth == (0, 0):
            return [front]
        top = Polygon([corner(0, 1, 0), corner(1, 1, 0), corner(1, 1, 1), corner(0, 1, 1)], "top")
        side = Polygon([corner(1, 0, 0), corner(1, 1, 0), corner(1, 1, 1), corner(1, 0, 1)], "side")
        return [front, top, side]

    def kernel(self, kernel: int, target: Point) -> list[Polygon | Line]:
        """The kernel on the side that the next layer looks at, and what it makes of it: one place, `target`."""
        share = min(0.9, math.sqrt(kernel / self.side))
        low, near = 0.55 - share / 2, 0.5 - share / 2
        low, near = max(0.0, min(low, 1 - share)), max(0.0, min(near, 1 - share))
        corners = [self.at(1, low + up * share, near + back * share) for up, back in ((0, 0), (1, 0), (1, 1), (0, 1))]
        return [Polygon(corners, "kernel"), *(Line(corner, target, "ray") for corner in corners)]


def _boxes(column: _Column, x: float, middle: float, apart: float, scale: float) -> list[_Box]:
    """The boxes of a column, from above; `apart`: the distance of the towers' middles."""
    middles = [middle] if column.boxes == 1 else [middle - apart / 2, middle + apart / 2]
    if len(column.shape) == 1:
        units = column.shape[0] / column.boxes
        height = min(14 + 2.2 * math.sqrt(units), apart - 12 if column.boxes == 2 else 190.0)
        return [_Box(x, y + height / 2, 13.0, height, (0, 0), 1) for y in middles]
    channels, rows, columns = column.shape
    height, deep = _side(rows, scale), _side(columns, scale)
    width = min(4 + 1.8 * math.sqrt(channels / column.boxes), 60.0)
    depth = (_DEPTH[0] * deep, _DEPTH[1] * deep)
    return [_Box(x, y + (height + depth[1]) / 2, width, height, depth, min(rows, columns)) for y in middles]


def _side(pixels: int, scale: float) -> float:
    return max(12.0, scale * math.sqrt(pixels))


def _laid_out(title: str, note: str, columns: list[_Column]) -> Drawing:
    scale = _TALL / math.sqrt(max(columns[0].shape[1:]))
    tallest = max(_side(c.shape[1], scale) * (1 + _DEPTH[1]) for c in columns if len(c.shape) == 3 and c.boxes == 2) \
        if any(c.boxes == 2 for c in columns) else 0.0  # fmt: skip
    apart = max(tallest + 26, 118.0)
    extent = max(b.y - b.at(0, 1, 1)[1] for c in columns for b in _boxes(c, 0, 0, apart, scale))
    total = max(extent, apart + max(tallest, 112.0) if any(c.boxes == 2 for c in columns) else 0.0)
    middle = _HEAD + total / 2
    base = _HEAD + total + 26
    shapes: list[Polygon | Line | Label] = []
    x, before = _MARGIN, None
    drawn: list[list[_Box]] = []
    for column in columns:
        texts = [column.name, _size(column), *column.lines]
        written = max(len(text) for text in texts) * _LETTER
        boxes = _boxes(column, 0, middle, apart, scale)
        wide = boxes[0].width + boxes[0].depth[0]
        room = max(wide, written)
        boxes = _boxes(column, x + (room - wide) / 2, middle, apart, scale)
        center = x + room / 2
        for number, text in enumerate(texts):
            shapes.append(Label((center, base + number * _LINE), text, "name" if number == 0 else "label"))
        drawn.append(boxes)
        x += room + (max(14.0, _GAP - (room - wide)))
    width = x - _GAP + 2 * _MARGIN
    lowest = base + max(2 + len(column.lines) for column in columns) * _LINE
    body: list[Polygon | Line] = []
    for column, boxes in zip(columns, drawn, strict=True):
        if before is not None:
            body += _links(before, column, boxes)
        for box in boxes:
            body += box.polygons()
        before = boxes
    # Lines above the volumes that they leave, below those that they reach.
    head = [Label((_MARGIN, 26), title, "title", "start"), Label((_MARGIN, 44), note, "note", "start")]
    width = max(width, len(note) * _LETTER + 2 * _MARGIN)
    return Drawing(title, width, lowest, [*head, *body, *shapes])


def _links(before: list[_Box], column: _Column, boxes: list[_Box]) -> list[Polygon | Line]:
    """From each box of one column to those of the next that see it."""
    links: list[Polygon | Line] = []
    for i, source in enumerate(before):
        for j, target in enumerate(boxes):
            if len(before) == len(boxes) == 2 and i != j and not column.crossing:
                continue
            same = len(before) != 2 or len(boxes) != 2 or i == j
            if column.kernel:
                links += source.kernel(column.kernel, target.at(0, 0.6 if same else 0.4, 0))
            elif source.depth == target.depth == (0, 0) or len(column.shape) == 1:
                for up in (0.0, 1.0):
                    links.append(Line(source.at(1, up, 1 if source.depth != (0, 0) else 0), target.at(0, up, 0)))
            else:
                links.append(Line(source.at(1, 0.5, 0.5), target.at(0, 0.5, 0)))
    return links


def _size(column: _Column) -> str:
    parts = column.shape if column.boxes == 1 else (column.shape[0] // 2, *column.shape[1:])
    return ("2 × " if column.boxes == 2 else "") + "×".join(map(str, parts))


# Pixels, for formats that take no SVG ---------------------------------------------------------------------------------

_FILL = {"front": "#e6f2f9", "top": "#f6fafd", "side": "#cfe3f1", "kernel": "#f6c9a8"}
_STROKE = {"kernel": "#d55e00", "ray": "#d55e00", "wire": "#8a949e"}
_SIZE = {"title": 15.0, "name": 12.0, "note": 11.0, "label": 10.5}


def to_png(drawing: Drawing, density: float = 2.0) -> bytes:
    """The drawing as PNG on white, `density` pixels for each of its own."""
    figure = Figure(figsize=(drawing.width / 100, drawing.height / 100), dpi=100 * density)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(0, drawing.width)
    axes.set_ylim(drawing.height, 0)
    axes.set_axis_off()
    for order, shape in enumerate(drawing.shapes):
        if isinstance(shape, Polygon):
            colors = {"facecolor": _FILL[shape.style], "edgecolor": _STROKE.get(shape.style, "#1f2933")}
            axes.add_patch(Patch(list(shape.points), closed=True, linewidth=0.65, zorder=order, **colors))
        elif isinstance(shape, Line):
            dashes = "--" if shape.style == "ray" else "-"
            xs, ys = zip(shape.start, shape.end, strict=True)
            axes.plot(xs, ys, dashes, color=_STROKE[shape.style], linewidth=0.6, zorder=order)
        else:
            bold = "bold" if shape.style in ("title", "name") else "normal"
            where = {"ha": "center" if shape.anchor == "middle" else "left", "va": "baseline", "zorder": order}
            color = "#1f2933" if bold == "bold" else "#52606d"
            axes.text(*shape.at, shape.text, size=0.72 * _SIZE[shape.style], weight=bold, color=color, **where)
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return file.getvalue()
