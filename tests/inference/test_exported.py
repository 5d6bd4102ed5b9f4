"""What was exported is evaluated and predicted by the same verbs, and answers as the run did."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import alexnet
from alexnet.artifacts.run import Run
from alexnet.errors import InputError
from alexnet.export import formats
from alexnet.inference.data import dataset_for
from alexnet.inference.evaluate import evaluate
from alexnet.inference.exported import loss_of
from alexnet.inference.model import Model, load, load_model
from alexnet.inference.opening import open_model
from alexnet.inference.predict import predict

FORMS = [("onnx", "onnx"), ("int8", "onnx"), ("torch", "pt2"), ("keras", "h5")]


@pytest.fixture(scope="module")
def exported(trained: Run, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The digits run in every form."""
    pytest.importorskip("onnxruntime", reason="needs alexnet[onnx]")
    pytest.importorskip("h5py", reason="needs alexnet[keras]")
    root, found = tmp_path_factory.mktemp("exported"), {}
    for format, suffix in FORMS:
        found[format] = root / f"{format}.{suffix}"
        formats.export(load_model(trained), format, found[format], max_loss=0.05 if format == "int8" else None)
    return found


@pytest.mark.parametrize("format", [format for format, _ in FORMS])
def test_it_answers_as_the_run_does(exported: dict[str, Path], opened: Model, format: str) -> None:
    model, images = load(exported[format]), dataset_for(opened)
    assert model.classes == opened.classes
    ours, theirs = evaluate(opened, images), evaluate(model, images)
    assert theirs.figures.precision == ("int8" if format == "int8" else "fp32")
    if format == "int8":
        assert abs(theirs.figures.top1 - ours.figures.top1) <= 0.05
        return
    assert theirs.figures.top1 == ours.figures.top1
    assert theirs.figures.loss == pytest.approx(ours.figures.loss, abs=1e-5)
    some = [images[i][0] for i in range(3)]
    for a, b in zip(predict(opened, some, 3), predict(model, some, 3), strict=True):
        assert [each.label for each in a.predictions] == [each.label for each in b.predictions]
        assert [each.score for each in a.predictions] == pytest.approx([each.score for each in b.predictions], abs=1e-5)


def test_an_imagenet_form_keeps_its_crop_and_its_colors(make: Callable[..., Model], tmp_path: Path) -> None:
    """Stored at 256, cropped to 227, BGR less a mean: all of it is in the graph, and nothing is done twice."""
    pytest.importorskip("onnxruntime", reason="needs alexnet[onnx]")
    model = make("figure1-relu")
    wants = model.preprocessing.__class__((32, 32), resize=40, colors="BGR", scale=1.0, mean=(104.0, 117.0, 123.0))
    card = model.card.changed(preprocessing=wants.to_json())
    model = Model(model.module, model.classes, wants, card, model.path)
    formats.export(model, "onnx", tmp_path / "x.onnx")
    image = np.random.default_rng(0).integers(0, 256, (50, 70, 3), np.uint8)
    (a,), (b,) = predict(model, [image], 10), predict(load(tmp_path / "x.onnx"), [image], 10)
    assert [each.label for each in a.predictions] == [each.label for each in b.predictions]
    assert [each.score for each in a.predictions] == pytest.approx([each.score for each in b.predictions], abs=1e-5)


def _renamed(graph: Any) -> None:
    graph.graph.node[0].op_type = "Relu\x1b"


def _outside(graph: Any) -> None:
    tensor = graph.graph.node.add(op_type="Constant", output=["odd"]).attribute.add(name="value").t
    tensor.data_location = 1
    tensor.external_data.add(key="location", value="/etc/passwd")


@pytest.mark.parametrize(("change", "said"), [(_renamed, "does not run"), (_outside, "weights in other files")])
def test_a_changed_graph_is_one_line(
    exported: dict[str, Path], tmp_path: Path, change: Callable[[Any], None], said: str
) -> None:
    import onnx

    graph = onnx.load(exported["onnx"])
    change(graph)
    (tmp_path / "x.onnx").write_bytes(graph.SerializeToString())
    with pytest.raises(InputError, match=said) as error:
        load(tmp_path / "x.onnx")
    assert str(error.value).isprintable()
    content = exported["onnx"].read_bytes()
    (tmp_path / "x.onnx").write_bytes(content.replace(b"\x22\x04Conv", b"\x22\x04C\xffnv"))
    with pytest.raises(InputError, match=r"not a readable ONNX file|does not run") as error:
        load(tmp_path / "x.onnx")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The run's own validation images as class folders would trip over nothing: 40 digits."""
    digits = alexnet.dataset("digits")
    for index in range(40):
        place = tmp_path / "digits" / digits.classes[digits[index][1]]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(digits[index][0][:, :, 0]).save(place / f"{index}.png")
    return tmp_path / "digits"


