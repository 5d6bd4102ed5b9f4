"""How a run that this user made here is told from a stranger's: by a key that only this user has.

A run records where its images are, and `evaluate RUN` or `train --resume` opens that path again. A run folder from
somebody else may name any path: `/`, a pipe, a network share. So the recorded paths carry an HMAC-SHA-256 by a key of
32 random bytes, which is made once and lies in ~/.cache/alexnet/key, readable by this user alone. Paths without a
valid HMAC are never opened: `--data` says where the images are.
"""

import contextlib
import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Sequence
from pathlib import Path

from alexnet.errors import InputError
from alexnet.files import content_of


def seal(paths: Sequence[str]) -> str:
    """The HMAC of these paths; empty where this user has no place for a key."""
    key = _key(make=True)
    return "" if key is None else _mac(key, paths)


def sealed(paths: Sequence[str], mac: str) -> bool:
    """Whether `mac` is this user's HMAC of these paths."""
    key = _key(make=False)
    return (
        key is not None and bool(mac) and hmac.compare_digest(_mac(key, paths).encode(), mac.encode("utf-8", "replace"))
    )


def _mac(key: bytes, paths: Sequence[str]) -> str:
    return hmac.new(key, json.dumps(list(paths)).encode("ascii"), hashlib.sha256).hexdigest()


def _key(make: bool) -> bytes | None:
    try:
        path = Path.home() / ".cache" / "alexnet" / "key"
        if make and not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(FileExistsError):  # another process was quicker
                handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
                with os.fdopen(handle, "wb") as file:
                    file.write(secrets.token_bytes(32))
        key = content_of(path, 1024, follow=False)
    except (OSError, RuntimeError, InputError):  # no home, a read-only one, or something else in its place
        return None
    return key if len(key) == 32 else None
