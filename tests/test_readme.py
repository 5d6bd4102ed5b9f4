"""Every command and every line of Python in README works."""

import re
import shlex
import sys
from pathlib import Path

import pytest
from PIL import Image

import alexnet
from alexnet.cli import main

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^\$ (alexnet .*)$", README, re.MULTILINE)
BLOCKS = re.findall(r"```console\n(.*?)```", README, re.DOTALL)
PYTHON = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the commands run, one after the other: with an image of a digit and a small folder of class folders."""
    root = tmp_path_factory.mktemp("readme")
    digits = alexnet.dataset("digits")
    Image.fromarray(digits[15][0][:, :, 0]).save(root / "digit.png")
    for index in range(80):
        image, label = digits[index]
        place = root / "my-images" / digits.classes[label]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[:, :, 0]).save(place / f"{index}.png")
    return root


@pytest.mark.parametrize("command", COMMANDS)
def test_command(
    command: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = shlex.split(command, comments=True)
    if words[1] == "train":  # one epoch shows that it works
        words += ["--epochs", "1"]
    if words[1] == "train" and "my-images" in words:
        words += ["--set", "model.name=alexnet-digits", "--set", "data.resize=8"]
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit) as end:
        main()
    output = capsys.readouterr()
    assert end.value.code == 0, output.err
    assert output.out
    if words[1] in ("models", "summary", "recipes", "verify"):  # what they print depends on no machine
        printed = [" ".join(line.split()) for line in output.out.splitlines()]
        lines = shown(command)
        assert lines, command
        for line in lines:  # README cuts long lines off
            assert any(each.startswith(line) for each in printed), line
    elif words[1] in ("train", "evaluate", "predict"):
        printed = {masked(line) for line in (output.out + output.err).splitlines()}
        assert [line for line in shown(command) if masked(line) not in printed] == []


def masked(line: str) -> str:
    """A line without its figures, precision and spaces, which another machine or one epoch in place of many changes."""
    return re.sub(r"[\d.,]+%?|bf16|fp32|epochs?|cpu|cuda", "#", "".join(line.split()))


def shown(command: str) -> list[str]:
    """The lines that README prints under a command."""
    (block,) = (part for block in BLOCKS for part in block.split("$ ") if part.startswith(f"{command}\n"))
    lines = [" ".join(line.split()) for line in block.splitlines()[1:]]
    return [line for line in lines if line != "…"]


@pytest.mark.parametrize("block", PYTHON)
def test_python(block: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    names: dict[str, object] = {}
    exec(block.replace("epochs=20", "epochs=1"), names)
    assert "run" in names
    assert names["answers"]


def test_the_readme_has_commands() -> None:
    assert len(COMMANDS) >= 8
    assert PYTHON
