"""ONNX graphs of a network with its preprocessing, and the runtimes that run them."""
