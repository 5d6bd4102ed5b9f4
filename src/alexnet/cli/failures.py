"""What ends a verb early, as one line and an exit code."""

import errno
import traceback
from typing import NamedTuple

from alexnet.errors import InputError

# What the user can mend. Other OSErrors get the system's own words.
_SYSTEM = {
    errno.ENOSPC: "the disk is full",
    errno.EFBIG: "a file would be larger than the limit allows",
    errno.EDQUOT: "the disk quota is used up",
    errno.EROFS: "the disk is read-only",
    errno.EACCES: "permission denied",
    errno.EPERM: "permission denied",
    errno.EEXIST: "there is a file where a folder is needed",
    errno.ENOTDIR: "there is a file where a folder is needed",
    errno.EISDIR: "there is a folder where a file is needed",
    errno.ENOENT: "no such file or folder",
    errno.ENAMETOOLONG: "the name is too long",
    errno.ELOOP: "the links lead in a circle",
    errno.EMFILE: "too many open files; raise the limit (ulimit -n)",
    errno.ENFILE: "too many open files on this machine",
}
_LONGEST = 1000  # characters of a line
_WRITES = {errno.ENOSPC, errno.EFBIG, errno.EDQUOT, errno.EROFS}


class Failure(NamedTuple):
    """An exit code, and what is printed on stderr; an empty text prints nothing."""

    code: int
    text: str


class Terminated(KeyboardInterrupt):
    """SIGTERM, as from a service manager, a queue's time limit or `kill`."""


def explain(error: BaseException) -> Failure:
    """What `error` means to the user. Exit codes: 2 wrong input, 130 interrupted, 143 ended by SIGTERM, 1 a fault
    of ours."""
    if isinstance(error, InputError):
        return _line(2, str(error))
    if isinstance(error, Terminated):
        return _line(143, "terminated")
    if isinstance(error, KeyboardInterrupt):
        return _line(130, "interrupted")
    if isinstance(error, BrokenPipeError):  # the reader of a pipe has gone: nobody is left to tell
        return Failure(1, "")
    if isinstance(error, OSError):
        return _line(2, _system(error))
    if isinstance(error, RuntimeError) and "home directory" in str(error):  # of Path.home() and Path.expanduser()
        return _line(2, "there is no home directory for '~' or the cache; set HOME, or ALEXNET_DATA to a folder")
    if (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or "t allocate memory" in str(error)
    ):
        return _line(
            2, "not enough memory; use a smaller batch or smaller images, or split each batch (train.accumulate)"
        )
    message = getattr(error, "format_message", None)  # typer's own usage errors
    if message is not None:
        context = getattr(error, "ctx", None)
        verb = f" {context.info_name}" if context and context.parent else ""
        return _line(2, f"{message().rstrip('.')}; see: alexnet{verb} --help")
    if type(error).__name__ == "Abort":  # typer's
        return _line(130, "interrupted")
    trace = "".join(traceback.format_exception(error))
    return Failure(1, f"{trace}alexnet: this is a fault of alexnet, not of your input; please report the lines above")


def _system(error: OSError) -> str:
    said = _SYSTEM.get(error.errno or 0) or error.strerror or str(error) or type(error).__name__
    where = f": {error.filename}" if error.filename is not None else ""
    return f"{said}{where}" + ("; no existing file was changed" if error.errno in _WRITES else "")


def _line(code: int, text: str) -> Failure:
    line = " ".join(text.split())
    if len(line) > _LONGEST:
        line = f"{line[: _LONGEST // 2]} … {line[-_LONGEST // 2 :]}"
    return Failure(code, f"alexnet: {line}")
