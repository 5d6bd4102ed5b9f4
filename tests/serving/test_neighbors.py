"""The nearest images of an index, samples and broken constants, by the API: the same as the library's."""

from pathlib import Path

import numpy as np
import pytest
from requests_made import LIMITS, png
from starlette.testclient import TestClient

import alexnet
from alexnet.artifacts.run import Run
from alexnet.errors import InputError
from alexnet.inference.images import of_arrays
from alexnet.inference.model import Model
from alexnet.inference.opening import open_model
from alexnet.insight.similar import Index, build
from alexnet.insight.what_if import what_if
from alexnet.serving.app import create_app
from alexnet.serving.neighbors import Neighbors


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve digits as PNG files, two classes."""
    data = tmp_path_factory.mktemp("searched") / "digits"
    dataset = alexnet.dataset("digits")
    for i in range(12):
        image, label = dataset[i]
        (data / f"class{label % 2}").mkdir(parents=True, exist_ok=True)
        (data / f"class{label % 2}" / f"{i}.png").write_bytes(png(image[:, :, 0]))
    return data


@pytest.fixture(scope="module")
def index(folder: Path, trained: Run) -> Path:
    from alexnet.inference.images import open_images

    out = folder.parent / "index.npz"
    assert build(open_model(trained.path), open_images([folder]), out) == ()
    return out


def test_the_nearest_are_the_indexs(trained: Run, opened: Model, folder: Path, index: Path) -> None:
    image = alexnet.dataset("digits")[20][0]
    own = Index.load(index, open_model(trained.path)).similar(of_arrays([image]), 3)[0]
    for data in ([folder], []):
        with TestClient(create_app([opened, opened], LIMITS, neighbors=Neighbors(trained.path, index, data))) as client:
            assert [each["similar"] for each in client.get("/v1/models").json()] == [True, False]
            answer = client.post("/v1/similar?top_k=3", content=png(image[:, :, 0])).json()
            other = client.post("/v1/similar?model=run-2", content=png(image[:, :, 0]))
        assert other.status_code == 404
        assert answer["layer"] == "fc7"
        assert [each["name"] for each in answer["neighbors"]] == [near.name for near in own]
        assert [each["label"] for each in answer["neighbors"]] == [near.label for near in own]
        assert [each["distance"] for each in answer["neighbors"]] == pytest.approx([near.distance for near in own])
        assert all("image" in each for each in answer["neighbors"]) == bool(data)
        assert str(folder.parent) not in str(answer)  # names of files, no paths of the server


def test_names_are_the_indexs_and_no_paths_of_the_server(trained: Run, opened: Model, folder: Path) -> None:
    from alexnet.inference.images import open_images

    files, out = sorted(folder.rglob("*.png")), folder.parent / "of_files.npz"
    build(open_model(trained.path), open_images(files), out)
    with TestClient(create_app([opened], LIMITS, neighbors=Neighbors(trained.path, out, files))) as client:
        found = client.post("/v1/similar?top_k=12", content=png(np.zeros((8, 8), np.uint8))).json()["neighbors"]
    assert sorted(each["name"] for each in found) == sorted(each.name for each in files)
    assert all("image" in each for each in found)


def test_an_image_that_was_removed_is_a_name_only(trained: Run, opened: Model, folder: Path, index: Path) -> None:
    neighbors = Neighbors(trained.path, index, [folder])
    first = folder / "class0" / "0.png"
    kept = first.read_bytes()
    with TestClient(create_app([opened], LIMITS, neighbors=neighbors)) as client:
        first.unlink()
        try:
            answer = client.post("/v1/similar?top_k=12", content=png(np.zeros((8, 8), np.uint8))).json()
        finally:
            first.write_bytes(kept)
    assert ["image" in each for each in answer["neighbors"]].count(False) == 1


def test_an_index_of_another_model_is_refused(index: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not of"):
        Neighbors("alexnet-bearpaw", index)


def test_without_an_index_similar_says_how_to_get_one(client: TestClient) -> None:
    answer = client.post("/v1/similar", content=png(np.zeros((8, 8), np.uint8)))
    assert (answer.status_code, "--index" in answer.json()["detail"]) == (404, True)


def test_broken_constants_are_the_librarys(client: TestClient, opened: Model) -> None:
    image = alexnet.dataset("digits")[3][0]
    answer = client.post("/v1/what-if?change=mean=0;no-lrn", content=png(image[:, :, 0])).json()
    own = what_if(opened, image, ["mean=0", "no-lrn"])
    assert answer["label"] == own.label
    assert [each["change"] for each in answer["after"]] == ["mean=0", "no-lrn"]
    for mine, theirs in zip(answer["after"], own.after, strict=True):
        assert mine["score"] == pytest.approx(theirs.score, abs=1e-5)
    assert client.post("/v1/what-if", content=png(image[:, :, 0])).json()["after"]
    wrong = client.post("/v1/what-if?change=colour=1", content=png(image[:, :, 0]))
    assert (wrong.status_code, "unknown change" in wrong.json()["detail"]) == (422, True)


def test_samples_are_images_of_the_models_own_split(client: TestClient) -> None:
    found = client.get("/v1/samples").json()["images"]
    assert len(found) == 8
    assert all(each.startswith("data:image/png;base64,") for each in found)
    assert client.get("/v1/samples?model=nobody").status_code == 404
