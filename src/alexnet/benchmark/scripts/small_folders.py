"""How steady is `alexnet train --data FOLDER`? Six sets of 20 to 20,000 images, several seeds, beside scikit-learn.

    OMP_NUM_THREADS=1 python -m alexnet.benchmark.scripts.small_folders --ants DIR --signs DIR --out DIR [--seeds 3]
        [--only FOLDER]

--ants and --signs: checkouts of github.com/jaddoescad/ants_and_bees and of
github.com/ardamavi/Sign-Language-Digits-Dataset. CIFAR-10, MNIST and the pretrained weights lie in $ALEXNET_DATA. Each
set is written once as class folders under train/ and test/; each run is what the command does without a recipe.
scikit-learn: logistic regression on pool5 of the same pretrained network, of the same images under the same
preprocessing, its C chosen on the same validation images. The test images choose nothing. What is finished is kept:
the table (DIR/table.md) can be read, and the command repeated, at any time. --only takes one of the sets, by the name
of its folder: ants, signs, twenty, unbalanced, gray, large (20,000 images: half an hour of one core for each seed).
"""

import argparse
import json
import os
import shutil
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from sklearn.linear_model import LogisticRegression

import alexnet
from alexnet.artifacts.figures import score, spread
from alexnet.artifacts.run import Run
from alexnet.experiments.start import PRETRAINED
from alexnet.files import write_json, write_text
from alexnet.inference.data import dataset_for
from alexnet.inference.model import load_model
from alexnet.recipes import recipe as recipes
from alexnet.training.finetune import anchored

STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)


