"""What MLflow and Weights & Biases themselves read back from a run that was written for them, without a network."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

import alexnet
from alexnet.artifacts.figures import score
from alexnet.artifacts.run import Run
from alexnet.insight.report.write import report

ROWS = 2


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    pytest.importorskip("tensorboard")
    return alexnet.train("digits", out=tmp_path_factory.mktemp("runs") / "digits", epochs=ROWS)


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No network, no home, nobody to answer a prompt."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("WANDB_MODE", "online")  # ours stays offline

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a prompt")

    monkeypatch.setattr("builtins.input", refuse)
    own = socket.socket.connect

    def local(self: socket.socket, address: object) -> None:
        if isinstance(address, tuple) and address[0] not in ("127.0.0.1", "::1", "localhost"):
            raise AssertionError(f"a connection to {address}")
        own(self, address)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(socket.socket, "connect", local)


def test_mlflow_reads_the_run_from_its_file_store(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("mlflow")
    before = dict(os.environ)
    folder, left = report(run.path, "mlflow", tmp_path / "mlruns")
    assert left == []
    assert dict(os.environ) == before
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=folder.as_uri())
    experiment = client.get_experiment_by_name("alexnet")
    assert experiment is not None
    (kept,) = client.search_runs([experiment.experiment_id])
    assert kept.info.run_name == "digits"
    assert kept.info.status == "FINISHED"
    losses = client.get_metric_history(kept.info.run_id, "train_loss")
    assert [(each.step, each.value) for each in losses] == [(row["epoch"], row["train_loss"]) for row in run.metrics]
    measured = run.card.figures.validation
    assert measured is not None
    assert kept.data.metrics["top1/validation"] == score(measured)
    assert kept.data.params["model.name"] == run.recipe.model.name
    files = {each.path for each in client.list_artifacts(kept.info.run_id)}
    assert {"recipe.toml", "curves.png", "confusion.png"} <= files


def test_wandb_keeps_the_run_offline_and_asks_nobody(run: Run, tmp_path: Path) -> None:
    wandb = pytest.importorskip("wandb")
    folder, left = report(run.path, "wandb", tmp_path / "board")
    assert left == []
    wandb.teardown()  # W&B's own process, which writes the file, ends
    from wandb.proto.wandb_internal_pb2 import Record

    (file,) = folder.glob("wandb/offline-run-*/*.wandb")
    history: list[dict[str, str]] = []
    config: dict[str, str] = {}
    notes = ""
    for data in records(file.read_bytes()):
        record = Record()
        record.ParseFromString(data)
        notes = notes or record.run.notes
        config |= {item.key: item.value_json for item in record.run.config.update}
        if record.HasField("history"):
            history.append({"/".join(item.nested_key) or item.key: item.value_json for item in record.history.item})
    losses = [float(row["train_loss"]) for row in history if "train_loss" in row]
    assert losses == [row["train_loss"] for row in run.metrics]
    assert any("curves" in "".join(row) for row in history)
    assert config["model.name"] == f'"{run.recipe.model.name}"'
    assert notes == run.recipe_text


def records(content: bytes) -> Iterator[bytes]:
    """The records of a LevelDB log, as W&B writes one after 7 bytes of its own."""
    at, held = 7, b""
    while at + 7 <= len(content):
        if (left := 32768 - at % 32768) < 7:
            at += left
            continue
        size, kind = int.from_bytes(content[at + 4 : at + 6], "little"), content[at + 6]
        held += content[at + 7 : at + 7 + size]
        at += 7 + size
        if kind in (1, 4):  # whole, or the last part
            yield held
            held = b""
