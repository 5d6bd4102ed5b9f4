"""IDX files: MNIST and its kind, and what is wrong with a file said in one line."""

import gzip
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from alexnet.data.readers.idx import COUNTS, EMNIST, FASHION_MNIST, MNIST, Idx, read_idx
from alexnet.data.sources import open_splits, recognize
from alexnet.errors import InputError

Maker = Callable[..., Path]


@pytest.mark.parametrize("packed", [False, True])
def test_gzipped_or_not(idx_set: Maker, packed: bool) -> None:
    root = idx_set([0, 1, 9, 1], [9, 0], packed)
    splits = read_idx(root, MNIST)
    train, test = splits["train"], splits["test"]
    assert (len(train), len(test), train.size, train.channels) == (4, 2, (5, 4), 1)
    assert train.classes == test.classes == MNIST
    assert train.labels.tolist() == [0, 1, 9, 1]
    assert train.names[3] == "train-images-idx3-ubyte#3"
    content = (root / f"train-images-idx3-ubyte{'.gz' if packed else ''}").read_bytes()
    pixels = np.frombuffer(gzip.decompress(content) if packed else content, np.uint8)[16:]
    assert np.array_equal(train.batch(np.arange(4)).ravel(), pixels)


def test_labels_are_names_so_they_may_start_at_one(idx_set: Maker) -> None:
    splits = read_idx(idx_set([3, 1, 10, 2], [10]))
    assert splits["train"].classes == ("1", "2", "3", "10")
    assert splits["train"].labels.tolist() == [2, 0, 3, 1]
    assert splits["test"].labels.tolist() == [3]


def test_a_test_split_is_not_needed_and_a_file_names_one_of_several_sets(idx_set: Maker) -> None:
    root = idx_set([0, 1], prefix="emnist-letters-")
    assert set(read_idx(root)) == {"train"}
    idx_set([0, 1, 2], prefix="emnist-digits-")
    with pytest.raises(InputError, match=r"several sets in .*: emnist-digits-, emnist-letters-"):
        read_idx(root)
    assert len(read_idx(root / "emnist-digits-train-images-idx3-ubyte")["train"]) == 3
    assert Idx("idx").recognize(root)
    assert not Idx("idx").recognize(root.parent)


def test_fashion_names() -> None:
    assert len(FASHION_MNIST) == 10
    assert FASHION_MNIST[9] == "Ankle boot"


def damaged(content: bytes, kind: str) -> bytes:
    return {
        "wrong magic": struct.pack(">I", 0x0D03) + content[4:],
        "labels for images": struct.pack(">I", 0x0801) + content[4:],
        "count too high": content[:4] + struct.pack(">I", 9) + content[8:],
        "count too low": content[:4] + struct.pack(">I", 3) + content[8:],
        "absurd count": content[:4] + struct.pack(">III", 2**32 - 1, 2**32 - 1, 2**32 - 1) + content[16:],
        "no images": content[:4] + struct.pack(">I", 0) + content[8:],
        "cut short": content[:-7],
        "cut in the header": content[:9],
        "empty": b"",
    }[kind]


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("wrong magic", "magic number 0x0d03, but IDX images start with 0x0803"),
        ("labels for images", "magic number 0x0801"),
        ("count too high", "cut short: 9 images need 180 bytes, it holds 80"),
        ("count too low", "longer than its header says: 3 images"),
        ("absurd count", "4294967295×4294967295×4294967295"),
        ("no images", "0×5×4"),
        ("cut short", "cut short"),
        ("cut in the header", "no IDX header"),
        ("empty", "no IDX header"),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_a_damaged_file(idx_set: Maker, kind: str, said: str, packed: bool) -> None:
    root = idx_set([0, 1, 2, 3])
    file = root / "train-images-idx3-ubyte"
    content = damaged(file.read_bytes(), kind)
    if packed:
        file.unlink()
        file = root / "train-images-idx3-ubyte.gz"
        content = gzip.compress(content)
    file.write_bytes(content)
    with pytest.raises(InputError, match=said) as caught:
        read_idx(root)
    assert str(file) in str(caught.value)


