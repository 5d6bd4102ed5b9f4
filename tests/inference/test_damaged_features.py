"""Damaged feature files: one printable line, no warning, no signal."""

import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.io import savemat

from alexnet.errors import InputError
from alexnet.inference.feature_read import read
from alexnet.isolated import child


def test_a_damaged_matlab_file_is_refused(tmp_path: Path) -> None:
    """SciPy's reader was ended by SIGSEGV at 4 of 300 mutated files: it runs in a process that may die."""
    path = tmp_path / "f.mat"
    values = np.arange(12, dtype=np.float32).reshape(4, 3)
    names = np.array([f"{i}.png" for i in range(4)], dtype=object)
    savemat(path, {"fc6": values, "names": names, "labels": np.arange(4)})
    found = read(path)
    np.testing.assert_array_equal(found.layers["fc6"], values)
    assert found.names == [f"{i}.png" for i in range(4)]
    assert found.labels is not None
    assert found.labels.tolist() == [0, 1, 2, 3]
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(InputError, match="damaged or cut short"):
        read(path)
    path.write_bytes(b"MATLAB 7.3 MAT-file".ljust(124) + b"\0\2IM" + bytes(400))
    with pytest.raises(InputError, match="which is HDF5: name it"):
        read(path)


def _claiming(path: Path) -> None:
    """Megabytes of equal numbers in a few kilobytes."""
    if path.suffix == ".pt":
        torch.save(torch.ones(1).expand(1000, 1000), path)
    elif path.suffix == ".npz":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("a.npy", "w") as member:
            for _ in range(4):
                member.write(bytes(2**20))
    else:
        savemat(path, {"a": np.zeros((700, 700))}, do_compression=True)


@pytest.mark.parametrize("suffix", ["pt", "npz", "mat"])
def test_a_small_file_of_many_numbers_is_refused(tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child, "_SMALL", 2**20)
    path = tmp_path / f"f.{suffix}"
    _claiming(path)
    assert path.stat().st_size < 2**15
    with pytest.raises(InputError, match=r"claims [\d,]{9,} bytes of numbers, more than such a file"):
        read(path)


def test_what_torch_says_of_a_damaged_file_is_not_repeated(tmp_path: Path) -> None:
    """It holds escapes, and tells how to load what is not to be trusted."""
    path = tmp_path / "f.pt"
    torch.save({"features": {"fc6": torch.ones(4, 3)}, "odd": Path("x")}, path)
    with pytest.raises(InputError) as error:
        read(path)
    assert str(error.value).isprintable()
    assert "weights_only" not in str(error.value)
    path.write_bytes(path.read_bytes().replace(b"little", b"litt\x1b\0"))
    with pytest.raises(InputError) as error:
        read(path)
    assert str(error.value).isprintable()


def test_an_empty_table_warns_of_nothing(tmp_path: Path) -> None:
    (tmp_path / "f.csv").write_text("name\n")
    assert all(not len(values) for values in read(tmp_path / "f.csv").layers.values())  # warnings are errors in tests


@pytest.mark.parametrize("kind", ["member", "rows"])
def test_a_layers_name_is_shown_without_its_escapes(tmp_path: Path, kind: str) -> None:
    """Number 903 of the fuzzed features-npz claimed 4 GB for a member with a control character in its name."""
    path = tmp_path / "f.npz"
    values = np.zeros((3, 10**6) if kind == "member" else (3, 2))
    np.savez_compressed(path, **{"fc\x1b[2J": values, "names": np.array(["a", "b"])})  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputError) as error:
        read(path)
    assert str(error.value).isprintable()
    assert r"fc\x1b[2J" in str(error.value)


@pytest.mark.parametrize("what", ["names", "labels", "digests"])
def test_a_record_of_other_rows_is_refused(tmp_path: Path, what: str) -> None:
    record = {"names": ["a", "b", "c"], "labels": [0, 1, 0], "image_sha256": ["0" * 64] * 3}
    key = {"digests": "image_sha256"}.get(what, what)
    np.savez(tmp_path / "f.npz", fc7=np.ones((3, 2), np.float32), **{**record, key: record[key][:2]})
    with pytest.raises(InputError, match=f"has 3 rows of fc7 and 2 {what}"):
        read(tmp_path / "f.npz")
