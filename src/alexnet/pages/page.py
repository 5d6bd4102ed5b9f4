"""The pieces of a self-contained page: no network (its own policy forbids it), every text escaped."""

import base64
import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from alexnet.pages.style import CSS


def whole(title: str, sections: Iterable[str]) -> str:
    """A whole HTML page of these sections."""
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>{escape(title)}</title>
<style>{CSS}</style>
</head>
<body>
{"".join(sections)}
</body>
</html>
"""


def section(title: str, body: str) -> str:
    return body and f"<section><h2>{title}</h2>{body}</section>\n"


def tile(name: str, value: str, detail: str) -> str:
    return f"<div><small>{name}</small><strong>{value}</strong><small>{escape(detail)}</small></div>"


def image(file: Path, caption: str) -> str:
    """The PNG itself, inside the page; nothing when there is none."""
    if not file.is_file():
        return ""
    content = base64.b64encode(file.read_bytes()).decode()
    return f'<img alt="{caption}" src="data:image/png;base64,{content}">'


def table(head: Iterable[str], lines: Iterable[Iterable[object]], marked: Sequence[int] = ()) -> str:
    body = "".join(
        f"<tr{' class=best' if i in marked else ''}>{''.join(f'<td>{escape(str(cell))}</td>' for cell in line)}</tr>"
        for i, line in enumerate(lines)
    )
    titles = "".join(f"<th>{escape(name)}</th>" for name in head)
    return f"<div class=scroll><table><thead><tr>{titles}</tr></thead><tbody>{body}</tbody></table></div>"


def facts(named: Mapping[str, Any]) -> str:
    """Names and values; None is left out."""
    lines = "".join(
        f"<dt>{escape(name)}</dt><dd>{escape(_said(value))}</dd>" for name, value in named.items() if value is not None
    )
    return lines and f"<dl>{lines}</dl>"


def _said(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_said, value))
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def percent(fraction: float | None) -> str:
    return "–" if fraction is None or not math.isfinite(fraction) else f"{fraction:.2%}"


def duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"