def write(root: Path, images: Iterable[tuple[str, str, np.ndarray | Path]]) -> Path:
    """Class folders of (split, class, image) below `root`, whole or not at all."""
    if root.exists():
        return root
    part = root.with_name(f"{root.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    for number, (split, name, image) in enumerate(images):
        place = part / split / name
        place.mkdir(parents=True, exist_ok=True)
        if isinstance(image, Path):
            shutil.copyfile(image, place / f"{number:05}{image.suffix.lower()}")
        else:
            Image.fromarray(image.squeeze()).save(place / f"{number:05}.png")
    return part.rename(root)


def files(root: Path, split: str) -> Iterable[tuple[str, str, Path]]:
    for path in sorted(each for each in root.glob("*/*") if each.suffix.lower() in (".jpg", ".jpeg", ".png")):
        yield split, path.parent.name, path


def part_of_files(root: Path, train: int, test: int) -> Iterable[tuple[str, str, Path]]:
    """So many files of each class train, and so many others test; drawn once."""
    draws = np.random.default_rng(0)
    for folder in sorted(each for each in root.iterdir() if each.is_dir()):
        found = sorted(each for each in folder.iterdir() if each.suffix.lower() in (".jpg", ".jpeg", ".png"))
        for place, index in enumerate(draws.permutation(len(found))[: train + test]):
            yield "train" if place < train else "test", folder.name, found[index]


def part_of_set(name: str, train: dict[str, int], test: int) -> Iterable[tuple[str, str, np.ndarray]]:
    """So many training images of each class of a public set, and `test` of its test images each; drawn once."""
    draws = np.random.default_rng(0)
    for split in ("train", "test"):
        dataset = alexnet.dataset(name, split=split)
        for label, count in train.items():
            rows = np.flatnonzero(dataset.labels == dataset.classes.index(label))
            for row in draws.permutation(rows)[: count if split == "train" else test]:
                yield split, label, dataset[int(row)][0]


def sets(ants: Path, signs: Path) -> dict[str, tuple[str, Callable[[], Iterable[tuple[str, str, np.ndarray | Path]]]]]:
    """Each set's name: the folder that it is written to, and its images."""
    digits = dict.fromkeys(map(str, range(10)), 30)
    unbalanced = {"airplane": 160, "cat": 80, "deer": 40, "ship": 20, "truck": 10}
    large = dict.fromkeys(alexnet.dataset("cifar10").classes, 2000)
    return {
        "ants and bees": ("ants", lambda: [*files(ants / "train", "train"), *files(ants / "val", "test")]),
        "sign-language digits": ("signs", lambda: part_of_files(signs / "Dataset", 40, 30)),
        "CIFAR-10, 20 images": ("twenty", lambda: part_of_set("cifar10", {"cat": 10, "ship": 10}, 100)),
        "CIFAR-10, unbalanced": ("unbalanced", lambda: part_of_set("cifar10", unbalanced, 40)),
        "MNIST, gray": ("gray", lambda: part_of_set("mnist", digits, 30)),
        "CIFAR-10, 20,000 images": ("large", lambda: part_of_set("cifar10", large, 200)),
    }


def regression(run: Run, data: Path, seed: int) -> float:
    """scikit-learn's accuracy on the test images, from the same features and the same splits as `run`."""
    recipe = anchored(recipes.load(PRETRAINED))
    network = alexnet.create(recipe.model.name, weights=recipe.model.weights, skip=recipe.model.skip)
    model, found = load_model(run), {}
    for split in ("train", "validation", "test"):
        images = dataset_for(model, None, split, tell=lambda line: None)  # the splits that it was trained with
        found[split] = alexnet.features(network, images, ["pool5"], flatten=True)["pool5"], images.labels
    fits = [LogisticRegression(C=each, max_iter=500, random_state=seed).fit(*found["train"]) for each in STRENGTHS]
    return float(max(fits, key=lambda fit: fit.score(*found["validation"])).score(*found["test"]))


def one(data: Path, out: Path, seed: int) -> dict[str, Any]:
    record = out / f"{data.name}-{seed}.json"
    if record.is_file():
        return json.loads(record.read_text())
    begun = time.monotonic()
    path = out / f"{data.name}-{seed}"
    run = alexnet.train(data=data, out=path, resume_run=path.exists(), settings={"train.seed": seed})
    seconds, card = time.monotonic() - begun, run.card
    assert card.figures.test is not None
    found = {
        "train": card.data.train,
        "validation": card.data.validation,
        "test": card.data.test,
        "classes": len(card.classes),
        "epochs": card.figures.epochs,
        "ours": score(card.figures.test),
        "sklearn": regression(run, data, seed),
        "seconds": round(seconds),
    }
    write_json(record, found)
    return found


def table(rows: dict[str, list[dict[str, Any]]]) -> str:
    head = ("set", "classes", "train, validation, test", "n", "`alexnet train --data`", "scikit-learn", "seconds a run")
    lines = [head, ("---",) * len(head)]
    for name, found in rows.items():
        if not found:
            continue
        counts = ", ".join(f"{found[0][split]:,}" for split in ("train", "validation", "test"))
        cells = []
        for side in ("ours", "sklearn"):
            values = [each[side] for each in found]
            each = " ".join(f"{value:.4f}".lstrip("0") for value in values)
            spreads = f"**{np.mean(values):.4f}**" + (f" ± {spread(values).std:.4f}" if len(values) > 1 else "")
            cells.append(f"{spreads} ({each})".replace("0.", "."))
        seconds = f"{np.mean([each['seconds'] for each in found]):.0f}"
        lines.append((name, str(found[0]["classes"]), counts, str(len(found)), *cells, seconds))
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--ants", type=Path, required=True)
    parser.add_argument("--signs", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", action="append", help="a set's folder, such as large; repeatable")
    given = parser.parse_args()
    os.environ["ALEXNET_OFFLINE"] = "1"
    given.out.mkdir(parents=True, exist_ok=True)
    found = {name: each for name, each in sets(given.ants, given.signs).items() if each[0] in (given.only or each)}
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in found}
    for seed in range(given.seeds):
        for name, (folder, images) in found.items():
            rows[name].append(one(write(given.out / folder, images()), given.out, seed))
            print(name, seed, json.dumps(rows[name][-1]), flush=True)
            write_text(given.out / "table.md", table(rows))
    print(table(rows))


if __name__ == "__main__":
    main()
