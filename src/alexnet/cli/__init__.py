"""The command line: one verb is one function, in the file of its name."""

import contextlib
import errno
import os
import sys

# What a full, read-only, forbidden or otherwise used place raises: the user can mend it, the program cannot.
_DISK = {
    errno.ENOSPC: "the disk is full",
    errno.EFBIG: "a file would be larger than the limit allows",
    errno.EDQUOT: "the disk quota is used up",
    errno.EROFS: "the disk is read-only",
    errno.EACCES: "permission denied",
    errno.EPERM: "permission denied",
    errno.EEXIST: "a file stands where a folder is needed",
    errno.ENOTDIR: "a file stands where a folder is needed",
}


def main() -> None:
    """Runs one verb. Exit codes: 0 done, 2 the user's input is wrong, 1 a fault, 130 interrupted (state saved)."""
    from alexnet.cli.app import app
    from alexnet.errors import InputError
    from alexnet.process.program import set_up

    set_up()
    try:
        code = app(standalone_mode=False, prog_name="alexnet")
        sys.stdout.flush()  # here, where what goes wrong is still caught
    except InputError as error:
        code = _fail(str(error), 2)
    except BrokenPipeError:  # the reader of a pipe has gone: nobody is left to tell
        _forget_output()
        code = 1
    except OSError as error:
        if error.errno not in _DISK:
            raise
        _forget_output()
        where = f" ({error.filename})" if error.filename else ""
        code = _fail(f"{_DISK[error.errno]}{where}; nothing that was there before is lost", 2)
    except Exception as error:
        message = getattr(error, "format_message", None)  # what typer's own usage errors have
        if message is None:
            raise
        context = getattr(error, "ctx", None)
        verb = f" {context.info_name}" if context and context.parent else ""
        code = _fail(f"{message().rstrip('.')}; see: alexnet{verb} --help", 2)
    sys.exit(code or 0)


def _forget_output() -> None:
    """Sends what is still to be printed nowhere: Python prints it when it ends, and would fail again."""
    if sys.stdout is sys.__stdout__ and sys.stdout is not None:
        with contextlib.suppress(OSError):
            sys.stdout.flush()
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _fail(text: str, code: int) -> int:
    from alexnet.cli.screen import say

    say(f"alexnet: {' '.join(text.split())}", err=True)
    return code
