"""Which published experiments there are: a recipe as published, and one of ours that keeps the network.

What was published, and where, stands in the recipes. A new experiment is a line here.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from alexnet.errors import unknown
from alexnet.recipes import recipe as recipes
from alexnet.recipes.schema import Published, Recipe


@dataclass(frozen=True)
class Experiment:
    name: str
    published: str | None
    """The recipe as published; None: the source says too little to run it."""
    ours: str | None
    """The recipe that keeps the network and means to beat the figure."""
    claim: str = ""
    """What the source says where it gives no figure."""

    @property
    def arms(self) -> dict[str, str]:
        """'published' and 'ours' → recipe, as far as there is one."""
        return {arm: name for arm in ("published", "ours") if (name := getattr(self, arm))}

    @property
    def first(self) -> Recipe:
        """The recipe that names source and figures."""
        return recipes.load(next(iter(self.arms.values())))

    @property
    def figure(self) -> Published | None:
        """The published accuracy on images that were not trained on."""
        return next((f for f in self.first.published if f.unit == "accuracy" and "train" not in f.name), None)


_MORE = "loss falls and accuracy rises with the epochs"
EXPERIMENTS = (
    Experiment("cifar100", "cifar100-as-published", "cifar100"),
    Experiment("cifar10-as-published", "cifar10-as-published", "cifar10-quick", "CIFAR-10 in place of CIFAR-100"),
    Experiment("cifar10-alexnet", "cifar10-alexnet", "cifar10", "overfits badly"),
    Experiment("cifar10-slim", "cifar10-slim", None),
    Experiment("cifar10-slim-regular", "cifar10-slim-regular", "cifar10-slim-quick"),
    Experiment("cifar10-thinner-2", "cifar10-thinner-2", None, "overfits a little"),
    Experiment("cifar10-thinner-2-as-run", "cifar10-thinner-2-as-run", None, "overfits a little"),
    Experiment("cifar10-thinner-4", "cifar10-thinner-4", "cifar10-thinner", "does not overfit"),
    Experiment("cifar10-resnet56", "cifar10-resnet56-as-published", None, "its code is called, no figure given"),
    Experiment("caltech256", "caltech256-as-published", "caltech256"),
    Experiment("mnist-alexnet", "mnist-as-published", "mnist", _MORE),
    Experiment("mnist-resnet56", "mnist-resnet56-as-published", None, f"{_MORE}; above AlexNet at equal epochs"),
    Experiment("mnist-resnet20", None, "mnist-resnet20", f"{_MORE}; above AlexNet at equal epochs"),
    Experiment("transfer", None, "transfer", "ready weights, fixed, under layers that train from scratch"),
    Experiment("transfer-probe", None, "probe", "the same with one linear layer, from 3,000 images"),
    Experiment("transfer-finetune", None, "finetune", "the same, and all layers learn"),
    Experiment("imagenet-2012", "imagenet-2012", "imagenet"),
    Experiment("imagenet-2012-as-written", "imagenet-2012-as-written", None),
    Experiment("imagenet-caffe", "imagenet-caffe", None),
    Experiment("imagenet-torchvision", "imagenet-torchvision", None),
)


def choose(names: Sequence[str], experiments: Sequence[Experiment] = EXPERIMENTS) -> list[Experiment]:
    """The experiments called so, or whose name begins so ('mnist': mnist-alexnet, mnist-resnet56 …); no names: all.

    Raises InputError for a name that is neither.
    """
    for name in names:
        if not any(_called(each, name) for each in experiments):
            raise unknown("experiment", name, [each.name for each in experiments])
    return [each for each in experiments if not names or any(_called(each, name) for name in names)]


def _called(experiment: Experiment, name: str) -> bool:
    return experiment.name == name or experiment.name.startswith(f"{name}-")
