"""ONNX: its LRN by its own reference, and the bvlc_alexnet that ships inside the onnx package."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from alexnet.models import catalog
from alexnet.models.layers import LocalResponseNorm
from parity.compare import BOUNDS, Table, draw, layer_by_layer, randomize, relative, weights

onnx = pytest.importorskip("onnx", reason="onnx is not installed: make parity")
reference = pytest.importorskip("onnx.reference", reason="onnx is not installed: make parity")

SCALE = 60.0
LIGHT = Path(onnx.__file__).parent / "backend/test/data/light"


@pytest.mark.parametrize("precision", BOUNDS)
@pytest.mark.parametrize(
    ("size", "divided", "k"), [(5, 2**-15, 1.0), (5, 2**-15, 2.0), (9, 2**-13, 1.0), (3, 2**-16, 1.0)]
)
def test_lrn(size: int, divided: float, k: float, precision: str, table: Table):
    """Our divided form is ONNX's LRN (bias is k there).

    ONNX keeps its attributes in float32, hence alphas near the published ones that are exact there. As many images as
    channels: the reference of onnx 1.23 loops over the former (https://github.com/onnx/onnx/issues/7805).
    """
    alpha = size * divided
    x = np.random.default_rng(0).normal(0, SCALE, (12, 12, 5, 5)).astype(precision)
    node = onnx.helper.make_node("LRN", ["x"], ["y"], size=size, alpha=alpha, beta=0.75, bias=k)
    (expected,) = reference.ReferenceEvaluator(node).run(None, {"x": x})
    layer = LocalResponseNorm(size, alpha, 0.75, k, divide=True)
    found = relative(layer(torch.from_numpy(x)).numpy(), expected)
    table(
        "LRN",
        form="divided",
        origin="ONNX's reference",
        size=size,
        alpha=alpha,
        k=f"{k:g}",
        precision=precision,
        output=found,
    )
    assert found <= BOUNDS[precision]


def test_light_bvlc_alexnet(table: Table):
    """The shipped graph is ours, node for node; with our weights in it, every layer gives what ours gives.

    Its own weights are all .02 (hence 'light'), so that every probability is .001; and it is declared for 224 × 224,
    where Caffe's ceil-mode pool5 had to be written as an odd padding. At bvlc_alexnet's 227 no window meets it.
    """
    onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: make parity")
    light = onnx.load(LIGHT / "light_bvlc_alexnet.onnx")
    model = catalog.create("alexnet-bvlc").eval()
    nodes = [node for node in light.graph.node if node.op_type != "ConstantOfShape"]
    children = list(model.named_children())
    assert [_kind(node) for node in nodes] == [name.rstrip("0123456789") for name, _ in children] + ["softmax"]
    for node, (name, module) in zip(nodes, children, strict=False):
        _same_settings(_attributes(node), name, module)

    as_shipped = onnxruntime.InferenceSession(light.SerializeToString())
    (shipped,) = as_shipped.run(["prob_1"], {"data_0": np.zeros((1, 3, 224, 224), np.float32)})
    stored = onnx.load_tensor(LIGHT / "light_bvlc_alexnet_output_0.pb")
    assert relative(shipped, onnx.numpy_helper.to_array(stored)) <= BOUNDS["float32"]

    randomize(model, 1, SCALE)
    _fill(light, weights(model))
    light.graph.output.extend(onnx.ValueInfoProto(name=node.output[0]) for node in nodes[:-1])
    images = draw(model, 0, SCALE).images[:1].astype(np.float32)
    names = {name: node.output[0] for node, (name, _) in zip(nodes, children, strict=False)}
    session = onnxruntime.InferenceSession(light.SerializeToString())

    def run(layers: list[str]) -> list[np.ndarray]:
        return session.run([names[layer] for layer in layers], {"data_0": images})

    for layer, _, found in layer_by_layer(model, images, run):
        table("light_bvlc_alexnet of the onnx package, run by ONNX Runtime", layer=layer, output=found)
        assert found <= BOUNDS["float32"], layer


KINDS = {
    "Conv": "conv",
    "Relu": "relu",
    "LRN": "norm",
    "MaxPool": "pool",
    "Reshape": "flatten",
    "Gemm": "fc",
    "Dropout": "drop",
    "Softmax": "softmax",
}


def _kind(node: Any) -> str:
    return KINDS[node.op_type]


def _attributes(node: Any) -> dict[str, Any]:
    return {attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in node.attribute}


def _same_settings(shipped: dict[str, Any], name: str, module: Any) -> None:
    if name.startswith("conv"):
        assert shipped["kernel_shape"] == list(module.kernel_size)
        assert shipped["strides"] == list(module.stride)
        assert shipped.get("group", 1) == module.groups
        assert shipped["pads"] == [*module.padding] * 2
    elif name.startswith("pool"):
        assert shipped["kernel_shape"] == [module.kernel_size] * 2
        assert shipped["strides"] == [module.stride] * 2
    elif name.startswith("norm"):
        assert module.divide
        assert shipped["size"] == module.size
        constants = [module.alpha, module.beta, module.k]
        assert [shipped["alpha"], shipped["beta"], shipped["bias"]] == pytest.approx(constants)


def _fill(light: Any, values: dict[str, np.ndarray]) -> None:
    """Puts our weights where the graph makes constants, and declares the input as 227 × 227."""
    kept = [node for node in light.graph.node if node.op_type != "ConstantOfShape"]
    del light.graph.node[:]
    light.graph.node.extend(kept)
    for name, value in values.items():
        layer, kind = name.split(".")
        light.graph.initializer.append(onnx.numpy_helper.from_array(value, f"{layer}_{kind[0]}_0"))
    light.ir_version = 4  # from here on initializers need not be inputs
    for dimension in light.graph.input[0].type.tensor_type.shape.dim[2:]:
        dimension.dim_value = 227
