"""Caffe's .caffemodel: a NetParameter in the wire format of protocol buffers, read by hand and within bounds.

Only the fields below are entered, three messages deep, so that no nesting or loop in a file is followed. Field numbers:
src/caffe/proto/caffe.proto of github.com/BVLC/caffe; raw data: opencv-caffe.proto of github.com/opencv/opencv.
Wire format: protobuf.dev/programming-guides/encoding.
"""

from collections.abc import Iterator

import numpy as np

from alexnet.weights.foreign import MAX_NUMBERS, Arrays, Budget, Foreign, Source, named

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_MAX_FIELDS = 200_000  # in one file; a layer of 2014 has fewer than fifty

# NetParameter: name 1, layers of version 1 in 2, of version 2 in 100. A layer: (name, type, blobs, lrn_param).
_VERSIONS = {2: (4, 5, 6, 18), 100: (1, 2, 7, 118)}
_V0_LAYER = 1  # in version 1's layer: a layer of version 0 wrapped in it
_TYPES = {15: "LRN", 17: "Pooling"}  # version 1 numbers its types

_RAW = {0: "<f8", 1: "<f4", 2: "<f2"}
Value = int | memoryview


class _Broken(Exception):
    """The bytes are no message of this kind."""


def plausible(head: bytes) -> bool:
    """Whether a file may be a NetParameter: it begins with its name or with a layer."""
    return head[:1] in (b"\x0a", b"\x12") or head[:2] == b"\xa2\x06"


def read_caffe(source: Source) -> Foreign:
    """Reads every layer's blobs, and what the file says of its normalization. InputError when it is damaged."""
    try:
        return _net(source, _Wire())
    except _Broken as broken:
        raise source.wrong(f"is no readable caffemodel: {broken}") from None


def _net(source: Source, wire: "_Wire") -> Foreign:
    layers: dict[str, Arrays] = {}
    kinds: list[str] = []
    lrn, net, budget = None, "", Budget(source)
    for number, value in wire.fields(memoryview(source.content)):
        if number == 1 and isinstance(value, memoryview):
            net = bytes(value[:100]).decode("utf-8", "replace")
        if number not in _VERSIONS or not isinstance(value, memoryview):
            continue
        name, kind, blobs, constants = _layer(wire, value, _VERSIONS[number], budget)
        kinds.append(kind)
        lrn = lrn or (constants if kind == "LRN" else None)
        if not blobs:
            continue
        if name in layers:
            raise _Broken(f"layer {name!r} stands there twice")
        found = named(_squeezed(blobs))
        if found is None:
            raise source.wrong(
                f"holds a layer {name!r} that is neither convolution nor dense: no network of the family"
            )
        layers[name] = found
    if not layers:
        raise _Broken("it holds no layer with weights")
    order = [kind for kind in kinds if kind in ("LRN", "Pooling")]
    pool_first = order[0] == "Pooling" if "LRN" in order else None
    prefer = {"AlexNet": ("alexnet-bvlc",), "CaffeNet": ("caffenet",)}.get(net, ("alexnet-bvlc", "caffenet"))
    if pool_first is not None:
        prefer = ("caffenet",) if pool_first else ("alexnet-bvlc",)
    return Foreign("caffe", layers, prefer=prefer, pool_first=pool_first, lrn=lrn)


def _layer(
    wire: "_Wire", content: memoryview, version: tuple[int, int, int, int], budget: Budget
) -> tuple[str, str, list[np.ndarray], tuple[int, float, float, float]]:
    name, kind, blobs = "", "", []
    lrn = _lrn(wire, memoryview(b""))
    name_field, kind_field, blobs_field, lrn_field = version
    for number, value in wire.fields(content):
        if number == kind_field and isinstance(value, int):
            kind = _TYPES.get(value, "")
        if not isinstance(value, memoryview):
            continue
        if number == name_field:
            name = bytes(value[:200]).decode("utf-8", "replace")
        elif number == kind_field:
            kind = bytes(value[:100]).decode("utf-8", "replace")
        elif number == blobs_field:
            blobs.append(_blob(wire, value, budget))
        elif number == lrn_field:
            lrn = _lrn(wire, value)
        elif number == _V0_LAYER and version is _VERSIONS[2]:
            raise _Broken("it has layers of Caffe's version 0 (2013); upgrade it with Caffe's upgrade_net_proto_binary")
    return name, kind, blobs, lrn


def _lrn(wire: "_Wire", content: memoryview) -> tuple[int, float, float, float]:
    """LRNParameter: local_size 1, alpha 2, beta 3, k 5, with its defaults; alpha as Caffe uses it, divided."""
    values: dict[int, float] = {1: 5, 2: 1.0, 3: 0.75, 5: 1.0}
    for number, value in wire.fields(content):
        if isinstance(value, memoryview) and len(value) == 4:
            values[number] = float(np.frombuffer(value, "<f4")[0])
        elif isinstance(value, int):
            values[number] = value
    size = max(int(values[1]), 1)
    return size, values[2] / size, values[3], values[5]


