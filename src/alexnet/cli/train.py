"""`alexnet train`: one run, several of them, or the search for a learning rate."""

import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from alexnet.cli.launch import LOST, count_of, is_first, launch, launched, leashed
from alexnet.cli.options import DataOrAddress, Device, LabelsOption, SeparatorOption, SetOption
from alexnet.cli.screen import say
from alexnet.errors import InputError

if TYPE_CHECKING:
    from alexnet.recipes.schema import Recipe


def train(
    recipe: Annotated[str | None, typer.Argument(help="A recipe or a TOML file. Default: handwritten digits.")] = None,
    data: DataOrAddress = None,
    labels: LabelsOption = None,
    label_separator: SeparatorOption = None,
    out: Annotated[Path | None, typer.Option(help="The run folder. Default: runs/RECIPE.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Number of epochs. Default: the recipe's.")] = None,
    steps: Annotated[
        int | None, typer.Option(min=1, max=10**12, help="Number of optimizer steps, instead of epochs.")
    ] = None,
    set_: SetOption = None,
    weights: Annotated[
        Path | None, typer.Option(help="Start from pretrained weights: a file, or a run folder.")
    ] = None,
    skip: Annotated[
        list[str] | None, typer.Option(help="A layer of --weights to leave out, such as fc8; repeatable.")
    ] = None,
    freeze: Annotated[
        list[str] | None, typer.Option(help="Layers to freeze, such as conv1..conv5; repeatable.")
    ] = None,
    pretrained: Annotated[
        bool | None,
        typer.Option(
            "--pretrained/--from-scratch",
            help="Own images without a recipe: start from pretrained convolutions, fetched if missing, or from random "
            "weights. Default: pretrained if the weights are on this machine.",
            show_default=False,
        ),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Resume the run in --out.")] = False,
    device: Device = "auto",
    gpus: Annotated[
        int | None, typer.Option(min=1, max=1024, help="Number of GPUs to train on, one process each.")
    ] = None,
    processes: Annotated[
        int | None, typer.Option(min=1, max=1024, help="Number of processes to train with on the CPU.")
    ] = None,
    folds: Annotated[
        int | None, typer.Option(min=2, max=1000, help="Cross-validate: number of folds, one run each.")
    ] = None,
    seeds: Annotated[
        int | None, typer.Option(min=2, max=1000, help="Number of runs with different random seeds.")
    ] = None,
    lr_range: Annotated[
        bool, typer.Option("--lr-range", help="Run a learning-rate range test instead of training.")
    ] = False,
    offline: Annotated[
        bool, typer.Option("--offline", help="Fetch nothing: a public dataset must already be on this machine.")
    ] = False,
    stop_after: Annotated[
        int | None, typer.Option(min=1, help="Stop after this number of epochs, as Ctrl-C would.")
    ] = None,
) -> None:
    """Train a network, measure it, and write a report."""
    count, device = count_of(gpus, processes, device)
    if sum(map(bool, (folds, seeds, lr_range))) > 1:
        raise InputError("--folds, --seeds and --lr-range cannot be combined; give one of them")
    if count > 1 and (folds or seeds or lr_range):
        raise InputError("--folds, --seeds and --lr-range run in one process; leave out --gpus and --processes")
    if count > 1 and not launched():
        raise typer.Exit(launch(count))
    leashed()
    if offline:
        os.environ["ALEXNET_OFFLINE"] = "1"
    from alexnet.cli.progress import terminal
    from alexnet.data.download import shown
    from alexnet.data.remote.address import is_url
    from alexnet.experiments.start import start
    from alexnet.experiments.train import train as run_training
    from alexnet.process import heartbeat
    from alexnet.process.rendezvous import Lost
    from alexnet.recipes.recipe import parse_override
    from alexnet.recipes.settings import lasting
    from alexnet.training.interrupts import Interrupted
    from alexnet.training.loop import Diverged
    from alexnet.training.reporter import Reporter

    changes = dict(parse_override(text) for text in set_ or [])
    if labels:
        changes["data.labels"] = str(labels)
    if label_separator is not None:
        changes["data.label_separator"] = label_separator
    given = {"weights": str(weights.absolute()) if weights else None, "skip": skip, "freeze": freeze}
    changes |= {f"model.{name}": value for name, value in given.items() if value}
    changes = lasting(changes, None if lr_range else epochs, None if lr_range else steps)
    reporter = terminal() if is_first() else Reporter()
    heartbeat.on_silence = _left
    if lr_range:
        return _lr_range(start(recipe, data, changes, pretrained, reporter).recipe, data, out, steps, device)
    options: dict[str, Any] = {"data": data, "device": device, "stop_after": stop_after, "reporter": reporter}
    try:
        if folds or seeds:
            chosen = start(recipe, data, changes, pretrained, reporter)
            for remark in chosen.remarks:
                say(remark)
            place = out or Path("runs") / chosen.recipe.name
            _repeat(chosen.recipe, place, folds or 0, seeds or 0, resume, options)
        else:
            run = run_training(recipe, out=out, resume_run=resume, settings=changes, pretrained=pretrained, **options)
            if is_first() and run.skipped:  # listed when the run began
                raise typer.Exit(3)
    except Interrupted as stopped:
        reporter.close()
        again = shlex.join(["alexnet", "train", "--resume", "--out", str(stopped.path)])
        if folds or seeds:  # the same command resumes all of them
            told = [shown(each) if is_url(each) else each for each in sys.argv[1:]]
            again = shlex.join(["alexnet", *told, *([] if resume else ["--resume"])])
        if is_first():
            say(f"interrupted; everything is saved. Resume with: {again}")
        raise typer.Exit(130) from None
    except Diverged as error:
        reporter.close()
        if is_first():
            say(f"alexnet: training diverged: {error}", err=True)
        raise typer.Exit(1) from None
    except Lost as lost:
        reporter.close()
        say(f"alexnet: lost {str(lost) or 'another process of this run'}; {_AGAIN}", err=True)
        raise typer.Exit(LOST) from None
    finally:
        reporter.close()


_AGAIN = "resume from the last saved state with --resume"


def _left(who: str) -> None:
    """Ends this process, which waits in the middle of a step for one that is gone."""
    say(f"alexnet: lost {who}; {_AGAIN}", err=True)
    os._exit(LOST)


def _repeat(recipe: "Recipe", out: Path, folds: int, seeds: int, resume_runs: bool, options: dict[str, Any]) -> None:
    from alexnet.cli.compare import comparison
    from alexnet.experiments.repeat import repeat
    from alexnet.insight import compare

    summary = repeat(recipe, out, folds=folds, seeds=seeds, resume_runs=resume_runs, **options)
    options["reporter"].close()
    comparison(compare.HEAD, [compare.line(row) for row in summary["runs"]])
    _spreads(summary)
    for line in compare.repetitions(summary["runs"]):
        say(f"warning: {line}")
    say(f"page: {out / 'compare.html'}")


def _spreads(summary: dict[str, Any]) -> None:
    """The accuracies of several runs, or their mAPs: mean ± standard deviation, and the interval."""
    several = ", mAP" if "val_map" in summary else ""
    names = {
        "last": "validation, last epoch",
        "val": "validation, best epoch",
        "test": "test",
    }
    for key, name in names.items():
        if found := summary.get(f"{key}_accuracy", summary.get(f"{key}_map")):
            say(
                f"{name + several:<22}  {found['mean']:.2%} ± {found['std']:.2%}   95 % interval {found['low']:.2%} to "
                f"{found['high']:.2%}   n = {found['n']}"
            )


def _lr_range(recipe: "Recipe", data: str | None, out: Path | None, steps: int | None, device: str) -> None:
    from alexnet.artifacts.run import check_free
    from alexnet.cli.progress import bar
    from alexnet.experiments import lr_range
    from alexnet.files import free
    from alexnet.training.setup import prepare

    check_free(out)
    folder = out or free(Path("runs") / f"{recipe.name}-lr-range")
    setup = prepare(recipe, data, device)
    with bar("raising the learning rate") as progress:
        found = lr_range.lr_range(setup, steps or lr_range.STEPS, progress)
    lr_range.write(found, folder)
    if found.suggestion is None:
        say("the loss hardly fell at any learning rate; try more --steps")
    else:
        say(f"the loss falls fastest at {found.suggestion:.1e} and is lowest at {found.lowest:.1e}; try:")
        per_lr = recipe.learning_rate / recipe.optimizer.lr  # other than 1 where the rate is scaled by the batch
        say(f"  --set optimizer.lr={found.suggestion / per_lr:.1e}")
    say(f"plot: {folder / 'lr_range.png'}")
