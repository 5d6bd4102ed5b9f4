"""torchrun starts all processes of a run anew when one dies: the run ends as an undisturbed one."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from alexnet.artifacts.run import Run

SECONDS = 300
TINY = [
    *("--set", "data.name=synthetic", "--set", "data.synthetic_images=81", "--set", "train.batch_size=16"),
    *("--set", "model.dropout=0.0", "--set", "train.precision=fp32", "--set", "train.checkpoint_seconds=0.05"),
    *("--device", "cpu", "--epochs", "120"),
]


def started(out: Path, *options: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-W", "ignore", "-m", "torch.distributed.run", "--nproc-per-node", "2", *options]
    command += ["-m", "alexnet", "train", "digits", *TINY, "--out", str(out), "--resume"]
    environment = os.environ | {"TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1", "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)


def children(pid: int) -> list[int]:
    found = [path.read_text().split() for path in Path(f"/proc/{pid}/task").glob("*/children")]
    return sorted(int(child) for each in found for child in each)


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds the processes through Linux's /proc")
def test_a_run_whose_process_was_killed_ends_as_an_undisturbed_one(tmp_path: Path) -> None:
    with started(tmp_path / "calm", "--standalone") as calm:
        assert calm.wait(SECONDS) == 0, calm.stdout and calm.stdout.read()
    rendezvous = ("--rdzv-backend", "c10d", "--rdzv-endpoint", "127.0.0.1:0", "--rdzv-id", "elastic")
    with started(tmp_path / "run", "--nnodes", "1", *rendezvous, "--max-restarts", "2") as run:
        until = time.monotonic() + SECONDS
        while not (Run(tmp_path / "run").has_state and Run(tmp_path / "run").metrics):
            assert run.poll() is None
            assert time.monotonic() < until
            time.sleep(0.05)
        killed = children(run.pid)
        os.kill(killed[-1], signal.SIGKILL)
        assert run.wait(SECONDS) == 0, run.stdout and run.stdout.read()
    rows = Run(tmp_path / "run").metrics
    assert [row["epoch"] for row in rows] == list(range(1, 121))
    for name in ("last", "best"):
        file = f"{name}.safetensors"
        assert (tmp_path / "run" / file).read_bytes() == (tmp_path / "calm" / file).read_bytes()
