"""Numbers and facts as text, and a document's words in English or Chinese."""

import math
from collections.abc import Mapping
from typing import Any

from alexnet.errors import unknown
from alexnet.pages.chinese import CHINESE

LANGUAGES = ("en", "zh")


class Words:
    """words("… {name} …", name=value): a sentence in the document's language, English where there is no translation.

    Only the sentence itself is formatted: braces in a value stay as they are. InputError for another language.
    """

    def __init__(self, language: str = "en"):
        if language not in LANGUAGES:
            raise unknown("language", language, LANGUAGES)
        self.language = language

    def __call__(self, text: str, /, **values: object) -> str:
        return (CHINESE.get(text, text) if self.language == "zh" else text).format(**values)

    def counted(self, count: int, one: str, many: str, **values: object) -> str:
        """`one` where it is 1, else `many` with {count}."""
        return self(one if count == 1 else many, count=f"{count:,}", **values)


ENGLISH = Words()


def facts(named: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Names and values as text; None is left out."""
    return [(name, said(value)) for name, value in named.items() if value is not None]


def said(value: Any) -> str:
    """A value as text: numbers grouped by thousands or in six digits, sequences in a row."""
    if isinstance(value, (list, tuple)):
        return ", ".join(map(said, value))
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def percent(fraction: float | None) -> str:
    return "–" if fraction is None or not math.isfinite(fraction) else f"{fraction:.2%}"


def decimals(value: float) -> str:
    return f"{value:.4f}" if math.isfinite(value) else "–"


def duration(seconds: float) -> str:
    if not math.isfinite(seconds):
        return "–"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"


def sentence(text: str) -> str:
    """With a capital letter and a full stop."""
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "。")) else ".")
