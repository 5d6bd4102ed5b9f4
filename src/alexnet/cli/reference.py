"""`python -m alexnet.cli.reference` writes docs/reference/ and the table of rooms in CONTRIBUTING.md.

Run it in the repository after changing an option, a recipe key, a public docstring or a room; a test compares.
"""

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import alexnet
from alexnet.cli.registry import VERBS
from alexnet.files import write_text

FLOORS = (
    ("errors", "arguments", "files", "device", "isolated", "process", "preprocessing"),
    ("models", "data", "recipes", "pages"),
    ("artifacts",),
    ("weights", "graphs"),
    ("inference", "timm"),
    ("training", "insight", "export"),
    ("serving", "experiments"),
    ("benchmark", "verify"),
    ("cli",),
)
"""A room imports only from floors below its own (among those of the lowest floor, freely)."""

_NOTE = "<!-- written by `python -m alexnet.cli.reference` -->\n"
_BEGIN, _END = "<!-- rooms: written by `python -m alexnet.cli.reference` -->\n", "<!-- end of rooms -->\n"


def cli() -> str:
    """Every verb with its arguments and options."""
    from alexnet.cli.app import command_of

    parts = [_NOTE, "# Command line\n", "`alexnet VERB --help` prints the same.\n"]
    for verb in VERBS:
        command = command_of(verb)
        parts += [f"## alexnet {verb}\n", f"{inspect.cleandoc(command.help or VERBS[verb])}\n"]
        rows = [_parameter(each) for each in command.params if each.name != "help"]
        parts.append("| argument or option | meaning | default |\n|---|---|---|\n" + "".join(rows))
    return "\n".join(parts)


def _parameter(parameter: Any) -> str:
    options = getattr(parameter, "param_type_name", "") == "option"
    name = " ".join(f"`{each}`" for each in parameter.opts) if options else f"`{parameter.metavar or parameter.name}`"
    default = parameter.default
    shown = "" if default is None or default is False or callable(default) or parameter.required else f"`{default}`"
    return f"| {name} | {_cell(parameter.help or '')} | {shown} |\n"


def recipes() -> str:
    """Every recipe key, and the shipped recipes."""
    from alexnet.recipes import recipe

    parts = [_NOTE, "# Recipes\n", "| recipe | what it is for |\n|---|---|\n"]
    parts[-1] += "".join(f"| `{name}` | {_cell(recipe.load(name).title)} |\n" for name in recipe.names())
    about = "A duration is a number of epochs, or a string: `'500 steps'`, `'5%'` of the run."
    parts += ["## Keys\n", f"`--set KEY=VALUE` sets a key. {about}\n", "| key | default | meaning |\n|---|---|---|\n"]
    for name, default, meaning in recipe.describe():
        parts[-1] += f"| `{name}` | {'' if default is None else f'`{default!r}`'} | {_cell(meaning)} |\n"
    return "\n".join(parts)


def api() -> str:
    """The public names of the package, and what they return."""
    from alexnet.artifacts.card import Card
    from alexnet.artifacts.run import Run
    from alexnet.inference.model import Model
    from alexnet.models.network import Network

    offered = {f"alexnet.{name}": getattr(alexnet, name) for name in alexnet.__all__ if not name.startswith("_")}
    more = {"Network": Network, "Network.tap": Network.tap, "Model": Model, "Run": Run, "Card": Card}
    parts = [_NOTE, "# Python\n"]
    for name, value in {**offered, **more}.items():
        call = "" if inspect.isclass(value) else str(inspect.signature(value)).replace("'", "")
        parts += [f"## {name}\n", *([f"```python\n{name}{call}\n```\n"] if call else []), f"{inspect.getdoc(value)}\n"]
    return "\n".join(parts)


def rooms() -> str:
    """A Markdown table of the rooms by floor, with the first line of each one's docstring."""
    root = Path(alexnet.__file__).parent
    lines = ["| floor | room | what |\n|---|---|---|\n"]
    for number, names in reversed(list(enumerate(FLOORS))):
        for name in names:
            path = root / name / "__init__.py" if (root / name).is_dir() else root / f"{name}.py"
            about = (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").partition("\n\n")[0]
            shown = f"{name}/" if (root / name).is_dir() else f"{name}.py"
            lines.append(f"| {number} | `{shown}` | {_cell(about)} |\n")
    return "".join(lines)


def pages(root: Path) -> Iterator[tuple[Path, str]]:
    """Each generated file below the repository's `root`, with the text that it should have."""
    for name, page in (("cli", cli), ("recipes", recipes), ("api", api)):
        yield root / "docs" / "reference" / f"{name}.md", page()
    contributing = root / "CONTRIBUTING.md"
    text = contributing.read_text(encoding="utf-8")
    before, _, rest = text.partition(_BEGIN)
    yield contributing, before + _BEGIN + rooms() + _END + rest.partition(_END)[2]


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    for path, text in pages(Path.cwd()):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, text)
