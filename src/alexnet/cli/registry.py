"""Every verb with its line in `alexnet --help`, in that order.

The verb `what-if` is the function `what_if` in `what_if.py`; a Python keyword gets an underscore: `import_`. A verb's
module is imported when the verb runs, so `--help` loads none of them.
"""

import importlib
import keyword
from collections.abc import Callable
from typing import Any

VERBS = {
    "train": "Train a network, measure it, and write a report.",
    "evaluate": "Measure a trained model on labeled images: top-1, top-5, loss; of several labels an image mAP, F1.",
    "predict": "Classify images: the most likely classes with their probabilities.",
    "features": "Write the activations of any layers for many images, with where they come from; or check such a file.",
    "explain": "Show which parts of an image speak for a class: Grad-CAM, integrated gradients, occlusion and others.",
    "similar": "Find the images nearest to an image by a layer's features, as in the paper's Figure 4 (right).",
    "filters": "Show what units respond to: kernels as in the paper's Figure 3, synthesized images, top images.",
    "activations": "Show what each layer makes of an image, conv1 to the logits: maps, shapes, sparsity and ranges.",
    "probe": "Measure what a linear classifier and the nearest neighbors read from each layer of the frozen network.",
    "map": "Lay images out in a plane by a layer's features (t-SNE or UMAP): a PNG and an interactive page.",
    "what-if": "Change one constant (colors, mean, scale, LRN, pooling) and see how prediction and features move.",
    "rsa": "Compare representations of the same images: layers, networks and seeds by RSA or CKA.",
    "models": "List every network: name, parameters, FLOPs, input, source.",
    "summary": "Print a network's layers: name, output shape, parameters, FLOPs.",
    "recipes": "List the recipes, or print one as TOML.",
    "compare": "Compare runs: accuracy by epoch and by seconds, size, published and measured figures.",
    "report": "Draw plots and write the report of one run, or of several beside each other, from their files alone.",
    "check": "Check a dataset before training: damaged files, duplicates, leaks, labels, names.",
    "draw": "Draw a network in the manner of the 2012 paper's Figure 2, as SVG or PNG.",
    "verify": "Check every network, LRN form and count against its published source.",
    "import": "Convert weights of another program to safetensors with a card.",
    "data": "Download and verify a public dataset, or weights.",
    "doctor": "Find the preprocessing and LRN constants that some weights were trained with.",
    "export": "Write a trained model for other programs, after checking that it computes the same.",
    "serve": "Serve models over HTTP: a page for people, an API for programs.",
    "pack": "Make a resized copy of images in tar shards, which train several times as fast.",
    "bench": "Measure this machine and what networks reach on it: images/s, share of peak, time by phase.",
    "load": "Measure the server under load: requests/s, latency, memory.",
    "reproduce": "Re-run the published experiments within a time budget; finished runs are reused.",
}


def function_of(verb: str) -> Callable[..., Any]:
    """The function that is the verb; imports its module."""
    name = verb.replace("-", "_") + ("_" if keyword.iskeyword(verb) else "")
    return getattr(importlib.import_module(f"alexnet.cli.{name}"), name)
