"""alexnet: every published AlexNet as it was written and as it was run.

import alexnet
network = alexnet.create("alexnet-cifar10", classes=10)      # a torch.nn.Module
run = alexnet.train("digits", out="runs/first")              # train, measure, draw
model = alexnet.load(run)                                    # network, class names, preprocessing
alexnet.predict(model, ["seven.png"], top=3)
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # for editors and type checkers; at run time a name is looked up when it is first used
    from alexnet.data.pick import dataset
    from alexnet.errors import InputError
    from alexnet.experiments.estimator import AlexNetClassifier
    from alexnet.experiments.train import train
    from alexnet.inference.features import features
    from alexnet.inference.label_evaluation import evaluate
    from alexnet.inference.model import load
    from alexnet.inference.predict import predict
    from alexnet.weights.load import create

__version__ = "0.2.0.dev0"
__all__ = [
    "AlexNetClassifier",
    "InputError",
    "__version__",
    "create",
    "dataset",
    "evaluate",
    "features",
    "load",
    "predict",
    "train",
]

# `import alexnet` and `alexnet --help` must not wait for torch.
_HOMES = {
    "AlexNetClassifier": ("alexnet.experiments.estimator", "AlexNetClassifier"),
    "InputError": ("alexnet.errors", "InputError"),
    "create": ("alexnet.weights.load", "create"),
    "dataset": ("alexnet.data.pick", "dataset"),
    "evaluate": ("alexnet.inference.label_evaluation", "evaluate"),
    "features": ("alexnet.inference.features", "features"),
    "load": ("alexnet.inference.model", "load"),
    "predict": ("alexnet.inference.predict", "predict"),
    "train": ("alexnet.experiments.train", "train"),
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        module, offered = _HOMES[name]
        return getattr(importlib.import_module(module), offered)
    raise AttributeError(f"module 'alexnet' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
