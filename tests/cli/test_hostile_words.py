"""Whatever is typed, set or found: one line, the right exit code, and no control character on the terminal."""

import errno
import os
import re
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from alexnet.artifacts.run import Run
from alexnet.cli import failures, registry, screen
from alexnet.cli.registry import VERBS
from alexnet.errors import InputError

ESCAPE = "\x1b[31mred\x07\x9b2J\u202e"
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]")


@pytest.mark.parametrize("verb", VERBS)
def test_an_argument_with_terminal_escapes(verb: str, command: Callable[..., Any]) -> None:
    ended = command(verb, ESCAPE)
    assert ended.code == 2, ended
    assert ended.err.count("\n") == 1
    assert not CONTROL.search(ended.out + ended.err), ended


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("option", ["--no-such-option", ESCAPE.replace("\x1b", "--\x1b")])
def test_an_option_that_is_none(verb: str, option: str, refused: Callable[..., str]) -> None:
    assert not CONTROL.search(refused(verb, option))


@pytest.mark.parametrize("verb", ["evaluate", "compare", "doctor", "export", "predict", "import"])
def test_a_path_that_the_system_refuses(verb: str, refused: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    rest = {"doctor": ["--data", "."], "export": ["--out", tmp_path / "x"], "predict": ["x.png"]}
    rest["import"] = ["--out", tmp_path / "x.safetensors"]
    for path in (tmp_path / "loop", "x" * 300, "x/" * 3000):
        assert len(refused(verb, path, *rest.get(verb, []))) < 1100


@pytest.mark.parametrize(
    "arguments",
    [
        ["--epochs", "1" + "0" * 20], ["--steps", "1" + "0" * 20], ["--seeds", "1" + "0" * 20],
        ["--folds", "1" + "0" * 20], ["--gpus", "1" + "0" * 20], ["--processes", "1" + "0" * 20],
        ["--stop-after", "9" * 5000], ["--set", "train.seed=" + "9" * 5000], ["--set", "data.name=" + "[" * 10_000],
        *(["--set", f"{key}=1{'0' * 20}"] for key in ("train.seed", "data.workers", "data.resize", "augment.cutout",
          "train.batch_size", "data.synthetic_images", "data.per_class", "schedule.warmup", "train.patience")),
        ["--set", f"data.name={ESCAPE}"], ["--set", f"{ESCAPE}=1"], ["--weights", "~nosuchuser/x.pth"],
    ],
    ids=lambda arguments: " ".join(arguments)[:30].encode("ascii", "backslashreplace").decode(),
)  # fmt: skip
def test_an_absurd_setting(arguments: list[str], refused: Callable[..., str], tmp_path: Path) -> None:
    said = refused("train", "digits", "--out", tmp_path / "run", *arguments)
    assert not CONTROL.search(said)
    assert len(said) < 1100
    assert not (tmp_path / "run").exists()


def test_no_home(refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def homeless(*_: object) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", homeless)
    monkeypatch.delenv("ALEXNET_DATA", raising=False)
    assert "set HOME, or ALEXNET_DATA" in refused("data", "mnist")
    assert "set HOME, or ALEXNET_DATA" in refused("train", "mnist", "--out", tmp_path / "run")


def test_a_warning_is_a_line_without_escapes(command: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    from alexnet.models import summary

    outline = summary.outline

    def warned(*arguments: Any) -> Any:
        warnings.warn("3 of \x1b[2J5 images are left out", stacklevel=1)
        return outline(*arguments)

    monkeypatch.setattr(summary, "outline", warned)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        ended = command("summary", "alexnet-digits", "--json")
    assert (ended.code, ended.err) == (0, "alexnet: 3 of \\x1b[2J5 images are left out\n")


def test_an_interrupt_while_a_verb_is_imported(command: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("alexnet.cli.app.function_of", interrupted)
    ended = command("evaluate", "x")
    assert ended == (130, "", "alexnet: interrupted\n")


def test_a_fault_of_ours_keeps_its_traceback(command: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: str) -> None:
        raise KeyError(ESCAPE)

    monkeypatch.setattr("alexnet.cli.app.function_of", broken)
    ended = command("evaluate", "x")
    assert ended.code == 1
    assert "Traceback" in ended.err
    assert "fault of alexnet" in ended.err
    assert not CONTROL.search(ended.err)


@pytest.mark.parametrize("number", sorted(errno.errorcode))
def test_every_error_of_the_system_is_one_line(number: int) -> None:
    code, text = failures.explain(OSError(number, os.strerror(number), "some/file"))
    if number in (errno.EPIPE, errno.ESHUTDOWN):
        assert (code, text) == (1, "")
    else:
        assert code in (2, 130)
        assert text.startswith("alexnet: ")
        assert "\n" not in text


def test_what_memory_is_short_of_is_said() -> None:
    for error in (MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried 10 bytes")):
        assert failures.explain(error) == (2, failures.explain(MemoryError()).text)
    assert failures.explain(InputError("a\nb " * 1000)).text.startswith("alexnet: a b a b")


@pytest.mark.parametrize("verb", ["recipes", "models", "--help"])
def test_a_closed_output(verb: str) -> None:
    """Nothing is printed, nothing fails, and no file takes the place of the terminal."""
    line = f'"{sys.executable}" -m alexnet {verb} >&- 2>&-'
    assert subprocess.run(["sh", "-c", line], check=False).returncode == 0


def test_a_closed_output_of_every_verb(tmp_path: Path) -> None:
    """Each in a copy of one process, which has imported what all need."""
    script = """
import os, sys
from alexnet.cli import main
from alexnet.cli.registry import VERBS

for arguments in [[verb, "--help"] for verb in VERBS] + [["summary", "alexnet-digits"], ["recipes", "digits"]]:
    if (pid := os.fork()) == 0:
        os.closerange(1, 3)
        sys.stdout = sys.stderr = sys.__stdout__ = sys.__stderr__ = None
        sys.argv = ["alexnet", *arguments]
        code = 99
        try:
            main()
        except SystemExit as ended:
            code = ended.code or 0
        finally:
            os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    print(*arguments, code, flush=True)
"""
    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=tmp_path, timeout=120
    )
    lines = ended.stdout.splitlines()
    assert len(lines) == len(VERBS) + 2
    assert [line for line in lines if not line.endswith(" 0")] == []
    assert not [*tmp_path.iterdir()]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits as Linux has them")
def test_few_open_files(tmp_path: Path) -> None:
    line = f'ulimit -n 8; exec "{sys.executable}" -m alexnet summary alexnet-digits'
    ended = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert ended.returncode in (0, 2)  # 2: of a line that names the limit
    assert "Traceback" not in ended.stderr
    assert ended.stderr.count("\n") <= 1


def test_json_is_read_back_equal(capsys: pytest.CaptureFixture[str]) -> None:
    import json

    screen.print_json({"name": ESCAPE})
    text = capsys.readouterr().out
    assert not CONTROL.search(text)
    assert json.loads(text) == {"name": ESCAPE}


def test_class_names_in_tables_and_lines(capsys: pytest.CaptureFixture[str]) -> None:
    screen.table(("name", "value>"), [(ESCAPE, 1), ("two\nlines", 2)])
    screen.say(f"class {ESCAPE}")
    out = capsys.readouterr().out
    assert not CONTROL.search(out)
    assert "\\x1b[31mred" in out
    assert "two lines" in out


@pytest.mark.usefixtures("bare")
def test_quiet_prints_the_result_only(command: Callable[..., Any], tmp_path: Path) -> None:
    tiny = [f"--set={each}" for each in ("data.name=synthetic", "data.synthetic_images=40", "train.epochs=1")]
    ended = command("train", "digits", "--quiet", "--out", tmp_path / "run", *tiny)
    assert ended.code == 0, ended
    first, last = ended.out.splitlines()
    assert first.startswith("weights of epoch 1 of 1")
    assert last.startswith("report: ")
    assert screen.quiet
    assert command("recipes", "digits").code == 0
    assert not screen.quiet
    assert Run(tmp_path / "run").report.is_file()


def test_no_color(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    screen.table(("name",), [("a",)])
    assert "\x1b[" in capsys.readouterr().out
    monkeypatch.setenv("NO_COLOR", "1")
    screen.table(("name",), [("a",)])
    assert "\x1b[" not in capsys.readouterr().out


def test_completion_knows_the_verbs() -> None:
    environment = os.environ | {"_ALEXNET_COMPLETE": "complete_bash", "COMP_WORDS": "alexnet ev", "COMP_CWORD": "1"}
    ended = subprocess.run(
        [sys.executable, "-m", "alexnet"], env=environment, capture_output=True, text=True, check=False
    )
    assert ended.stdout.split() == ["evaluate"], ended
    assert registry.function_of("import").__name__ == "import_"
