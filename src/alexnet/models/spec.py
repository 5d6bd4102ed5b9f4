"""What the catalog knows about a network: how it is built, what it expects, what was published, and by whom."""

from collections.abc import Callable
from dataclasses import dataclass

from alexnet.models.network import Layer, Network, build
from alexnet.preprocessing import Preprocessing

Builder = Callable[[tuple[int, int, int], int], Network]
"""(input, classes) → network, for those that are not a sequential network."""


@dataclass(frozen=True)
class Figure:
    """A published measurement, such as Figure('top-1 error', 40.7, '%', 'ILSVRC-2012 validation, 10 views')."""

    name: str
    value: float
    unit: str
    note: str = ""


@dataclass(frozen=True)
class Spec:
    """A network's catalog entry."""

    name: str
    title: str
    year: int
    classes: int
    architecture: tuple[Layer, ...] | Builder
    init: str
    """Name of its initialization in alexnet.models.init."""
    preprocessing: Preprocessing
    parameters: int
    """As its source counts them."""
    source: str
    statistics: int = 0
    """BatchNorm's running means and variances, in numbers."""
    counts_statistics: bool = False
    """Whether `parameters` holds them, as Keras counts; PyTorch's habit does not."""
    published: tuple[Figure, ...] = ()
    traps: tuple[str, ...] = ()
    """Where the publication contradicts itself, or misleads."""
    output: str = "logits"
    """'logits' or 'log-probabilities'."""

    @property
    def input(self) -> tuple[int, int, int]:
        """Channels, height and width in pixels."""
        return (self.preprocessing.channels, *self.preprocessing.size)

    @property
    def trainable_parameters(self) -> int:
        return self.parameters - self.statistics * self.counts_statistics

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The sequential network; empty when a builder makes the network."""
        return self.architecture if isinstance(self.architecture, tuple) else ()

    def build(self, input: tuple[int, int, int], classes: int) -> Network:
        """The network for images of this shape, with torch's default initialization."""
        if isinstance(self.architecture, tuple):
            network = build(self.architecture, input, classes)
        else:
            network = self.architecture(input, classes)
        network.spec = self
        return network
