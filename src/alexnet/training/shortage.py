"""When memory runs out: which batch would fit, and what ended a run that said nothing."""

from typing import Any

import torch
from torch import Tensor

from alexnet.process.memory import oom_kills
from alexnet.training.learner import Learner

_CPU = ("DefaultCPUAllocator", "can't allocate memory", "not enough memory")  # torch has no type of its own for it


def is_shortage(error: BaseException) -> bool:
    """Whether torch raised `error` because an allocation failed, on a GPU or on the CPU."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (
        isinstance(error, RuntimeError) and any(text in str(error) for text in _CPU)
    )


def advice(learner: Learner, images: Tensor, labels: Tensor) -> str:
    """What to do about a step that found too little memory, in a line: tries the batch in 2, 4, 8 … parts.

    The learner is of no use afterwards.
    """
    batch, parts = len(labels), 2
    if learner.world.size > 1:  # the others wait in the middle of their step
        smaller = "a smaller train.batch_size" if learner.recipe.train.parallel == "owt" else "--set train.accumulate=2"
        return f"{batch} images do not fit into the memory of {learner.device}: try {smaller}"
    while parts < 2 * batch:
        try:
            learner.release()
            learner.gradients(images, labels, parts=parts)
        except (RuntimeError, MemoryError) as error:
            if not is_shortage(error):
                raise
            parts *= 2
            continue
        fits, settings = -(-batch // parts), learner.recipe.train
        return (
            f"a batch of {batch} does not fit into the memory of {learner.device}, one of {fits} does: "
            f"--set train.accumulate={parts * settings.accumulate} makes the same steps of {settings.batch_size} "
            f"images in parts (--resume takes it too); or --set train.batch_size={fits} for smaller steps"
        )
    return f"not even one image fits into the memory of {learner.device}: choose a smaller network or smaller images"


def ended_from_outside(state: dict[str, Any]) -> list[str]:
    """What to say on resuming a run that was ended while it trained, by its state; a line or none."""
    if not state["training"]:
        return []
    before, now = state["oom_kills"], oom_kills()
    if before and now and before[0] == now[0] and now[1] > before[1]:
        cause = (
            "the kernel has since ended a process of this machine for want of memory: if it was this one, "
            "--set train.accumulate=2 halves what a step needs"
        )
    else:
        cause = "it was killed, the machine stopped, or an error ended it"
    return [f"the run was ended while it trained ({cause}); it resumes from what was saved last"]
