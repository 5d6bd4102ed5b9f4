"""Time to the accuracy that a published Keras program reaches, from a cold start, against ours with the same network.

    make bench-accuracy                 (half an hour on two cores; BENCH_ARGS names some of the rows)

Each side is a process of its own, one after the other, on the same images and threads. The Keras program trains as
its write-up says and is evaluated on the test images after every epoch; the time counts from the start of the process
to the end of the evaluation of its last epoch. Ours counts to the end of the first evaluation that is at least as good.
Both look at the test images, as the write-ups did; ours chooses nothing by them.
"""

import argparse
import json
import math
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from alexnet.artifacts.run import Run
from alexnet.benchmark.worker import set_up_keras
from alexnet.device import choose_device, environment

_SHORT = ("train.steps=150", "train.batch_size=128", "optimizer.lr=0.05", "augment.cutmix=0")  # mixtures take longer
ROWS: dict[str, tuple[str, float, str, tuple[str, ...]]] = {
    "A": ("cifar10-as-published", 5, "cifar10-quick", ("train.epochs=1",)),
    "C": ("cifar10-alexnet", 1, "cifar10", _SHORT),
    "E": ("mnist-as-published", 0.25, "mnist", ("train.steps=60",)),
}
"""Per published system: its recipe, the Keras program's epochs, our recipe for the same network, our settings.

A's five are as published; C and E publish no figure and would take hours."""


def keras_side(recipe_name: str, epochs: float, started: float, seed: int) -> None:
    """Prints a line of JSON per epoch: the test accuracy, and the seconds since `started`."""
    import keras  # pyright: ignore[reportMissingImports]  # installed in the peer's environment
    import numpy as np
    import tensorflow as tf  # pyright: ignore[reportMissingImports, reportMissingModuleSource]

    import alexnet
    from alexnet.benchmark.keras_peer import build, keras_optimizer
    from alexnet.models import catalog
    from alexnet.recipes.recipe import load

    recipe = load(recipe_name)
    wants = catalog.get(recipe.model.name).preprocessing
    parts = {}
    for split in ("train", "test"):
        dataset = alexnet.dataset(recipe.data.name, split)
        x = dataset.batch(np.arange(len(dataset))).astype(np.float32) * wants.scale
        parts[split] = ((x - np.asarray(wants.mean, np.float32)) / np.asarray(wants.std, np.float32), dataset.labels)
    keras.utils.set_random_seed(seed)
    model = build(recipe.model.name, recipe.optimizer)
    if catalog.get(recipe.model.name).init == "keras-uniform":  # convolutions 'uniform', as the write-ups have it
        for layer in model.layers:
            if isinstance(layer, keras.layers.Conv2D):  # each initializer takes another seed from Keras's
                layer.kernel.assign(keras.initializers.RandomUniform(-0.05, 0.05)(layer.kernel.shape))
    model.compile(keras_optimizer(recipe.optimizer), "sparse_categorical_crossentropy", metrics=["accuracy"])
    size, (x, y), augment = recipe.train.batch_size, parts["train"], recipe.augment
    batches: Any = (x, y)
    if augment.flip or augment.shift:
        generator = keras.src.legacy.preprocessing.image.ImageDataGenerator(  # what the write-up used
            horizontal_flip=bool(augment.flip), width_shift_range=augment.shift, height_shift_range=augment.shift,
            fill_mode="constant", cval=0.0,
        )  # fmt: skip
        batches = (generator.flow(x, y, batch_size=size),)
    elif recipe.data.shuffle.startswith("buffer-"):
        sliding = tf.data.Dataset.from_tensor_slices(parts["train"]).shuffle(int(recipe.data.shuffle[7:]))
        batches = (sliding.repeat().batch(size),)
    whole = len(x) // size
    for epoch in range(math.ceil(epochs)):
        steps = round(min(epochs - epoch, 1) * whole)
        model.fit(*batches, batch_size=None if len(batches) == 1 else size, steps_per_epoch=steps, verbose=0)  # pyright: ignore
        accuracy = model.evaluate(*parts["test"], batch_size=500, verbose=0)[1]
        print(json.dumps({"epoch": epoch + 1, "accuracy": accuracy, "seconds": time.time() - started}), flush=True)


def keras_rows(python: str, recipe: str, epochs: float, seed: int = 0) -> list[dict[str, Any]]:
    """What `keras_side` printed, run by the interpreter `python`."""
    command = [python, __file__, "--keras-side", recipe, str(epochs), str(time.time()), str(seed)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def our_rows(recipe: str, settings: tuple[str, ...], out: Path) -> list[dict[str, Any]]:
    """Test accuracy by epoch. Seconds: those of the whole command up to that epoch's evaluation."""
    changed = [word for setting in ("data.validation=test", *settings) for word in ("--set", setting)]
    command = [str(Path(sys.executable).parent / "alexnet"), "train", recipe, "--out", str(out), *changed]
    started, run, rows = time.time(), Run(out), []
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        while process.poll() is None:
            time.sleep(0.1)
            for row in run.metrics[len(rows) :]:
                rows.append({"epoch": row["epoch"], "accuracy": row["val_accuracy"], "seconds": time.time() - started})
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*", default=list(ROWS), help=f"some of: {', '.join(ROWS)}")
    parser.add_argument("--peer-python", default=sys.executable, help="the interpreter of an environment with Keras")
    parser.add_argument(
        "--keras-side", nargs=4, metavar=("RECIPE", "EPOCHS", "STARTED", "SEED"), help=argparse.SUPPRESS
    )
    arguments = parser.parse_args()
    if arguments.keras_side:
        set_up_keras()
        recipe, epochs, started, seed = arguments.keras_side
        keras_side(recipe, float(epochs), float(started), int(seed))
        return
    facts = environment(choose_device("cpu"), "auto")
    print(f"{facts['cpu']}, {facts['threads']} threads, torch {facts['torch']}; one run each")
    print("| row | Keras program | epochs | its accuracy | seconds | ours | accuracy | seconds | ratio |")
    print("|---|---|---|---|---|---|---|---|---|", flush=True)
    for row in arguments.rows:
        published, epochs, recipe, settings = ROWS[row]
        theirs = keras_rows(arguments.peer_python, published, epochs)[-1]
        with tempfile.TemporaryDirectory() as folder:
            ours = our_rows(recipe, settings, Path(folder) / "run")
        passed = next((each for each in ours if each["accuracy"] >= theirs["accuracy"]), None)
        cells = [row, published, f"{epochs:g}", f"{theirs['accuracy']:.4f}", f"{theirs['seconds']:.0f}"]
        cells.append(f"{recipe} {' '.join(settings)}")
        if passed is None:
            cells += [f"{ours[-1]['accuracy']:.4f}, not reached", f"{ours[-1]['seconds']:.0f}", "-"]
        else:
            ratio = theirs["seconds"] / passed["seconds"]
            cells += [f"{passed['accuracy']:.4f}", f"{passed['seconds']:.0f}", f"{ratio:.1f}"]
        print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
