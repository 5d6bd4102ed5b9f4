"""A recipe: everything that decides a training run, read from TOML and written to it.

What is unknown or impossible is refused with the valid choices.
"""

import tomllib
import types
import typing
from collections.abc import Mapping
from dataclasses import Field, fields, is_dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from alexnet.errors import InputError, unknown
from alexnet.recipes.schema import Published, Recipe, check


def names() -> list[str]:
    """The shipped recipes."""
    return sorted(path.name.removesuffix(".toml") for path in _shipped().iterdir() if path.name.endswith(".toml"))


def load(name: str | Path | Recipe, overrides: Mapping[str, Any] | None = None) -> Recipe:
    """A shipped recipe by name, one's own TOML file or a Recipe, with `overrides` ({'optimizer.lr': 0.1}) put over it.

    Raises InputError for an unknown recipe, an unknown key, a wrong type or an impossible value.
    """
    text, default_name = (to_toml(name), name.name) if isinstance(name, Recipe) else _read(name)
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"recipe {default_name!r} is not TOML: {error}") from None
    content = {"name": default_name} | content
    for path, value in (overrides or {}).items():
        _put(content, path, value)
    return parse(content)


def parse(content: Mapping[str, Any]) -> Recipe:
    """A recipe from nested dicts, checked key by key and for choices that exclude each other."""
    recipe = _build(Recipe, content, "")
    check(recipe)
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


def lasting(epochs: int | None, steps: int | None) -> dict[str, Any]:
    """The overrides that make a run last so many epochs, or steps; None: as the recipe says."""
    if steps is not None and epochs is not None:
        raise InputError("a run lasts so many epochs or so many steps; give one of the two")
    if steps is not None:
        return {"train.steps": steps}
    return {"train.epochs": epochs, "train.steps": 0} if epochs is not None else {}


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
    sections = {name.partition(".")[0]: None for name, _ in flat(Recipe())}
    metadata = {f"{s}.{f.name}": f.metadata["about"] for s in sections for f in fields(getattr(Recipe(), s))}
    return [(name, default, metadata[name]) for name, default in flat(Recipe())]


def _shipped() -> Any:
    return files("alexnet.recipes")


def _read(name: str | Path) -> tuple[str, str]:
    path = Path(name)
    if path.suffix == ".toml":
        if not path.is_file():
            raise InputError(f"no recipe file {str(path)!r}")
        try:
            return path.read_text(encoding="utf-8"), path.stem
        except UnicodeDecodeError:
            raise InputError(f"recipe {str(path)!r} is not UTF-8 text") from None
    if str(name) not in names():
        raise unknown("recipe", name, names())
    return (_shipped() / f"{name}.toml").read_text(encoding="utf-8"), str(name)


def _put(content: dict[str, Any], path: str, value: Any) -> None:
    *tables, last = path.split(".")
    for table in tables:
        content = content.setdefault(table, {})
        if not isinstance(content, dict):
            raise InputError(f"unknown recipe key {path!r}: {table!r} has no keys of its own")
    content[last] = value


def _build(kind: type, content: Mapping[str, Any], where: str) -> Any:
    known = {item.name: item for item in fields(kind)}
    hints = typing.get_type_hints(kind)
    values = {}
    for name, value in content.items():
        path = f"{where}{name}"
        if name not in known:
            # Whoever forgets the section ('epochs' for 'train.epochs') is shown it.
            choices = [f"{where}{choice}" for choice in known] if where else [*known, *dict(flat(Recipe()))]
            raise unknown("recipe key", path, choices)
        if is_dataclass(hints[name]):
            if not isinstance(value, Mapping):
                raise InputError(f"recipe key {path!r} is a table: set {path}.<key>")
            values[name] = _build(typing.cast(type, hints[name]), value, f"{path}.")
        elif name == "published":
            if not isinstance(value, list) or not all(isinstance(figure, Mapping) for figure in value):
                raise InputError("recipe key 'published' is a list of tables: [[published]]")
            values[name] = tuple(_build(Published, figure, "published.") for figure in value)
        else:
            values[name] = _checked(value, hints[name], known[name], path)
    return kind(**values)


def _checked(value: Any, hint: Any, item: Field[Any], path: str) -> Any:
    """`value` as the type that the key wants, within its range."""
    wanted = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    if typing.get_origin(hint) is tuple:
        inner = typing.get_args(hint)[0]
        if not isinstance(value, list | tuple):
            raise InputError(f"recipe key {path!r} takes a list, not {value!r}")
        return tuple(_checked(element, inner, item, path) for element in value)
    if float in wanted and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if type(value) not in wanted and not (value is None and types.NoneType in wanted):
        said = " or ".join(_TYPE_WORDS[kind] for kind in wanted if kind is not types.NoneType)
        raise InputError(f"recipe key {path!r} takes {said}, not {value!r}")
    limits = item.metadata
    if limits["choices"] and value not in limits["choices"]:
        raise unknown(f"value of {path}:", value, limits["choices"])
    if isinstance(value, float | int) and not isinstance(value, bool):
        low, high, above = limits["low"], limits["high"], limits["above"]
        # 'not (x >= low)' also refuses nan
        if (low is not None and not value >= low) or (above is not None and not value > above):
            raise InputError(f"recipe key {path!r} is {value}; it must be {'above' if low is None else 'at least'} "
                             f"{above if low is None else low}")  # fmt: skip
        if value == float("inf") or (high is not None and value > high):
            raise InputError(
                f"recipe key {path!r} is {value}; it must be {'finite' if high is None else f'at most {high}'}"
            )
    return value


_TYPE_WORDS = {float: "a number", int: "a whole number", bool: "true or false", str: "a string"}


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
    return repr(value)


_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\x7f": "\\u007f"}
