"""Threads wait asleep where other programs run, and nothing changes elsewhere."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

import alexnet
from alexnet.process import waiting

CORES = 4


@pytest.fixture
def chosen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """What is chosen where the kernel counts so many running threads, one at each look."""

    def choose(running: Sequence[object], **environment: str) -> str | None:
        told, place = list(running), tmp_path / "loadavg"

        def look(seconds: float = 0) -> None:
            place.write_text(f"0.20 0.18 0.12 {told.pop(0)}/80 11206\n", encoding="ascii")

        for name in (*waiting._SETTINGS, "OMP_NUM_THREADS"):
            monkeypatch.delenv(name, raising=False)
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(waiting, "_LOADAVG", place)
        monkeypatch.setattr(waiting, "_set", False)
        monkeypatch.setattr(waiting.os, "cpu_count", lambda: CORES)
        monkeypatch.setattr(waiting.os, "sched_getaffinity", lambda _: set(range(CORES)))
        monkeypatch.setattr(waiting.time, "sleep", look)
        look()
        waiting.wait_asleep_where_others_run()
        found = waiting.os.environ.get("OMP_WAIT_POLICY")
        monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
        return found

    return choose


def test_threads_sleep_beside_a_program_that_runs_all_the_time(chosen):
    assert chosen([2, 2, 3, 2, 2]) == "PASSIVE"
    assert "OMP_WAIT_POLICY=PASSIVE" in (waiting.remark() or "")


@pytest.mark.parametrize("running", [[1], [2, 2, 1], [5, 1]])
def test_nothing_is_set_where_nothing_else_runs_or_only_for_a_moment(chosen, running: list[int]):
    assert chosen(running) is None
    assert waiting.remark() is None


def test_what_the_user_has_set_stays(chosen):
    for setting in ("GOMP_SPINCOUNT", "KMP_BLOCKTIME"):
        assert chosen([3, 3, 3, 3, 3], **{setting: "1"}) is None
    assert chosen([3, 3, 3, 3, 3], OMP_WAIT_POLICY="ACTIVE") == "ACTIVE"


def test_one_thread_or_cores_enough_for_all_are_left(chosen):
    assert chosen([9, 9, 9, 9, 9], OMP_NUM_THREADS="1") is None
    assert chosen([3, 3, 3, 3, 3], OMP_NUM_THREADS="2") is None
    assert chosen([4, 4, 4, 4, 4], OMP_NUM_THREADS="2") == "PASSIVE"
    assert chosen([4, 3, 3, 3, 3], OMP_NUM_THREADS="2") is None


def test_a_system_that_tells_nothing_is_left(chosen, tmp_path: Path):
    assert chosen(["x", "x", "x", "x", "x"]) is None


def test_the_command_line_looks_before_torch_is_imported():
    code = (
        "import sys; from alexnet.process import waiting; sys.argv = ['alexnet', '--version']; "
        "waiting.wait_asleep_where_others_run = lambda: print('torch' in sys.modules); "
        "from alexnet.cli import main; main()"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.split() == ["False", alexnet.__version__]
