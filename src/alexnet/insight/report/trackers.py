"""A run for TensorBoard, MLflow and Weights & Biases: curves, hyperparameters beside their result, images and text.

Each writes into a folder and reaches no network: TensorBoard's events, MLflow's file store
(https://mlflow.org/docs/latest/self-hosting/architecture/backend-store/), an offline run of W&B
(`wandb sync` uploads it: https://docs.wandb.ai/models/ref/cli/wandb-sync). MLflow and W&B come with the extra `track`.
"""

import io
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from alexnet.artifacts.figures import score
from alexnet.artifacts.run import RECIPE, Run
from alexnet.inference.feature_write import needs
from alexnet.recipes import recipe as recipes

IMAGES = ("samples", "curves", "confusion", "worst")
TRACKERS = ("tensorboard", "mlflow", "wandb")
_BATCH = 100  # parameters, and metrics, in one call of MLflow: its limit on parameters
_LONGEST = 6000  # letters of a parameter's value in MLflow


@dataclass(frozen=True)
class _Told:
    """What every tracker is given."""

    rows: list[dict[str, Any]]
    settings: dict[str, bool | int | float | str]
    measured: dict[str, float]
    findings: list[str]
    images: dict[str, Image.Image]


def write(run: Run, tracker: str, folder: Path) -> None:
    """Writes a run with a card into `folder` as one of TRACKERS; its plots as images where they have been drawn.

    InputError where the tracker's package is not installed.
    """
    {"tensorboard": _tensorboard, "mlflow": _mlflow, "wandb": _wandb}[tracker](run, _told(run), folder)


def check(tracker: str) -> None:
    """InputError where the tracker's package is not installed."""
    if tracker != "tensorboard":
        with _environment(_MLFLOW):
            needs(tracker, "track")


def _told(run: Run) -> _Told:
    figures = run.card.figures
    parts = {"validation": figures.validation, "test": figures.test}
    what = "map" if run.card.multilabel else "top1"
    measured = {f"{what}/{name}": score(found) for name, found in parts.items() if found}
    settings = {key: value for key, value in recipes.flat(run.recipe) if not key.startswith("published")}
    contents = {name: content for name in IMAGES if (content := run.plot_content(name))}
    return _Told(
        run.metrics,
        {key: value if isinstance(value, (bool, int, float, str)) else repr(value) for key, value in settings.items()},
        measured or {f"{what}/in training": score(figures.in_training)},
        [f"epoch {finding['epoch']}: {finding['kind']}; {finding['seen']}" for finding in run.findings],
        {name: Image.open(io.BytesIO(content)).convert("RGB") for name, content in contents.items()},
    )


def _tensorboard(run: Run, told: _Told, folder: Path) -> None:
    from torch.utils.tensorboard import SummaryWriter

    card = run.card
    with SummaryWriter(folder) as board:
        for row in told.rows:
            for name, value in row.items():
                if name != "epoch":
                    board.add_scalar(name, value, row["epoch"])
        board.add_text("recipe", "\n".join(f"    {line}" for line in run.recipe_text.splitlines()))
        board.add_text("card", f"    {card.name}, {card.parameters:,} parameters, {card.data.name}")
        for finding in told.findings:
            board.add_text("findings", f"    {finding}")
        for name, image in told.images.items():
            board.add_image(name, np.asarray(image), len(told.rows), dataformats="HWC")
        board.add_hparams(told.settings, told.measured, run_name=".")


def _mlflow(run: Run, told: _Told, folder: Path) -> None:
    with _environment(_MLFLOW):
        mlflow = needs("mlflow", "track")
        client = mlflow.MlflowClient(tracking_uri=folder.resolve().as_uri())
        found = client.get_experiment_by_name("alexnet")
        experiment = found.experiment_id if found else client.create_experiment("alexnet")
        key = client.create_run(experiment, run_name=run.path.resolve().name).info.run_id
        kept = round(run.changed * 1000)  # milliseconds since 1970; the rows' own times are not recorded
        metric, param = mlflow.entities.Metric, mlflow.entities.Param
        last = told.rows[-1]["epoch"]
        values = [(name, row[name], row["epoch"]) for row in told.rows for name in row if name != "epoch"]
        values += [(name, value, last) for name, value in told.measured.items()]
        metrics = [metric(name, float(value), kept, step) for name, value, step in values]
        params = [param(name, str(value)[:_LONGEST]) for name, value in told.settings.items()]
        for start in range(0, max(len(metrics), len(params)), _BATCH):
            few = slice(start, start + _BATCH)
            client.log_batch(key, metrics[few], params[few])
        client.log_text(key, run.recipe_text, RECIPE)
        client.log_text(key, "".join(f"{line}\n" for line in told.findings), "findings.txt")
        for name, image in told.images.items():
            client.log_image(key, image, artifact_file=f"{name}.png")
        client.set_terminated(key)


def _wandb(run: Run, told: _Told, folder: Path) -> None:
    wandb = needs("wandb", "track")
    folder.mkdir(parents=True, exist_ok=True)
    settings = wandb.Settings(
        mode="offline",  # never asks for a key, whatever WANDB_MODE says
        silent=True,
        console="off",
        disable_git=True,
        disable_code=True,
        x_disable_stats=True,  # of this machine: the run may be from another
        x_disable_machine_info=True,
        x_save_requirements=False,
    )
    name = run.path.resolve().name
    board = wandb.init(
        dir=str(folder), project="alexnet", name=name, notes=run.recipe_text, config=told.settings, settings=settings,
        reinit="create_new",
    )  # fmt: skip
    for row in told.rows:
        board.log(row, step=row["epoch"])
    if told.images:
        board.log({name: wandb.Image(image) for name, image in told.images.items()}, step=told.rows[-1]["epoch"])
    board.summary.update({**told.measured, "findings": told.findings})
    board.finish()


_MLFLOW = {
    "MLFLOW_ALLOW_FILE_STORE": "true",  # newer versions ask for it by name
    "MLFLOW_DISABLE_TELEMETRY": "true",
}


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """Environment variables for a while; those of the user come first, and are put back."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
