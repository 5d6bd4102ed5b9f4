"""A document as a notebook: the report, and the recipe as a cell that trains it again."""

import base64
import json
from collections.abc import Sequence
from typing import Any

from alexnet.insight.report import markdown
from alexnet.pages.document import Document
from alexnet.pages.html import environment


def render(document: Document, recipes: Sequence[tuple[str, str | None]]) -> bytes:
    """nbformat 4 with a cell for each section; `recipes`: the runs' TOML, each of which a cell trains, and where
    its images were."""
    text, pictures = markdown.render(document, "pictures")
    cells = []
    for number, part in enumerate(_sections(text)):
        shown = {name: content for name, content in pictures.items() if f"(pictures/{name})" in part}
        cells.append(_markdown(number, part.replace("(pictures/", "(attachment:"), shown))
    for recipe, data in recipes:
        written = {"recipe": json.dumps(recipe, ensure_ascii=False), "data": json.dumps(data) if data else None}
        code = environment().get_template("recipe.py.txt").render(written)
        cells.append(_cell(len(cells), "code", code) | {"execution_count": None, "outputs": []})
    content = {
        "cells": cells,
        "metadata": {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return (json.dumps(content, ensure_ascii=False, indent=1) + "\n").encode("utf-8", "backslashreplace")


def _sections(text: str) -> list[str]:
    """The Markdown cut before each heading of a section."""
    parts = text.split("\n## ")
    return [parts[0], *(f"## {part}" for part in parts[1:])]


def _markdown(number: int, text: str, pictures: dict[str, bytes]) -> dict[str, Any]:
    kinds = {"png": "image/png", "jpg": "image/jpeg", "svg": "image/svg+xml"}
    attached = {
        name: {kinds[name.rpartition(".")[2]]: base64.b64encode(content).decode()} for name, content in pictures.items()
    }
    cell = _cell(number, "markdown", text)
    return cell | {"attachments": attached} if attached else cell


def _cell(number: int, kind: str, text: str) -> dict[str, Any]:
    return {"cell_type": kind, "id": f"cell-{number}", "metadata": {}, "source": text}
