"""Verbs that train a network and put it to use. One verb is one function; heavy imports stand inside it."""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from alexnet.cli.app import DataOption, Device, Json, ModelOrRun, SetOption, app, print_json
from alexnet.cli.launch import LOST, count_of, is_first, launch, launched, leashed
from alexnet.errors import InputError

if TYPE_CHECKING:
    from alexnet.recipes.schema import Recipe


@app.command()
def train(
    recipe: Annotated[str | None, typer.Argument(help="A recipe or a TOML file; none: handwritten digits.")] = None,
    data: DataOption = None,
    out: Annotated[Path | None, typer.Option(help="The run's folder; none: runs/RECIPE.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Epochs, in place of the recipe's.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Optimizer steps, in place of epochs.")] = None,
    set_: SetOption = None,
    weights: Annotated[Path | None, typer.Option(help="Begin with these weights: any known file, or a run.")] = None,
    skip: Annotated[list[str] | None, typer.Option(help="A layer of --weights to start anew, as fc8.")] = None,
    freeze: Annotated[list[str] | None, typer.Option(help="Layers that do not learn, as conv1..conv5.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")] = False,
    device: Device = "auto",
    gpus: Annotated[int | None, typer.Option(min=1, help="Train on so many GPUs, one process each.")] = None,
    processes: Annotated[int | None, typer.Option(min=1, help="Train in so many processes on the CPU.")] = None,
    folds: Annotated[int | None, typer.Option(min=2, help="Cross-validate: so many runs in folders of --out.")] = None,
    seeds: Annotated[
        int | None, typer.Option(min=2, help="So many runs with other seeds, in folders of --out.")
    ] = None,
    lr_range: Annotated[
        bool, typer.Option("--lr-range", help="Only look for a learning rate; trains nothing.")
    ] = False,
    stop_after: Annotated[int | None, typer.Option(min=1, help="Stop after so many epochs, as Ctrl-C would.")] = None,
) -> None:
    """Train a network, measure it, and write a report."""
    count, device = count_of(gpus, processes, device)
    if sum(map(bool, (folds, seeds, lr_range))) > 1:
        raise InputError("--folds, --seeds and --lr-range exclude each other; give one of them")
    if count > 1 and (folds or seeds or lr_range):
        raise InputError("--folds, --seeds and --lr-range run in one process; leave out --gpus and --processes")
    if count > 1 and not launched():
        raise typer.Exit(launch(count))
    leashed()
    from alexnet.artifacts.run import recipe_for
    from alexnet.cli.progress import terminal
    from alexnet.experiments.train import train as run_training
    from alexnet.process.group import Lost
    from alexnet.recipes.recipe import lasting, load, parse_override
    from alexnet.training.interrupts import Interrupted
    from alexnet.training.loop import Diverged
    from alexnet.training.reporter import Reporter

    changes = dict(parse_override(text) for text in set_ or [])
    given = {"weights": str(weights.absolute()) if weights else None, "skip": skip, "freeze": freeze}
    changes |= {f"model.{name}": value for name, value in given.items() if value}
    changes |= lasting(None if lr_range else epochs, None if lr_range else steps)
    if lr_range:
        return _lr_range(load(recipe or recipe_for(data, changes), changes), data, out, steps, device)
    reporter = terminal() if is_first() else Reporter()
    options: dict[str, Any] = {"data": data, "device": device, "stop_after": stop_after, "reporter": reporter}
    try:
        if folds or seeds:
            chosen = load(recipe or recipe_for(data, changes), changes)
            _repeat(chosen, out or Path("runs") / chosen.name, folds or 0, seeds or 0, resume, options)
        else:
            run_training(recipe, out=out, resume_run=resume, settings=changes, **options)
    except Interrupted as stopped:
        reporter.close()
        again = shlex.join(["alexnet", "train", "--resume", "--out", str(stopped.path)])
        if folds or seeds:  # the same command goes on with all of them
            again = shlex.join(["alexnet", *sys.argv[1:], *([] if resume else ["--resume"])])
        if is_first():
            print(f"stopped; everything is saved. Go on with: {again}")
        raise typer.Exit(130) from None
    except Diverged as error:
        reporter.close()
        if is_first():
            typer.echo(f"alexnet: the training diverged. {error}", err=True)
        raise typer.Exit(1) from None
    except Lost:
        reporter.close()
        typer.echo(
            "alexnet: another process of this run is gone; go on from what was saved last with --resume", err=True
        )
        raise typer.Exit(LOST) from None
    finally:
        reporter.close()


