"""The command line: `alexnet VERB …`."""

import errno
import sys

# What a full, read-only or forbidden disk raises: the user can mend it, the program cannot.
_DISK = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EROFS: "the disk is read-only",
    errno.EACCES: "permission denied",
    errno.EPERM: "permission denied",
}


def main() -> None:
    """Runs one verb. Exit codes: 0 done, 2 the user's input is wrong, 1 a fault, 130 interrupted (state saved)."""
    from alexnet.cli.verbs import app
    from alexnet.errors import InputError

    try:
        code = app(standalone_mode=False)
    except InputError as error:
        code = _fail(str(error), 2)
    except KeyboardInterrupt:
        code = _fail("interrupted", 130)
    except BrokenPipeError:  # the reader of a pipe has gone: nobody is left to tell
        sys.stderr.close()
        code = 1
    except OSError as error:
        if error.errno not in _DISK:
            raise
        where = f" ({error.filename})" if error.filename else ""
        code = _fail(f"{_DISK[error.errno]}{where}; nothing that was there before is lost", 2)
    except Exception as error:
        show = getattr(error, "show", None)  # the command line's own usage errors know how to show themselves
        if show is None:
            raise
        show()
        code = getattr(error, "exit_code", 2)
    sys.exit(code or 0)


def _fail(text: str, code: int) -> int:
    print(f"alexnet: {' '.join(text.split())}", file=sys.stderr)
    return code
