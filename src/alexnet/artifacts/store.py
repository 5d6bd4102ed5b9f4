"""Weights on disk: safetensors with a JSON card beside and in them. Nothing is ever unpickled."""

from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from alexnet.artifacts import card as cards
from alexnet.artifacts.card import Card
from alexnet.artifacts.pairing import mean_content, mean_file, packed
from alexnet.artifacts.run import Run
from alexnet.errors import InputError, escaped
from alexnet.files import write_bytes, write_together
from alexnet.preprocessing import MeanImage, Preprocessing

CARD = cards.FILE
HUB_WEIGHTS = "model.safetensors"
"""In the folder that `alexnet export --format hub` writes."""
_MAX_MEAN_BYTES = 2**28  # 4096 × 4096 × 3 numbers, and some


def save(path: Path | str, state: Mapping[str, Tensor]) -> None:
    """Writes the tensors to `path` (safetensors), atomically."""
    write_bytes(path, packed(state))


def load_tensors(path: Path | str) -> dict[str, Tensor]:
    """The tensors of a safetensors file, on the CPU. Raises InputError when it is not one."""
    return load_file(path)[0]


def load_file(path: Path | str) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors and the metadata of a safetensors file. Raises InputError when it is not one."""
    try:
        with safe_open(path, "pt") as file:
            return {name: file.get_tensor(name) for name in file.offset_keys()}, file.metadata() or {}
    except FileNotFoundError:
        raise InputError(f"no weights at {str(path)!r}") from None
    except (SafetensorError, OSError, ValueError) as error:
        raise InputError(f"{str(path)!r} is not a readable safetensors file: {escaped(str(error))}") from None


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


def save_mean(card_path: Path, preprocessing: Preprocessing) -> None:
    """Writes the mean image, where there is one, to its place beside the card."""
    if preprocessing.mean_image:
        write_together(mean_content(card_path, preprocessing.mean_image))


def read_preprocessing(card: Card, card_path: Path) -> Preprocessing:
    """The preprocessing that a card describes, with its mean image. Raises InputError when that is not beside it."""
    image = None
    if card.preprocessing.mean_image:
        path = mean_file(card_path)
        if not path.is_file() or path.stat().st_size > _MAX_MEAN_BYTES:
            raise InputError(f"{str(card_path)!r} names a mean image; {path.name} must lie beside it")
        found = load_tensors(path)
        images = [MeanImage(found[name].float().numpy()) for name in ("mean", "replaced") if name in found]
        if not images:
            raise InputError(f"{str(path)!r} holds no mean image")
        # Of two, the other one belongs to the weights that are being replaced.
        image = next((each for each in images if each.sha256 == card.preprocessing.mean_image), images[0])
    return Preprocessing.from_json(card.preprocessing.to_json(), image)


def locate(path: Path) -> tuple[Path, Path | None]:
    """The weights file and the card of a run's folder or of a weights file. InputError when there is none.

    The card is None where none lies beside a weights file, which may hold one itself.
    """
    if path.is_dir():
        run = Run(path)
        if run.is_run:  # a model hub's cache is made of links
            run.check()
        if not run.has_card and (path / HUB_WEIGHTS).is_file():
            return path / HUB_WEIGHTS, None  # whose metadata may hold a card
        if not run.has_card:
            raise InputError(f"{str(path)!r} is not a run: it has no {CARD}")
        return (path / HUB_WEIGHTS if (path / HUB_WEIGHTS).is_file() else run.weights), path / CARD
    if path.suffix != ".safetensors" and not path.exists():
        hint = "" if path.suffix else f"; `alexnet train --out {path}` makes a run there"
        raise InputError(f"no run folder or model file {str(path)!r}{hint}")
    if path.suffix != ".safetensors":
        raise InputError(
            f"{str(path)!r} is no model: give a run's folder, a .safetensors file, or one that `alexnet export` wrote: "
            ".onnx, .pt2, or .h5, .keras, .pth, .pt with its card beside it"
        )
    if not path.is_file():
        raise InputError(f"no weights at {str(path)!r}")
    beside = (path.with_suffix(".json"), path.parent / CARD)
    return path, next((each for each in beside if each.is_file()), None)
