"""A document as one self-contained HTML page: no network, no script, no form, every text escaped by the template."""

import base64
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined

from alexnet.pages.document import Document


def render(document: Document) -> str:
    """The page. Whatever a string holds is shown as text; its own policy forbids loading, forms and navigation."""
    return environment().get_template("document.html").render(document=document)


@cache
def environment() -> Environment:
    """The templates of this package, escaped whatever their name; a name that is missing is an error."""
    templates = Environment(
        loader=PackageLoader("alexnet.pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters["base64"] = lambda content: base64.b64encode(content).decode("ascii")
    return templates
