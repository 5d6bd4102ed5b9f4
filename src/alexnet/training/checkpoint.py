"""Where a run stands, complete in one file, so that a kill at any moment leaves a state that fits itself."""

import io
import zipfile
from pathlib import Path
from typing import Any

import torch

from alexnet.errors import InputError
from alexnet.files import atomic

VERSION = 4


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
        raise InputError(f"{str(path.parent)!r} cannot be resumed: it was stopped before it saved {path.name}")
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
