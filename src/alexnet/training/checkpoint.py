"""Where a run stands, complete in one file, so that a kill at any moment leaves a state that fits itself."""

import io
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from alexnet.errors import InputError
from alexnet.files import atomic

if TYPE_CHECKING:
    from alexnet.training.loop import Trainer

VERSION = 2


def save(path: Path, state: dict[str, Any]) -> None:
    """Writes `state` (tensors, numbers, strings, lists and dicts of them) to `path`, atomically."""
    # Through memory: torch's writer hides the system's reason (a full disk) when it writes to a file itself.
    buffer = io.BytesIO()
    torch.save({"version": VERSION} | state, buffer)
    with atomic(path) as file:
        file.write(buffer.getbuffer())


def load(path: Path) -> dict[str, Any]:
    """The state in `path`, on the CPU. Raises InputError when there is none or it is damaged; runs no code from it."""
    if not path.is_file():
        raise InputError(
            f"{str(path.parent)!r} cannot be resumed: it was stopped before it saved {path.name}; "
            "delete it and begin anew"
        )
    try:
        if not zipfile.is_zipfile(path):  # torch would try older formats, and warn about what it finds
            raise EOFError
        state = torch.load(path, weights_only=True, map_location="cpu")
    except OSError:
        raise
    except Exception:  # broken content raises nearly anything; torch's text tells how to load what is not to be trusted
        raise InputError(f"{str(path)!r} is damaged, or was not written by alexnet: it cannot be resumed") from None
    if not isinstance(state, dict) or state.get("version") != VERSION:
        raise InputError(f"{str(path)!r} was written by another version of alexnet and cannot be resumed")
    return state


def of(trainer: "Trainer") -> dict[str, Any]:
    """Everything that the next step of `trainer` depends on."""
    return {
        "data": trainer.setup.data,
        "fingerprint": trainer.setup.fingerprint,
        "start": trainer.setup.start,
        "model": trainer.model.state_dict(),
        "optimizer": trainer.optimizer.state_dict(),
        "ema": trainer.ema.state_dict() if trainer.ema else None,
        "epoch": trainer.epoch,
        "position": trainer.position,
        "seconds": trainer.seconds,
        "epoch_seconds": trainer.epoch_seconds,
        "loss_sum": trainer.loss_sum,
        "correct": trainer.correct,
        "seen": trainer.seen,
        "best": trainer.best,
        "watch": trainer.watch.state_dict(),
        "rows": trainer.log.rows,
        "findings": trainer.log.findings,
    }


def restore(trainer: "Trainer", state: dict[str, Any]) -> None:
    """Puts a new trainer where `state`, as `of` gave it, stands. Raises InputError when it is of other images."""
    if state["fingerprint"] != trainer.setup.fingerprint:
        raise InputError(f"{str(trainer.run.path)!r} was begun with other images; resume it with --data where they are")
    try:
        trainer.model.load_state_dict(state["model"])
        trainer.optimizer.load_state_dict(state["optimizer"])
    except (RuntimeError, ValueError) as error:
        raise InputError(f"{str(trainer.run.path)!r} holds another network: {str(error).splitlines()[0]}") from None
    if trainer.ema:
        trainer.ema.load_state_dict(state["ema"])
    for name in ("epoch", "position", "seconds", "epoch_seconds", "seen", "best"):
        setattr(trainer, name, state[name])
    trainer.loss_sum.copy_(state["loss_sum"])
    trainer.correct.copy_(state["correct"])
    trainer.watch.load_state_dict(state["watch"])
    trainer.log.rows, trainer.log.findings = state["rows"], state["findings"]
