"""Every command of the tour works, in its order; the Chinese pages have the same commands and pictures."""

import contextlib
import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TOUR = (ROOT / "docs/TOUR.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^\$ (alexnet .*)$", TOUR, re.MULTILINE)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the commands run, one after the other, with the images that the tour's own lines make."""
    root = tmp_path_factory.mktemp("tour")
    (lines,) = re.findall(r"```python\n(.*?)```", TOUR, re.DOTALL)
    with contextlib.chdir(root):
        exec(lines, {})
    return root


@pytest.mark.parametrize("line", COMMANDS)
def test_command(line: str, folder: Path, command: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    words = shlex.split(line)[1:]
    if words[0] == "train":  # one epoch shows that it works
        words = [*words, "--epochs", "1"]
    monkeypatch.chdir(folder)
    ended = command(*words)
    assert ended.code == 0, ended
    assert ended.out
    if "--out" in words:
        assert (folder / words[words.index("--out") + 1]).exists()


def test_ten_chapters_with_a_command_a_picture_and_a_question_each() -> None:
    chapters = TOUR.split("\n## ")[1:]
    assert len(chapters) == len(COMMANDS) == 10
    for chapter in chapters:
        assert chapter.count("**Question.**") == chapter.count("$ alexnet ") == 1
        (picture,) = re.findall(r"!\[[^]]+\]\(([^)]+)\)", chapter)
        assert (ROOT / "docs" / picture).stat().st_size < 60_000


@pytest.mark.parametrize("page", ["docs/TOUR", "README"])
def test_the_chinese_page_has_the_same_commands_and_pictures(page: str) -> None:
    english, chinese = ((ROOT / f"{page}{end}").read_text(encoding="utf-8") for end in (".md", ".zh.md"))
    for pattern in (r"^\$ .*$", r"^make .*$|^alexnet .*$", r"\((?:docs/)?images/[^)]+\)"):
        assert re.findall(pattern, english, re.MULTILINE) == re.findall(pattern, chinese, re.MULTILINE)
    assert re.findall(r"```python\n(.*?)```", english, re.DOTALL) == re.findall(
        r"```python\n(.*?)```", chinese, re.DOTALL
    )
