"""What a run leaves behind: the card, the plots, the report."""

import numpy as np

from alexnet.artifacts import store
from alexnet.artifacts.card import RunCard
from alexnet.artifacts.predictions import THUMBNAILS, Predictions, thumbnails
from alexnet.artifacts.run import Run
from alexnet.data.dataset import Dataset
from alexnet.data.loading.loader import Loader
from alexnet.data.transforms.augment import Augmenter
from alexnet.device import derive_seed
from alexnet.experiments.finish_labels import judged
from alexnet.inference import evaluate
from alexnet.insight import plots
from alexnet.insight.report.plots import draw
from alexnet.insight.report.several import named
from alexnet.insight.report.write import write_report
from alexnet.training.loop import Trainer
from alexnet.training.setup import Setup


def finish(trainer: Trainer) -> RunCard:
    """Evaluates the best weights in full precision, draws the plots, writes card and report; returns the card."""
    setup, run = trainer.setup, trainer.run
    store.fill(setup.model, store.load_tensors(run.weights), run.weights.name)
    augmenter = Augmenter(setup.preprocessing, shift=setup.recipe.augment.shift, fill=setup.recipe.augment.fill)
    if setup.train.dataset.multilabel:
        kept, validated, tested, thresholds = judged(setup, augmenter, _sampled(setup))
        run.write_predictions(kept)
        return _reported(run, trainer.keeper.end(trainer.best, validated, tested, thresholds))
    views, apart = setup.recipe.train.test_views, None if setup.validation_is_test else setup.test
    validated = evaluate.run(setup.model, setup.validation, augmenter, views=views if apart is None else 1)
    dataset, test = setup.validation.dataset, None
    kept = _kept("test" if setup.validation_is_test else "validation", dataset, validated, setup)
    if apart is not None:
        tested = evaluate.run(setup.model, Loader(apart, setup.device, setup.train.workers), augmenter, views=views)
        test, kept = tested.figures, _kept("test", apart, tested, setup)
    run.write_predictions(kept)
    return _reported(run, trainer.keeper.end(trainer.best, validated.figures, test))


def _reported(run: Run, card: RunCard) -> RunCard:
    draw(run)  # from its files, so that a copy of the run is drawn the same
    write_report(run.path)
    return card


def _kept(split: str, dataset: Dataset, seen: evaluate.Evaluation, setup: Setup) -> Predictions:
    """What the report is drawn from, with thumbnails of the worst mistakes and of images evenly spread."""
    worst = seen.worst(THUMBNAILS // 2, dataset.labels)
    others = np.linspace(0, len(dataset) - 1, min(THUMBNAILS // 2, len(dataset))).astype(np.int64)
    shown = np.array(list(dict.fromkeys([*worst.tolist(), *others.tolist()])), np.int64)
    train, chosen = setup.train.dataset, _sampled(setup)
    return Predictions(
        split=split,
        names=dataset.names,
        labels=dataset.labels,
        predictions=seen.predictions.astype(np.int64),
        probabilities=seen.probabilities.astype(np.float32),
        losses=seen.losses.astype(np.float32),
        confusion=seen.confusion.astype(np.int64),
        shown=shown,
        thumbnails=thumbnails(dataset, shown),
        samples=thumbnails(train, chosen),
        sample_labels=train.labels[chosen],
    )


def _sampled(setup: Setup) -> np.ndarray:
    """Indices of the training images that the report shows, int64."""
    generator = np.random.default_rng(derive_seed(setup.recipe.train.seed, "samples"))
    return generator.permutation(len(setup.train.dataset))[:32]


def draw_samples(setup: Setup, run: Run) -> None:
    """The sample grid: training images with their labels."""
    dataset = setup.train.dataset
    chosen = _sampled(setup)
    names = [named(dataset.classes, dataset.target(i)) for i in chosen]
    plots.sample_grid(list(dataset.batch(chosen)), names, run.plot("samples"))
