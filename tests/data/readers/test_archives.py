"""Tar archives: where their members lie, and every kind of damage told in one line."""

import io
import tarfile
from pathlib import Path

import pytest
from makers import tar

from alexnet.data.readers.archives import members
from alexnet.errors import InputError

FILES = {"a/one.jpg": b"1" * 700, "a/two.jpg": b"2" * 10, "three.jpg": b"3" * 512}


def test_members_are_where_they_are_said_to_be(tmp_path: Path) -> None:
    inner = tar(tmp_path / "inner.tar", FILES)
    outer = tar(tmp_path / "outer.tar", {"first": b"x", "inner.tar": inner.read_bytes(), "last": b"y"})
    inside = next(one for one in members(outer) if one.name == "inner.tar")
    for archive, found in ((inner, list(members(inner))), (outer, list(members(outer, inside)))):
        content = archive.read_bytes()
        assert {one.name: content[one.offset : one.offset + one.size] for one in found} == FILES
    assert [one.name for one in members(outer)] == ["first", "inner.tar", "last"]


@pytest.mark.parametrize("kept", [300, 900, 1300, 1536 + 500])
def test_a_cut_is_told_with_the_last_good_member(tmp_path: Path, kept: int) -> None:
    path = tar(tmp_path / "cut.tar", FILES)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(InputError, match=r"cut\.tar: (cut short|damaged)") as caught:
        list(members(path))
    assert "\n" not in str(caught.value)


def test_a_damaged_header_in_the_middle_is_not_the_end(tmp_path: Path) -> None:
    path = tar(tmp_path / "damaged.tar", FILES)
    content = bytearray(path.read_bytes())
    content[1536 : 1536 + 100] = b"\xff" * 100  # the second member's header: 512 + 2 × 512 bytes from the beginning
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"damaged\.tar: damaged after 'a/one\.jpg'"):
        list(members(path))
    whole = tar(tmp_path / "outer.tar", {"in.tar": bytes(content)})
    with pytest.raises(InputError, match=r"outer\.tar: in\.tar: damaged after 'a/one\.jpg'"):
        list(members(whole, next(members(whole))))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"name": "../up.jpg"}, "points outside"),
        ({"name": "/root.jpg"}, "points outside"),
        ({"type": tarfile.SYMTYPE, "linkname": "/etc/passwd"}, "link or a device"),
        ({"type": tarfile.CHRTYPE}, "link or a device"),
    ],
)
def test_members_that_an_honest_archive_lacks(tmp_path: Path, change: dict[str, object], said: str) -> None:
    member = tarfile.TarInfo("one.jpg")
    for key, value in change.items():
        setattr(member, key, value)
    with tarfile.open(tmp_path / "bad.tar", "w") as archive:
        archive.addfile(member, io.BytesIO())
    with pytest.raises(InputError, match=said):
        list(members(tmp_path / "bad.tar"))


def test_what_is_no_archive(tmp_path: Path) -> None:
    (tmp_path / "text.tar").write_text("this is no archive " * 100)
    with pytest.raises(InputError, match=r"text\.tar: cut short or damaged"):
        list(members(tmp_path / "text.tar"))
    assert list(members(tar(tmp_path / "empty.tar", {}))) == []
