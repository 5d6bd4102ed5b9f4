"""A document as one self-contained HTML page: no network, no script, no form, every text escaped by the template."""

import base64
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, TemplateError

from alexnet.errors import InputError
from alexnet.pages.document import Document

TEMPLATES = Path(__file__).parent / "templates"
PAGE = "document.html"


def render(document: Document) -> str:
    """The page. Whatever a string holds is shown as text; its own policy forbids loading, forms and navigation.

    InputError when the template was changed and is broken.
    """
    try:
        return environment().get_template(PAGE).render(document=document)
    except TemplateError as error:
        raise InputError(f"the template {str(TEMPLATES / PAGE)!r} is broken: {error.message or error}") from None


@cache
def environment() -> Environment:
    """The templates of this package, escaped whatever their name; a name that is missing is an error."""
    templates = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters["base64"] = lambda content: base64.b64encode(content).decode("ascii")
    return templates
