"""A recipe: everything that decides a training run, read from TOML and written to it.

What is unknown or impossible is refused with the valid choices.
"""

import difflib
import re
import tomllib
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from alexnet import arguments
from alexnet.arguments import shown
from alexnet.errors import InputError, unknown
from alexnet.recipes.contradictions import check
from alexnet.recipes.schema import Drop, Recipe
from alexnet.recipes.settings import given

_RECIPE = TypeAdapter(Recipe)
_MOST_BYTES = 2**20
TAKES = "a recipe's name or a TOML file"
_DOT = re.compile(r"(?<!\.)\.(?!\.)")  # not the two of a range of layers, conv1..conv5


def names() -> list[str]:
    """The shipped recipes."""
    return sorted(path.name.removesuffix(".toml") for path in _shipped().iterdir() if path.name.endswith(".toml"))


def load(name: str | Path | Recipe, overrides: Mapping[str, Any] | None = None) -> Recipe:
    """A shipped recipe by name, a TOML file or a Recipe, with `overrides` such as {'optimizer.lr': 0.1} applied.

    Raises InputError for an unknown recipe, an unknown key, a wrong type or an impossible value.
    """
    text, default_name = (to_toml(name), name.name) if isinstance(name, Recipe) else _read(name)
    content = {"name": default_name} | _toml(text, f"recipe {default_name!r}")
    for path, value in given(overrides or {}).items():
        _put(content, path, value)
    return parse(content)


def parse(content: Mapping[str, Any]) -> Recipe:
    """A recipe from nested dicts, checked key by key and for keys that contradict each other."""
    try:
        recipe = _RECIPE.validate_python(content)
    except ValidationError as error:
        raise _refusal(error) from None
    check(recipe)
    return recipe


def settled(recipe: Recipe, began: Recipe) -> Recipe:
    """`recipe` with the order of images that was chosen when `began` began, where it leaves the choice open."""
    chosen, asked = began.data.shuffle, recipe.data.shuffle
    if asked == "auto" or (asked == "shards" and chosen.startswith("shards-")):
        return replace(recipe, data=replace(recipe.data, shuffle=chosen))
    return recipe


def parse_override(text: str) -> tuple[str, Any]:
    """'optimizer.lr=0.1' → ('optimizer.lr', 0.1); a value that is not TOML is a string ('model.init=torch')."""
    path, sign, value = text.partition("=")
    if not sign or not path:
        raise InputError(f"--set takes key=value such as optimizer.lr=0.01, not {text!r}")
    try:
        return path.strip(), tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return path.strip(), value.strip()
    except (ValueError, RecursionError):
        raise InputError(
            f"the value of --set {path.strip()} is not one of TOML: too long, or too deeply nested"
        ) from None


def to_toml(recipe: Recipe) -> str:
    """The recipe as TOML with every key, so that a reader sees what was in force. `load` reads it back equal."""
    lines: list[str] = []
    tables: list[str] = []
    for item in fields(recipe):
        value = getattr(recipe, item.name)
        if is_dataclass(value):
            tables += ["", f"[{item.name}]", *_lines(value)]
        elif item.name == "published":
            for figure in value:
                tables += ["", "[[published]]", *_lines(figure)]
        else:
            lines.append(f"{item.name} = {_literal(value)}")
    return "\n".join(lines + tables) + "\n"


def flat(recipe: Recipe) -> list[tuple[str, Any]]:
    """(dotted key, value) of every key that decides the run: all but names, titles and published figures."""
    sections = [(item.name, getattr(recipe, item.name)) for item in fields(recipe)]
    return [
        (f"{name}.{item.name}", getattr(section, item.name))
        for name, section in sections
        if is_dataclass(section)
        for item in fields(section)
    ]


def describe() -> list[tuple[str, Any, str]]:
    """(dotted key, default, meaning) of every recipe key."""
    default = Recipe()
    about = {
        f"{item.name}.{name}": info.description
        for item in fields(default)
        for name, info in getattr(getattr(default, item.name), "__pydantic_fields__", {}).items()
    }
    return [(name, value, about[name] or "") for name, value in flat(default)]


def _shipped() -> Any:
    return files("alexnet.recipes")


def _read(name: str | Path) -> tuple[str, str]:
    path = arguments.path("recipe", name, TAKES)
    if path.suffix == ".toml":
        if not path.is_file():
            raise InputError(f"no recipe file {str(path)!r}")
        try:
            with path.open("rb") as file:
                content = file.read(_MOST_BYTES + 1)
            if len(content) > _MOST_BYTES:
                raise InputError(f"recipe {str(path)!r} is larger than {_MOST_BYTES:,} bytes")
            return content.decode("utf-8-sig"), path.stem
        except UnicodeDecodeError:
            raise InputError(f"recipe {str(path)!r} is not UTF-8 text") from None
    if str(name) not in names():
        raise unknown("recipe", name, names())
    return (_shipped() / f"{name}.toml").read_text(encoding="utf-8"), str(name)


