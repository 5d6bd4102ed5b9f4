"""What `alexnet evaluate --corruptions` prints."""

from typing import TYPE_CHECKING

from alexnet.cli.screen import say, table
from alexnet.errors import counted

if TYPE_CHECKING:
    from alexnet.inference.robustness import Robustness


def say_robustness(found: "Robustness") -> None:
    """Prints the errors by corruption and strength, and their means."""
    import numpy as np

    from alexnet.data.transforms.corruptions import CORRUPTIONS, STRENGTHS

    ce = found.corruption_errors
    lines = (
        (
            name,
            *(f"{each:.1%}" for each in found.errors[i]),
            f"{found.errors[i].mean():.1%}",
            *([] if ce is None else ["–" if np.isnan(ce[i]) else f"{ce[i]:.1%}"]),
        )
        for i, name in enumerate(CORRUPTIONS)
    )
    error = {"top1": "error", "map": "1 − mAP"}[found.what]
    head = (f"{error} under", *(f"{strength}>" for strength in STRENGTHS), "mean>", *([] if ce is None else ["CE>"]))
    table(head, lines)
    say(
        f"mean {error} under corruption {found.mean:.2%}, clean {found.clean:.2%}: {counted(found.count, 'image')}, "
        f"strengths of {found.strengths}; frost is drawn, not photographed"
    )
    if found.mce is not None and found.baseline is not None:
        say(
            f"mean corruption error {found.mce:.2%} of the baseline's (mean {error} {found.baseline.mean:.2%}, clean "
            f"{found.baseline.clean:.2%})"
        )
