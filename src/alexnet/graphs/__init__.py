"""ONNX graphs of a network with its preprocessing."""
