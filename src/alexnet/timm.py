"""`import alexnet.timm`: every network is a model of timm, its name with underscores.

timm.create_model("alexnet_2012", num_classes=10, in_chans=1) then is alexnet.create("alexnet-2012", classes=10,
channels=1). The registry's interface: https://github.com/huggingface/pytorch-image-models, timm/models/_registry.py.
"""

from collections.abc import Callable
from typing import Any

from alexnet.errors import InputError
from alexnet.models import catalog
from alexnet.weights.load import create

try:
    from timm.models import register_model  # pyright: ignore[reportMissingImports]
except ImportError as error:
    raise InputError(
        f"alexnet.timm needs timm, and what timm needs ({error.name or error}): pip install timm"
    ) from None

_TIMM = ("pretrained_cfg", "pretrained_cfg_overlay", "cache_dir", "features_only", "scriptable", "exportable", "no_jit")


def _entry(name: str) -> Callable[..., Any]:
    def make(
        pretrained: bool = False, num_classes: int | None = None, in_chans: int | None = None, **options: Any
    ) -> Any:
        if pretrained:
            raise InputError(f"{name}: name the weights, as weights=FILE; `alexnet data weights` lists the public ones")
        if options.get("features_only"):
            raise InputError(f"{name}: timm's features_only is not offered; `network.tap(x, layers)` gives any layer's")
        kept = {key: value for key, value in options.items() if key not in _TIMM}
        return create(name, classes=num_classes, channels=in_chans, **kept)

    make.__name__ = make.__qualname__ = name.replace("-", "_")
    make.__module__ = __name__
    make.__doc__ = f"{catalog.get(name).title}. Arguments: timm's, then those of alexnet.create."
    return make


for _name in catalog.CATALOG:
    _made = _entry(_name)
    globals()[_made.__name__] = register_model(_made)
