"""Fully-connected weights in int8, one scale for each output: a quarter of the bytes that a batch of one reads."""

import numpy as np
import onnx

_LARGE = 2**16
"""Fewest elements of a weight that is rounded: below it, there is nothing to win."""
_TOP = 127


def int8_weights(content: bytes) -> bytes:
    """An ONNX graph whose matrix products with a large constant hold it as int8; float32 in, float32 out.

    Each output's weights are rounded to multiples of a 127th of the largest of them, and widened by a DequantizeLinear
    node that a runtime may join with the product. Activations, biases and convolutions stay as they are.
    """
    model = onnx.load_model_from_string(content)
    stored = {each.name: each for each in model.graph.initializer}
    nodes: list[onnx.NodeProto] = []
    for node in model.graph.node:
        weight = stored.get(node.input[1]) if node.op_type in ("Gemm", "MatMul") else None
        if weight is not None and len(weight.dims) == 2 and np.prod(weight.dims) >= _LARGE:
            flags = {each.name: each.i for each in node.attribute}
            nodes.append(_rounded(model.graph, weight, axis=0 if flags.get("transB") else 1))
            node.input[1] = nodes[-1].output[0]
        nodes.append(node)
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    used = {name for node in nodes for name in node.input} | {each.name for each in model.graph.output}
    kept = [each for each in model.graph.initializer if each.name in used]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    return model.SerializeToString()


def _rounded(graph: onnx.GraphProto, weight: onnx.TensorProto, axis: int) -> onnx.NodeProto:
    """The node that widens `weight` from int8; axis: that of its outputs."""
    values = onnx.numpy_helper.to_array(weight)
    scale = np.abs(values).max(1 - axis, keepdims=True).astype(np.float32) / _TOP
    scale[scale == 0] = 1
    whole = np.rint(values / scale).astype(np.int8)
    names = f"{weight.name}_int8", f"{weight.name}_scale"
    graph.initializer.extend(
        onnx.numpy_helper.from_array(array, name) for array, name in zip((whole, scale.ravel()), names, strict=True)
    )
    return onnx.helper.make_node("DequantizeLinear", names, [f"{weight.name}_wide"], axis=axis)
