"""What a run leaves behind: the card, the plots, the report."""

import numpy as np

from alexnet.artifacts import store
from alexnet.artifacts.card import RunCard
from alexnet.artifacts.run import Run
from alexnet.data.loading.loader import Loader
from alexnet.data.transforms.augment import Augmenter
from alexnet.device import derive_seed
from alexnet.inference import evaluate
from alexnet.insight import plots
from alexnet.insight.report.write import write_report
from alexnet.training.card import write_card
from alexnet.training.loop import Trainer
from alexnet.training.setup import Setup


def finish(trainer: Trainer) -> RunCard:
    """Evaluates the best weights in full precision, draws the plots, writes card and report; returns the card."""
    setup, run, log = trainer.setup, trainer.run, trainer.log
    store.fill(setup.model, store.load_tensors(run.path / "best.safetensors"), "best.safetensors")
    augmenter = Augmenter(setup.preprocessing, shift=setup.recipe.augment.shift, fill=setup.recipe.augment.fill)
    views, apart = setup.recipe.train.test_views, None if setup.validation_is_test else setup.test
    validated = evaluate.run(setup.model, setup.validation, augmenter, views=views if apart is None else 1)
    test = None
    if apart is not None:
        test = evaluate.run(
            setup.model, Loader(apart, setup.device, setup.train.workers), augmenter, views=views
        ).figures
    dataset = setup.validation.dataset
    wrong = validated.worst(24, dataset.labels)
    plots.worst(
        list(dataset.batch(wrong)),
        [setup.classes[dataset.labels[i]] for i in wrong],
        [setup.classes[validated.predictions[i]] for i in wrong],
        [float(validated.probabilities[i]) for i in wrong],
        run.plot("worst"),
    )
    plots.confusion(validated.confusion, setup.classes, run.plot("confusion"))
    card = write_card(setup, run, log, trainer.best, validated.figures, test)
    plots.curves(log.rows, run.plot("curves"), card.published)
    write_report(run.path)
    return card


def draw_samples(setup: Setup, run: Run) -> None:
    """The sample grid: training images with their labels."""
    dataset = setup.train.dataset
    generator = np.random.default_rng(derive_seed(setup.recipe.train.seed, "samples"))
    chosen = generator.permutation(len(dataset))[:32]
    names = [dataset.classes[dataset.labels[i]] for i in chosen]
    plots.sample_grid(list(dataset.batch(chosen)), names, run.plot("samples"))
