"""Small files that claim or unpack to much, and files that nobody must wait for: refused within bounds."""

import contextlib
import gzip
import io
import json
import os
import struct
import subprocess
import sys
import tarfile
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from alexnet.data.readers import devkit, mat5, shards
from alexnet.data.readers.archives import members, unpacked
from alexnet.data.readers.packed import Gunzip
from alexnet.data.sources import open_splits, recognize
from alexnet.errors import InputError

MIB = 2**20


def peak(script: str, *arguments: object, address: int = 6 * 2**30) -> tuple[int, str]:
    """MiB that a script adds to a process that has imported alexnet.data, and what it prints."""
    code = (
        "import resource, sys; from alexnet.data.sources import open_splits; from alexnet.errors import InputError\n"
        f"resource.setrlimit(resource.RLIMIT_AS, ({address}, {address}))\n"
        "now = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        f"before = now()\ntry:\n    {script}\nexcept InputError as error:\n    print(error)\n"
        "print((now() - before) // 1024)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 0, ended.stderr[-500:]
    *said, added = ended.stdout.splitlines()
    return int(added), " ".join(said)


OPEN = "open_splits(None, sys.argv[1], size=(8, 8))"


def packed_idx(root: Path, shape: tuple[int, ...]) -> Path:
    """A set of IDX files of zeros, written without ever holding them."""
    for kind, magic, dimensions in (("images-idx3", 0x803, shape), ("labels-idx1", 0x801, shape[:1])):
        left = int(np.prod(dimensions))
        with gzip.open(root / f"train-{kind}-ubyte.gz", "wb", compresslevel=1) as file:
            file.write(struct.pack(f">I{len(dimensions)}I", magic, *dimensions))
            while left:
                file.write(bytes(min(left, MIB)))
                left -= min(left, MIB)
    return root


@pytest.mark.parametrize("shape", [(30_000_000, 1, 1), (100, 600, 600)])
def test_a_small_idx_file_takes_little_memory(tmp_path: Path, shape: tuple[int, ...]) -> None:
    added, said = peak(OPEN, packed_idx(tmp_path, shape))
    assert added < 500
    assert "at most 1,048,576" in said or "more than 200 times its size" in said


def header(name: str, size: int | bytes, kind: bytes = b"0") -> bytes:
    """A tar header that `tarfile` would not write."""
    field = size if isinstance(size, bytes) else f"{size:011o}\0".encode()
    block = bytearray(name.encode().ljust(100, b"\0") + b"0000644\0" + b"0000000\0" * 2 + field)
    block += b"00000000000\0" + b" " * 8 + kind + bytes(100) + b"ustar\00000" + bytes(247)
    block[148:156] = f"{sum(block):06o}\0 ".encode()
    return bytes(block)


def base256(number: int) -> bytes:
    return b"\x80" + number.to_bytes(11, "big") if number >= 0 else number.to_bytes(12, "big", signed=True)


@pytest.mark.parametrize("size", [2**62, -512, -1])
@pytest.mark.parametrize("zipped", [False, True])
def test_a_member_of_an_impossible_size_is_refused_at_once(tmp_path: Path, size: int, zipped: bool) -> None:
    content = header("a.jpg", 3) + b"abc".ljust(512, b"\0") + header("b.jpg", base256(size)) + bytes(2048)
    began = time.monotonic()
    if zipped:
        (tmp_path / "x.tar.gz").write_bytes(gzip.compress(content))
        with (
            pytest.raises(InputError, match=r"after 'a\.jpg': a member claims|member 'b\.jpg' is cut"),
            unpacked(tmp_path / "x.tar.gz", 100, 2**20) as files,
        ):
            list(files)
    else:
        (tmp_path / "x.tar").write_bytes(content)
        with pytest.raises(InputError, match=r"after 'a\.jpg': a member claims"):
            list(members(tmp_path / "x.tar"))
    assert time.monotonic() - began < 2


def test_names_from_other_headers(tmp_path: Path) -> None:
    long = "folder/" * 20 + "a.jpg"
    for form in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT):
        with tarfile.open(tmp_path / "x.tar", "w", format=form) as tar:
            for name in (long, "ümlaut.jpg", "dir/"):
                member = tarfile.TarInfo(name)
                member.type = tarfile.DIRTYPE if name == "dir/" else tarfile.REGTYPE
                member.size = 0 if name == "dir/" else 5
                tar.addfile(member, io.BytesIO(b"12345"))
        found = list(members(tmp_path / "x.tar"))
        assert [one.name for one in found] == [long, "ümlaut.jpg"]
        content = (tmp_path / "x.tar").read_bytes()
        assert {content[one.offset : one.offset + one.size] for one in found} == {b"12345"}


