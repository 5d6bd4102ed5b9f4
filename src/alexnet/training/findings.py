"""What the watch reports, and what it remembers between two looks."""

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Finding:
    """One thing that goes wrong: what is seen (with numbers), the likely cause, the fix; each a piece of one line."""

    kind: str
    epoch: int
    step: int
    seen: str
    cause: str
    fix: str

    @property
    def line(self) -> str:
        return f"epoch {self.epoch}, step {self.step}: {self.kind}: {self.seen}. Likely: {self.cause}. Fix: {self.fix}."

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass
class State:
    """Plain JSON, so that a resumed run continues where the watch stood."""

    epoch: int = 0
    """Epochs that ended."""
    step: int = 0
    losses: list[float] = field(default_factory=list)
    norms: list[float] = field(default_factory=list)
    spiked: bool = False
    lowest_val_loss: float | None = None
    val_accuracies: list[float] = field(default_factory=list)
    overfit: int = 0
    """Epochs in a row."""
    shifted: int = 0
    """Epochs in a row."""
    swallowed: dict[str, int] = field(default_factory=dict)
    """'i>j' → epochs in a row."""
    unscaled: str = ""
    rescale: str = ""
    """Cause and fix when the first batch was not scaled as the network wants it."""
    majority: int = 0
    """Epochs in a row."""
    silent: str = ""
    """A layer of which no unit is alive: nothing behind it depends on the image."""
    reported: dict[str, float] = field(default_factory=dict)
