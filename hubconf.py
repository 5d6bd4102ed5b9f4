"""The networks for torch.hub: torch.hub.load("OWNER/alexnet", "alexnet_owt", classes=10).

Each network of `alexnet models` is a function, its name with underscores; the arguments are those of `alexnet.create`.
Weights are taken only where a file is given: weights="torchvision-….safetensors".
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

dependencies = ["torch", "numpy", "PIL", "safetensors", "pydantic"]

try:
    import alexnet  # noqa: F401
except ImportError:  # torch.hub brings the repository, and installs nothing
    sys.path.insert(0, str(Path(__file__).parent / "src"))

from alexnet.models import catalog  # noqa: E402


def _entry(name: str) -> Callable[..., Any]:
    def make(pretrained: bool = False, **options: Any) -> Any:
        import alexnet

        if pretrained:
            raise alexnet.InputError(
                f"{name}: name the weights, as weights=FILE; `alexnet data weights` lists the public ones"
            )
        return alexnet.create(name, **options)

    make.__doc__ = f"{catalog.get(name).title}. Arguments: those of alexnet.create."
    return make


globals().update({name.replace("-", "_"): _entry(name) for name in catalog.CATALOG})
