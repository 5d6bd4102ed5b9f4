"""bvlc_alexnet and CaffeNet as Caffe files of our own writing, for a reader of Caffe models.

Facts: models/bvlc_alexnet and models/bvlc_reference_caffenet of github.com/BVLC/caffe (train_val.prototxt); field
numbers: src/caffe/proto/caffe.proto.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pytest

from parity.compare import Weights

CONVS = {
    "conv1": "num_output: 96 kernel_size: 11 stride: 4",
    "conv2": "num_output: 256 kernel_size: 5 pad: 2 group: 2",
    "conv3": "num_output: 384 kernel_size: 3 pad: 1",
    "conv4": "num_output: 384 kernel_size: 3 pad: 1 group: 2",
    "conv5": "num_output: 256 kernel_size: 3 pad: 1 group: 2",
}
LRN = "lrn_param { local_size: 5 alpha: 0.0001 beta: 0.75 }"
POOL = "pooling_param { pool: MAX kernel_size: 3 stride: 2 }"


def prototxt(pool_first: bool) -> str:
    """The definition in text. `pool_first`: CaffeNet's order, pool before norm; else bvlc_alexnet's."""
    text = ['name: "AlexNet" layer { name: "data" type: "Input" top: "data" ', "input_param { shape: { "]
    text += [f"dim: {side} " for side in (1, 3, 227, 227)] + ["} } }\n"]
    bottom = "data"
    for name, kind, parameters, in_place in _layers(pool_first):
        top = bottom if in_place else name
        text.append(f'layer {{ name: "{name}" type: "{kind}" bottom: "{bottom}" top: "{top}" {parameters} }}\n')
        bottom = top
    return "".join(text)


def _layers(pool_first: bool) -> Iterator[tuple[str, str, str, bool]]:
    """(name, Caffe's type, parameters, whether it overwrites its input)."""
    for number, (name, parameters) in enumerate(CONVS.items(), 1):
        yield name, "Convolution", f"convolution_param {{ {parameters} }}", False
        yield f"relu{number}", "ReLU", "", True
        after = [(f"norm{number}", "LRN", LRN, False)] if number < 3 else []
        after += [(f"pool{number}", "Pooling", POOL, False)] if number not in (3, 4) else []
        yield from reversed(after) if pool_first else after
    for number, width in ((6, 4096), (7, 4096), (8, 1000)):
        yield f"fc{number}", "InnerProduct", f"inner_product_param {{ num_output: {width} }}", False
        if number < 8:
            yield f"relu{number}", "ReLU", "", True
            yield f"drop{number}", "Dropout", "dropout_param { dropout_ratio: 0.5 }", True
    yield "prob", "Softmax", "", False


def opencv(content: bytes, pool_first: bool) -> Any:
    """OpenCV's network of a caffemodel, as plain as it can be run; skips the test where OpenCV does not read them."""
    cv2 = pytest.importorskip("cv2", reason="OpenCV is not installed: make parity")
    if not hasattr(cv2.dnn, "readNetFromCaffe"):
        pytest.skip("this OpenCV no longer reads Caffe models; opencv-python-headless<5 does")
    text = prototxt(pool_first).encode()
    net = cv2.dnn.readNetFromCaffe(*(np.frombuffer(each, np.uint8) for each in (text, content)))
    net.enableFusion(False)
    net.enableWinograd(False)
    return net


def caffemodel(weights: Weights) -> bytes:
    """The weights as a binary NetParameter: per layer its name and two blobs (weight, bias) of float32."""
    names = dict.fromkeys(name.split(".")[0] for name in weights)
    return b"".join(_layer(name, [weights[f"{name}.weight"], weights[f"{name}.bias"]]) for name in names)


def _layer(name: str, blobs: Iterable[np.ndarray]) -> bytes:
    kind = "Convolution" if name.startswith("conv") else "InnerProduct"
    content = field(1, name.encode()) + field(2, kind.encode())
    return field(100, content + b"".join(field(7, _blob(value)) for value in blobs))


def _blob(value: np.ndarray) -> bytes:
    shape = field(1, b"".join(varint(side) for side in value.shape))
    return field(7, shape) + field(5, value.astype("<f4").tobytes())


def field(number: int, content: bytes) -> bytes:
    """A length-delimited field of protocol buffers."""
    return varint(number << 3 | 2) + varint(len(content)) + content


def varint(value: int) -> bytes:
    low, rest = value & 0x7F, value >> 7
    return bytes([low | 0x80]) + varint(rest) if rest else bytes([low])
