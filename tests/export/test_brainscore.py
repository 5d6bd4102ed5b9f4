"""The submission folder in Brain-Score's hands. Brain-Score itself does not install here: a stub keeps its conventions,
those of brainscore_vision/model_helpers/activations/pytorch.py and of brain_transformation/__init__.py."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import alexnet
from alexnet.artifacts.run import Run
from alexnet.errors import InputError
from alexnet.export import brainscore, formats
from alexnet.inference.features import features, network_of
from alexnet.inference.model import Model

STUB = {
    "__init__.py": "model_registry = {}\ndef load_model(name):\n    return model_registry[name]()\n",
    "model_helpers/__init__.py": "",
    "model_helpers/activations/__init__.py": "",
    "model_helpers/activations/pytorch.py": '''
import numpy as np, torch
class PytorchWrapper:
    """Hooks on the modules that are named; each image's row is stacked, as get_activations does it."""
    def __init__(self, model, preprocessing, identifier=None):
        self._model, self._preprocessing, self.identifier = model, preprocessing, identifier
    def __call__(self, paths, layers):
        images = torch.stack([torch.from_numpy(image) for image in self._preprocessing(paths)])
        self._model.eval()
        results, hooks = {}, []
        for name in layers:
            module = self._model
            for part in name.split("."):
                module = module._modules.get(part)
                assert module is not None, name
            hooks.append(module.register_forward_hook(
                lambda _m, _i, output, name=name: results.__setitem__(name, output.cpu().data.numpy())))
        with torch.no_grad():
            self._model(images)
        for hook in hooks:
            hook.remove()
        return results
''',
    "model_helpers/brain_transformation/__init__.py": """
class ModelCommitment:
    def __init__(self, identifier, activations_model, layers, behavioral_readout_layer=None, region_layer_map=None,
                 visual_degrees=8):
        self.identifier, self.activations_model, self.layers = identifier, activations_model, layers
        self.region_layer_map = region_layer_map
""",
}
RUN = """
import json, socket, sys
def refused(*_, **__): raise OSError("no network in this test")
socket.socket.connect = refused
import numpy as np, mine_v1  # registers it, as Brain-Score's importer of plugins does
from brainscore_vision import load_model
model = load_model("mine_v1")
found = model.activations_model(sys.argv[2:], model.layers)
np.savez(sys.argv[1], **found)
print(json.dumps([model.identifier, model.layers, model.region_layer_map, model.activations_model.image_size]))
"""


def test_the_folder_runs_and_gives_our_features(trained: Run, opened: Model, tmp_path: Path, command: Callable) -> None:
    out = tmp_path / "models" / "mine_v1"
    assert command("export", trained.path, "--format", "brainscore", "--out", out).code == 0
    assert {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()} == {
        "__init__.py", "model.py", "test.py", "metadata.yaml", "requirements.txt", "region_layer_map/mine_v1.json",
        "model.safetensors", "card.json",
    }  # fmt: skip
    for name, text in STUB.items():
        place = tmp_path / "stub" / "brainscore_vision" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
    paths = []
    for number in range(3):
        paths.append(tmp_path / f"{number}.png")
        Image.fromarray(np.random.default_rng(number).integers(0, 256, (20, 12), np.uint8)).save(paths[-1])
    source = Path(alexnet.__file__).parents[1]
    place = os.pathsep.join(map(str, (tmp_path / "stub", tmp_path / "models", source)))
    ended = subprocess.run(
        [sys.executable, "-c", RUN, str(tmp_path / "found.npz"), *map(str, paths)],
        env=os.environ | {"PYTHONPATH": place}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    name, layers, regions, side = json.loads(ended.stdout.splitlines()[-1])
    assert (name, side) == ("mine_v1", 8)
    assert regions == json.loads((out / "region_layer_map" / "mine_v1.json").read_text())
    assert set(regions) == {"V1", "V2", "V4", "IT"}
    assert set(regions.values()) <= set(layers)

    names = network_of(opened).layer_names
    with np.load(tmp_path / "found.npz") as file:
        found = dict(file)
    for layer in layers:
        tap = layer if not layer.startswith("relu") else next(
            each for each in (f"conv{layer[4:]}", f"fc{layer[4:]}") if each in names)  # fmt: skip
        ours = features(opened, paths, [tap])
        np.testing.assert_allclose(found[layer], next(iter(ours.values())), atol=1e-5)


def test_the_metadata_says_what_the_network_is(opened: Model) -> None:
    made = brainscore.files(opened, "mine")
    parameters = sum(each.numel() for each in opened.module.parameters())
    assert f"\n        total_parameter_count: {parameters}\n" in made["metadata.yaml"]
    assert made["metadata.yaml"].startswith("models:\n    mine:\n")
    assert "trainable_layers: 8\n" in made["metadata.yaml"]


def test_layers_are_those_of_brainscores_own_alexnet(make: Callable[..., Model]) -> None:
    """['features.2', 'features.5', 'features.7', 'features.9', 'features.12', 'classifier.2', 'classifier.5']"""
    owt = make("alexnet-owt", classes=2)
    assert brainscore.layers_of(owt) == ["pool1", "pool2", "relu3", "relu4", "pool5", "relu6", "relu7"]
    assert brainscore.region_map(owt) == {"V1": "pool1", "V2": "relu3", "V4": "relu3", "IT": "pool5"}
    small = make("resnet-20", classes=2)
    assert brainscore.region_map(small) == {}
    made = brainscore.files(small, "mine")
    assert "region_layer_map" not in made["__init__.py"]
    assert not any("region_layer_map" in name for name in made)
    compile(made["model.py"], "model.py", "exec")


def test_a_name_that_is_no_identifier_is_refused(opened: Model, tmp_path: Path) -> None:
    for name in ("my-model", "1st", 'x"; import os'):
        with pytest.raises(InputError, match="model's identifier"):
            formats.export(opened, "brainscore", tmp_path / name)
        assert not (tmp_path / name).exists()
