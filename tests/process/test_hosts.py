"""Two machines of two processes each, as network namespaces with a cable between them: torchrun's variables, gloo."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from host import INTERFACE

import alexnet
from alexnet.artifacts import store
from alexnet.artifacts.run import Run
from alexnet.cli.launch import LOST

HOST = Path(__file__).with_name("host.py")
NAMES = (f"alexnet-a-{os.getpid()}", f"alexnet-b-{os.getpid()}")
ADDRESSES = ("10.213.77.1", "10.213.77.2")
SILENCE = 15  # seconds: on a busy machine, importing alone holds a process up for some
TINY = [
    *("--set", "data.name=synthetic", "--set", "data.synthetic_images=81", "--set", "train.batch_size=16"),
    *("--set", "model.dropout=0.0", "--set", "train.precision=fp32", "--set", "optimizer.name=sgd"),
    *("--set", "optimizer.lr=0.02", "--set", "train.checkpoint_seconds=0.05", "--device", "cpu"),
]


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True, timeout=30)


@contextlib.contextmanager
def cabled() -> Iterator[None]:
    """Two network namespaces with a cable between them. CalledProcessError or OSError where that is not allowed."""
    try:
        for name in NAMES:
            ip("netns", "add", name)
        ip("link", "add", INTERFACE, "netns", NAMES[0], "type", "veth", "peer", "name", INTERFACE, "netns", NAMES[1])
        for name, address in zip(NAMES, ADDRESSES, strict=True):
            ip("-n", name, "addr", "add", f"{address}/24", "dev", INTERFACE)
            ip("-n", name, "link", "set", INTERFACE, "up")
            ip("-n", name, "link", "set", "lo", "up")
        yield
    finally:
        for name in NAMES:
            with contextlib.suppress(subprocess.CalledProcessError):
                ip("netns", "del", name)


class Hosts:
    """The two machines; `run` starts four processes on them."""

    def __init__(self, stack: contextlib.ExitStack):
        self.machines = [
            stack.enter_context(subprocess.Popen(
                ["ip", "netns", "exec", name, "unshare", "--uts", sys.executable, "-W", "ignore", str(HOST), name],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                env=os.environ | {"TORCH_CPP_LOG_LEVEL": "ERROR"},
            ))
            for name in NAMES
        ]  # fmt: skip
        for machine in self.machines:
            stack.callback(machine.kill)
            assert machine.stdout
            assert machine.stdout.readline(), "a machine did not start"
        self.port = 29600

    def ask(self, number: int, command: dict[str, Any]) -> Any:
        machine = self.machines[number]
        assert machine.stdin
        assert machine.stdout
        print(json.dumps(command), file=machine.stdin, flush=True)
        return json.loads(machine.stdout.readline())

    def start(self, folder: Path, arguments: list[str], **how: Any) -> list[int]:
        """The ids of four processes; `others`: what a rank is started with instead of `arguments`."""
        self.port += 1
        given = {"all": arguments} | how.pop("others", {})
        job = {"size": 4, "address": ADDRESSES[0], "port": self.port, "folder": str(folder), "arguments": given} | how
        job["environment"] = {"ALEXNET_SILENCE": str(SILENCE)}
        return [pid for number in (0, 1) for pid in self.ask(number, job | {"ranks": [2 * number, 2 * number + 1]})]

    def wait(self, seconds: float = 120) -> list[int | None]:
        """Four exit codes, by rank."""
        return [code for number in (0, 1) for code in self.ask(number, {"wait": seconds})]


@pytest.fixture(scope="module")
def hosts() -> Iterator[Hosts]:
    if not shutil.which("ip") or not shutil.which("unshare") or os.geteuid() != 0:
        pytest.skip("network namespaces need root, ip (iproute2) and unshare")
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(cabled())
        except (subprocess.CalledProcessError, OSError) as error:
            pytest.skip(f"this machine allows no network namespaces: {getattr(error, 'stderr', error)}")
        yield Hosts(stack)


@pytest.fixture(scope="module", autouse=True)
def undrawn() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("alexnet.insight.plots.sample_grid", lambda *_: None)
        for name in ("draw", "write_report"):
            patch.setattr(f"alexnet.experiments.finish.{name}", lambda *_: None)
        yield


def said(folder: Path, rank: int) -> str:
    return (folder / str(rank)).read_text()


def begun(run: Path, epochs: int = 1, seconds: float = 60) -> None:
    """Waits until a run has done so many epochs."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        with contextlib.suppress(Exception):
            if len(Run(run).metrics) >= epochs:
                return
        time.sleep(0.05)
    pytest.fail("the run did not begin")


