"""HDF5 of other programs: nothing is followed out of the file, and nothing large is made of a small one."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from alexnet.errors import InputError
from alexnet.inference.feature_read import read
from alexnet.isolated import hdf5
from alexnet.isolated.child import Broken

h5py = pytest.importorskip("h5py", reason="pip install 'alexnet[keras]'")


def external_link(file: Any) -> None:
    file["fc7"] = h5py.ExternalLink("secret.h5", "/fc7")


def soft_link(file: Any) -> None:
    file["fc6"] = np.ones((4, 3))
    file["fc7"] = h5py.SoftLink("/fc6")


def virtual(file: Any) -> None:
    layout = h5py.VirtualLayout((4, 3), "f4")
    layout[:] = h5py.VirtualSource("secret.h5", "fc7", (4, 3))
    file.create_virtual_dataset("fc7", layout)


def external_storage(file: Any) -> None:
    file.create_dataset("fc7", (4, 3), "f4", external=[("secret.bin", 0, 48)])


def text_elsewhere(file: Any) -> None:
    file["fc7"] = np.ones((4, 3))
    file.create_dataset("names", (4,), "S12", external=[("secret.bin", 0, 48)])


@pytest.mark.parametrize(
    ("fill", "said"),
    [
        (external_link, "points elsewhere at 'fc7' (ExternalLink)"),
        (soft_link, "points elsewhere at 'fc7' (SoftLink)"),
        (virtual, "keeps the numbers of '/fc7' in another file"),
        (external_storage, "keeps the numbers of '/fc7' in another file"),
        (text_elsewhere, "keeps the numbers of '/names' in another file"),
    ],
)
@pytest.mark.parametrize("what", ["features", "weights"])
def test_nothing_is_followed_out_of_the_file(
    fill: Callable[[Any], None], said: str, what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with h5py.File("secret.h5", "w") as file:
        file["fc7"] = np.full((4, 3), 7, np.float32)
    Path("secret.bin").write_bytes(np.full(12, 7, np.float32).tobytes())
    with h5py.File("f.h5", "w") as file:
        fill(file)
    with pytest.raises(Broken if what == "weights" else InputError) as error:
        hdf5.read(Path("f.h5").read_bytes(), (), 1000) if what == "weights" else read("f.h5")
    assert said in str(error.value)
    assert str(error.value).isprintable()


def one_piece(file: Any) -> None:
    file.create_dataset("fc7", (30_000, 30_000), "f4", chunks=(10, 10), compression="gzip")[:10, :10] = 1


def packed(file: Any) -> None:
    file.create_dataset("fc7", shape=(6_000, 6_000), dtype="f8", chunks=(6_000, 6_000))[0, 0] = 1


def unwritten(file: Any) -> None:
    file.create_dataset("fc7", (10**6, 4096), "f4")


def many_texts(file: Any) -> None:
    file["fc7"] = np.ones((4, 3))
    file.create_dataset("names", (2**31,), "S8", chunks=(8,))[:8] = b"a"


@pytest.mark.parametrize(
    ("fill", "said"),
    [
        (one_piece, "claims 3,600,000,000 bytes"),
        (packed, "in larger pieces"),
        (unwritten, "holds none of them"),
        (many_texts, "claims 2,147,483,648 texts"),
        (lambda file: file.create_dataset("fc7", data=np.ones((1,) * 9)), "9 dimensions"),
        (lambda file: file.create_dataset("fc7", data=h5py.Empty("f4")), "holds nothing"),
        (lambda file: file.create_dataset("fc7", data=np.zeros(3, [("a", "f4")])), "no numbers"),
        (lambda file: file.create_dataset("odd", data="text"), "holds text in odd"),
    ],
)
def test_what_features_cannot_be_is_one_line(fill: Callable[[Any], None], said: str, tmp_path: Path) -> None:
    with h5py.File(tmp_path / "f.h5", "w") as file:
        fill(file)
    with pytest.raises(InputError) as error:
        read(tmp_path / "f.h5")
    assert said in str(error.value)
    assert str(error.value).isprintable()


def test_features_keep_their_types_and_weights_become_float32() -> None:
    content, rng = io.BytesIO(), np.random.default_rng(0)
    given = {
        "labels": np.array([3, 2**62, -1]),
        "half": rng.standard_normal((3, 2)).astype(np.float16),
        "big": rng.standard_normal((3, 2)).astype(">f8"),
        "one": np.float32(2),
        "none": np.zeros((0, 4), np.float32),
    }
    with h5py.File(content, "w") as file:
        for name, value in given.items():
            file[name] = value
        file["group/inner"] = np.ones((2, 2), np.int16)
        file["names"] = ["a", "ü", "c"]
        file.attrs["provenance"] = "{}"
    content.seek(0)
    found = hdf5.read(content.getvalue(), ("provenance",))
    assert found.tensors.keys() == given.keys()
    for name, value in given.items():
        np.testing.assert_array_equal(found.tensors[name], value)
        assert found.tensors[name].dtype == value.dtype.newbyteorder("=")
    assert (found.texts, found.attributes) == ({"names": ["a", "ü", "c"]}, {"": {"provenance": "{}"}})
    weights = hdf5.read(content.getvalue(), (), 1000, skip=["half"])
    assert weights.tensors.keys() == {"labels", "big", "one", "none", "group/inner"}
    assert {value.dtype.name for value in weights.tensors.values()} == {"float32"}
    assert weights.texts == {}


@pytest.mark.parametrize("chunks", [None, (7, 3), (100, 2), (1, 5)])
def test_rows_are_read_in_blocks(chunks: tuple[int, int] | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hdf5, "_BLOCK", 200)
    content, values = io.BytesIO(), np.arange(500.0).reshape(100, 5)
    with h5py.File(content, "w") as file:
        data = file.create_dataset("a", data=values, chunks=chunks)
        blocks = list(hdf5._blocks(data, np.dtype("f8")))
    assert len(blocks) > 1 or chunks == (100, 2)
    np.testing.assert_array_equal(np.concatenate(blocks), values)
