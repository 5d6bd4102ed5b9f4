"""Files that are made to harm: what they may cost in memory and time, and that none changes what comes after it."""

import io
import json
import os
import pickle
import struct
import time
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from test_caffe import field
from test_npy import npy

from alexnet.errors import InputError
from alexnet.models.network import Network
from alexnet.weights import npy as npy_reader
from alexnet.weights.imports import import_weights
from alexnet.weights.load import create
from alexnet.weights.recognize import read_weights

GB = 2**30


@pytest.fixture
def cost(tmp_path: Path) -> Callable[[bytes], tuple[str, int, float]]:
    """What is said of a file that must be refused, the peak of memory above what there was, in bytes, and seconds."""
    status = Path("/proc/self/status")

    def resident(name: str) -> int:
        return int(next(line for line in status.read_text().splitlines() if line.startswith(name)).split()[1]) * 1024

    def measure(content: bytes) -> tuple[str, int, float]:
        if not status.exists():
            pytest.skip("the peak is read from Linux's /proc")
        (tmp_path / "weights").write_bytes(content)
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
        before, start = resident("VmRSS"), time.process_time()
        with pytest.raises(InputError) as error:
            read_weights(tmp_path / "weights")
        assert "\n" not in str(error.value)
        return str(error.value), resident("VmHWM") - before, time.process_time() - start

    return measure


def one_array_many_times() -> bytes:
    array = np.zeros((3, 3, 1000, 1000), np.uint8)
    return npy(pickle.dumps({f"conv{i}": [array, np.zeros(1000, np.uint8)] for i in range(150)}, protocol=2))


def archive(pickled: bytes, kind: int = zipfile.ZIP_STORED, name: str = "x/data.pkl") -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", kind) as file:
        file.writestr("config.json", "{}")
        file.writestr(name, pickled)
    return content.getvalue()


def alternating() -> bytes:
    """Ten million numbers in fields of their own that change their number each time."""
    record = b"\x2d" + bytes(4) + b"\x35" + bytes(4)
    return field(100, field(1, b"conv1") + field(7, record * 2_000_000))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (one_array_many_times, "numbers, more than any network"),
        (lambda: archive(b"\x80\x02(" + b"\x8f" * 15_000_000 + b"l."), "instructions"),
        (lambda: npy(b"\x80\x02(" + b"\x8f" * 15_000_000 + b"l."), "instructions"),
        (lambda: archive(bytes(2**26), zipfile.ZIP_DEFLATED, "model.weights.h5"), "packs too well"),
        (alternating, "more than 200,000 fields"),
        (lambda: struct.pack("<Q", 2**26) + b"{" + b" " * 2**26, "header is larger"),
    ],
)
def test_a_small_file_costs_little_memory_and_time(
    make: Callable[[], bytes], said: str, cost: Callable[[bytes], tuple[str, int, float]]
):
    content = make()
    told, memory, seconds = cost(content)
    assert said in told
    assert memory < GB
    assert seconds < 10


def test_numbers_one_by_one_are_read_in_linear_time():
    """Runs of a number's field, each ended by another: each is looked through once, not to the end of the file."""
    from alexnet.weights import caffe

    run = b"\x2d" + bytes(4)
    content = memoryview((run * 50 + b"\x45" + bytes(4)) * 40_000)
    looked = 0
    whole = caffe.np.frombuffer

    def counting(buffer: Any, *args: Any) -> np.ndarray:
        nonlocal looked
        looked += len(buffer)
        return whole(buffer, *args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(caffe.np, "frombuffer", counting)
        fields = list(caffe._Wire().fields(content, packed=(5,)))
    assert len(fields) == 80_000
    assert looked < 5 * len(content)


def test_hdf5_is_read_in_a_process_of_its_own_within_bounds(tmp_path: Path, cost: Callable[[bytes], Any]):
    h5py = pytest.importorskip("h5py", reason="pip install 'alexnet[keras]'")

    def file(fill: Callable[[Any], Any]) -> bytes:
        content = io.BytesIO()
        with h5py.File(content, "w") as made:
            fill(made)
        return content.getvalue()

    def packed(made: Any) -> None:
        made.create_dataset("conv1/kernel", data=np.zeros((9_000, 9_000)), chunks=(9_000, 9_000), compression="gzip")

    for fill, said in (
        (lambda made: made.create_dataset("conv1/kernel", (149_000_000,), "f8"), "holds none of them"),
        (packed, "larger pieces"),
        (lambda made: made.create_dataset("conv1/kernel", data=np.zeros((1,) * 9)), "9 dimensions"),
    ):
        told, memory, _ = cost(file(fill))
        assert said in told
        assert memory < GB / 4


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="a named pipe is POSIX's")
def test_a_pipe_is_no_file_of_weights(tmp_path: Path):
    os.mkfifo(tmp_path / "net.pth")
    with pytest.raises(InputError, match="is not a file"):
        read_weights(tmp_path / "net.pth")


