"""CIFAR's binary format, and archives that are not to be believed."""

import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from makers import tar_gz

from alexnet.data.readers import cifar
from alexnet.data.readers.cifar import read_cifar
from alexnet.data.sources import recognize
from alexnet.errors import InputError

Maker = Callable[[str], dict[str, bytes]]


def unpacked(root: Path, files: dict[str, bytes]) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (root / name).write_bytes(content)
    return root


def packed(tmp_path: Path, files: dict[str, bytes], *more: tarfile.TarInfo) -> Path:
    inside = {f"cifar-10-batches-bin/{name}": content for name, content in files.items()}
    return tar_gz(tmp_path / "cifar-10-binary.tar.gz", inside, *more)


def test_archive_and_folder_give_the_same(cifar_files: Maker, tmp_path: Path) -> None:
    files = cifar_files("cifar10")
    archive = packed(tmp_path, files)
    folder = unpacked(tmp_path / "elsewhere" / "cifar-10-batches-bin", files)
    prints = set()
    for place in (archive, archive.parent, folder, folder.parent):
        splits = read_cifar(place, "cifar10")
        assert recognize(place) == "cifar10"
        prints.add((splits["train"].fingerprint, splits["test"].fingerprint))
    assert len(prints) == 1
    train = splits["train"]
    assert (len(train), train.size, train.channels, len(splits["test"])) == (100, (32, 32), 3, 20)
    assert train.classes[3] == "ba3"
    assert train.labels[:11].tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0]
    assert train.names[20] == "data_batch_2.bin#0"


def test_pixels_are_stored_plane_by_plane(cifar_files: Maker, tmp_path: Path) -> None:
    files = cifar_files("cifar10")
    image, _ = read_cifar(unpacked(tmp_path, files), "cifar10")["train"][1]
    record = np.frombuffer(files["data_batch_1.bin"], np.uint8)[3073 + 1 : 2 * 3073]
    assert image[4, 7].tolist() == [record[plane * 1024 + 4 * 32 + 7] for plane in range(3)]


def test_fine_and_coarse_labels(cifar_files: Maker, tmp_path: Path) -> None:
    root = unpacked(tmp_path, cifar_files("cifar100"))
    assert recognize(root) == "cifar100"
    fine, coarse = read_cifar(root, "cifar100")["train"], read_cifar(root, "cifar100-coarse")["train"]
    assert (len(fine.classes), fine.labels[3], fine.classes[15]) == (100, 15, "fi15")
    assert (len(coarse.classes), coarse.labels[3], coarse.classes[3]) == (20, 3, "co3")


@pytest.mark.parametrize(
    ("name", "kind", "said"),
    [
        ("../evil.bin", tarfile.REGTYPE, "points outside"),
        ("/etc/evil", tarfile.REGTYPE, "points outside"),
        ("cifar-10-batches-bin/link.bin", tarfile.SYMTYPE, "a link or a device"),
        ("cifar-10-batches-bin/link.bin", tarfile.LNKTYPE, "a link or a device"),
        ("cifar-10-batches-bin/device", tarfile.CHRTYPE, "a link or a device"),
        ("cifar-10-batches-bin/pipe", tarfile.FIFOTYPE, "a link or a device"),
    ],
)
def test_dangerous_members(cifar_files: Maker, tmp_path: Path, name: str, kind: bytes, said: str) -> None:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, "../../target"
    with pytest.raises(InputError, match=said):
        read_cifar(packed(tmp_path, cifar_files("cifar10"), member), "cifar10")


def test_short_long_and_missing_files(cifar_files: Maker, tmp_path: Path) -> None:
    files = cifar_files("cifar10")
    short = files | {"data_batch_3.bin": files["data_batch_3.bin"][:-3073]}
    for place in (unpacked(tmp_path / "folder", short), packed(tmp_path, short)):
        with pytest.raises(InputError, match=r"data_batch_3.bin has 58,387 bytes; the official file has 61,460"):
            read_cifar(place, "cifar10")
    with pytest.raises(InputError, match=r"batches.meta.txt has 70,000 bytes"):
        read_cifar(packed(tmp_path, files | {"batches.meta.txt": bytes(70_000)}), "cifar10")
    del files["test_batch.bin"], files["data_batch_2.bin"]
    with pytest.raises(InputError, match=r"lacks data_batch_2.bin, test_batch.bin; expected the binary version"):
        read_cifar(packed(tmp_path, files), "cifar10")


def test_labels_and_names_that_do_not_fit(cifar_files: Maker, tmp_path: Path) -> None:
    files = cifar_files("cifar10")
    batch = bytearray(files["data_batch_4.bin"])
    batch[3073 * 7] = 11
    with pytest.raises(InputError, match=r"data_batch_4.bin: record 7 has label 11; labels go from 0 to 9"):
        read_cifar(packed(tmp_path, files | {"data_batch_4.bin": bytes(batch)}), "cifar10")
    with pytest.raises(InputError, match="must name 10 classes, it names 2"):
        read_cifar(packed(tmp_path, files | {"batches.meta.txt": b"cat\ndog\ncat\n"}), "cifar10")


def test_damaged_archives(cifar_files: Maker, tmp_path: Path) -> None:
    archive = packed(tmp_path, cifar_files("cifar10"))
    content = archive.read_bytes()
    for broken in (content[: len(content) // 2], b"no archive", b"", content[:100] + bytes(100) + content[200:]):
        archive.write_bytes(broken)
        with pytest.raises(InputError, match=r"cut short or damaged|lacks"):
            read_cifar(archive, "cifar10")


def test_an_archive_that_unpacks_to_too_much(cifar_files: Maker, tmp_path: Path) -> None:
    files = cifar_files("cifar10") | {"padding": bytes(30_000_000)}
    with pytest.raises(InputError, match="unpacks to more"):
        read_cifar(packed(tmp_path, files), "cifar10")
    crowd = {f"file{number}": b"" for number in range(cifar.MAX_MEMBERS + 1)}
    with pytest.raises(InputError, match="more than 100 members"):
        read_cifar(packed(tmp_path, crowd), "cifar10")


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no cifar100 in .*; expected cifar-100-binary.tar.gz or the files train.bin"):
        read_cifar(tmp_path, "cifar100")
    assert recognize(tmp_path) == "folder"


def test_real_cifar10(real: Callable[[str], Path]) -> None:
    splits = read_cifar(real("cifar10"), "cifar10")
    train = splits["train"]
    assert (len(train), len(splits["test"])) == (50_000, 10_000)
    assert train.classes[0] == "airplane"
    assert np.bincount(train.labels).tolist() == [5000] * 10
    means = train.batch(np.arange(50_000)).mean((0, 1, 2), dtype=np.float64)
    assert means == pytest.approx([125.307, 122.95, 113.865], abs=0.001)  # as published with the Keras AlexNets