def _repeat(recipe: "Recipe", out: Path, folds: int, seeds: int, resume_runs: bool, options: dict[str, Any]) -> None:
    from alexnet.cli import tables
    from alexnet.experiments.repeat import repeat
    from alexnet.insight import compare

    summary = repeat(recipe, out, folds=folds, seeds=seeds, resume_runs=resume_runs, **options)
    options["reporter"].close()
    tables.comparison(compare.HEAD, [compare.line(row) for row in summary["runs"]])
    tables.spreads(summary)
    print(f"page: {out / 'compare.html'}")


def _lr_range(recipe: "Recipe", data: Path | None, out: Path | None, steps: int | None, device: str) -> None:
    from alexnet.cli.progress import bar
    from alexnet.experiments import lr_range
    from alexnet.training.finetune import anchored
    from alexnet.training.setup import prepare

    setup = prepare(anchored(recipe), data, device)
    with bar("rising rates") as progress:
        found = lr_range.lr_range(setup, steps or lr_range.STEPS, progress)
    folder = out or Path("runs") / f"{recipe.name}-lr-range"
    lr_range.write(found, folder)
    if found.suggestion is None:
        print("the loss hardly fell at any rate: give it more --steps")
    else:
        print(f"the loss falls fastest at {found.suggestion:.1e} and is lowest at {found.lowest:.1e}; try:")
        per_lr = recipe.learning_rate / recipe.optimizer.lr  # other than 1 where the rate is scaled by the batch
        print(f"  --set optimizer.lr={found.suggestion / per_lr:.1e}")
    print(f"plot: {folder / 'lr_range.png'}")


@app.command()
def evaluate(
    model: ModelOrRun,
    data: DataOption = None,
    split: Annotated[str | None, typer.Option(help="train, validation or test; none: test where there is one.")] = None,
    views: Annotated[int, typer.Option(help="1; 2: mirrored too; 10: corners and center, mirrored too.")] = 1,
    precision: Annotated[str, typer.Option(help="fp32; bf16 or auto: as `predict` computes.")] = "fp32",
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Measure a trained model on labeled images: top-1, top-5, loss."""
    from alexnet.artifacts.store import load_model
    from alexnet.cli import tables
    from alexnet.cli.progress import bar
    from alexnet.device import choose_device
    from alexnet.inference.data import dataset_for
    from alexnet.inference.evaluate import evaluate as measure
    from alexnet.inference.fast import at_precision
    from alexnet.inference.views import corners

    opened = at_precision(load_model(model, choose_device(device)), precision)
    dataset = dataset_for(opened, data, split)
    with bar("evaluating", quiet=as_json) as progress:
        evaluation = measure(opened, dataset, progress=progress, views=views)
    if as_json:
        print_json(evaluation.figures.to_json())
    else:
        tables.figures(evaluation.figures)
        if views == 10 and (told := corners(opened)):
            print(told)


@app.command()
def predict(
    model: ModelOrRun,
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE...", help="Image files.")],
    top: Annotated[int, typer.Option(help="How many classes to name.")] = 5,
    precision: Annotated[str, typer.Option(help="auto: bf16 where the processor has it, else fp32.")] = "auto",
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Say what is on an image: the likeliest classes with their probabilities."""
    from alexnet.artifacts.store import load_model
    from alexnet.cli import tables
    from alexnet.device import choose_device
    from alexnet.inference.fast import at_precision
    from alexnet.inference.predict import predict as ask

    predicted = ask(at_precision(load_model(model, choose_device(device)), precision), images, top)
    if as_json:
        print_json([each.to_json() for each in predicted])
    else:
        tables.predictions(predicted)
