"""A network in another runtime than PyTorch: ONNX Runtime and OpenVINO, on the CPU."""

import functools
import importlib.util
import os
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from alexnet.arguments import choice
from alexnet.errors import InputError

EXTRAS = {"onnxruntime": "alexnet[onnx]", "openvino": "alexnet[onnx,openvino]"}
"""The runtimes, and what installs each; both read the ONNX graph of the network."""
_PACKAGES = {
    "onnxruntime": ("onnx", "onnxscript", "onnxruntime"),
    "openvino": ("onnx", "onnxscript", "onnxruntime", "openvino"),
}


def missing(name: str) -> str | None:
    """A line when a runtime is not installed, with what installs it; None: it is. InputError for another name."""
    choice("runtime", name, EXTRAS)
    absent = [package for package in _PACKAGES[name] if importlib.util.find_spec(package) is None]
    return f"{name} needs {' and '.join(absent)}: pip install '{EXTRAS[name]}'" if absent else None


def precisions(name: str) -> tuple[str, ...]:
    """What a runtime computes in on this processor: OpenVINO in bf16 where the processor multiplies bf16 matrices.

    'int8': fully-connected weights in int8, one scale for each output; all else in bf16, or in float32 where there is
    none.
    """
    if name != "openvino":
        return ("fp32",)
    return ("fp32", "bf16", "int8") if _has_bf16() else ("fp32", "int8")


def _same_process(name: str, opened_in: int) -> None:
    """InputError in a fork, which would wait for ever for the threads of the process that it was copied from."""
    if os.getpid() != opened_in:
        raise InputError(
            f"{name} was opened before this process was forked, and its threads stayed behind; start processes with "
            "multiprocessing.get_context('spawn')"
        )


def _core() -> Any:
    core, opened_in = _opened_core()
    _same_process("openvino", opened_in)
    return core


@functools.cache
def _opened_core() -> tuple[Any, int]:
    """OpenVINO and the process that opened it, once for the process and kept until it ends.

    Its CPU plugin sets an alternate signal stack for the thread, and restores the previous one when it is destroyed. Of
    two plugins destroyed in the order in which they were created, the second restores the first one's, which is
    unmapped: the next signal that Python handles (Ctrl-C, SIGCHLD) then ends the process with SIGSEGV (2026.2).
    """
    import openvino

    return openvino.Core(), os.getpid()


def _has_bf16() -> bool:
    return "BF16" in _core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def graph_of(network: nn.Module, taps: Sequence[str] = ()) -> bytes:
    """The ONNX graph of a network of the catalog: float N×C×H×W → its output, or its `taps` in their order.

    InputError when PyTorch cannot write it. Takes some seconds, most of them for torch's exporter.
    """
    from alexnet.graphs import onnx_graph

    return onnx_graph.of_network(network, taps)


def product_of(weight: np.ndarray) -> bytes:
    """The ONNX graph of one matrix product with a constant: float32 N×K → N×M, `weight` float32 K×M."""
    import onnx

    ends = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["rows", None]) for name in ("x", "y")]
    node = onnx.helper.make_node("MatMul", ["x", "weight"], ["y"])
    constant = onnx.numpy_helper.from_array(weight, "weight")
    graph = onnx.helper.make_graph([node], "product", ends[:1], ends[1:], [constant])
    opset = onnx.helper.make_opsetid("", 18)
    return onnx.helper.make_model(graph, opset_imports=[opset], ir_version=9).SerializeToString()


class Runner:
    """A graph in a runtime, with as many threads as PyTorch has; calls from several threads wait for each other."""

    def __init__(self, content: bytes, name: str, precision: str = "fp32"):
        """InputError when the runtime is not installed, does not have the precision, or cannot open the graph."""
        if line := missing(name):
            raise InputError(line)
        if precision not in (able := precisions(name)):
            raise InputError(f"{name} computes in {' or '.join(able)} on this processor, not in {precision}")
        self.name, self.precision, self._lock, self._process = name, precision, threading.Lock(), os.getpid()
        try:
            self._run = _openvino(content, precision) if name == "openvino" else _onnxruntime(content)
        except Exception as error:  # the runtimes' own, of several kinds
            raise InputError(f"{name} does not run this network: {str(error).splitlines()[0][:200]}") from None

    def __call__(self, inputs: np.ndarray) -> list[np.ndarray]:
        """float32 N×C×H×W → the graph's outputs, float32. InputError in a fork of the process that opened the graph."""
        _same_process(self.name, self._process)
        with self._lock:
            return self._run(np.ascontiguousarray(inputs, np.float32))


def _onnxruntime(content: bytes) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda inputs: session.run(None, {name: inputs})


def _openvino(content: bytes, precision: str) -> Any:
    core, narrow = _core(), precision == "bf16" or (precision == "int8" and _has_bf16())
    if precision == "int8":
        from alexnet.graphs.int8_weights import int8_weights

        content = int8_weights(content)
    settings = {
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": 1,
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        # Left alone, OpenVINO computes in bf16 wherever the processor has it.
        "INFERENCE_PRECISION_HINT": "bf16" if narrow else "f32",
    }
    model = core.compile_model(core.read_model(content), "CPU", settings)
    return lambda inputs: [np.array(each, np.float32) for each in model(inputs).values()]  # its memory is used again