@pytest.mark.parametrize("format", ["onnx", "torch", "keras"])
def test_the_verbs_take_it(
    exported: dict[str, Path], trained: Run, folder: Path, command: Callable[..., Any], format: str
) -> None:
    path = exported[format]
    ended = command("evaluate", path, "--data", folder)
    assert ended.code == 0, ended
    assert f"{path}: its card has no figure of the run on 40 images to compare with" in ended.out
    found = json.loads(command("evaluate", path, "--data", folder, "--json").out)
    assert found["count"] == 40
    own = json.loads(command("predict", trained.path, folder, "--json").out)
    theirs = json.loads(command("predict", path, folder, "--json").out)
    assert [each["predictions"][0]["label"] for each in own] == [each["predictions"][0]["label"] for each in theirs]


def test_the_accuracy_lost_is_told(opened: Model) -> None:
    figures = opened.card.figures  # pyright: ignore[reportAttributeAccessIssue]
    own = figures.test or figures.validation
    line = loss_of(opened.card, own.model_copy(update={"top1": own.top1 - 0.0125}), "x.onnx")
    had = f"the run, which had {own.top1:.2%} on {own.count:,} images in fp32"
    assert line == f"x.onnx: 1.25 points lost against {had}"
    assert "as accurate as the run" in loss_of(opened.card, own, "x.onnx")
    better = own.model_copy(update={"top1": own.top1 + 0.005})
    assert "0.50 points gained" in loss_of(opened.card, better, "x.onnx")


def test_a_graph_has_no_layers_to_look_into(
    exported: dict[str, Path], refused: Callable[..., str], folder: Path
) -> None:
    assert "evaluate and predict take it" in refused("explain", exported["onnx"], folder / "0" / "0.png")
    assert "evaluate and predict take it" in refused("export", exported["onnx"], "--out", folder / "x.onnx")
    assert "as it was exported" in refused("evaluate", exported["int8"], "--data", folder, "--precision", "bf16")


def test_a_program_of_somebody_else_is_never_opened(
    exported: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.export.load", lambda *_, **__: pytest.fail("it was opened"))
    copy = Path(shutil.copy(exported["torch"], tmp_path / "x.pt2"))
    with pytest.raises(InputError, match="was not exported here by you"):
        load(copy)
    shutil.copy(exported["torch"].with_name("torch.pt2.seal"), tmp_path / "x.pt2.seal")
    copy.write_bytes(copy.read_bytes() + b"\0")  # another content under this user's seal
    with pytest.raises(InputError, match="was not exported here by you"):
        load(copy)


def test_an_onnx_file_of_another_model_is_refused_in_one_line(
    exported: dict[str, Path], tmp_path: Path, refused: Callable[..., str], folder: Path
) -> None:
    onnx = pytest.importorskip("onnx")
    path = tmp_path / "x.onnx"
    path.write_bytes(b"nothing of ONNX")
    assert "is not a readable ONNX file" in refused("evaluate", path, "--data", folder)
    graph = onnx.load(exported["onnx"])
    kept = {prop.key: prop.value for prop in graph.metadata_props}
    onnx.helper.set_model_props(graph, {"by": "somebody"})
    onnx.save(graph, path)
    assert "there is no card in it" in refused("predict", path, folder)
    onnx.helper.set_model_props(graph, kept | {"card": json.dumps(json.loads(kept["card"]) | {"classes": ["a", "b"]})})
    onnx.save(graph, path)
    assert "does not fit the card in it: 10 classes, not 2" in refused("predict", path, folder)
    onnx.helper.set_model_props(graph, kept)
    tensor = graph.graph.initializer[0]
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../etc/passwd")
    path.write_bytes(graph.SerializeToString())
    assert "in other files, which are not opened" in refused("predict", path, folder)


def test_weights_of_another_model_than_their_card(exported: dict[str, Path], tmp_path: Path, make: Any) -> None:
    for suffix in (".h5", ".json"):
        shutil.copy(exported["keras"].with_suffix(suffix), tmp_path / f"x{suffix}")
    formats.export(make("alexnet-digits"), "keras", tmp_path / "y.h5")
    shutil.copy(tmp_path / "y.h5", tmp_path / "x.h5")
    with pytest.raises(InputError, match=r"is not the file that x\.json describes"):
        load(tmp_path / "x.h5")
    (tmp_path / "x.json").write_text('{"class_name": "Sequential"}')  # Keras's own file of that name is no card
    with pytest.raises(InputError, match="alexnet import"):
        open_model(tmp_path / "x.h5")
