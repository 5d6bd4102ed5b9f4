"""alexnet: every published AlexNet as it was written and as it was run.

import alexnet
network = alexnet.create("alexnet-cifar10", classes=10)      # a torch.nn.Module
run = alexnet.train("digits", out="runs/first")              # train, measure, draw
model = alexnet.open(run)                                    # network, class names, preprocessing
alexnet.predict(model, ["seven.png"], top=3)
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # for editors and type checkers; at run time a name is looked up when it is first used
    from alexnet.data.pick import pictures
    from alexnet.errors import InputError
    from alexnet.evaluation.evaluate import evaluate
    from alexnet.evaluation.predict import predict
    from alexnet.training.loop import train
    from alexnet.weights.load import create
    from alexnet.weights.store import open

__version__ = "0.1.0"
__all__ = ["InputError", "__version__", "create", "evaluate", "open", "pictures", "predict", "train"]

# `import alexnet` and `alexnet --help` must not wait for torch.
_HOMES = {
    "InputError": "alexnet.errors",
    "create": "alexnet.weights.load",
    "evaluate": "alexnet.evaluation.evaluate",
    "open": "alexnet.weights.store",
    "pictures": "alexnet.data.pick",
    "predict": "alexnet.evaluation.predict",
    "train": "alexnet.training.loop",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'alexnet' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
