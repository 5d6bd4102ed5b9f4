"""A submission folder for Brain-Score (https://github.com/brain-score/vision, brainscore_vision/models/alexnet).

Its `__init__.py` registers the model, `model.py` gives the network with its own preprocessing in Brain-Score's
`PytorchWrapper`, and `region_layer_map/IDENTIFIER.json` commits layers to V1, V2, V4 and IT as Brain-Score's own
alexnet does. The weights lie beside them: nothing is fetched.
"""

import json
import re
from string import Template

from alexnet.errors import InputError
from alexnet.inference.features import network_of
from alexnet.inference.model import Model

_INIT = '''"""Registers $identifier."""

from brainscore_vision import model_registry
from brainscore_vision.model_helpers.brain_transformation import ModelCommitment

from .model import LAYERS, get_model

model_registry["$identifier"] = lambda: ModelCommitment(
    identifier="$identifier", activations_model=get_model(), layers=LAYERS$regions
)
'''

_MODEL = '''"""$identifier: $network of the package alexnet, with the weights and preprocessing in this folder."""

from pathlib import Path

import alexnet
import numpy as np
import torch
from alexnet.data.loading.decode import prepare
from alexnet.data.transforms.augment import Augmenter
from brainscore_vision.model_helpers.activations.pytorch import PytorchWrapper

BIBTEX = """$bibtex"""

LAYERS = $layers


def get_model():
    model = alexnet.load(Path(__file__).parent)
    augmenter = Augmenter(model.preprocessing)

    def preprocess(image_filepaths):
        """float32 N x channels x height x width, as the network was trained."""
        stored = np.stack([prepare(Path(path), model.preprocessing) for path in image_filepaths])
        return np.ascontiguousarray(augmenter.evaluate(torch.from_numpy(stored)).numpy())

    wrapper = PytorchWrapper(identifier="$identifier", model=model.module.eval(), preprocessing=preprocess)
    wrapper.image_size = $side
    return wrapper
'''

_TEST = '''"""The model can be loaded, and commits to its layers. Scores are Brain-Score's to measure."""

import pytest
from brainscore_vision import load_model


@pytest.mark.memory_intense
def test_it_loads():
    assert load_model("$identifier").identifier == "$identifier"
'''

_BIBTEX = """@incollection{NIPS2012_4824,
    title = {ImageNet Classification with Deep Convolutional Neural Networks},
    author = {Alex Krizhevsky and Ilya Sutskever and Geoffrey E. Hinton},
    booktitle = {Advances in Neural Information Processing Systems 25},
    pages = {1097--1105},
    year = {2012}
}"""

_REGIONS = {"V1": 1, "V2": 3, "V4": 3, "IT": 5}
"""Brain-Score's map for torchvision's AlexNet, by convolution: features.2, features.7, features.7 and features.12."""


def layers_of(model: Model) -> list[str]:
    """Modules whose output Brain-Score reads: what leaves each convolution's ReLU and pool, and each hidden layer."""
    names = list(network_of(model).layer_names)
    blocks = [name for name in names if re.fullmatch(r"(conv|fc)\d+", name)][:-1]
    found = []
    for block in blocks:
        number = re.sub(r"\D", "", block)
        after = [name for name in (block, f"relu{number}", f"tanh{number}", f"pool{number}") if name in names]
        found.append(max(after, key=names.index))
    return found or [name for name in names if name.startswith("stage")]


def region_map(model: Model) -> dict[str, str]:
    """Region → layer, for networks with AlexNet's five convolutions; empty for others: Brain-Score selects theirs."""
    convolutions = [name for name in network_of(model).layer_names if re.fullmatch(r"conv\d+", name)]
    if convolutions != [f"conv{number}" for number in range(1, 6)]:
        return {}
    return {region: layers_of(model)[number - 1] for region, number in _REGIONS.items()}


def files(model: Model, identifier: str) -> dict[str, str]:
    """Path within the folder → text. InputError where the folder's name is none that Brain-Score takes."""
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", identifier):
        raise InputError(f"the folder's name is the model's identifier: letters, digits and _, not {identifier!r}")
    network, regions = network_of(model), region_map(model)
    parameters = sum(each.numel() for each in network.parameters())
    weighted = sum(1 for part in network.modules() if getattr(part, "weight", None) is not None)
    values = {
        "identifier": identifier,
        "network": model.card.name,
        "layers": json.dumps(layers_of(model)),
        "side": min(model.preprocessing.size),
        "bibtex": _BIBTEX,
        "regions": f", region_layer_map={json.dumps(regions)}" if regions else "",
    }
    notes = "regions as Brain-Score's alexnet has them, not selected for these weights" if regions else None
    metadata = {
        "architecture": "DCNN",
        "model_family": "alexnet",
        "total_parameter_count": parameters,
        "trainable_parameter_count": parameters,
        "total_layers": sum(1 for part in network.modules() if not list(part.children())),
        "trainable_layers": weighted,
        "model_size_mb": round(4 * parameters / 1e6, 1),
        "training_dataset": None,
        "task_specialization": "image-classification",
        "brainscore_link": None,
        "huggingface_link": None,
        "extra_notes": notes,
        "runnable": True,
    }
    lines = [f"        {key}: {json.dumps(value)}" for key, value in metadata.items()]  # JSON is YAML
    made = {
        "__init__.py": Template(_INIT).substitute(values),
        "model.py": Template(_MODEL).substitute(values),
        "test.py": Template(_TEST).substitute(values),
        "metadata.yaml": "\n".join(["models:", f"    {identifier}:", *lines]) + "\n",
        "requirements.txt": "alexnet\n",
    }
    if regions:
        made[f"region_layer_map/{identifier}.json"] = json.dumps(regions) + "\n"
    return made
