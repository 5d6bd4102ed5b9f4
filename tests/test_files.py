"""A reader sees the old file or the new one, never half of one."""

import errno
import json
import os
import signal
from pathlib import Path

import pytest

from alexnet import files
from alexnet.errors import InputError


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_written_file_replaces_the_old_one_and_leaves_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    files.write_text(path, "old")
    files.write_text(path, "new ×")
    assert path.read_text(encoding="utf-8") == "new ×"
    assert names(tmp_path) == ["a.txt"]


def test_an_error_in_the_block_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    files.write_text(path, "old")

    def interrupted() -> None:
        with files.atomic(path) as file:
            file.write(b"half of the n")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    path = tmp_path / "a.json"
    files.write_json(path, {"old": 1})
    monkeypatch.setattr(os, call, full)
    with pytest.raises(OSError, match="No space left"):
        files.write_json(path, {"new": 2})
    assert files.read_json(path) == {"old": 1}
    assert names(tmp_path) == ["a.json"]


def test_a_file_has_the_usual_permissions(tmp_path: Path) -> None:
    files.write_bytes(tmp_path / "a", b"x")
    (tmp_path / "b").touch()
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "b").stat().st_mode


def test_json_keeps_letters_readable_and_names_that_are_no_utf8(tmp_path: Path) -> None:
    odd = os.fsdecode(b"caf\xe9.png")
    files.write_json(tmp_path / "a.json", ["é", odd])
    assert "é" in (tmp_path / "a.json").read_text(encoding="utf-8")
    assert files.read_json(tmp_path / "a.json") == json.loads(json.dumps(["é", odd]))


def test_sweep_removes_what_a_killed_write_left_and_nothing_else(tmp_path: Path) -> None:
    for name in (".state.pt.x1.tmp", "state.pt", ".hidden"):
        (tmp_path / name).touch()
    files.sweep(tmp_path)
    assert names(tmp_path) == [".hidden", "state.pt"]


def test_sha256_is_of_the_content(tmp_path: Path) -> None:
    files.write_bytes(tmp_path / "a", b"abc")
    # FIPS 180-2, appendix B.1
    assert files.sha256(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_what_is_in_the_way_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("{")
    for call, said in (
        (lambda: files.make_folder(tmp_path / "file" / "folder"), "cannot be a folder"),
        (lambda: files.check_target(tmp_path / "nowhere" / "x"), "no folder"),
        (lambda: files.check_target(tmp_path), "is a folder"),
        (lambda: files.read_object(tmp_path / "file"), "is not JSON"),
    ):
        with pytest.raises(InputError, match=said):
            call()
    files.make_folder(tmp_path / "new" / "folder")
    files.write_json(tmp_path / "new" / "x.json", {"a": 1})
    with pytest.raises(InputError, match="lacks b, c"):
        files.read_object(tmp_path / "new" / "x.json", ("a", "b", "c"))


@pytest.mark.parametrize("kind", ["pipe", "link to a pipe", "folder"])
def test_what_is_no_file_is_not_replaced(tmp_path: Path, kind: str) -> None:
    """As root, a rename to /dev/null would replace the device itself."""
    place = tmp_path / "place"
    if kind == "folder":
        place.mkdir()
    elif kind == "pipe":
        os.mkfifo(place)
    else:
        os.mkfifo(tmp_path / "pipe")
        place.symlink_to("pipe")
    before = place.lstat()
    for write in (
        lambda: files.write_bytes(place, b""),
        lambda: files.atomic_path(place).__enter__(),
        lambda: files.check_target(place),
    ):
        with pytest.raises(InputError, match=r"choose a file$"):
            write()
    assert (place.lstat().st_ino, place.lstat().st_mode) == (before.st_ino, before.st_mode)
    assert len(list(tmp_path.iterdir())) == (2 if "link" in kind else 1)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_files_that_belong_together_get_their_names_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """A signal between two of the renames waits until all have their names."""
    came: list[int] = []
    before = signal.signal(number, lambda number, _: came.append(number))
    plain, at = os.replace, []

    def renamed(source: str, target: str) -> None:
        at.append(list(came))
        plain(source, target)
        os.kill(os.getpid(), number)

    monkeypatch.setattr(os, "replace", renamed)
    try:
        files.write_together({tmp_path / name: name.encode() for name in ("a", "b", "c")})
        assert at == [[], [], []]
        assert came
        assert signal.getsignal(number) is not signal.SIG_DFL
    finally:
        signal.signal(number, before)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a", "b", "c"]


def test_a_name_that_is_free(tmp_path: Path) -> None:
    assert files.free(tmp_path / "a.png") == tmp_path / "a.png"
    (tmp_path / "a.png").touch()
    (tmp_path / "a-2.html").touch()
    (tmp_path / "a-3.png").symlink_to("nowhere")
    assert files.free(tmp_path / "a.png") == tmp_path / "a-2.png"
    assert files.free(tmp_path / "a.png", ".html") == tmp_path / "a-4.png"


def test_an_existing_file_is_replaced_by_force_alone(tmp_path: Path) -> None:
    path = tmp_path / "a"
    files.check_new([path])
    path.touch()
    with pytest.raises(InputError, match="exists; add --force to replace it"):
        files.check_new([path])
    files.check_new([path], force=True)
    with pytest.raises(InputError, match="is a folder"):
        files.check_new([tmp_path], force=True)
