"""What a run leaves behind: the card, the plots, the report."""

from typing import Any

from alexnet.data.augment import Augmenter
from alexnet.data.loader import Loader
from alexnet.device import environment
from alexnet.evaluation import evaluate
from alexnet.evaluation.evaluate import Figures
from alexnet.files import sha256, write_json
from alexnet.insight import plots, report
from alexnet.training.log import Log
from alexnet.training.run import Run
from alexnet.training.setup import Setup
from alexnet.weights import store


def finish(setup: Setup, run: Run, log: Log, best: dict[str, Any]) -> dict[str, Any]:
    """Evaluates the best weights in full precision, draws the plots, writes card and report; returns the card."""
    store.fill(setup.model, store.load(run.path / "best.safetensors"), "best.safetensors")
    augmenter = Augmenter(setup.preprocessing, shift=setup.recipe.augment.shift, fill=setup.recipe.augment.fill)
    views, apart = setup.recipe.train.test_views, None if setup.validation_is_test else setup.test
    validated = evaluate.run(setup.model, setup.validation, augmenter, views=views if apart is None else 1)
    test = None
    if apart is not None:
        test = evaluate.run(
            setup.model, Loader(apart, setup.device, setup.train.workers), augmenter, views=views
        ).figures
    pictures = setup.validation.pictures
    wrong = validated.worst(24, pictures.labels)
    plots.worst(
        list(pictures.batch(wrong)),
        [setup.classes[pictures.labels[i]] for i in wrong],
        [setup.classes[validated.predictions[i]] for i in wrong],
        [float(validated.probabilities[i]) for i in wrong],
        run.plot("worst"),
    )
    plots.confusion(validated.confusion, setup.classes, run.plot("confusion"))
    plots.curves(log.rows, run.plot("curves"), [vars(figure) for figure in setup.recipe.published])
    card = write_card(setup, run, log, best, validated.figures, test)
    report.write_report(run.path)
    return card


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
        "licence": "Apache-2.0",
        "classes": list(setup.classes),
        "input": list(setup.spec.input),
        "init": setup.init,
        "weights": setup.loaded.to_json() if setup.loaded else None,
        "teacher": setup.teacher.opened.card["name"] if setup.teacher else None,
        "preprocessing": setup.preprocessing.to_json(),
        "augment": vars(recipe.augment),
        "lighting": setup.lighting.to_json() if setup.lighting else None,
        "lrn": store.lrn_constants(setup.model),
        "parameters": setup.summary.parameters,
        "flops": setup.summary.flops,
        "data": {
            "set": setup.splits.set,
            "path": str(setup.splits.path.absolute()) if setup.splits.path else None,
            "protocol": setup.splits.protocol,
            "fingerprint": setup.fingerprint,
            "train": len(setup.train.pictures),
            "validation": len(setup.validation.pictures),
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
