"""The command line's app: a group whose verbs are imported when they run."""

import functools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from alexnet import __version__
from alexnet.cli import screen
from alexnet.cli.failures import explain
from alexnet.cli.registry import VERBS, function_of
from alexnet.cli.screen import say
from alexnet.errors import InputError, unknown

_ADDRESS = re.compile(r"(?!hub:)[A-Za-z][A-Za-z0-9+.-]+:/")  # as it is left of https:// in a path


class _Verbs(TyperGroup):
    """The verbs of the registry as commands."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in VERBS:
            raise unknown("verb", cmd_name, VERBS)
        return command_of(cmd_name)

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as interrupt:  # typer would end with 130, whatever it was, and print nothing
            code, text = explain(interrupt)
            say(text, err=True)
            raise typer.Exit(code) from None

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        with formatter.section("Verbs"):
            formatter.write_dl(list(VERBS.items()))


def command_of(verb: str) -> Any:
    """The verb as typer's command."""
    single = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    single.command(verb)(_on_this_machine(verb, function_of(verb)))
    command = typer.main.get_command(single)
    command.params += _quiet_option()
    return command


_WRITTEN = ("out", "page", "quarantine")
"""The options that name a file to write."""


def _on_this_machine(verb: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """The verb, which refuses an address where it takes a path, and to write over what it reads."""

    @functools.wraps(function)
    def run(**given: Any) -> Any:
        named = [(name, each) for name, value in given.items() for each in (value if _many(value) else [value])]
        for name, each in named:
            if isinstance(each, Path) and _ADDRESS.match(each.as_posix()):
                raise InputError(
                    f"{name.replace('_', '-')} of `alexnet {verb}` is a path on this machine, not an address; "
                    "train, evaluate and check read packed shards at an address (--data https://…, s3://…)"
                )
        read = [str(each) for name, each in named if isinstance(each, str | Path) and name not in _WRITTEN]
        for name in _WRITTEN:
            target = given.get(name)
            if target and any(_one_file(str(target), each) for each in read):
                raise InputError(f"--{name} {str(target)!r} would replace a file that is read; choose another file")
        return function(**given)

    return run


def _many(value: object) -> bool:
    return isinstance(value, list | tuple)


def _one_file(one: str, other: str) -> bool:
    try:
        return Path(one).is_file() and Path(one).samefile(other)
    except (OSError, ValueError):  # the other is no file, but a word
        return False


def _be_quiet(value: bool) -> None:
    screen.quiet = value


def _quiet_option() -> list[Any]:
    """The option that every verb has."""
    single = typer.Typer(add_completion=False, rich_markup_mode=None)

    @single.command()
    def any_verb(
        quiet: Annotated[
            bool,
            typer.Option("--quiet", callback=_be_quiet, expose_value=False, help="Print results only, no progress."),
        ] = False,
    ) -> None: ...

    return [parameter for parameter in typer.main.get_command(single).params if parameter.name == "quiet"]


app = typer.Typer(
    name="alexnet",
    cls=_Verbs,
    help="Every published AlexNet as it was written and as it was run: train it on anything, and see what it learned.",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context, version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False
) -> None:
    if version:
        say(__version__)
        raise typer.Exit
    if context.invoked_subcommand is None:
        say(context.get_help())