def test_a_damaged_gzip(idx_set: Maker) -> None:
    file = idx_set([0, 1], packed=True) / "train-images-idx3-ubyte.gz"
    content = file.read_bytes()
    for broken in (content[: len(content) // 2], content[:20] + bytes(20) + content[40:]):
        file.write_bytes(broken)
        with pytest.raises(InputError, match="cut short or damaged"):
            read_idx(file.parent)


def test_a_gzip_bomb_is_read_no_further_than_its_header_promises(idx_set: Maker) -> None:
    root = idx_set([0, 1], packed=True)
    header = struct.pack(">IIII", 0x0803, 2, 5, 4)
    (root / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(header + bytes(50_000_000)))
    with pytest.raises(InputError, match="longer than its header says: 2 images need 40 bytes, it holds more"):
        read_idx(root)


def test_counts_and_labels_that_do_not_fit(idx_set: Maker) -> None:
    root = idx_set([0, 1, 2], [0, 3])
    with pytest.raises(InputError, match="t10k-labels-idx1-ubyte: label 3 is out of range; known are 0, 1, 2"):
        read_idx(root)
    with pytest.raises(InputError, match="label 12 is out of range"):
        read_idx(idx_set([0, 12], [0]), MNIST)
    (root / "train-labels-idx1-ubyte").write_bytes(struct.pack(">II", 0x801, 1) + b"\0")
    with pytest.raises(InputError, match="holds 2 images and train-labels-idx1-ubyte 1 label"):
        read_idx(root)
    (root / "train-labels-idx1-ubyte").unlink()
    with pytest.raises(InputError, match=r"no file .*train-labels"):
        read_idx(root)


def test_missing_files_are_named(idx_set: Maker, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no IDX files in .*expected train-images-idx3-ubyte"):
        read_idx(tmp_path)
    root = idx_set([0], [0])
    (root / "train-images-idx3-ubyte").unlink()
    with pytest.raises(InputError, match="no training images"):
        read_idx(root)


def test_real_mnist(real: Callable[[str], Path]) -> None:
    splits = read_idx(real("mnist"), MNIST)
    assert (len(splits["train"]), len(splits["test"]), splits["train"].size) == (60_000, 10_000, (28, 28))
    assert np.bincount(splits["test"].labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


@pytest.mark.parametrize(
    ("variant", "labels", "classes"),
    [
        ("letters", [1, 26, 2], ("A", "B", "Z")),
        ("byclass", [0, 10, 61], ("0", "A", "z")),
        ("balanced", [9, 36, 46], ("9", "a", "t")),
        ("digits", [0, 9, 4], ("0", "4", "9")),
        ("unheard-of", [7, 70, 1], ("1", "7", "70")),
        ("letters", [1, 40, 2], ("1", "2", "40")),
    ],
)
def test_emnist_is_turned_upright_and_named(
    idx_set: Maker, variant: str, labels: list[int], classes: tuple[str, ...]
) -> None:
    root = idx_set(labels, labels, prefix=f"emnist-{variant}-")
    stored = read_idx(root)["train"].images
    assert recognize(root) == "emnist"
    splits = open_splits(None, root, validation=None)
    assert (splits.name, splits.train.classes) == ("emnist", classes)
    assert np.array_equal(splits.train.batch(np.arange(3)), stored.transpose(0, 2, 1, 3))
    assert any("rows and columns exchanged" in note for note in splits.notes)
    as_stored = open_splits(None, root, validation=None, transpose=False)
    assert np.array_equal(as_stored.train.batch(np.arange(3)), stored)
    assert any("as they lie in the files" in note for note in as_stored.notes)
    assert as_stored.protocol["transpose"] is False
    plain = open_splits("idx", root, validation=None)
    assert np.array_equal(plain.train.batch(np.arange(3)), stored)
    assert any("in doubt: these files are EMNIST's" in note for note in plain.notes)
    turned = open_splits("idx", root, validation=None, transpose=True)
    assert not any("in doubt" in note for note in turned.notes)
    assert np.array_equal(turned.train.batch(np.arange(3)), stored.transpose(0, 2, 1, 3))


@pytest.mark.parametrize("packed", [False, True])
def test_emnist_without_its_name_is_told_by_its_counts(
    idx_set: Maker, monkeypatch: pytest.MonkeyPatch, packed: bool
) -> None:
    monkeypatch.setattr("alexnet.data.readers.idx.COUNTS", {(4, 2): "letters"})
    root = idx_set([1, 2, 26, 1], [2, 2], packed)
    assert open_splits(None, root, validation=None).train.classes == ("A", "B", "Z")
    assert recognize(idx_set([1, 2, 26], [2, 2], packed)) == "idx"


def test_emnist_s_counts_and_characters() -> None:
    assert {variant: len(characters) for variant, characters in EMNIST.items()} == {
        "byclass": 62, "bymerge": 47, "balanced": 47, "letters": 27, "digits": 10, "mnist": 10,
    }  # fmt: skip
    assert set(COUNTS.values()) < set(EMNIST)
