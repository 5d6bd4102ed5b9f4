"""A short load on a real server: every request is answered, and counted once."""

import time
from pathlib import Path

import numpy as np
import pytest

from alexnet.artifacts.run import Run

pytest.importorskip("starlette", reason="serving needs: pip install 'alexnet[serve]'")
import io

from PIL import Image

from alexnet.benchmark import load as measure
from alexnet.errors import InputError


def test_every_request_is_answered(trained: Run) -> None:
    file = io.BytesIO()
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(file, "PNG")
    found = measure.load(trained.path, file.getvalue(), clients=4, seconds=1.0)
    assert set(found.answers) == {200}
    assert found.answers[200] == pytest.approx(found.per_second * found.seconds)
    assert 0 < found.p50 <= found.p99
    assert list(found.memory) == [0, *[1000] * (found.answers[200] > 1000), found.answers[200]]
    counted = measure.load(trained.path, file.getvalue(), clients=4, requests=30)
    assert counted.answers == {200: 30}
    assert counted.per_second * counted.seconds == pytest.approx(30)
    assert list(counted.memory) == [0, 30]


def test_what_cannot_be_served_is_told_in_one_line(trained: Run, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(
        InputError, match=r"nothing' could not be served: no run folder or model file .*nothing'; `alexnet train"
    ):
        measure.load(trained.path / "nothing", b"", seconds=0.1)
    assert capfd.readouterr().err == ""  # no traceback of the server's


def test_what_is_no_image_is_refused(trained: Run) -> None:
    with pytest.raises(InputError, match="answers 415 to this image"):
        measure.load(trained.path, b"no image", clients=2, seconds=0.1)


def test_no_process_of_the_peer_outlives_the_measurement(trained: Run, tmp_path: Path) -> None:
    """A peer whose worker takes no SIGTERM."""
    peer = tmp_path / "peer"
    peer.write_text(f"#!/bin/sh\ntrap '' TERM\nsleep 600 >&- &\necho $! > {tmp_path}/worker\necho not a port\n")
    peer.chmod(0o755)
    with pytest.raises(InputError, match="not a port"):
        measure.load(trained.path, b"", seconds=0.1, peer=peer)
    worker = int((tmp_path / "worker").read_text())
    deadline = time.monotonic() + 60
    while alive(worker) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not alive(worker)


def alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
