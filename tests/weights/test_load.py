from pathlib import Path

import pytest
import torch

import alexnet
from alexnet.artifacts import store
from alexnet.artifacts.run import Run
from alexnet.errors import InputError
from alexnet.files import write_json
from alexnet.inference.model import load_model
from alexnet.models import catalog
from alexnet.models.network import Network
from alexnet.weights.load import WeightsWarning, load_into


def test_create_fills_a_network_from_a_file(digits: Network, tmp_path: Path):
    store.save(tmp_path / "net.safetensors", digits.state_dict())
    made = alexnet.create("alexnet-digits", weights=tmp_path / "net.safetensors")
    assert all(torch.equal(a, b) for a, b in zip(made.parameters(), digits.parameters(), strict=True))


def test_the_real_features_of_torchvision_with_a_fresh_head(real_data: Path):
    file = real_data / "weights" / "torchvision-alexnet-features.safetensors"
    torch.manual_seed(1)
    fresh = catalog.create("alexnet-owt", classes=5)
    torch.manual_seed(1)
    with pytest.warns(WeightsWarning, match=r"fc6\.weight.*kept their initial values"):
        made = alexnet.create("alexnet-owt", classes=5, weights=file)
    real = store.load_tensors(file)
    assert torch.equal(made.get_parameter("conv5.weight"), real["features.10.weight"])
    assert torch.equal(made.get_parameter("conv1.bias"), real["features.0.bias"])
    assert torch.equal(made.get_parameter("fc8.weight"), fresh.get_parameter("fc8.weight"))


def test_a_head_of_other_classes_is_replaced_and_said(digits: Network, tmp_path: Path):
    store.save(tmp_path / "net.safetensors", digits.state_dict())
    torch.manual_seed(1)
    fresh = catalog.create("alexnet-digits", classes=3)
    torch.manual_seed(1)
    with pytest.warns(WeightsWarning, match="fc8 is initialized anew: the file has 10 classes, the network 3"):
        made = alexnet.create("alexnet-digits", classes=3, weights=tmp_path / "net.safetensors")
    assert torch.equal(made.get_parameter("fc7.weight"), digits.get_parameter("fc7.weight"))
    assert torch.equal(made.get_parameter("fc8.weight"), fresh.get_parameter("fc8.weight"))
    assert torch.equal(made.get_parameter("fc8.bias"), fresh.get_parameter("fc8.bias"))


def test_another_head_is_refused_when_more_differs(digits: Network, tmp_path: Path):
    state = dict(digits.state_dict())
    store.save(tmp_path / "wide.safetensors", state | {"fc8.weight": torch.zeros(3, 7), "fc8.bias": torch.zeros(3)})
    with pytest.raises(InputError, match=r"fc8\.weight is 3×7"):
        alexnet.create("alexnet-digits", weights=tmp_path / "wide.safetensors")
    store.save(tmp_path / "two.safetensors", state | {"conv1.bias": torch.zeros(5)})
    with pytest.raises(InputError, match=r"conv1\.bias is 5"):
        alexnet.create("alexnet-digits", classes=3, weights=tmp_path / "two.safetensors")


def test_layers_are_skipped_by_name(digits: Network, tmp_path: Path):
    store.save(tmp_path / "net.safetensors", digits.state_dict())
    made = alexnet.create("alexnet-digits", classes=3, weights=tmp_path / "net.safetensors", skip=["fc8"])
    assert torch.equal(made.get_parameter("fc7.weight"), digits.get_parameter("fc7.weight"))
    with pytest.raises(InputError, match="unknown layer"):
        alexnet.create("alexnet-digits", weights=tmp_path / "net.safetensors", skip=["fc9"])
    with pytest.raises(InputError, match="gives alexnet-digits nothing"):
        alexnet.create("alexnet-digits", weights=tmp_path / "net.safetensors", skip=["conv1..fc8"])


def test_nothing_changes_when_something_does_not_fit(digits: Network, tmp_path: Path):
    state = {**digits.state_dict(), "conv5.weight": torch.zeros(1, 2, 3, 3)}
    store.save(tmp_path / "net.safetensors", state)
    made = catalog.create("alexnet-digits")
    before = {name: value.clone() for name, value in made.state_dict().items()}
    with pytest.raises(InputError, match=r"conv5\.weight is 1×2×3×3"):
        load_into(made, tmp_path / "net.safetensors")
    assert all(torch.equal(value, before[name]) for name, value in made.state_dict().items())


def test_weights_of_another_function_are_told(trained: Run, tmp_path: Path):
    store.save(tmp_path / "net.safetensors", store.load_tensors(trained.path / "best.safetensors"))
    write_json(tmp_path / "net.json", {**trained.card.to_json(), "name": "alexnet-mnist", "sha256": {}})
    with pytest.warns(WeightsWarning, match="its card says that it is alexnet-mnist"):
        alexnet.create("alexnet-digits", weights=tmp_path / "net.safetensors")


def test_a_run_gives_its_weights_and_its_preprocessing(trained: Run):
    made = catalog.create("alexnet-digits")
    loaded = load_into(made, trained.path)
    assert loaded.origin.kind == "own"
    assert loaded.preprocessing == load_model(trained).preprocessing
    assert loaded.told == ""
    assert loaded.origin.sha256 == trained.card.sha256["best"]
