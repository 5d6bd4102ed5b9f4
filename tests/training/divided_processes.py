"""What test_parallel.py runs in several processes: networks divided over them, beside themselves undivided."""

import contextlib
import json
import shutil
import sys
from pathlib import Path

import tiny_towers
import torch

import alexnet
from alexnet.benchmark.scripts.parallel import differences
from alexnet.experiments import finish
from alexnet.insight import plots
from alexnet.models import catalog
from alexnet.process.group import World
from alexnet.process.rendezvous import joined
from alexnet.training.interrupts import Interrupted
from alexnet.verify.check import narrowed


def trainings(folder: Path, kind: str, world: World) -> None:
    """One run from its beginning to its end, one that is stopped after an epoch, and one that another kind began."""
    settings = tiny_towers.CHANGES | {"train.parallel": kind}
    alexnet.train("digits", out=folder / kind, settings=settings)
    with contextlib.suppress(Interrupted):
        alexnet.train("digits", out=folder / f"begun-{kind}", settings=settings, stop_after=1)
    if world.is_writer:
        shutil.copytree(folder / "begun-data", folder / f"ended-{kind}")
    world.wait()
    alexnet.train(out=folder / f"ended-{kind}", resume_run=True, settings={"train.parallel": kind})


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    tiny_towers.register()
    plots.sample_grid = finish.draw = finish.write_report = lambda *_: None
    with joined("cpu") as world:
        for kind in ("towers", "owt") if world.size == 2 else ("owt",):
            torch.manual_seed(0)
            found = differences(narrowed(catalog.get("alexnet-2012")), kind, 6, world)
            (folder / f"{kind}-{world.rank}.json").write_text(json.dumps(found))
            if world.size == 2:
                trainings(folder, kind, world)
        if world.size == 2:
            settings = tiny_towers.CHANGES | tiny_towers.MIXED | {"train.parallel": "towers"}
            alexnet.train("digits", out=folder / "mixed", settings=settings)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
