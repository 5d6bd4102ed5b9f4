"""card.json of a run: everything that must travel with its weights."""

from typing import Any

from alexnet.artifacts import card as cards
from alexnet.artifacts.card import UNKNOWN, RunCard
from alexnet.artifacts.figures import Figures
from alexnet.artifacts.run import Run
from alexnet.device import environment
from alexnet.files import sha256, write_json
from alexnet.training.log import Log
from alexnet.training.setup import Setup


def write_card(
    setup: Setup,
    run: Run,
    log: Log,
    best: dict[str, Any],
    final: Figures | None = None,
    test: Figures | None = None,
) -> RunCard:
    """Writes card.json. While the run is under way, without `final` and `test`.

    `final`: of the best weights on the images that validate, at the end, in full precision; `test`: on the test split
    where that is another.
    """
    recipe, splits, row = setup.recipe, setup.splits, log.rows[best["epoch"] - 1]
    augment = recipe.augment
    card = cards.make_run(
        setup.model,
        setup.classes,
        setup.preprocessing,
        parameters=setup.summary.parameters,
        flops=setup.summary.flops,
        recipe=recipe.name,
        title=recipe.title,
        source=recipe.source or setup.spec.source,
        license=setup.loaded.origin.license if setup.loaded else UNKNOWN,
        init=setup.init,
        pretrained=setup.loaded.origin if setup.loaded else None,
        teacher=setup.teacher.opened.card.name if setup.teacher else None,
        augment={"shift": augment.shift, "fill": augment.fill},
        pca_color=setup.pca_color.to_json() if setup.pca_color else None,
        data={
            "name": splits.name,
            "path": str(splits.path.absolute()) if splits.path else None,
            "protocol": splits.protocol or None,
            "fingerprint": setup.fingerprint,
            "train": len(setup.train.dataset),
            "validation": len(setup.validation.dataset),
            "test": len(setup.test) if setup.test is not None else 0,
            "validation_is_test": setup.validation_is_test,
            "skipped": len(splits.skipped),
            "notes": [note[:4000] for note in setup.notes],
        },
        figures={
            "epochs": len(log.rows),
            "epoch": best["epoch"],
            "selection": "last epoch" if setup.validation_is_test else "validation",
            "seconds": log.rows[-1]["seconds"],
            "in_training": {
                "top1": row["val_accuracy"],
                "top5": row["val_top5"],
                "loss": row["val_loss"],
                "count": len(setup.validation.dataset),
                "precision": setup.precision,
            },
            "validation": None if setup.validation_is_test else final,
            "test": final if setup.validation_is_test else test,
        },
        published=[vars(figure) for figure in recipe.published],
        environment=environment(setup.device, setup.precision),
        seed=recipe.train.seed,
        sha256={name: sha256(run.path / f"{name}.safetensors") for name in ("best", "last")},
    )
    write_json(run.path / cards.FILE, card.to_json())
    return card
