"""The teacher of knowledge distillation: a trained network, asked about another network's inputs."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from alexnet.device import autocast
from alexnet.errors import InputError
from alexnet.inference.model import load_model
from alexnet.models.quick import quicken
from alexnet.preprocessing import Preprocessing

_LUMA = (0.299, 0.587, 0.114)  # ITU-R 601, as the decoder makes gray


class Teacher:
    """A trained network whose logits another one learns from. It sees the very images that the student sees, in its
    own colors, range and size."""

    def __init__(
        self,
        model: Path | str,
        classes: Sequence[str],
        seen: Preprocessing,
        device: torch.device,
        precision: str = "fp32",
    ) -> None:
        """`model`: a run's folder or a weights file with its card. `classes`: the student's, joined by name.
        `seen`: what the student's inputs went through.

        Raises InputError when it never saw one of the classes, or takes images of another shape.
        """
        if not Path(model).exists():
            raise InputError(f"no teacher at {str(model)!r}; a run that learns from one needs it to be resumed, too")
        self.opened = load_model(model, device)
        self.precision = precision
        self.seen, self.wants = seen, self.opened.preprocessing
        if seen != self.wants and (seen.mean_by_place or self.wants.mean_by_place):
            raise InputError(
                f"the teacher {str(model)!r} sees images less another mean than the network, and a mean image that "
                "depends on the crop cannot be put back; set data.normalize to 'pixel' or 'network'"
            )
        unseen = [name for name in classes if name not in self.opened.classes]
        if unseen:
            raise InputError(
                f"the teacher {str(model)!r} does not know {len(unseen)} of the {len(classes)} classes, "
                f"such as {unseen[0]!r}"
            )
        (height, width), own = self.wants.size, seen.size
        if height * own[1] != width * own[0]:
            raise InputError(
                f"the teacher {str(model)!r} takes images of {height}×{width}, the network {own[0]}×{own[1]}: "
                "the shapes must be alike"
            )
        self._columns = torch.tensor([self.opened.classes.index(name) for name in classes], device=device)

    @torch.no_grad()
    def logits(self, inputs: Tensor) -> Tensor:
        """The teacher's logits of the student's classes, float32 N × classes, for the student's inputs."""
        with autocast(inputs.device, self.precision):
            logits = quicken(self.opened.module)(translated(inputs, self.seen, self.wants))
        return logits.float()[:, self._columns]


def translated(inputs: Tensor, seen: Preprocessing, wants: Preprocessing) -> Tensor:
    """Inputs of one network (float32 N×C×H×W) as another wants them: range, colors and, of the same shape, size."""
    if seen == wants:
        return inputs
    pixels = (inputs * _column(inputs, seen.std) + _mean(inputs, seen)) / seen.scale
    if seen.colors == "BGR":
        pixels = pixels.flip(1)
    if seen.channels > wants.channels:
        pixels = (pixels * _column(inputs, _LUMA)).sum(1, keepdim=True)
    elif seen.channels < wants.channels:
        pixels = pixels.expand(-1, wants.channels, -1, -1)
    if wants.colors == "BGR":
        pixels = pixels.flip(1)
    if pixels.shape[2:] != wants.size:
        pixels = functional.interpolate(pixels, wants.size, mode="bilinear", antialias=True)
    return (pixels * wants.scale - _mean(inputs, wants)) / _column(inputs, wants.std)


def _mean(like: Tensor, preprocessing: Preprocessing) -> Tensor:
    if preprocessing.mean_image is None:
        return _column(like, preprocessing.mean)
    return torch.from_numpy(preprocessing.mean_image.pixels).to(like.device).permute(2, 0, 1)


def _column(like: Tensor, values: Sequence[float]) -> Tensor:
    return torch.tensor(values, device=like.device).view(-1, 1, 1)
