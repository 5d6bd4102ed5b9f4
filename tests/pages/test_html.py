"""Pages escape everything, load nothing, lead nowhere, and are written by templates only."""

import ast
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

import alexnet
from alexnet.errors import InputError
from alexnet.pages import html
from alexnet.pages.document import (
    Chart,
    Code,
    Document,
    Facts,
    Finding,
    Fold,
    Gallery,
    Picture,
    Section,
    Table,
    Text,
    Thumbnail,
    Tile,
)
from alexnet.pages.text import Words

EVIL = "\"'><meta http-equiv=refresh content='0;url=//x'><form action=//x><script>{{ 7 * 7 }}</script>&amp;\x1b[31m"
TAG = re.compile(
    r"<(!doctype|/?(a|b|p|i|div|span|h[1-6]|section|header|table|thead|tbody|t[rdh]|d[ldt]|ul|ol|li|pre|code|img|form"
    r"|input|button|meta|link|script|style|html|head|body|title|details|summary|figure|svg|g|path|text|rect|br))\b[^<]*>",
    re.IGNORECASE,
)


class Page(HTMLParser):
    def __init__(self, content: str):
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(content)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data):
        self.text += data


def everything(text: str, picture: bytes = b"\x89PNG") -> Document:
    """A document with `text` in every place that takes one."""
    blocks = (
        Text(text),
        Text(text, note=True),
        Table([text], [[text], [text * 3]], frozenset({0})),
        Facts([(text, text)]),
        Picture(picture, text, text),
        Picture(picture, text, text, charts=[Chart(text, "bars", [text], {text: [1.0]})]),
        Gallery([Thumbnail(picture, text, [text, text])]),
        Code(text, text),
        Finding(text, text, [(text, text)]),
        Fold(text, [Text(text)]),
    )
    return Document(text, text, [Tile(text, text, text)], [text], [Section(text, blocks)])


def test_nothing_in_a_document_becomes_markup() -> None:
    harmless = "Q" * len(EVIL)
    plain, hostile = Page(html.render(everything(harmless))), Page(html.render(everything(EVIL)))
    assert hostile.tags == plain.tags
    assert [name for name, _ in hostile.attributes] == [name for name, _ in plain.attributes]
    assert hostile.text.count(EVIL) == plain.text.count(harmless) > 15
    assert not {"script", "form", "a", "iframe", "link", "base"} & set(hostile.tags)


def test_a_page_loads_nothing_and_leads_nowhere() -> None:
    page = Page(html.render(everything("x")))
    policy = next(value for name, value in page.attributes if value and "default-src" in value)
    wanted = {"default-src 'none'", "img-src data:", "form-action 'none'", "base-uri 'none'", "navigate-to 'none'"}
    assert wanted <= set(policy.split("; "))
    assert "script-src" not in policy
    assert not [value for _, value in page.attributes if value and "refresh" in value]
    assert all(str(value).startswith("data:image/") for name, value in page.attributes if name in ("src", "href"))
    assert "url(" not in html.render(everything("x"))


def test_a_section_without_blocks_is_left_out() -> None:
    assert "<h2>" not in html.render(Document("x", all_sections=[Section("empty", [])]))


def test_no_markup_stands_outside_the_templates() -> None:
    """HTML put together from strings is HTML that somebody forgets to escape."""
    root = Path(alexnet.__file__).parent
    found = []
    for path in root.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and TAG.search(node.value):
                found.append(f"{path.relative_to(root)}:{node.lineno}")
    assert found == []


def test_the_templates_are_part_of_the_package() -> None:
    project = (Path(alexnet.__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8")
    assert '"pages/templates/*"' in project


def test_braces_in_a_value_are_not_read_as_fields() -> None:
    assert Words("zh")("Source: {source}", source="{0.__class__}").endswith("{0.__class__}")


def test_an_unknown_language_names_the_choices() -> None:
    with pytest.raises(InputError, match="en, zh"):
        Words("klingon")


@pytest.mark.parametrize(("language", "one", "many"), [("en", "1 epoch", "1,200 epochs"), ("zh", "1 轮", "1,200 轮")])
def test_a_single_one_is_singular(language: str, one: str, many: str) -> None:
    words = Words(language)
    assert words.counted(1, "1 epoch", "{count} epochs") == one
    assert words.counted(1200, "1 epoch", "{count} epochs") == many
