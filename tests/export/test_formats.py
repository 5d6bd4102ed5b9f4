"""Every format from the digits run, as the command line writes it, read by who reads it; and what is refused."""

import errno
import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from alexnet.artifacts.card import RunCard
from alexnet.data.transforms.augment import Augmenter
from alexnet.errors import InputError
from alexnet.export import formats
from alexnet.export.agree import samples
from alexnet.files import json_bytes, read_json, sha256
from alexnet.graphs import onnx_graph
from alexnet.inference.data import dataset_for
from alexnet.inference.evaluate import evaluate
from alexnet.inference.model import Model, load_model
from alexnet.weights.imports import import_weights


def expected(opened: Model, images: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return opened.module(Augmenter(opened.preprocessing).evaluate(torch.from_numpy(images))).softmax(1).numpy()


def test_onnx(command, trained, opened: Model, tmp_path):
    out = tmp_path / "digits.onnx"
    said = command("export", trained.path, "--out", out, "--logits")
    assert said.code == 0, said
    assert "32 real images: top-1 equal" in said.out
    assert [path.name for path in tmp_path.iterdir()] == ["digits.onnx"]
    session = onnxruntime.InferenceSession(out)
    image = session.get_inputs()[0]
    assert (image.name, image.shape, image.type) == ("images", ["batch", 8, 8, 1], "tensor(uint8)")
    assert [output.name for output in session.get_outputs()] == ["probabilities", "logits", "names"]
    images = samples(opened, None, 5).images
    probabilities, logits, names = (np.asarray(each) for each in session.run(None, {"images": images}))
    np.testing.assert_allclose(probabilities, expected(opened, images), atol=1e-6)
    np.testing.assert_allclose(torch.from_numpy(logits).softmax(1).numpy(), probabilities, atol=1e-6)
    assert names.tolist() == [str(i) for i in range(10)]
    about = session.get_modelmeta().custom_metadata_map
    assert json.loads(about["classes"]) == names.tolist()
    card = RunCard.parse(json.loads(about["card"]), "the graph's card")
    assert card == opened.card.public()
    assert (about["license"], about["weights"]) == ("unknown", card.figures.chosen)


def test_onnx_is_one_file_of_opset_18_that_tells_nothing_of_this_machine(opened: Model, tmp_path):
    out = tmp_path / "digits.onnx"
    formats.export(opened, "onnx", out)
    graph = onnx.load(out, load_external_data=False)
    assert [(one.domain, one.version) for one in graph.opset_import if one.domain == ""] == [("", 18)]
    assert [output.name for output in graph.graph.output] == ["probabilities", "names"]
    assert [node.op_type for node in graph.graph.node].count("LRN") == 2
    assert b".py" not in out.read_bytes()


def test_int8(command, trained, tmp_path):
    out = tmp_path / "int8.onnx"
    said = command("export", trained.path, "--format", "int8", "--out", out, "--json")
    assert said.code == 0, said
    found = json.loads(said.out)["int8"]
    assert found["int8_bytes"] == out.stat().st_size < found["float_bytes"] / 3
    assert found["calibrated_on"] == 256
    assert found["measured_on"] == 359
    assert found["float_top1"] == pytest.approx(trained.card.figures.final.top1, abs=0.003)
    assert found["lost"] == found["float_top1"] - found["int8_top1"]
    assert abs(found["lost"]) < 0.05
    assert found["speed"] == pytest.approx(found["float_ms"] / found["int8_ms"])
    kinds = {node.op_type for node in onnx.load(out).graph.node}
    assert {"QuantizeLinear", "DequantizeLinear", "LRN"} <= kinds
    session = onnxruntime.InferenceSession(out)
    names = np.asarray(session.run(["names"], {"images": np.zeros((1, 8, 8, 1), np.uint8)})[0])
    assert names.tolist() == [str(i) for i in range(10)]


def test_torch(command, trained, opened: Model, tmp_path):
    out = tmp_path / "digits.pt2"
    assert command("export", trained.path, "--format", "torch", "--out", out).code == 0
    extra = {"card.json": ""}
    program = torch.export.load(out, extra_files=extra).module()
    images = samples(opened, None, 5).images
    with torch.no_grad():
        np.testing.assert_allclose(program(torch.from_numpy(images)), expected(opened, images), atol=1e-6)
    assert json.loads(extra["card.json"])["classes"] == list(opened.classes)
    assert b"alexnet/export" not in out.read_bytes()


def test_torch_with_logits(make, tmp_path):
    out = tmp_path / "figure1.pt2"
    made = formats.export(make("figure1-relu"), "torch", out, logits=True)
    assert made.agreement
    assert (made.agreement.origin, made.agreement.logits) == ("random", 0)
    probabilities, logits = torch.export.load(out).module()(torch.zeros(1, 32, 32, 3, dtype=torch.uint8))
    torch.testing.assert_close(logits.softmax(1), probabilities)


def test_safetensors(command, trained, opened: Model, tmp_path):
    out = tmp_path / "digits.safetensors"
    assert command("export", trained.path, "--format", "safetensors", "--out", out).code == 0
    again = load_model(out)
    assert again.classes == opened.classes
    images = dataset_for(opened)
    assert evaluate(again, images).figures == evaluate(opened, images).figures
    assert again.card == opened.card.public().model_copy(update={"sha256": {"weights": sha256(out)}})


def test_keras(command, trained, tmp_path):
    assert command("export", trained.path, "--format", "keras", "--out", tmp_path / "digits.h5").code == 0
    assert (tmp_path / "digits.h5").stat().st_size > 4 * 263_306


def test_card(command, trained, tmp_path):
    assert command("export", trained.path, "--format", "card", "--out", tmp_path / "README.md").code == 0
    assert (tmp_path / "README.md").read_text().startswith('---\nlicense: "unknown"\n')
    assert len(read_json(tmp_path / "README.json")["per_class"]) == 10


def test_refusals(refused, trained, tmp_path):
    there = tmp_path / "there.onnx"
    there.write_bytes(b"mine")
    assert "choose one of: onnx, int8, torch" in refused("export", trained.path, "--format", "x", "--out", there)
    assert "exists; add --force" in refused("export", trained.path, "--out", there)
    assert "ends in .onnx" in refused("export", trained.path, "--out", tmp_path / "x.bin")
    assert "no folder" in refused("export", trained.path, "--out", tmp_path / "no" / "x.onnx")
    (tmp_path / "folder.onnx").mkdir()
    assert "is a folder" in refused("export", trained.path, "--force", "--out", tmp_path / "folder.onnx")
    keras = ("--format", "keras", "--out", tmp_path / "x.h5")
    assert "--logits means nothing" in refused("export", trained.path, *keras, "--logits")
    assert "it is for: onnx, int8, torch, hub, web, web-int8, card" in refused(
        "export", trained.path, *keras, "--data", tmp_path
    )
    assert "another layout" in refused("export", trained.path, *keras[:3], tmp_path / "x.weights.h5")
    torchvision = ("--format", "torchvision", "--out", tmp_path / "x.pth")
    assert "alexnet-owt, alexnet-two-class" in refused("export", trained.path, *torchvision)
    assert "not a run" in refused("export", tmp_path, "--out", tmp_path / "x.onnx")
    assert there.read_bytes() == b"mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder.onnx", "there.onnx"]