def _toml(text: str, what: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise InputError(f"{what} is not TOML that is read here: it is nested too deeply") from None
    except ValueError as error:  # TOMLDecodeError is one; another is a number of thousands of digits
        raise InputError(f"{what} is not TOML: {' '.join(str(error).split())}") from None


def _put(content: dict[str, Any], path: str, value: Any) -> None:
    *tables, last = _DOT.split(path)
    for table in tables:
        content = content.setdefault(table, {})
        if not isinstance(content, dict):
            raise InputError(f"unknown recipe key {path!r}: {table!r} has no keys of its own")
    content[last] = value


def _refusal(error: ValidationError) -> InputError:
    """The first of pydantic's errors, an unknown key before others, in one line with the valid choices."""
    found = error.errors(include_url=False)
    first = next((each for each in found if each["type"] == "unexpected_keyword_argument"), found[0])
    path = ".".join(part for part in first["loc"] if isinstance(part, str))
    kind, context, value = first["type"], first.get("ctx", {}), first["input"]
    if kind == "unexpected_keyword_argument":
        return _unknown_key(path)
    if kind == "dataclass_type":
        if path.startswith("published"):
            return InputError("recipe key 'published' is a list of tables: [[published]]")
        if path.startswith("schedule.layer_drops"):
            return InputError(
                f"recipe key {path!r} takes a table such as {{after = 67, factor = 0.1}}, not {shown(value)}"
            )
        return InputError(f"recipe key {path!r} is a table: set {path}.<key>")
    if kind == "tuple_type" and path == "published":
        return InputError("recipe key 'published' is a list of tables: [[published]]")
    if kind == "missing":
        return InputError(f"recipe key {path!r} is missing")
    if said := str(context.get("error", "")):
        named = said.replace("unknown value", f"unknown value of {path}:", 1)
        return InputError(named if named != said else f"recipe key {path!r} {said}")
    if kind in _TAKES:
        return InputError(f"recipe key {path!r} takes {_TAKES[kind]}, not {shown(value)}")
    if kind in _LIMITS:
        limits = {name: _exact(limit) for name, limit in context.items()}
        return InputError(f"recipe key {path!r} is {shown(value)}; it must be {_LIMITS[kind].format(**limits)}")
    return InputError(f"recipe key {path!r}: {first['msg']}")


_TAKES = {
    "float_type": "a number",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "bool_type": "true or false",
    "string_type": "a string",
    "tuple_type": "a list",
    "dict_type": "a table",
}
_LIMITS = {
    "greater_than": "above {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than_equal": "at most {le}",
    "finite_number": "finite",
    "string_too_long": "a string of at most {max_length} characters",
}


def _exact(limit: Any) -> str:
    """1,000,000 and 0.99999 as they are, 0.0 as 0."""
    return f"{int(limit) if limit == int(limit) else limit:,}"


def _unknown_key(path: str) -> InputError:
    section, dot, _ = path.rpartition(".")
    known = [name for name, _ in flat(Recipe())]
    if section == "published":
        return unknown("recipe key", path, [f"published.{name}" for name in ("name", "value", "unit", "note")])
    if section.startswith("schedule.layer_drops."):
        return unknown("recipe key", path, [f"{section}.{item.name}" for item in fields(Drop)])
    # Whoever forgets the section ('epochs' for 'train.epochs'), or takes another's, is shown it.
    own = (
        [name for name in known if name.startswith(f"{section}.")] if dot else [i.name for i in fields(Recipe)] + known
    )
    elsewhere = [name for name in known if name.rpartition(".")[2] == path.rpartition(".")[2]]
    if elsewhere and not difflib.get_close_matches(path, own, n=1, cutoff=0.8):
        return InputError(f"unknown recipe key {path!r}; did you mean {' or '.join(elsewhere)}?")
    return unknown("recipe key", path, own)


def _lines(section: Any) -> list[str]:
    lines = []
    for item in fields(section):
        value = getattr(section, item.name)
        if value is None:  # TOML has no null: an absent key means its default
            continue
        lines.append(f"{item.name} = {_literal(value)}")
    return lines


def _literal(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return '"' + "".join(_ESCAPES.get(c, c if c >= " " else f"\\u{ord(c):04x}") for c in value) + '"'
    if isinstance(value, tuple):
        return "[" + ", ".join(_literal(element) for element in value) + "]"
    if is_dataclass(value):
        value = {item.name: getattr(value, item.name) for item in fields(value)}
    if isinstance(value, Mapping):
        pairs = (
            f"{name if _BARE.fullmatch(name) else _literal(name)} = {_literal(each)}" for name, each in value.items()
        )
        return "{" + ", ".join(pairs) + "}"
    return repr(value)


_BARE = re.compile(r"[A-Za-z0-9_-]+")
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\x7f": "\\u007f"}
