"""Readers that do what damaged files have made libraries do."""

import os
import signal
from typing import Any, BinaryIO

import numpy as np

from alexnet.isolated.child import Broken, Sink


def find(file: BinaryIO, give: Sink, *, what: str) -> Any:
    match what:
        case "signal":
            os.kill(os.getpid(), signal.SIGSEGV)
        case "loop":
            while True:
                pass
        case "memory":
            bytearray(2**36)
        case "short":
            give("x", (4,), np.float32, [np.zeros(2)])
        case "claim":
            give("x", (2**20, 2**20), np.float32, [])
        case "object":
            give("x", (1,), object, [])
        case "text":
            return "x" * 2**27
        case "broken":
            raise Broken("is of the wrong kind")
        case "error":
            raise KeyError("\x1b[2J")
        case "exit":
            raise SystemExit(3)
        case _:
            content = file.read()
            give("big", (2, 2), ">f8", [np.array([[1.0, 2.0]]), np.array([[3.0, 4.0]])])
            give("none", (0, 3), np.int64, [])
            give("one", (), np.float16, [np.array(5, np.float16)])
            return {"size": len(content), "what": content[:3].decode()}
    return None


FAULTS = {
    "signal": "reading it ended the library",
    "loop": "takes longer to read",
    "memory": "more memory",
    "short": "damaged or cut short: reading it ended the library",
    "claim": "claims 4,398,046,511,104 bytes of numbers",
    "object": "are no numbers",
    "text": "bytes of text",
    "broken": "is of the wrong kind",
    "error": "damaged or cut short",
    "exit": "reading it ended the library",
}
"""What each does → what is said of it."""
