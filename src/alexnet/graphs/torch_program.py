"""A torch.export program: one .pt2 file that PyTorch runs without this package."""

import io
import json
import warnings

import numpy as np
import torch
from torch import nn

from alexnet.artifacts.card import Card
from alexnet.graphs.served import BATCH, Served, example
from alexnet.models.mode import evaluating
from alexnet.preprocessing import Preprocessing


def build(network: nn.Module, preprocessing: Preprocessing, card: Card, logits: bool) -> bytes:
    """The program of `Served` with any number of images; the card goes along as the extra file 'card.json'."""
    served = Served(network, preprocessing, logits, card.multilabel)
    content = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad(), evaluating(served):
        warnings.simplefilter("ignore")  # torch.export's own use of what torch has deprecated
        program = torch.export.export(served, (example(preprocessing),), dynamic_shapes=BATCH)
        for node in program.graph.nodes:
            node.meta.pop("stack_trace", None)  # paths of this machine
        torch.export.save(program, content, extra_files={"card.json": json.dumps(card.to_json())})
    return content.getvalue()


class Program:
    """The content of a .pt2 file, ready to run."""

    def __init__(self, content: bytes):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._module = torch.export.load(io.BytesIO(content)).module()

    def __call__(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Probabilities, and logits if the program gives them."""
        with torch.no_grad():
            found = self._module(torch.from_numpy(images))
        if isinstance(found, torch.Tensor):
            return found.numpy(), None
        probabilities, logits = found
        return probabilities.numpy(), logits.numpy()
