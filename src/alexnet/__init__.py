"""alexnet: every published AlexNet as it was written and as it was run.

import alexnet
network = alexnet.create("alexnet-cifar10", classes=10)      # a torch.nn.Module
run = alexnet.train("digits", out="runs/first")              # train, measure, draw
model = alexnet.open(run)                                    # network, class names, preprocessing
alexnet.predict(model, ["seven.png"], top=3)
"""

import importlib
from typing import Any

__version__ = "0.1.0"

# Names are looked up when they are first used: `import alexnet` and `alexnet --help` must not wait for torch.
_HOMES = {
    "create": "alexnet.models.catalog",
    "open": "alexnet.weights.store",
    "pictures": "alexnet.data.pick",
    "train": "alexnet.training.loop",
    "evaluate": "alexnet.evaluation.evaluate",
    "predict": "alexnet.evaluation.predict",
    "InputError": "alexnet.errors",
}
__all__ = [*_HOMES, "__version__"]  # noqa: PLE0604, RUF022


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'alexnet' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