@pytest.mark.parametrize(
    "records",
    [
        b"99 path=x\n",
        b"0 path=x\n",
        b"-5 path=x\n",
        b"path=x\n",
        b"11 GNU.sparse.major=1\n",
        b"9" * 5000 + b" size=1\n",
    ],
)
def test_pax_headers_that_are_none(tmp_path: Path, records: bytes) -> None:
    block = -(-len(records) // 512) * 512
    content = header("p", len(records), b"x") + records.ljust(block, b"\0") + header("a.jpg", 0) + bytes(1024)
    (tmp_path / "x.tar").write_bytes(content)
    with pytest.raises(InputError) as caught:
        list(members(tmp_path / "x.tar"))
    assert "\n" not in str(caught.value)


def test_a_kit_whose_headers_are_larger_than_itself_is_refused(tmp_path: Path) -> None:
    record = b"".join(b"%d k%07d=\n" % (12 + 1, number) for number in range(200_000))
    content = header("p", len(record), b"x") + record.ljust(-(-len(record) // 512) * 512, b"\0") + bytes(1024)
    (tmp_path / devkit.ARCHIVE).write_bytes(gzip.compress(content))
    with pytest.raises(InputError, match="a name of"):
        devkit.find(tmp_path)


def test_an_archive_that_unpacks_to_more_than_the_official_one(tmp_path: Path) -> None:
    with gzip.open(tmp_path / devkit.ARCHIVE, "wb", compresslevel=1) as file:
        file.write(header("x", 2**30))
        for _ in range(100):
            file.write(bytes(MIB))
    with pytest.raises(InputError, match="unpacks to more than the official archive"):
        devkit.find(tmp_path)


def test_a_million_empty_gzip_members_are_not_all_read() -> None:
    began = time.monotonic()
    stream = Gunzip(io.BytesIO(gzip.compress(b"") * 1_000_000), 2**24, "too much")
    with pytest.raises(InputError, match="too much"):
        stream.read(1)
    assert time.monotonic() - began < 5


def test_gunzip_gives_what_gzip_gives() -> None:
    content = np.random.default_rng(0).integers(0, 4, 300_000, np.uint8).tobytes()
    several = gzip.compress(content[:1000]) + gzip.compress(b"") + gzip.compress(content[1000:]) + bytes(700)
    stream = Gunzip(io.BytesIO(several), len(content) + 3 * 4096, "too much")
    assert stream.read(70_000) + stream.read(2**30) == content
    assert stream.read(1) == b""
    with pytest.raises(EOFError):
        Gunzip(io.BytesIO(several[:-900]), 2**20, "").read(2**30)
    with pytest.raises(zlib.error):
        Gunzip(io.BytesIO(several[:100] + b"x" + several[101:]), 2**20, "").read(2**30)


def table(**more: object) -> bytes:
    fields = [("ILSVRC2012_ID", "O"), ("WNID", "O"), ("words", "O"), ("num_children", "O"), ("children", "O")]
    rows = [(1, "n1", "fox, käfer", 0, []), (2, "n2", "tench", 0, np.arange(3)), (3, "n3", "", 2, [])]
    content = io.BytesIO()
    savemat(content, {"other": np.eye(3), "synsets": np.array(rows, fields)[:, None]}, **more)  # pyright: ignore
    return content.getvalue()


FIELDS = ("ILSVRC2012_ID", "WNID", "words", "num_children")


@pytest.mark.parametrize("compressed", [False, True])
def test_a_struct_of_matlab(compressed: bool) -> None:
    found = mat5.read_struct(table(do_compression=compressed), "synsets", FIELDS)
    assert found == [(1, "n1", "fox, käfer", 0), (2, "n2", "tench", 0), (3, "n3", "", 2)]
    with pytest.raises(mat5.DamagedMat, match="lacks the field gloss"):
        mat5.read_struct(table(), "synsets", ("gloss",))
    with pytest.raises(mat5.DamagedMat, match="no struct 'more'"):
        mat5.read_struct(table(), "more", FIELDS)


@pytest.mark.parametrize("compressed", [False, True])
def test_a_damaged_struct_ends_in_one_line(compressed: bool) -> None:
    whole = np.frombuffer(table(do_compression=compressed), np.uint8)
    random, read = np.random.default_rng(0), 0
    for _ in range(600):
        content = whole.copy()
        places = random.integers(0, len(whole), random.integers(1, 5))
        content[places] = random.integers(0, 256, len(places))
        damaged = content[: random.integers(0, len(whole) + 1)] if random.random() < 0.3 else content
        with contextlib.suppress(mat5.DamagedMat):
            mat5.read_struct(damaged.tobytes(), "synsets", FIELDS)
            read += 1
    assert 0 < read < 600  # some damage is beside the values, some is not


def test_a_struct_that_claims_many_elements_is_refused() -> None:
    content = bytearray(table())
    place = content.index(b"\x05\0\0\0\x08\0\0\0\x03\0\0\0\x01\0\0\0")  # miINT32, 8 bytes: 3 × 1
    content[place + 8 : place + 16] = struct.pack("<2i", 2**31 - 1, 2**31 - 1)
    with pytest.raises(mat5.DamagedMat, match="an element is missing"):
        mat5.read_struct(bytes(content), "synsets", FIELDS)


def test_an_index_of_packed_images_is_bounded(tmp_path: Path) -> None:
    with open(tmp_path / shards.INDEX, "wb") as file:
        file.truncate(4 * 2**30)  # takes no space on the disk
    added, _ = peak(OPEN, tmp_path)
    assert added < 200
    for content in ("[" * 20_000, '{"kind": ' + "9" * 5_000 + "}", '{"kind": NaN}', "[]", '"alexnet-shards"'):
        (tmp_path / shards.INDEX).write_text(content)
        assert recognize(tmp_path) == "folder"
        with pytest.raises(InputError, match="no packed images"):
            shards.read_shards(tmp_path)
    index = {"kind": shards.KIND, "version": 1, "classes": ["a"], "channels": 3, "size": [8, 8]}
    for splits in ({"train": 5}, {"train": [{"file": "../x", "bytes": 1, "count": 1}]}, {"train": [{}]}, []):
        (tmp_path / shards.INDEX).write_text(json.dumps(index | {"splits": splits}))
        with pytest.raises(InputError) as caught:
            shards.read_shards(tmp_path)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "name",
    [shards.INDEX, "train-images-idx3-ubyte", "cifar-10-binary.tar.gz", devkit.ARCHIVE, "256_ObjectCategories.tar"],
)
def test_a_pipe_is_not_waited_for(tmp_path: Path, folder: Callable[..., Path], name: str) -> None:
    root = folder("cat", "dog")
    os.mkfifo(root / name)
    began = time.monotonic()
    with contextlib.suppress(InputError):
        open_splits(None, root, size=(8, 8))
    with contextlib.suppress(InputError):
        open_splits(None, root / name, size=(8, 8))
    assert time.monotonic() - began < 5
