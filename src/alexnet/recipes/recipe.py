"""A recipe: everything that decides a training run, as frozen dataclasses read from TOML.

Every key has a default, a type and a range; what is unknown or impossible is refused with the valid choices.
"""

import re
import tomllib
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import Field, dataclass, field, fields, is_dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from alexnet.errors import InputError, unknown


def key(
    default: Any,
    about: str,
    *,
    choices: Sequence[str] = (),
    low: float | None = None,
    high: float | None = None,
    above: float | None = None,
) -> Any:
    """A recipe key: its default, what it means, and the values it takes (low ≤ value ≤ high, value > above)."""
    return field(
        default=default, metadata={"about": about, "choices": choices, "low": low, "high": high, "above": above}
    )


@dataclass(frozen=True)
class Model:
    name: str = key("alexnet-digits", "a network of `alexnet models`")
    init: str | None = key(None, "initialisation; none given: the network's own")
    dropout: float | None = key(None, "rate of every dropout layer; none given: the network's own", low=0, high=0.95)
    weights: str | None = key(None, "weights to begin with: a file of any known kind, or a run's folder")
    skip: tuple[str, ...] = key((), "layers of `weights` that are left out and start anew, as in ['fc8']")
    freeze: tuple[str, ...] = key((), "layers that do not learn, by name or range, as in ['conv1..conv5']")


@dataclass(frozen=True)
class Data:
    set: str = key("digits", "picture set")
    validation: float | str = key(
        0.1,
        "fraction cut from training when the set has no validation split; 'test': the test split",
        above=0,
        high=0.9,
    )
    fit: str = key("crop", "how pictures of other shapes are fitted", choices=("crop", "squash"))
    resize: int | None = key(None, "short side before the crop; none given: the network's size", low=8, high=4096)
    normalise: str = key(
        "network",
        "mean and std: the network's own, those of the training pictures, 0–1 only, or raw 0–255",
        choices=("network", "data", "scale", "none"),
    )
    synthetic_pictures: int = key(2048, "pictures of the set 'synthetic'", low=8)


@dataclass(frozen=True)
class Augment:
    flip: float = key(0.0, "probability of a horizontal flip", low=0, high=1)
    shift: float = key(0.0, "largest shift both ways, as a fraction of the side", low=0, high=0.5)
    interpolate: bool = key(False, "shift by fractions of a pixel, bilinear (Keras's ImageDataGenerator)")
    fill: str = key("mean", "border that a shift uncovers", choices=("mean", "black", "edge"))
    cutout: int = key(0, "side in pixels of a square filled with the mean; 0: none", low=0)


@dataclass(frozen=True)
class Optimizer:
    name: str = key(
        "adamw",
        "'sgd' is torch's; 'velocity' keeps the learning rate inside the velocity (2012 code, Caffe, Keras)",
        choices=("sgd", "velocity", "adam", "adamw", "adadelta"),
    )
    lr: float = key(1e-3, "learning rate", above=0)
    momentum: float = key(0.9, "sgd and velocity", low=0, high=0.9999)
    nesterov: bool = key(False, "sgd and velocity")
    beta1: float = key(0.9, "adam and adamw", low=0, high=0.9999)
    beta2: float = key(0.999, "adam and adamw", low=0, high=0.99999)
    rho: float = key(0.95, "adadelta", low=0, high=0.9999)
    eps: float = key(1e-8, "adam, adamw and adadelta (Keras: 1e-7)", above=0)
    weight_decay: float = key(0.0, "on weights only: never on biases and norms", low=0)
    l2: float = key(0.0, "Keras-style: adds l2 · Σw² to the loss (gradient 2 · l2 · w)", low=0)
    layer_lr: tuple[str, ...] = key((), "factors on `lr` by layer or range, as in ['fc8=10', 'conv1..conv5=0.1']")
    l2_layers: tuple[str, ...] = key((), "layers that carry it, by name or prefix ('conv'); empty: all weights")


