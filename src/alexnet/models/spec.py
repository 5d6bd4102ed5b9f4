"""What the catalog knows about a network: how it is built, what it expects and by whom it was published."""

from dataclasses import dataclass

from alexnet.models.structure import Architecture, Layer
from alexnet.preprocessing import Preprocessing


@dataclass(frozen=True)
class Spec:
    """A network's catalog entry; plain data, without torch."""

    name: str
    title: str
    year: int | None
    """None where the source bears no date."""
    classes: int
    architecture: Architecture
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
    traps: tuple[str, ...] = ()
    """Where the publication contradicts itself, or misleads."""
    output: str = "logits"
    """'logits' or 'log-probabilities'."""

    @property
    def dated(self) -> str:
        """The year, for people."""
        return "no date" if self.year is None else str(self.year)

    @property
    def input(self) -> tuple[int, int, int]:
        """Channels, height and width in pixels."""
        return (self.preprocessing.channels, *self.preprocessing.size)

    @property
    def trainable_parameters(self) -> int:
        return self.parameters - self.statistics * self.counts_statistics

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The sequential network; empty for any other."""
        return self.architecture if isinstance(self.architecture, tuple) else ()
