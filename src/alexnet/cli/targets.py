"""Where a verb writes. The one rule: no verb replaces a file that is there, unless --force says so.

--out and the like name files that are refused where they exist. What a verb calls itself where no name is given takes
the next name that is free: explained.png, explained-2.png … A folder that a verb fills (`train`, `pack`, `data`,
`reproduce`) is new or its own, and is continued, never replaced.
"""

from collections.abc import Iterable
from pathlib import Path

from alexnet.errors import InputError
from alexnet.files import check_new, free


def check(targets: Iterable[Path | None], force: bool) -> None:
    """InputError unless a file can become each of the targets, those that are given."""
    check_new([target for target in targets if target is not None], force)


def named(target: Path | None, *suffixes: str) -> None:
    """InputError where a file of this kind, if one is asked for, would bear another kind's name."""
    if target is not None and target.suffix.lower() not in suffixes:
        raise InputError(f"{str(target)!r} would hold another kind of file than its name says; end it in {suffixes[0]}")


def check_folder(path: Path, force: bool) -> None:
    """InputError where a folder for a verb's own files holds something already."""
    if not force and path.is_dir() and any(path.iterdir()):
        raise InputError(f"{str(path)!r} holds something; add --force to write into it, or choose another name")


def chosen(out: Path | None, name: str, force: bool, beside: str = "") -> Path:
    """The file to write: `out`, else `name` or the next that is free. beside: the extension of a second file."""
    if out is None:
        return free(Path(name), *([beside] if beside else []))
    named(out, Path(name).suffix)
    check([out, out.with_suffix(beside) if beside else None], force)
    return out