def _blob(wire: "_Wire", content: memoryview, budget: Budget) -> np.ndarray:
    """BlobProto: num 1, channels 2, height 3, width 4, or shape 7; data 5, double_data 8, raw_data 12 of type 10."""
    legacy, shape, raw_kind = [0, 0, 0, 0], None, 1
    runs: list[np.ndarray] = []
    raw: memoryview | None = None
    for number, value in wire.fields(content, packed=(5, 6, 8, 9)):
        if isinstance(value, int):
            if 1 <= number <= 4:
                legacy[number - 1] = value
            elif number == 10:
                raw_kind = value
        elif number in (5, 8):
            size = 4 if number == 5 else 8
            if len(value) % size:
                raise _Broken("a blob is cut short")
            runs.append(np.frombuffer(value, f"<f{size}"))
        elif number == 7:
            shape = _shape(wire, value)
        elif number == 12:
            raw = value
    if raw is not None:
        if raw_kind not in _RAW or len(raw) % np.dtype(_RAW[raw_kind]).itemsize:
            raise _Broken("a blob's raw data are of an unknown kind")
        runs.append(np.frombuffer(raw, _RAW[raw_kind]))
    sides = shape if shape is not None else legacy
    data = np.concatenate(runs) if len(runs) > 1 else runs[0] if runs else np.empty(0, "<f4")
    count = 1
    for side in sides:
        count *= side
        if side < 0 or count > MAX_NUMBERS:
            raise _Broken(f"a blob claims the shape {'×'.join(map(str, sides[:8]))}")
    if count != data.size:
        raise _Broken(f"a blob of {'×'.join(map(str, sides))} holds {data.size:,} numbers")
    return budget.floats(data).reshape(sides)


def _shape(wire: "_Wire", content: memoryview) -> list[int]:
    """BlobShape: dim 1, packed or not."""
    sides: list[int] = []
    for number, value in wire.fields(content):
        if number == 1 and isinstance(value, int):
            sides.append(value)
        elif number == 1:
            assert isinstance(value, memoryview)
            at = 0
            while at < len(value) and len(sides) <= 32:
                side, at = _varint(value, at)
                sides.append(side)
    if len(sides) > 32:  # Caffe's own limit
        raise _Broken("a blob claims more than 32 dimensions")
    return sides


def _squeezed(blobs: list[np.ndarray]) -> list[np.ndarray]:
    """Before shapes, everything had four sides: dense weights 1 × 1 × out × in, biases 1 × 1 × 1 × out."""
    weight, *rest = blobs
    if weight.ndim == 4 and weight.shape[:2] == (1, 1):
        weight = weight[0, 0]
    return [weight, *(blob.reshape(-1) for blob in rest)]


class _Wire:
    """The fields of a file's messages, however deep; their number is bounded for the whole file."""

    def __init__(self) -> None:
        self._left = _MAX_FIELDS

    def fields(self, content: memoryview, packed: tuple[int, ...] = ()) -> Iterator[tuple[int, Value]]:
        """Field numbers and values of one message. Numbers that follow each other one by one in a `packed` field are
        gathered, as a packed field has them: there are millions."""
        at, end = 0, len(content)
        while at < end:
            self._left -= 1
            if self._left < 0:
                raise _Broken(f"it has more than {_MAX_FIELDS:,} fields")
            start = at
            tag, at = _varint(content, at)
            number, wire = tag >> 3, tag & 7
            if number == 0:
                raise _Broken("a field has the number 0")
            if wire == _VARINT:
                value, at = _varint(content, at)
                yield number, value
            elif wire == _BYTES:
                length, at = _varint(content, at)
                if length > end - at:
                    raise _Broken(f"a field claims {length:,} bytes where {end - at:,} are left")
                yield number, content[at : at + length]
                at += length
            elif wire in (_FIXED32, _FIXED64):
                length = 4 if wire == _FIXED32 else 8
                step = at - start + length
                if step > end - start:
                    raise _Broken("it is cut short")
                repeats = 1
                if number in packed and at - start == 1:
                    repeats = _repeats(content[start:], step)
                    records = np.frombuffer(content[start : start + repeats * step], np.uint8).reshape(-1, step)
                    yield number, memoryview(records[:, 1:].tobytes())
                else:
                    yield number, content[at : at + length]
                at = start + repeats * step
            else:
                raise _Broken(f"wire type {wire} is not used by Caffe")


def _repeats(content: memoryview, step: int) -> int:
    """How many records of `step` bytes begin as the first does; looks ahead no further than twice as many."""
    count, window = 1, 2
    while whole := min(window, len(content) // step - count):
        first = np.frombuffer(content[count * step : (count + whole) * step], np.uint8)[::step]
        other = np.flatnonzero(first != content[0])
        if len(other):
            return count + int(other[0])
        count, window = count + whole, 2 * window
    return count


def _varint(content: memoryview, at: int) -> tuple[int, int]:
    """A number in groups of seven bits, and where the next one begins."""
    value = 0
    for place in range(10):
        if at + place >= len(content):
            raise _Broken("it is cut short")
        byte = content[at + place]
        value |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return value, at + place + 1
    raise _Broken("a number has more than ten bytes")
