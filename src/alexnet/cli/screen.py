"""Everything that the command line writes to the terminal goes through here: lines, tables, JSON, errors.

Class names, cards and file names come from other people's files. `clean` makes their control characters visible, so
that none of them reaches the terminal.
"""

import json
import os
import re
import sys
from collections.abc import Iterable, Sequence
from typing import Any

quiet = False
"""Whether progress is left out, as `--quiet` asks."""

# Control characters but newline and tab; marks that change the direction of text; halves of surrogate pairs.
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def clean(text: str) -> str:
    """`text` with its control characters written as escapes, such as \\x1b."""
    return _UNSAFE.sub(lambda found: f"\\x{ord(found[0]):02x}" if ord(found[0]) < 256 else _escaped(found), text)


def _escaped(found: re.Match[str]) -> str:
    return f"\\u{ord(found[0]):04x}"


def say(text: object = "", *, err: bool = False, end: str = "\n") -> None:
    """Prints a line to stdout, or to stderr."""
    print(clean(str(text)), file=sys.stderr if err else sys.stdout, end=end, flush=err)


def print_json(content: Any) -> None:
    """Prints JSON that a terminal shows as it is: other programs read the same from it."""
    text = json.dumps(content, indent=2, ensure_ascii=False)
    print(_UNSAFE.sub(_escaped, text))


def table(head: Iterable[str], lines: Iterable[Iterable[object]]) -> None:
    """Prints a table; a trailing '>' in its head aligns a column to the right."""
    from rich.console import Console
    from rich.table import Table

    drawn = Table(box=None, pad_edge=False, header_style="" if os.environ.get("NO_COLOR") else "bold")
    for column in head:
        drawn.add_column(column.removesuffix(">"), justify="right" if column.endswith(">") else "left", no_wrap=True)
    for line in lines:
        drawn.add_row(*(clean(str(cell)).replace("\n", " ") for cell in line))
    width = None if sys.stdout.isatty() else 1_000_000  # a pipe has no width: nothing is cut
    Console(width=width, markup=False, emoji=False).print(drawn)  # names of folders are no markup


def shape(sizes: Sequence[int]) -> str:
    return "×".join(map(str, sizes))


def megabytes(count: int) -> str:
    return f"{count / 1e6:,.1f} MB" if count >= 1e5 else f"{count / 1e3:,.1f} kB"