@dataclass(frozen=True)
class Schedule:
    name: str = key("cosine", "course of the learning rate", choices=("constant", "step", "cosine", "one-cycle"))
    warmup: float = key(0.0, "epochs of linear warm-up from 0", low=0)
    milestones: tuple[float, ...] = key((), "step: epochs after which the rate is multiplied by `factor`", low=0)
    factor: float = key(0.1, "step", above=0, high=1)
    final: float = key(0.0, "cosine and one-cycle: last rate as a fraction of `lr`", low=0, high=1)
    unfreeze: tuple[float, ...] = key((), "epochs at which the last layer that is still frozen begins to learn", low=0)
    peak: float = key(0.3, "one-cycle: where in the run the rate peaks", low=0.01, high=0.99)


@dataclass(frozen=True)
class Train:
    epochs: int = key(20, "passes over the training pictures", low=1)
    batch_size: int = key(64, "pictures in a step", low=1, high=1_000_000)
    seed: int = key(0, "of everything random", low=0)
    precision: str = key(
        "auto", "of the forward and backward pass; auto: bf16 where the hardware is quicker with it",
        choices=("auto", "fp32", "bf16"),
    )  # fmt: skip
    channels_last: bool = key(True, "memory format of pictures and convolutions")
    compile: bool = key(False, "torch.compile the network, once its gradients are shown to be right")
    label_smoothing: float = key(0.0, "share of each target that is spread over all classes", low=0, high=0.9)
    clip_norm: float = key(0.0, "largest norm of the gradient; 0: no clipping", low=0)
    class_weights: bool = key(False, "weigh each class by the inverse of its frequency")
    ema: float = key(
        0.0, "decay of the moving average of the weights that is evaluated and kept; 0: none", low=0, high=0.99999
    )
    patience: int = key(0, "stop after so many epochs without a better validation accuracy; 0: never", low=0)
    checkpoint_seconds: float = key(60.0, "a kill loses at most the work of so many seconds", above=0)


@dataclass(frozen=True)
class Published:
    """A figure that the source printed; it stands beside ours, never in its place."""

    name: str = key("", "what was measured")
    value: float = key(0.0, "")
    unit: str = key("accuracy", "accuracy (a fraction), loss, epochs, seconds …")
    note: str = key("", "conditions")


@dataclass(frozen=True)
class Recipe:
    name: str = key("custom", "")
    title: str = key("", "one line: what it is for")
    source: str = key("", "where it was published")
    model: Model = field(default_factory=Model)
    data: Data = field(default_factory=Data)
    augment: Augment = field(default_factory=Augment)
    optimizer: Optimizer = field(default_factory=Optimizer)
    schedule: Schedule = field(default_factory=Schedule)
    train: Train = field(default_factory=Train)
    published: tuple[Published, ...] = ()


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
    if not re.fullmatch(r"[^./\\\x00-\x1f][^/\\\x00-\x1f]*", recipe.name):
        raise InputError(f"name is {recipe.name!r}; it names the run's folder: no slashes, no dot in front")
    if isinstance(recipe.data.validation, str) and recipe.data.validation != "test":
        raise InputError(f"data.validation is {recipe.data.validation!r}; give a fraction such as 0.1, or 'test'")
    if recipe.optimizer.nesterov and not recipe.optimizer.momentum:
        raise InputError("optimizer.nesterov needs optimizer.momentum above 0")
    for name in ("milestones", "unfreeze"):
        if list(getattr(recipe.schedule, name)) != sorted(getattr(recipe.schedule, name)):
            raise InputError(f"schedule.{name} must rise")
    if recipe.model.skip and recipe.model.weights is None:
        raise InputError("model.skip leaves out layers of model.weights, and none are given")
    if recipe.schedule.unfreeze and not recipe.model.freeze:
        raise InputError("schedule.unfreeze needs model.freeze, the layers that stand still at first")
    for text in recipe.optimizer.layer_lr:
        if not re.fullmatch(r"[^=]+=(\d+\.?\d*|\.\d+)(e-?\d+)?", text):
            raise InputError(f"optimizer.layer_lr takes layer=factor such as 'fc8=10', not {text!r}")
    if recipe.schedule.name == "one-cycle" and recipe.schedule.warmup:
        raise InputError("schedule 'one-cycle' warms up by itself, until schedule.peak; leave schedule.warmup at 0")
    if recipe.schedule.name == "step" and not recipe.schedule.milestones:
        raise InputError("schedule 'step' needs schedule.milestones, the epochs after which the rate drops")
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
