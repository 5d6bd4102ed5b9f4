"""One split of a dataset."""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

from alexnet import arguments
from alexnet.data.dataset import Dataset
from alexnet.data.loading.samples import checked_range
from alexnet.data.readers.folder import LAYOUTS
from alexnet.data.readers.shards import MISSING
from alexnet.data.sources import SETS, open_splits
from alexnet.data.splits import Splits
from alexnet.errors import InputError
from alexnet.preprocessing import FITS

SPLITS = ("train", "validation", "test")


def dataset(name: str | None = None, split: str = "train", data: Path | str | None = None, **options: Any) -> Dataset:
    """The images of one split: len(), [i] → (uint8 H×W×C, label), .classes.

    name: one of sources.SETS; None: recognized by what lies at `data`; a public set that is not on this machine is
    fetched. options: as open_splits takes them, such as size=64 or size=(64, 48), height first: without it the images
    of class folders keep their own sizes. A set is given whole: no validation images are cut from training.
    Raises InputError for an unknown set, a split that it does not have, and another option.
    """
    if name is not None:
        own = isinstance(name, str | Path) and str(name) not in ("", "auto", *SETS)
        if own and data is None and Path(name).exists():
            raise InputError(f"no dataset is called {str(name)!r}; what lies there is read with data={str(name)!r}")
        arguments.choice("dataset", name, ("auto", *SETS))
    if data is not None:
        arguments.path("data", data)
    options = {"validation": None, "fetching": lambda done, total: None} | _checked(options)
    return pick(open_splits(name, data, **options), split)


def pick(splits: Splits, split: str) -> Dataset:
    """The split called `split`; InputError names those that are there."""
    there = {name: getattr(splits, name) for name in SPLITS if getattr(splits, name) is not None}
    if not isinstance(split, str) or split not in there:
        raise InputError(f"{splits.name} has no split {split!r}; it has: {', '.join(there)}")
    return there[split]


def _checked(options: dict[str, Any]) -> dict[str, Any]:
    """The options as `open_splits` takes them."""
    own = inspect.signature(open_splits).parameters
    for name in options:
        arguments.choice("option of a dataset", name, CHECKS)
    may_lack = {name for name in CHECKS if own[name].default is None} | {"validation"}
    return {
        name: None if value is None and name in may_lack else CHECKS[name](name, value)
        for name, value in options.items()
    }


def _names(name: str, value: Any) -> tuple[str, ...]:
    return arguments.texts(name, value, "['a.png', 'b.png']")


def _of(choices: tuple[str, ...]) -> Callable[[str, Any], str]:
    return lambda name, value: arguments.choice(name, value, choices)


def _call(name: str, value: Any) -> Any:
    arguments.calls(name, value)
    return value


def _seed(name: str, value: Any) -> int:
    return arguments.whole(name, value, 0, 2**63 - 1)


def _validation(name: str, value: Any) -> float | str:
    takes = "a fraction between 0 and 1, 'given' or 'test'"
    return value if isinstance(value, str) else arguments.number(name, value, takes)


CHECKS: dict[str, Callable[[str, Any], Any]] = {
    "size": arguments.sides,
    "channels": arguments.whole,
    "fit": _of(FITS),
    "resize": arguments.whole,
    "validation": _validation,
    "seed": _seed,
    "validation_names": _names,
    "quarantine": _names,
    "group_by": arguments.text,
    "progress": _call,
    "fetching": _call,
    "first_classes": arguments.whole,
    "first_images": arguments.whole,
    "per_class": arguments.whole,
    "train_images": arguments.whole,
    "labels": arguments.path,
    "label_separator": arguments.text,
    "label_columns": _names,
    "label_classes": _names,
    "layout": _of(LAYOUTS),
    "transpose": arguments.flag,
    "samples": lambda name, value: checked_range(value),
    "antialias": arguments.flag,
    "missing_shards": _of(MISSING),
    "classes": arguments.whole,
    "count": arguments.whole,
}
"""What each option of `open_splits` must be."""
