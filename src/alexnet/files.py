"""Writing files so that a reader, or the next run after a kill, sees the old file or the new one, never half of one."""

import contextlib
import errno
import hashlib
import json
import lzma
import os
import secrets
import signal
import stat
import struct
import threading
import zipfile
import zlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from alexnet.errors import InputError

try:
    import fcntl
except ImportError:  # not on Windows
    fcntl = None

ARCHIVE_ERRORS = (
    zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, lzma.LZMAError, struct.error, NotImplementedError,
    RuntimeError, EOFError, OSError, ValueError,
)  # fmt: skip
"""What reading a damaged zip archive raises: its own errors, its compressions', and of encrypted or odd members."""
LOCK = ".lock"
"""The file in a folder by which `lock` holds it."""
MOST_JSON = 2**28
"""Bytes of the largest JSON file that is read without another bound: the index of a large set of shards."""


@contextlib.contextmanager
def atomic(path: Path | str) -> Iterator[BinaryIO]:
    """A binary file that becomes `path` when the block ends well, and disappears when it does not.

    The temporary file stands in the same folder (a rename is atomic only within one file system) and is flushed to
    the disk before the rename, so that a power cut cannot leave an empty file under the final name.
    """
    path = _replaceable(path)
    name = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    try:  # an interrupt may come at any moment
        handle = os.open(name, flags, 0o666)  # less the process's umask, which could not be read without setting it
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
        raise


def holds_run(names: Collection[str]) -> bool:
    """Whether a folder with these files is a run's: its images, such as plots, belong to no dataset."""
    return "recipe.toml" in names and not {"card.json", "metrics.jsonl", "state.pt", "split.json"}.isdisjoint(names)


