"""Hooks of schemathesis, loaded by tests/openapi.py in its own environment: what should be an image is one."""

import base64
import struct
import zlib

import schemathesis  # pyright: ignore[reportMissingImports]
from hypothesis import strategies


def _png(side: int = 8) -> bytes:
    """A gray ramp."""
    rows = b"".join(b"\0" + bytes(range(row, row + side)) for row in range(side))
    parts = (
        (b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    )
    framed = (struct.pack(">I", len(d)) + kind + d + struct.pack(">I", zlib.crc32(kind + d)) for kind, d in parts)
    return b"\x89PNG\r\n\x1a\n" + b"".join(framed)


schemathesis.openapi.format("binary", strategies.just(_png()))


@schemathesis.hook
def before_call(context, case, kwargs):
    """Only where the description is kept: what breaks it is sent as it was made."""
    if case.meta is None or not case.meta.generation.mode.is_positive or not isinstance(case.body, dict):
        return
    # The description cannot say that an option stands in one place only.
    case.query = {name: value for name, value in (case.query or {}).items() if name not in case.body}
    if "images" in case.body:
        case.body["images"] = [base64.b64encode(_png()).decode()] * len(case.body["images"])
