"""Several views of each image, whose probabilities are averaged (Krizhevsky et al. 2012, section 4.1)."""

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch.nn import functional

from alexnet import arguments
from alexnet.artifacts.card import RunCard, Shifts
from alexnet.data.loading.decode import stored_size
from alexnet.data.transforms.augment import Augmenter
from alexnet.errors import InputError
from alexnet.inference.model import Model

VIEWS = (1, 2, 10)
"""The center; the center and its mirror image; four corners and the center, and their mirror images."""


def checked(views: int) -> int:
    """One of VIEWS as an int. InputError for another number."""
    views = arguments.whole("views", views)
    if views not in VIEWS:
        raise InputError(f"views is {views:,}; choose one of: {', '.join(map(str, VIEWS))}")
    return views


def log_probabilities(module: Callable[[Tensor], Tensor], augmenter: Augmenter, images: Tensor, views: int) -> Tensor:
    """Logarithms of a batch's probabilities, float32 N×K, averaged over `views` of VIEWS; `images` uint8 N×H×W×C.

    The probabilities are averaged, as the paper has it, not the logits: a view that is sure counts for more among
    logits. `module` may give logits or log-probabilities.

    Corners are those of the images as they are stored. Images stored at the network's own size have none: theirs
    are the furthest shifts that training made (`augmenter.shift`, its border filled in the same way), so that a network
    that was trained without shifts gets the center five times over, which changes nothing.
    """
    found = [module(view).float().log_softmax(1) for view in _inputs(augmenter, images, views)]
    return found[0] if views == 1 else torch.logsumexp(torch.stack(found), 0) - math.log(views)


def label_logits(module: Callable[[Tensor], Tensor], augmenter: Augmenter, images: Tensor, views: int) -> Tensor:
    """Logits of a batch's labels, float32 N×K, whose sigmoids are the probabilities; of several views those of the mean
    probabilities. Otherwise as `log_probabilities`; `module` gives logits."""
    found = torch.stack([module(view).float() for view in _inputs(augmenter, images, views)])
    if views == 1:
        return found[0]
    yes, no = (torch.logsumexp(functional.logsigmoid(each), 0) for each in (found, -found))
    return yes - no


def views_of(model: Model) -> Augmenter:
    """The augmenter that cuts a model's views: its preprocessing, and training's shifts as its card has them."""
    trained = model.card.augment if isinstance(model.card, RunCard) else Shifts()
    return Augmenter(model.preprocessing, shift=trained.shift, fill=trained.fill)


def corners(model: Model) -> str:
    """How the corners of ten views are made where images are stored at the network's own size; '' where larger."""
    wants, augmenter = model.preprocessing, views_of(model)
    if stored_size(wants.size, wants.resize) != tuple(wants.size):
        return ""
    height, width = (round(augmenter.shift * side) for side in wants.size)
    how = (
        f"shifts by {height} × {width}, training's furthest"
        if height + width
        else "the center, as training shifted none"
    )
    return f"images are stored at the input's {wants.size[0]} × {wants.size[1]}: the corners are {how}"


def _inputs(augmenter: Augmenter, images: Tensor, views: int) -> Iterator[Tensor]:
    yield augmenter.evaluate(images)
    if views == 1:
        return
    spare = [stored - side for stored, side in zip(images.shape[1:3], augmenter.preprocessing.size, strict=True)]
    margin = [0 if most else round(augmenter.shift * side)
              for most, side in zip(spare, augmenter.preprocessing.size, strict=True)]  # fmt: skip
    top, left = (most // 2 for most in spare)
    yield augmenter.view(images, top, left, mirrored=True)
    if views == 10:
        for row in (-margin[0], spare[0] + margin[0]):
            for column in (-margin[1], spare[1] + margin[1]):
                for mirrored in (False, True):
                    yield augmenter.view(images, row, column, mirrored)