def test_a_card_in_the_way_of_weights_is_kept(refused, trained, tmp_path):
    (tmp_path / "x.json").write_text("mine")
    assert "x.json' exists" in refused(
        "export", trained.path, "--format", "safetensors", "--out", tmp_path / "x.safetensors"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["x.json"]


def test_a_run_without_weights(refused, trained, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "card.json").write_bytes((trained.path / "card.json").read_bytes())
    assert "no weights" in refused("export", tmp_path / "run", "--out", tmp_path / "x.onnx")


@pytest.mark.parametrize("format", ["onnx", "int8", "keras"])
def test_a_missing_package_is_named(refused, trained, tmp_path, monkeypatch, format: str):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    out = tmp_path / f"x{formats.FORMATS[format].suffix}"
    said = refused("export", trained.path, "--format", format, "--out", out)
    assert "install with: pip install 'alexnet[" in said


@pytest.mark.parametrize(("format", "suffix"), [("safetensors", ".safetensors"), ("card", ".md")])
def test_a_full_disk_leaves_nothing(refused, trained, tmp_path, monkeypatch, format: str, suffix: str):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("alexnet.files.os.fsync", full)
    said = refused("export", trained.path, "--format", format, "--out", tmp_path / f"x{suffix}")
    assert "the disk is full" in said
    assert list(tmp_path.iterdir()) == []


def test_a_different_graph_is_not_written(refused, trained, tmp_path, monkeypatch):
    """The ONNX graph is given another LRN than the network has; the comparison finds it."""
    init = onnx_graph._LRN.__init__

    def wrong(self, norm):
        init(self, norm)
        self.attributes["alpha"] *= 100

    monkeypatch.setattr(onnx_graph._LRN, "__init__", wrong)
    said = refused("export", trained.path, "--out", tmp_path / "x.onnx")
    assert "nothing was written" in said
    assert list(tmp_path.iterdir()) == []


def test_int8_without_images_is_refused(make, tmp_path):
    with pytest.raises(InputError, match="needs labeled images"):
        formats.export(make("figure1-relu"), "int8", tmp_path / "x.onnx")
    assert list(tmp_path.iterdir()) == []


def test_force_replaces(opened: Model, tmp_path):
    out = tmp_path / "x.h5"
    out.write_bytes(b"old")
    formats.export(opened, "keras", out, force=True)
    assert out.read_bytes().startswith(b"\x89HDF")


def test_what_is_exported_and_imported_keeps_its_preprocessing_and_classes(opened: Model, tmp_path: Path) -> None:
    out = tmp_path / "x.h5"
    formats.export(opened, "keras", out)
    back = import_weights(out, tmp_path / "back.safetensors")
    assert not back.assumed
    assert back.card.classes == opened.classes
    assert back.card.preprocessing == opened.card.preprocessing
    (out.with_suffix(".json")).write_text("{}")
    assert import_weights(out, tmp_path / "other.safetensors").assumed
    out.with_suffix(".json").write_bytes(json_bytes(opened.card.to_json()))  # a card, and of another file
    assert import_weights(out, tmp_path / "third.safetensors").assumed
