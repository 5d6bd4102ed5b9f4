"""A run for TensorBoard: curves, hyperparameters beside their result, images and text, as one folder of events."""

import io
from pathlib import Path

import numpy as np
from PIL import Image

from alexnet.artifacts.run import Run
from alexnet.recipes import recipe as recipes

IMAGES = ("samples", "curves", "confusion", "worst")


def write(run: Run, folder: Path) -> None:
    """Writes the events of a run with a card into `folder`; its plots as images where they have been drawn."""
    from torch.utils.tensorboard import SummaryWriter

    card, rows = run.card, run.metrics
    figures = {"validation": card.figures.validation, "test": card.figures.test}
    measured = {f"top1/{name}": found.top1 for name, found in figures.items() if found}
    settings = {key: value for key, value in recipes.flat(run.recipe) if not key.startswith("published")}
    shown = {
        key: value if isinstance(value, (bool, int, float, str)) else repr(value) for key, value in settings.items()
    }
    with SummaryWriter(folder) as board:
        for row in rows:
            for name, value in row.items():
                if name != "epoch":
                    board.add_scalar(name, value, row["epoch"])
        board.add_text("recipe", "\n".join(f"    {line}" for line in run.recipe_text.splitlines()))
        board.add_text("card", f"    {card.name}, {card.parameters:,} parameters, {card.data.name}")
        for finding in run.findings:
            board.add_text("findings", f"    epoch {finding['epoch']}: {finding['kind']}; {finding['seen']}")
        for name in IMAGES:
            if content := run.plot_content(name):
                image = np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))
                board.add_image(name, image, len(rows), dataformats="HWC")
        board.add_hparams(shown, measured or {"top1/in training": card.figures.in_training.top1}, run_name=".")
