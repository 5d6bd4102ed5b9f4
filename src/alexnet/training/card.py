"""card.json of a run and the weights that it describes, which are replaced together."""

import hashlib
from collections.abc import Sequence
from typing import Any

from torch import Tensor

from alexnet.artifacts import card as cards
from alexnet.artifacts import pairing
from alexnet.artifacts.card import UNKNOWN, RunCard
from alexnet.artifacts.figures import Figures, LabelFigures, Thresholds
from alexnet.artifacts.run import BEST, LAST, Run
from alexnet.device import environment
from alexnet.files import json_bytes, sha256, write_json, write_together
from alexnet.training.log import Log
from alexnet.training.setup import Setup

Measured = Figures | LabelFigures
FILES = {"best": BEST, "last": LAST}


class Keeper:
    """Writes a run's weights and its card so that a reader sees both old or both new (`alexnet.artifacts.pairing`)."""

    def __init__(self, setup: Setup, run: Run, log: Log):
        self.setup, self.run, self.log = setup, run, log
        there = {name: run.path / file for name, file in FILES.items() if log.writes}
        self._kept = {name: sha256(path) for name, path in there.items() if path.is_file()}

    def epoch(self, best: dict[str, Any], state: dict[str, Tensor], names: Sequence[str]) -> RunCard:
        """Writes the weights `state` as those in `names` ('best', 'last'), and the card as far as it is known."""
        before = set(self._kept.values())
        card = _made(self.setup, self.log, best)
        content = pairing.packed(state, card)  # once for both files, and hashed once: no file is read for it
        digest = hashlib.sha256(content).hexdigest()
        self._kept |= dict.fromkeys(names, digest)
        card = card.changed(sha256=self._kept, replaces=sorted(before - set(self._kept.values())))
        weights = {self.run.path / FILES[name]: content for name in names}
        write_together({self.run.path / cards.FILE: json_bytes(card.to_json()), **weights})
        return card

    def end(
        self, best: dict[str, Any], final: Measured, test: Measured | None, thresholds: Thresholds | None = None
    ) -> RunCard:
        """Writes the card of the run that has ended.

        `final`: of the best weights on the images that validate, in full precision; `test`: on the test split where
        that is another. `thresholds`: of several labels an image.
        """
        card = _made(self.setup, self.log, best, final, test).changed(sha256=self._kept)
        if thresholds is not None:
            card = card.changed(thresholds=thresholds.to_json())
        write_json(self.run.path / cards.FILE, card.to_json())
        return card


def _made(
    setup: Setup, log: Log, best: dict[str, Any], final: Measured | None = None, test: Measured | None = None
) -> RunCard:
    recipe, splits, row = setup.recipe, setup.splits, log.rows[best["epoch"] - 1]
    augment = recipe.augment
    return cards.make_run(
        setup.model,
        setup.classes,
        setup.preprocessing,
        task=setup.task.name,
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
            "path": splits.place,
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
            "in_training": setup.task.figures(row, len(setup.validation.dataset), setup.precision),
            "validation": None if setup.validation_is_test else final,
            "test": final if setup.validation_is_test else test,
        },
        published=[vars(figure) for figure in recipe.published],
        environment=environment(setup.device, setup.precision),
        seed=recipe.train.seed,
    )
