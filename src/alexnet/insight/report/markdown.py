"""A document as Markdown, with its pictures as files beside it."""

import re
from collections.abc import Iterator, Sequence

from alexnet.pages.document import Block, Cells, Code, Document, Facts, Finding, Fold, Gallery, Picture, Table, Text

_EXTENSIONS = {"image/png": "png", "image/jpeg": "jpg", "image/svg+xml": "svg"}


def render(document: Document, folder: str) -> tuple[str, dict[str, bytes]]:
    """The Markdown, and the pictures by the names under which it expects them in `folder`."""
    pictures: dict[str, bytes] = {}
    parts = [f"# {_escaped(document.title)}", _escaped(document.about)]
    parts += [f"> {_escaped(note)}" for note in document.notes]
    if document.tiles:
        parts.append(_table(("", "", ""), [(tile.name, tile.value, tile.detail) for tile in document.tiles]))
    for section in document.sections:
        parts.append(f"## {_escaped(section.title)}")
        parts += _blocks(section.blocks, folder, pictures)
    return "\n\n".join(part for part in parts if part) + "\n", pictures


def _blocks(blocks: Sequence[Block], folder: str, pictures: dict[str, bytes]) -> Iterator[str]:
    for block in blocks:
        match block:
            case Text():
                yield ("> " if block.note else "") + _escaped(block.text)
            case Table():
                yield _table(block.head, block.rows)
            case Facts():
                yield _table(("", ""), block.items)
            case Picture():
                name = f"{len(pictures) + 1:02}.{_EXTENSIONS[block.mime]}"
                pictures[name] = block.content
                yield f"![{_escaped(block.alt)}]({folder}/{name})"
            case Gallery():
                for item in block.items:
                    name = f"{len(pictures) + 1:02}.{_EXTENSIONS[item.mime]}"
                    pictures[name] = item.content
                    yield f"![{_escaped(item.title)}]({folder}/{name}) {_escaped(', '.join(item.lines))}"
            case Code():
                fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", block.text)), default=0))
                yield f"{fence}{block.language}\n{block.text.rstrip()}\n{fence}"
            case Finding():
                yield f"**{_escaped(block.title)}**" + (f" ({_escaped(block.where)})" if block.where else "")
                yield "\n".join(f"- {_escaped(line)}" for line in block.plain)
            case Fold():
                yield from _blocks(block.blocks, folder, pictures)


def _table(head: Cells, rows: Sequence[Cells]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell if cell == '---' else _escaped(cell) for cell in line)} |" for line in lines)


def _escaped(text: str) -> str:
    """Text that Markdown shows as it is, in one line: no link, no markup, no HTML."""
    return re.sub(r"([\\`*_{}\[\]<>#|!&$~])", r"\\\1", " ".join(text.split()))