def resumed(run: Path) -> None:
    """One process ends a run that several were in the middle of."""
    done = len(Run(run).metrics)
    rows = alexnet.train(out=run, resume_run=True, epochs=done + 1).metrics
    assert [row["epoch"] for row in rows] == list(range(1, done + 2))


@pytest.mark.parametrize("kind", ["data", "owt"])
def test_four_processes_on_two_machines_make_the_run_of_one(hosts: Hosts, tmp_path: Path, kind: str) -> None:
    """To 1e-5 of each weight: the sums are rounded in another order."""
    hosts.start(tmp_path, ["train", *TINY, "--epochs", "2", "--out", f"{tmp_path}/run", f"--set=train.parallel={kind}"])
    assert hosts.wait() == [0] * 4, [said(tmp_path, rank) for rank in range(4)]
    settings = {"data.name": "synthetic", "data.synthetic_images": 81, "train.batch_size": 16, "model.dropout": 0.0}
    settings |= {"train.precision": "fp32", "optimizer.name": "sgd", "optimizer.lr": 0.02}
    single = alexnet.train("digits", out=tmp_path / "single", epochs=2, settings=settings, device="cpu")
    ours, theirs = (store.load_tensors(path / "last.safetensors") for path in (tmp_path / "run", single.path))
    for name, value in ours.items():
        torch.testing.assert_close(value, theirs[name], rtol=1e-5, atol=1e-6, msg=name)


def test_a_killed_process_is_named_and_the_run_goes_on(hosts: Hosts, tmp_path: Path) -> None:
    pids = hosts.start(tmp_path, ["train", *TINY, "--epochs", "10000", "--out", f"{tmp_path}/run"])
    begun(tmp_path / "run")
    os.kill(pids[3], signal.SIGKILL)
    codes = hosts.wait(90)
    assert codes == [LOST, LOST, LOST, -signal.SIGKILL], [said(tmp_path, rank) for rank in range(4)]
    for rank in range(3):
        assert said(tmp_path, rank) == (
            f"alexnet: lost rank 3 on {NAMES[1]}; resume from the last saved state with --resume\n"
        )
    resumed(tmp_path / "run")


def test_a_cut_cable_ends_the_run_in_time_and_is_named(hosts: Hosts, tmp_path: Path) -> None:
    hosts.start(tmp_path, ["train", *TINY, "--epochs", "10000", "--out", f"{tmp_path}/run"])
    begun(tmp_path / "run")
    ip("-n", NAMES[1], "link", "set", INTERFACE, "down")
    try:
        assert hosts.wait(90) == [LOST] * 4, [said(tmp_path, rank) for rank in range(4)]
    finally:
        ip("-n", NAMES[1], "link", "set", INTERFACE, "up")
    far = f"rank 2 on {NAMES[1]} and rank 3 on {NAMES[1]}"
    assert all(f"alexnet: lost {far};" in said(tmp_path, rank) for rank in (0, 1)), said(tmp_path, 1)
    assert all(f"alexnet: lost rank 0 on {NAMES[0]};" in said(tmp_path, rank) for rank in (2, 3))
    resumed(tmp_path / "run")


def test_a_slow_process_is_waited_for(hosts: Hosts, tmp_path: Path) -> None:
    hosts.start(
        tmp_path, ["train", *TINY, "--epochs", "1", "--out", f"{tmp_path}/run"], slow={"1": 1.5 * SILENCE}
    )  # longer than a process may be silent
    assert hosts.wait() == [0] * 4, [said(tmp_path, rank) for rank in range(4)]


