"""`alexnet verify`."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from alexnet.cli.options import Json
from alexnet.cli.screen import print_json, say

if TYPE_CHECKING:
    from alexnet.verify.check import Check


def verify(
    failures: Annotated[bool, typer.Option("--failures", help="Print failed checks only.")] = False,
    as_json: Json = False,
) -> None:
    """Check every network, LRN form and count against its published source."""
    from alexnet.models import catalog
    from alexnet.verify.check import verify as check_all
    from alexnet.verify.shown import shown

    line = _printer(failures)
    checks = check_all(lambda check: None if as_json else line(check))
    wrong = sum(not check.passed for check in checks)
    if as_json:
        print_json([vars(check) for check in checks])
    else:
        if not failures:
            say("how each network is shown to equal its origin (docs/PARITY.md):")
            for name in catalog.CATALOG:
                say(f"  {name:28}{shown(name)}")
        say(f"{len(checks) - wrong} of {len(checks)} checks passed")
    if wrong:
        raise typer.Exit(1)


def _printer(failures: bool) -> "Callable[[Check], None]":
    """A function that prints a check as a line of a table; `failures`: only if it failed.

    Long cells are shortened, except those of a failed check.
    """
    widths = (52, 44, 44)
    say(_row("", ("what", "expected", "got"), widths, "source"))

    def line(check: "Check") -> None:
        if check.passed and failures:
            return
        cells = (check.what, check.expected, check.got)
        if check.passed:
            cells = tuple(_shortened(cell, width) for cell, width in zip(cells, widths, strict=True))
        say(_row("ok" if check.passed else "OFF", cells, widths, check.source))

    return line


def _row(mark: str, cells: Sequence[str], widths: Sequence[int], source: str) -> str:
    padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
    return " ".join((mark.ljust(4), *padded, source))


def _shortened(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"
