import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from alexnet.models import catalog
from alexnet.models.network import Network
from alexnet.weights.caffe import read_caffe
from alexnet.weights.foreign import Foreign, Source
from alexnet.weights.imports import Imported
from alexnet.weights.mapping import contradiction


def varint(value: int) -> bytes:
    low, rest = value & 0x7F, value >> 7
    return bytes([low | 0x80]) + varint(rest) if rest else bytes([low])


def field(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


def blob(value: np.ndarray, form: str) -> bytes:
    data = np.ascontiguousarray(value, "<f4").tobytes()
    sides = (1,) * (4 - value.ndim) + value.shape
    legacy = b"".join(varint(number << 3) + varint(side) for number, side in enumerate(sides, 1))
    shape = field(7, field(1, b"".join(map(varint, value.shape))))
    single = b"".join(varint(5 << 3 | 5) + data[at : at + 4] for at in range(0, len(data), 4))
    return {
        "shape": shape + field(5, data),
        "legacy": legacy + field(5, data),
        "one by one": legacy + single,
        "double": shape + field(8, np.asarray(value, "<f8").tobytes()),
        "raw": shape + varint(10 << 3) + varint(1) + field(12, data),
    }[form]


def layer(name: str, kind: str, rest: bytes = b"", version: int = 2) -> bytes:
    if version == 2:
        return field(100, field(1, name.encode()) + field(2, kind.encode()) + rest)
    number = {"Convolution": 4, "InnerProduct": 14, "LRN": 15, "Pooling": 17}[kind]
    return field(2, field(4, name.encode()) + varint(5 << 3) + varint(number) + rest)


def caffemodel(network: Network, form: str = "shape", version: int = 2) -> bytes:
    state = {name: value.numpy() for name, value in network.state_dict().items()}
    layers = []
    for name in dict.fromkeys(each.split(".")[0] for each in state):
        blobs = [blob(state[f"{name}.{part}"], form) for part in ("weight", "bias")]
        content = b"".join(field({1: 6, 2: 7}[version], each) for each in blobs)
        layers.append(layer(name, "Convolution" if name.startswith("conv") else "InnerProduct", content, version))
    return b"".join(layers)


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("form", ["shape", "legacy", "one by one", "double", "raw"])
def test_every_form_of_blob_is_read(form: str, version: int, digits: Network):
    found = read_caffe(Source(Path("x"), caffemodel(digits, form, version)))
    assert list(found.layers) == ["conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8"]
    for name, value in digits.state_dict().items():
        own, _, role = name.rpartition(".")
        assert np.array_equal(found.layers[own][role], value.numpy())


def test_import_is_exact(digits: Network, tmp_path: Path, comes_back: Callable[..., Imported]):
    file = tmp_path / "net.caffemodel"
    file.write_bytes(field(1, b"Digits") + caffemodel(digits))
    assert comes_back(file).origin.kind == "caffe"


def order(kinds: tuple[str, ...], lrn: bytes, version: int = 2) -> Foreign:
    content = layer(
        "conv1", "Convolution", field({1: 6, 2: 7}[version], blob(np.zeros((1, 1, 1, 1)), "shape")), version
    )
    parameters = field({1: 18, 2: 118}[version], lrn)
    content += b"".join(layer(kind, kind, parameters if kind == "LRN" else b"", version) for kind in kinds)
    return read_caffe(Source(Path("x"), content))


@pytest.mark.parametrize("version", [1, 2])
def test_the_file_says_which_of_caffes_networks_it_is(version: int):
    lrn = varint(1 << 3) + varint(5) + varint(2 << 3 | 5) + struct.pack("<f", 1e-4)
    first = order(("LRN", "Pooling", "LRN", "Pooling"), lrn, version)
    assert first.prefer == ("alexnet-bvlc",)
    assert contradiction(first, catalog.get("alexnet-bvlc")) is None
    assert contradiction(first, catalog.get("alexnet-tf")) is None  # the same function in TensorFlow's form
    assert "α=0.0001" in str(contradiction(first, catalog.get("alexnet-tf-as-printed")))
    second = order(("Pooling", "LRN", "Pooling", "LRN"), lrn, version)
    assert second.prefer == ("caffenet",)
    assert "pools before it normalizes" in str(contradiction(second, catalog.get("alexnet-bvlc")))


def nested(depth: int) -> bytes:
    content = b""
    for _ in range(depth):
        content = field(100, content)
    return content


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\xa2\x06" + varint(10 * 2**30), "claims 10,737,418,240 bytes"),
        (field(100, field(1, b"conv1") + field(7, field(7, field(1, varint(2**40))))), "claims the shape"),
        (
            field(100, field(1, b"conv1") + field(7, field(7, field(1, varint(3))) + field(5, bytes(8)))),
            "holds 2 numbers",
        ),
        (
            field(100, field(1, b"conv1") + field(7, field(7, varint(1 << 3) + b"\x01") + field(5, bytes(3)))),
            "cut short",
        ),
        (nested(5000), "no layer with weights"),
        (layer("fc6", "InnerProduct", field(7, blob(np.zeros((1, 1)), "shape"))) * 2, "twice"),
        (b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", "ten bytes"),
        (b"\x0a\x01a" + b"\x0b", "wire type 3"),
        (b"\x0a\x00" * 210_000, "more than 200,000 fields"),
        (field(2, field(1, b"")), "version 0"),
        (b"\x0a\x05abc", "claims 5 bytes"),
        (field(100, b"\x00"), "number 0"),
    ],
)
def test_damaged_and_dishonest_files_are_one_line(content: bytes, said: str, told: Callable[[bytes], str]):
    assert said in told(content)


def test_every_cut_is_told(digits: Network, told: Callable[[bytes], str]):
    content = caffemodel(digits)
    for share in (0.01, 0.5, 0.999):
        assert "no readable caffemodel" in told(content[: int(share * len(content))])