@contextlib.contextmanager
def atomic_path(path: Path | str) -> Iterator[Path]:
    """As `atomic`, for writers that open files themselves: a path beside `path` that becomes it."""
    path = _replaceable(path)
    name = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        yield name
        with open(name, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
        raise


def sweep(folder: Path | str) -> None:
    """Removes what a killed `atomic` left in `folder`, which nobody else may be writing to."""
    for left in Path(folder).glob(".*.tmp"):
        left.unlink()


def make_folder(path: Path | str) -> None:
    """Makes the folder, and those that it lies in, where they are not there. InputError when a file is in the way."""
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise InputError(f"{str(path)!r} cannot be a folder: a part of its path is a link to itself") from None
        if not isinstance(error, FileExistsError | NotADirectoryError):
            raise
        raise InputError(f"{str(path)!r} cannot be a folder: it, or a part of its path, is a file") from None


def check_target(path: Path) -> None:
    """InputError unless a file can become `path`: its folder is there, and it is no folder or device itself."""
    if not path.parent.is_dir():
        raise InputError(f"there is no folder {str(path.parent)!r} to write to")
    _replaceable(path)


def check_new(paths: Iterable[Path], force: bool = False) -> None:
    """InputError unless a file can become each of `paths` and none stands there yet; force: it may be replaced."""
    for path in paths:
        check_target(path)
        if path.exists() and not force:
            raise InputError(f"{str(path)!r} exists; add --force to replace it, or choose another name")


def free(path: Path, *suffixes: str) -> Path:
    """`path`, or the first of path-2, path-3 … where neither it is there nor what has one of `suffixes` in place of its
    own."""
    number, found = 1, path
    while any(os.path.lexists(each) for each in (found, *map(found.with_suffix, suffixes))):
        number += 1
        found = path.with_name(f"{path.stem}-{number}{path.suffix}")
    return found


def _replaceable(path: Path | str) -> Path:
    """The path; InputError when a folder, device, pipe or socket stands there, or a link to one: whoever may write to
    its folder would replace /dev/null itself."""
    path = Path(path)
    with contextlib.suppress(FileNotFoundError):
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            kind = "a folder" if stat.S_ISDIR(mode) else "a device, pipe or socket"
            raise InputError(f"{str(path)!r} is {kind}; choose a file")
    return path


def write_bytes(path: Path | str, content: bytes) -> None:
    with atomic(path) as file:
        file.write(content)


def write_together(contents: Mapping[Path, bytes]) -> None:
    """Writes files that belong together: all are on the disk before the first gets its name, so that a full disk
    changes none of them, and Ctrl-C and SIGTERM change all or none. They get their names in this order."""
    with contextlib.ExitStack() as stack:
        for path, content in reversed([*contents.items()]):  # a stack is left from its top
            file = stack.enter_context(atomic(path))
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        with _held_back():
            stack.close()


@contextlib.contextmanager
def _held_back() -> Iterator[None]:
    """While the block runs, SIGINT and SIGTERM wait."""
    came: list[int] = []
    numbers = (signal.SIGINT, signal.SIGTERM) if threading.current_thread() is threading.main_thread() else ()
    ours = [number for number in numbers if signal.getsignal(number) is not None]  # one set outside Python stays
    before = {number: signal.signal(number, lambda number, _: came.append(number)) for number in ours}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for number in came:
            signal.raise_signal(number)


def write_text(path: Path | str, content: str) -> None:
    write_bytes(path, content.encode("utf-8", "backslashreplace"))


def json_bytes(content: Any) -> bytes:
    # A file name that is not UTF-8 holds lone surrogates; escaped so, JSON reads them back as they were.
    return (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode("utf-8", "backslashreplace")


def write_json(path: Path | str, content: Any) -> None:
    write_bytes(path, json_bytes(content))


@contextlib.contextmanager
def lock(folder: Path | str) -> Iterator[None]:
    """Holds `folder` for this process. InputError, with the process that has it, when another one does.

    The system holds the lock, not the file `.lock`, which stays: a process that is killed holds nothing.
    """
    if fcntl is None:
        yield
        return
    path = Path(folder) / LOCK
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EACCES):  # a file system without locks: as without them
                yield
                return
            owner = os.pread(handle, 20, 0).decode("ascii", "replace").strip()
            who = f"process {owner}" if owner.isdecimal() else "another process"
            raise InputError(
                f"{str(folder)!r} is in use by {who}; wait until it ends, or choose another folder"
            ) from None
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(handle)


def regular(path: Path | str, follow: bool = True) -> BinaryIO:
    """A regular file, opened for reading. InputError for a folder, a pipe or a device, which nobody waits for.

    follow: whether a symbolic link is followed; InputError for one that is not.
    """
    # A pipe would be waited for without O_NONBLOCK; regular files do not know it.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        handle = os.open(path, flags if follow else flags | getattr(os, "O_NOFOLLOW", 0))
    except OSError as error:
        if error.errno == errno.ELOOP and not follow:
            raise InputError(f"{str(path)!r} is a link, which is not followed here") from None
        raise
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise InputError(f"{str(path)!r} is not a regular file")
    return os.fdopen(handle, "rb")


def content_of(path: Path | str, most: int, follow: bool = True) -> bytes:
    """A regular file's content, of at most `most` bytes. InputError for a larger one, and for a folder, a pipe …

    follow: as in `regular`.
    """
    with regular(path, follow) as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise InputError(f"{str(path)!r} is larger than the {most:,} bytes that such a file may have")
    return content


def read_json(path: Path | str, most: int = MOST_JSON) -> Any:
    """The content of a JSON file. Raises InputError when it is none, or larger than `most` bytes."""
    return parsed_json(content_of(path, most), repr(str(path)))


def parsed_json(content: bytes, origin: str) -> Any:
    """What JSON's text says. InputError names the `origin` of what is none."""
    try:
        return json.loads(content.decode("utf-8-sig"), parse_constant=_no_number)
    except RecursionError:
        raise InputError(f"{origin} is not JSON that is read here: it is nested too deeply") from None
    except ValueError as error:
        raise InputError(f"{origin} is not JSON: {' '.join(str(error).split())}") from None


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")


def read_object(path: Path | str, needed: Iterable[str] = ()) -> dict[str, Any]:
    """The JSON object in a file. InputError when it is no JSON, or lacks one of the `needed` keys."""
    content = read_json(path)
    missing = [key for key in needed if not isinstance(content, dict) or key not in content]
    if missing:
        raise InputError(f"{str(path)!r} is damaged, or of another program: it lacks {', '.join(missing)}")
    return content


def whole_object(line: bytes) -> dict[str, Any] | None:
    """The object of a line of a JSON-lines file; None where it is cut short, damaged or no object."""
    try:
        row = json.loads(line) if line.endswith(b"\n") else None
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) else None


def read_lines(path: Path | str) -> list[dict[str, Any]]:
    """The objects of a JSON-lines file; none where there is no file."""
    path = Path(path)
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.is_file() else []


def sha256(path: Path | str) -> str:
    """Hexadecimal SHA-256 of a file's content."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
