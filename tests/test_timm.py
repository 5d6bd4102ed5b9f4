"""`import alexnet.timm` against a stand-in for the registry of timm, which needs torchvision: none goes with the pinned
PyTorch."""

import importlib
import sys
import types
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch

from alexnet.errors import InputError
from alexnet.models import catalog


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Callable[..., Any]]]:
    """What was registered, as timm/models/_registry.py does it: by the function's name and its module's."""
    entries: dict[str, Callable[..., Any]] = {}

    def register_model(make: Callable[..., Any]) -> Callable[..., Any]:
        home = sys.modules[make.__module__]
        home.__all__ = [*getattr(home, "__all__", []), make.__name__]  # pyright: ignore[reportAttributeAccessIssue]
        entries[make.__name__] = make
        return make

    timm, models = types.ModuleType("timm"), types.ModuleType("timm.models")
    models.register_model = register_model  # pyright: ignore[reportAttributeAccessIssue]
    monkeypatch.setitem(sys.modules, "timm", timm)
    monkeypatch.setitem(sys.modules, "timm.models", models)
    monkeypatch.delitem(sys.modules, "alexnet.timm", raising=False)
    importlib.import_module("alexnet.timm")
    yield entries
    sys.modules.pop("alexnet.timm", None)


def test_every_network_is_registered_and_made_by_timms_arguments(registered: dict[str, Callable[..., Any]]) -> None:
    assert set(registered) == {name.replace("-", "_") for name in catalog.CATALOG}
    network = registered["alexnet_digits"](
        pretrained=False, pretrained_cfg=None, pretrained_cfg_overlay=None, cache_dir=None, num_classes=7, in_chans=3
    )
    assert network(torch.zeros(2, 3, 8, 8)).shape == (2, 7)
    assert registered["alexnet_digits"].__doc__
    with pytest.raises(InputError, match="name the weights, as weights=FILE"):
        registered["alexnet_owt"](pretrained=True)
    with pytest.raises(InputError, match="features_only is not offered"):
        registered["alexnet_owt"](features_only=True)


def test_without_timm_one_line_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    monkeypatch.delitem(sys.modules, "alexnet.timm", raising=False)
    with pytest.raises(InputError, match=r"alexnet\.timm needs timm"):
        importlib.import_module("alexnet.timm")
