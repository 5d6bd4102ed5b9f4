import io
import os
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from alexnet.errors import InputError
from alexnet.weights.imports import Imported, import_weights
from alexnet.weights.recognize import read_weights

Foreign = Callable[[], dict[str, list[np.ndarray]]]


def npy(content: bytes, shape: tuple[int, ...] = ()) -> bytes:
    """A .npy file of objects around this pickle."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "|O", "fortran_order": False, "shape": shape})
    return file.getvalue() + content


class Python2:
    """Pickles a dict of lists of arrays as NumPy did under Python 2: its strings are bytes."""

    def __init__(self, layers: dict[str, list[np.ndarray]]):
        self.out = io.BytesIO(b"")
        self.out.write(b"\x80\x02")
        self.array((), b"O8", lambda: self.outermost(layers))
        self.out.write(b".")

    def string(self, text: bytes) -> None:
        short = len(text) < 256
        self.out.write((b"U" + bytes([len(text)]) if short else b"T" + struct.pack("<i", len(text))) + text)

    def array(self, shape: tuple[int, ...], code: bytes, data: Callable[[], None]) -> None:
        self.out.write(b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85")
        self.string(b"b")
        self.out.write(b"\x87R(K\x01(")
        for side in shape:
            self.out.write(b"J" + struct.pack("<i", side))
        self.out.write(b"tcnumpy\ndtype\n")
        self.string(code)
        self.out.write(b"K\x00K\x01\x87R(K\x03")
        self.string(b"|" if code == b"O8" else b"<")
        flags = b"\x3f" if code == b"O8" else b"\x00"
        self.out.write(b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK" + flags + b"tb\x89")
        data()
        self.out.write(b"tb")

    def outermost(self, layers: dict[str, list[np.ndarray]]) -> None:
        self.out.write(b"](}(")
        for name, arrays in layers.items():
            self.string(name.encode())
            self.out.write(b"](")
            for array in arrays:
                self.array(array.shape, b"f4", lambda array=array: self.string(array.astype("<f4").tobytes()))
            self.out.write(b"e")
        self.out.write(b"ue")


@pytest.mark.parametrize("kind", ["numpy", "python 2", "dicts", "fortran", "float64"])
def test_a_pickled_dict_becomes_our_network(
    kind: str, foreign: Foreign, comes_back: Callable[..., Imported], tmp_path: Path
):
    layers: Any = foreign()
    file = tmp_path / "net.npy"
    if kind == "python 2":
        file.write_bytes(npy(Python2(layers).out.getvalue()))
        read = np.load(file, allow_pickle=True, encoding="bytes").item()  # NumPy itself reads what we wrote
        assert np.array_equal(read[b"conv2"][0], layers["conv2"][0])
    else:
        change = {
            "numpy": lambda arrays: arrays,
            "dicts": lambda arrays: dict(zip(("weights", "biases"), arrays, strict=True)),
            "fortran": lambda arrays: [np.asfortranarray(array) for array in arrays],
            "float64": lambda arrays: [array.astype(">f8") for array in arrays],
        }[kind]
        np.save(file, np.array({name: change(arrays) for name, arrays in layers.items()}, dtype=object))
    assert comes_back(file).origin.kind == "npy"


class Bomb:
    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


def test_a_pickle_that_would_run_code_runs_nothing(tmp_path: Path, nothing_written: Callable[[], bool]):
    file, mark = tmp_path / "net.npy", tmp_path / "mark"
    np.save(file, np.array({"conv1": Bomb(mark)}, dtype=object))
    with pytest.raises(InputError, match=r"asks for (posix|nt)\.mkdir.*nothing of it was run"):
        import_weights(file, tmp_path / "net.safetensors")
    assert not mark.exists()
    assert nothing_written()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (npy(b"\x80\x05\x96" + struct.pack("<Q", 10 * 2**30) + b"."), "damaged"),  # a bytearray of 10 GB
        (npy(b"\x80\x04\x8e" + struct.pack("<Q", 10 * 2**30) + b"."), "damaged"),  # bytes of 10 GB
        (npy(b"\x80\x02" + b"K\x00r\xff\xff\xff\x7f."), "no dict"),  # the two-billionth memo
        (npy(b"\x80\x02]."), "no dict"),
        (npy(b"\x80\x02}."), "no dict"),
        (npy(b"\x80\x02}U\x05conv1K\x07s."), "no [weight, bias"),
        (npy(b"\x80\x02(cos\nsystem\nK\x01o."), "os.system"),
        (npy(b"\x80\x02})" + b"2\x86" * 60 + b"K\x07s."), "no dict of layers"),  # 2 to the 60 tuples to hash
        (npy(b"\x80\x02"), "damaged"),
        (b"\x93NUMPY\x01\x00\xff\xff{", "damaged"),
        (b"\x93NUMPY", "damaged"),
    ],
)
def test_damaged_and_dishonest_files_are_one_line(content: bytes, said: str, told: Callable[[bytes], str]):
    assert said in told(content)


def test_a_plain_array_and_arrays_of_strings_are_no_weights(tmp_path: Path):
    file = tmp_path / "net.npy"
    np.save(file, np.zeros(3))
    with pytest.raises(InputError, match="one array"):
        read_weights(file)
    np.save(file, np.array({"conv1": [np.array(["a"]), np.zeros(1)]}, dtype=object))  # dtype U1
    with pytest.raises(InputError, match="where weights are numbers"):
        read_weights(file)


def test_every_cut_is_told(foreign: Foreign, told: Callable[[bytes], str]):
    content = npy(pickle.dumps(foreign(), protocol=2))
    for share in (0.001, 0.3, 0.7, 0.999):
        assert "damaged" in told(content[: int(share * len(content))])


def test_a_header_that_python_2_wrote_warns_of_nothing(tmp_path: Path, foreign: Foreign):
    content = npy(pickle.dumps(foreign(), protocol=2), (1,))
    old = content.replace(b"(1,)", b"(1L,)").replace(b"} ", b"}", 1)
    assert len(old) == len(content)
    (tmp_path / "net.npy").write_bytes(old)
    assert read_weights(tmp_path / "net.npy")[0].kind == "npy"  # warnings are errors in tests