_DEFAULTS = b"\x80\x02ccollections\nOrderedDict\nN}U\x0c__defaults__]\x85s\x86b."
"""Sets __defaults__ of whatever stands for OrderedDict to ([],)."""


def test_a_pickle_changes_nothing_for_the_next(foreign: Callable[[], dict[str, list[np.ndarray]]], tmp_path: Path):
    """BUILD gives a state to what is on the stack: here to the function that stands for OrderedDict."""
    (tmp_path / "bad.npy").write_bytes(npy(_DEFAULTS))
    (tmp_path / "good.npy").write_bytes(npy(pickle.dumps(OrderedDict(foreign()), protocol=2)))
    before = {name: (getattr(each, "__defaults__", None), dict(vars(each))) for name, each in _stand_ins().items()}
    with pytest.raises(InputError):
        read_weights(tmp_path / "bad.npy")
    assert before == {n: (getattr(each, "__defaults__", None), dict(vars(each))) for n, each in _stand_ins().items()}
    assert list(read_weights(tmp_path / "good.npy")[0].layers) == list(foreign())


def _stand_ins() -> dict[Any, Any]:
    return dict(npy_reader._KNOWN)


Change = Callable[[dict[str, torch.Tensor]], Any]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda state: state | {"conv1.weight": torch.zeros(32, 0, 3, 3)}, "which no layer of this family has"),
        (lambda state: state | {"conv1.weight": torch.zeros(2**40, 0)}, "which no layer of this family has"),
        (lambda state: state | {"fc8.weight": torch.tensor(1.0)}, "one number, which no layer"),
        (lambda state: state | {"².weight": torch.zeros(3)}, "fits no network"),
        (lambda state: state | {"a" * 1000 + ".weight": torch.zeros(3)}, "names a layer in 1,000 characters"),
        (lambda state: state | {"\x1b[2J.weight": torch.zeros(3)}, r"\\x1b[2J of the file has no place"),
        (lambda state: state | {"fc8.weight": torch.zeros(1, 1, 1, 1, 1)}, "1×1×1×1×1, which no layer"),
    ],
)
@pytest.mark.parametrize("form", ["pth", "safetensors"])
def test_tensors_that_no_network_has_are_one_line(
    change: Change, said: str, form: str, digits: Network, tmp_path: Path
):
    state = change(dict(digits.state_dict()))
    path = tmp_path / f"net.{form}"
    torch.save(state, path) if form == "pth" else path.write_bytes(safetensors.torch.save(state))
    with pytest.raises(InputError) as error:
        import_weights(path, tmp_path / "out.safetensors")
    assert said.replace("\\\\", "\\") in str(error.value)
    assert str(error.value).isprintable()


def test_counters_of_batch_norm_may_be_of_any_type(tmp_path: Path):
    state = {name: value.bfloat16() for name, value in create("resnet-20").state_dict().items()}
    assert any(name.endswith("num_batches_tracked") for name in state)
    torch.save(state, tmp_path / "net.pth")
    again = create("resnet-20", weights=tmp_path / "net.pth").state_dict()
    assert all(torch.equal(again[name].bfloat16(), value) for name, value in state.items())


def test_json_that_nests_without_end_is_one_line(tmp_path: Path):
    h5py = pytest.importorskip("h5py", reason="pip install 'alexnet[keras]'")
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        file.create_dataset("conv1/kernel", data=np.zeros((3, 3, 1, 2)))
    with zipfile.ZipFile(tmp_path / "net.keras", "w") as file:
        file.writestr("config.json", "[" * 100_000)
        file.writestr("model.weights.h5", content.getvalue())
    with pytest.raises(InputError, match="damaged"):
        read_weights(tmp_path / "net.keras")
    header = json.dumps({"a": {"dtype": "F32", "shape": [10**400], "data_offsets": [0, 4]}}).encode()
    (tmp_path / "net.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + bytes(4))
    with pytest.raises(InputError, match="not a readable safetensors"):
        read_weights(tmp_path / "net.safetensors")
