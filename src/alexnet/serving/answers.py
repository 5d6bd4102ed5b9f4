"""Answers as JSON, which has no number for one that is not finite."""

import math
from typing import Any

from starlette.responses import JSONResponse


class Json(JSONResponse):
    """An answer in which every number that is not finite is null."""

    def render(self, content: Any) -> bytes:
        try:
            return super().render(content)
        except ValueError:  # some number is not finite: seldom, so that it costs the others nothing
            return super().render(finite(content))


def finite(content: Any) -> Any:
    """`content` (dicts, lists, numbers, texts) with None for every number that is not finite."""
    if isinstance(content, float):
        return content if math.isfinite(content) else None
    if isinstance(content, dict):
        return {name: finite(each) for name, each in content.items()}
    return [finite(each) for each in content] if isinstance(content, list | tuple) else content
