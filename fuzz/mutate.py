"""Random changes of a file's bytes, the same for the same seed."""

import random
import struct

_NUMBERS = (0, 1, 2, 127, 128, 255, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**62, 2**63 - 1, 2**64 - 1)
_TEXTS = (b"\0", b"\n", b"\x1b[2J", b"../", b"\xff\xfe", "²".encode(), b"[" * 500, b"9" * 500, b"null", b"-1", b"1e999")


def mutated(content: bytes, seed: str, other: bytes = b"") -> bytes:
    """One to eight changes: bits, bytes, numbers of many widths, pieces cut, doubled, moved, or of another file."""
    rng = random.Random(seed)
    made = bytearray(content)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 8))):
        at = min(int(len(made) * rng.random() ** rng.choice((1, 3))), max(len(made) - 1, 0))  # headers are in front
        length = rng.choice((1, 2, 4, 8, 16, 64, 1024))
        match rng.randrange(9):
            case 0 if made:
                made[at] ^= 1 << rng.randrange(8)
            case 1 if made:
                made[at] = rng.randrange(256)
            case 2:
                form = rng.choice("BHIQ")
                number = rng.choice(_NUMBERS) & (2 ** (8 * struct.calcsize(form)) - 1)
                packed = struct.pack(rng.choice("<>") + form, number)
                made[at : at + len(packed)] = packed
            case 3:
                del made[at : at + length]
            case 4:
                made[at:at] = made[at : at + length] * rng.choice((1, 2, 50))
            case 5:
                del made[at:]
            case 6:
                made[at:at] = rng.choice(_TEXTS)
            case 7:
                start = rng.randrange(max(len(made), 1))
                made[at : at + length] = made[start : start + length]
            case 8:
                start = rng.randrange(max(len(other), 1))
                made[at : at + length] = other[start : start + length]
    return bytes(made)
