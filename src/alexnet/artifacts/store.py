"""Weights on disk: safetensors with a JSON card beside them. Nothing is ever unpickled."""

from collections.abc import Mapping
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from alexnet.artifacts import card as cards
from alexnet.artifacts.card import Card
from alexnet.artifacts.run import Run
from alexnet.errors import InputError
from alexnet.files import write_bytes
from alexnet.preprocessing import MeanImage, Preprocessing

CARD = cards.FILE
HUB_WEIGHTS = "model.safetensors"
"""In the folder that `alexnet export --format hub` writes."""
_MAX_MEAN_BYTES = 2**28  # 4096 × 4096 × 3 numbers, and some


def packed(state: Mapping[str, Tensor]) -> bytes:
    """The content of a safetensors file with these tensors."""
    return safetensors.torch.save({name: value.detach().cpu().contiguous() for name, value in state.items()})


def save(path: Path | str, state: Mapping[str, Tensor]) -> None:
    """Writes the tensors to `path` (safetensors), atomically."""
    write_bytes(path, packed(state))


def load_tensors(path: Path | str) -> dict[str, Tensor]:
    """The tensors of a safetensors file, on the CPU. Raises InputError when it is not one."""
    try:
        return safetensors.torch.load_file(path)
    except FileNotFoundError:
        raise InputError(f"no weights at {str(path)!r}") from None
    except (SafetensorError, OSError, ValueError) as error:
        raise InputError(f"{str(path)!r} is not a readable safetensors file: {error}") from None


def fill(module: nn.Module, state: Mapping[str, Tensor], origin: str) -> None:
    """Copies `state` into `module`; InputError names the tensors that do not fit."""
    own = module.state_dict()
    wrong = [f"{name} is missing" for name in own if name not in state]
    wrong += [f"{name} is not in this network" for name in state if name not in own]
    wrong += [
        f"{name} is {tuple(state[name].shape)}, the network wants {tuple(own[name].shape)}"
        for name in own
        if name in state and state[name].shape != own[name].shape
    ]
    if wrong:
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise InputError(f"{origin} does not fit the network: {'; '.join(wrong[:3])}{more}")
    # A module without memory takes the tensors themselves; copied, because they are a view of the file.
    taken = {
        name: value.to(own[name].dtype, copy=True) if own[name].is_meta else value for name, value in state.items()
    }
    module.load_state_dict(taken, assign=any(value.is_meta for value in own.values()))


def mean_file(card_path: Path) -> Path:
    """Where the mean image of a card lies: X.mean.safetensors beside X.json."""
    return card_path.with_suffix(".mean.safetensors")


def save_mean(card_path: Path, preprocessing: Preprocessing) -> None:
    """Writes the mean image, where there is one, to its place beside the card."""
    if preprocessing.mean_image:
        save(mean_file(card_path), {"mean": torch.from_numpy(preprocessing.mean_image.pixels)})


def read_preprocessing(card: Card, card_path: Path) -> Preprocessing:
    """The preprocessing that a card describes, with its mean image. Raises InputError when that is not beside it."""
    image = None
    if card.preprocessing.mean_image:
        path = mean_file(card_path)
        if not path.is_file() or path.stat().st_size > _MAX_MEAN_BYTES:
            raise InputError(f"{str(card_path)!r} names a mean image; {path.name} must lie beside it")
        found = load_tensors(path).get("mean")
        if found is None:
            raise InputError(f"{str(path)!r} holds no mean image")
        image = MeanImage(found.float().numpy())
    return Preprocessing.from_json(card.preprocessing.to_json(), image)


def locate(path: Path) -> tuple[Path, Path]:
    """The weights file and the card of a run's folder or of a weights file. InputError when there is none."""
    if path.is_dir():
        run = Run(path)
        if run.is_run:  # a model hub's cache is made of links
            run.check()
        if not run.has_card:
            raise InputError(f"{str(path)!r} is not a run: it has no {CARD}")
        return (path / HUB_WEIGHTS if (path / HUB_WEIGHTS).is_file() else run.weights), path / CARD
    if path.suffix == ".safetensors":
        beside = path.with_suffix(".json")
        card = beside if beside.is_file() else path.parent / CARD
        if not path.is_file() or not card.is_file():
            raise InputError(f"{str(path)!r} needs its card beside it: {beside.name}, or {CARD} of its run")
        return path, card
    raise InputError(f"{str(path)!r} is neither a run's folder nor a .safetensors file")
