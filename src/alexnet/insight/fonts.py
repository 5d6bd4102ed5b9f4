"""Fonts for names from anywhere: what can be drawn here, and what stands for the rest."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from matplotlib.font_manager import fontManager, get_font


@cache
def families() -> list[str]:
    """matplotlib's own font, then fonts of this machine that know Chinese, Japanese and Korean names."""
    installed = {font.name for font in fontManager.ttflist}
    wanted = (
        "Noto Sans CJK SC",
        "Source Han Sans SC",
        "WenQuanYi Micro Hei",
        "PingFang SC",
        "Microsoft YaHei",
        "SimHei",
    )
    return ["DejaVu Sans", *(name for name in wanted if name in installed)]


@cache
def _shown(character: str) -> str:
    """The character itself, or □ when no font here can draw it."""
    fonts = (get_font(fontManager.findfont(name)) for name in families())
    return character if any(font.get_char_index(ord(character)) for font in fonts) else "□"


def shortened(text: str, length: int) -> str:
    """At most `length` characters; an ellipsis stands for the rest."""
    return text if len(text) <= length else text[: length - 1] + "…"


def drawable(text: str, length: int) -> str:
    """At most `length` characters that can be drawn; a dollar sign stays one instead of opening a formula."""
    shown = (_shown(character) if character.isprintable() else "□" for character in shortened(text, length))
    return "".join(shown).replace("$", r"\$")


@contextmanager
def quiet_about_weights() -> Iterator[None]:
    """Fonts of Chinese, Japanese and Korean often come in one weight; matplotlib would warn of each bold text."""
    logger = logging.getLogger("matplotlib.font_manager")

    def kept(record: logging.LogRecord) -> bool:
        return "find font weight" not in record.getMessage()

    logger.addFilter(kept)
    try:
        yield
    finally:
        logger.removeFilter(kept)
