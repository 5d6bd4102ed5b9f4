"""The command line's app: a group whose verbs are imported when they run."""

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from alexnet import __version__
from alexnet.cli import screen
from alexnet.cli.registry import VERBS, function_of
from alexnet.cli.screen import say
from alexnet.errors import unknown


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
        except KeyboardInterrupt:  # typer would end with 130, too, but print nothing
            say("alexnet: interrupted", err=True)
            raise typer.Exit(130) from None

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        with formatter.section("Verbs"):
            formatter.write_dl(list(VERBS.items()))


def command_of(verb: str) -> Any:
    """The verb as typer's command."""
    single = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    single.command(verb)(function_of(verb))
    command = typer.main.get_command(single)
    command.params += _quiet_option()
    return command


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
