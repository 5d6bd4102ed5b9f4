"""card.json: everything that must travel with a run's weights."""

from typing import Any

from alexnet.artifacts import store
from alexnet.artifacts.run import Run
from alexnet.device import environment
from alexnet.files import sha256, write_json
from alexnet.inference.evaluate import Figures
from alexnet.training.log import Log
from alexnet.training.setup import Setup


def write_card(
    setup: Setup,
    run: Run,
    log: Log,
    best: dict[str, Any],
    validation: Figures | None = None,
    test: Figures | None = None,
) -> dict[str, Any]:
    """Writes card.json: everything that must travel with the weights. While the run is under way, without `test`.

    The validation figures are those of the best epoch, at the end evaluated again in full precision.
    """
    recipe = setup.recipe
    card = {
        "name": setup.spec.name,
        "recipe": recipe.name,
        "title": recipe.title,
        "source": recipe.source or setup.spec.source,
        "license": "Apache-2.0",
        "classes": list(setup.classes),
        "input": list(setup.spec.input),
        "init": setup.init,
        "weights": setup.loaded.to_json() if setup.loaded else None,
        "teacher": setup.teacher.opened.card["name"] if setup.teacher else None,
        "preprocessing": setup.preprocessing.to_json(),
        "augment": vars(recipe.augment),
        "pca_color": setup.pca_color.to_json() if setup.pca_color else None,
        "lrn": store.lrn_constants(setup.model),
        "parameters": setup.summary.parameters,
        "flops": setup.summary.flops,
        "data": {
            "set": setup.splits.set,
            "path": str(setup.splits.path.absolute()) if setup.splits.path else None,
            "protocol": setup.splits.protocol,
            "fingerprint": setup.fingerprint,
            "train": len(setup.train.dataset),
            "validation": len(setup.validation.dataset),
            "test": len(setup.test) if setup.test is not None else 0,
            "validation_is_test": setup.validation_is_test,
            "skipped": len(setup.splits.skipped),
        },
        "figures": {
            "val_accuracy": validation.top1 if validation else best["val_accuracy"],
            "val_loss": validation.loss if validation else best["val_loss"],
            "val_top5": validation.top5 if validation else None,
            "best_epoch": best["epoch"],
            "epochs": len(log.rows),
            "seconds": log.rows[-1]["seconds"],
            "test": test.to_json() if test else None,
        },
        "published": [vars(figure) for figure in recipe.published],
        "environment": environment(setup.device, setup.precision),
        "seed": recipe.train.seed,
        "sha256": {name: sha256(run.path / f"{name}.safetensors") for name in ("best", "last")},
    }
    write_json(run.path / store.CARD, card)
    return card