def test_clocks_that_differ_change_nothing(hosts: Hosts, tmp_path: Path) -> None:
    """By weeks, and one that goes backward: whoever waits counts on a clock of its own that nobody sets."""
    for name, clocks in (("right", {}), ("wrong", {"0": -2e6, "1": 3e6, "3": -1e5})):
        hosts.start(tmp_path, ["train", *TINY, "--epochs", "2", "--out", f"{tmp_path}/{name}"], clocks=clocks)
        assert hosts.wait() == [0] * 4, [said(tmp_path, rank) for rank in range(4)]
    right, wrong = ((tmp_path / name / "last.safetensors").read_bytes() for name in ("right", "wrong"))
    assert right == wrong


def test_a_disk_that_is_full_for_one_process_ends_all_and_the_run_goes_on(hosts: Hosts, tmp_path: Path) -> None:
    """A disk of the machine of rank 0, which alone writes."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if hosts.ask(0, {"run": ["mount", "-t", "tmpfs", "-o", "size=100m", "tmpfs", str(disk)]}):
        pytest.skip("this machine allows no mounts")
    run = Path(f"/proc/{hosts.machines[0].pid}/root{disk}/run")  # nobody else sees that disk
    try:
        hosts.start(tmp_path, ["train", *TINY, "--epochs", "10000", "--out", f"{disk}/run"])
        begun(run)
        assert hosts.ask(0, {"run": ["dd", "if=/dev/zero", f"of={disk}/rest", "bs=4k"]}) == 1  # until it is full
        assert hosts.wait(90) == [2, LOST, LOST, LOST], [said(tmp_path, rank) for rank in range(4)]
        assert "disk is full" in said(tmp_path, 0)
        assert said(tmp_path, 0).count("\n") == 1
        assert all(f"alexnet: lost rank 0 on {NAMES[0]};" in said(tmp_path, rank) for rank in (1, 2, 3))
        hosts.ask(0, {"run": ["rm", f"{disk}/rest"]})
        resumed(run)
    finally:
        hosts.ask(0, {"run": ["umount", str(disk)]})


@pytest.mark.parametrize(
    ("others", "versions", "line"),
    [
        (["--set", "train.seed=1"], {}, "train.seed: rank 3 has 1, rank 0 has none"),
        (["--resume"], {}, "--resume: rank 3 has True, rank 0 has False"),
        ([], {"3": "9.9"}, "alexnet: rank 3 has 9.9, rank 0 has"),
    ],
)
def test_processes_that_were_started_otherwise_are_refused(
    hosts: Hosts, tmp_path: Path, others: list[str], versions: dict[str, str], line: str
) -> None:
    arguments = ["train", *TINY, "--epochs", "1", "--out", f"{tmp_path}/run"]
    hosts.start(tmp_path, arguments, others={"3": [*arguments, *others]}, versions=versions)
    assert hosts.wait() == [2] * 4
    assert said(tmp_path, 0).startswith(f"alexnet: {line}")
    assert said(tmp_path, 0).count("\n") == 1
    assert all(said(tmp_path, rank) == "" for rank in (1, 2, 3))
    assert not (tmp_path / "run").exists()


def test_other_images_are_refused(hosts: Hosts, tmp_path: Path) -> None:
    from PIL import Image

    for folder, shade in (("same", 0), ("other", 9)):
        for index in range(40):
            path = tmp_path / folder / "ab"[index % 2] / f"{index}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("L", (8, 8), index * 5 + (shade if index == 7 else 0)).save(path)
    arguments = ["train", "folder", "--epochs", "1", "--out", f"{tmp_path}/run", "--set", "model.name=alexnet-digits"]
    arguments += ["--set", "data.resize=8", "--device", "cpu", "--data"]
    hosts.start(tmp_path, [*arguments, str(tmp_path / "same")], others={"2": [*arguments, str(tmp_path / "other")]})
    assert hosts.wait() == [2] * 4, [said(tmp_path, rank) for rank in range(4)]
    assert said(tmp_path, 0).startswith("alexnet: digest of the images: rank 2 has")
    assert not (tmp_path / "run").exists()
