"""Packages that only some exports need."""

import importlib.util

from alexnet.errors import InputError


def require(what: str, extra: str, packages: tuple[str, ...]) -> None:
    """Raises InputError, naming the extra to install, unless all of `packages` are installed."""
    missing = [package for package in packages if importlib.util.find_spec(package) is None]
    if missing:
        raise InputError(f"{what} needs {' and '.join(missing)}; install with: pip install 'alexnet[{extra}]'")
