"""Several processes end as one: with the failing one's line and exit code, and a run that goes on."""

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import alexnet
from alexnet.artifacts.run import Run
from alexnet.cli import launch as launching
from alexnet.cli.launch import LOST, launch

SETUP = f"import os, sys, time; first = os.environ['RANK'] == '0'; LOST = {LOST}; "


def run(capfd: pytest.CaptureFixture[str], code: str) -> tuple[int, str, str]:
    """Exit code and output of two processes of Python."""
    ended = launch(2, [sys.executable, "-c", SETUP + code])
    said = capfd.readouterr()
    return ended, said.out, said.err


def test_all_is_well_when_both_are_and_only_the_first_prints(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(capfd, "print(os.environ['RANK'], os.environ['WORLD_SIZE'])") == (0, "0 2\n", "")


@pytest.mark.parametrize("failing", ["first", "not first"])
def test_the_failing_process_is_told_and_not_those_that_miss_it(
    capfd: pytest.CaptureFixture[str], failing: str
) -> None:
    code = f"print('this' if {failing} else 'that', file=sys.stderr); sys.exit(3 if {failing} else LOST)"
    assert run(capfd, code) == (3, "", "this\n")


def test_a_killed_process_is_named(capfd: pytest.CaptureFixture[str]) -> None:
    code, _, said = run(capfd, "sys.exit(LOST) if first else os.kill(os.getpid(), 9)")
    assert code == 128 + signal.SIGKILL
    assert said.startswith("alexnet: process 2 of 2 was ended by SIGKILL; resume from the last saved state")
    assert said.count("\n") == 1


def test_a_process_that_does_not_notice_is_ended(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launching, "_GRACE", 0.2)
    begun = time.monotonic()
    assert run(capfd, "time.sleep(60) if first else sys.exit('gone')") == (1, "", "gone\n")
    assert time.monotonic() - begun < 30


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--gpus", "2", "--processes", "2"], "give one of them"),
        (["--processes", "2", "--device", "cuda"], "--device cuda cannot be combined with --processes"),
        (["--processes", "0"], "see: alexnet train --help"),
    ],
)
def test_options_that_exclude_each_other(refused: Callable[..., str], arguments: list[str], says: str) -> None:
    assert says in refused("train", *arguments)


def test_sigterm_stops_all_with_everything_saved(started: Callable, tmp_path: Path) -> None:
    with started("--processes", 2, "--out", tmp_path / "run") as process:
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=60)
        assert (process.returncode, err) == (130, "")
    assert out.splitlines()[-1] == (
        f"interrupted; everything is saved. Resume with: alexnet train --resume --out {tmp_path / 'run'}"
    )


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds the processes through Linux's /proc")
@pytest.mark.usefixtures("bare")
def test_a_killed_process_takes_the_other_with_it_and_the_run_goes_on(started: Callable, tmp_path: Path) -> None:
    with started("--processes", 2, "--out", tmp_path / "run") as process:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        os.kill(int(children[1]), signal.SIGKILL)
        _, err = process.communicate(timeout=60)
        assert process.returncode == 128 + signal.SIGKILL
    assert err.count("\n") == 1, err
    assert "process 2 of 2 was ended by SIGKILL" in err
    done = len(Run(tmp_path / "run").metrics)
    run = alexnet.train(out=tmp_path / "run", resume_run=True, epochs=done + 1)
    assert [row["epoch"] for row in run.metrics] == list(range(1, done + 2))
