"""Which of write-up C's five networks overfits, and how much? Fewer images and a shorter schedule, as said below.

    OMP_NUM_THREADS=1 python -m alexnet.benchmark.scripts.overfitting --out DIR [--per-class 200] [--epochs 48]
        [--only slim]

Each network by its recipe `cifar10-NAME`, with its optimizer, augmentation, initialization and L2, but trained on
`--per-class` images of each class of CIFAR-10's training split (published: 5,000), for `--epochs` epochs (300), whose
learning rate falls after the first and the second third of them as after 100 and 200 of 300. After each epoch it is
measured on 1,000 test images, which choose nothing; at the end on its training images as they are, without dropout and
augmentation, and on all 10,000 test images. What is finished is kept (DIR/table.md), so that the command can be
repeated; --only takes some of the networks. `alexnet compare DIR/alexnet DIR/slim …` draws the curves. CIFAR-10 lies
in $ALEXNET_DATA.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import alexnet
from alexnet.artifacts.run import Run
from alexnet.benchmark.scripts.small_folders import part_of_set, write
from alexnet.data.dataset import Dataset
from alexnet.files import write_json, write_text
from alexnet.inference.data import dataset_for
from alexnet.inference.evaluate import evaluate
from alexnet.inference.model import load_model

NETWORKS = ("alexnet", "slim", "slim-regular", "thinner-2-as-run", "thinner-4")


def figures(run: Run, images: Dataset) -> tuple[float, float]:
    """Accuracy, and mean cross-entropy, at the end of training."""
    found = evaluate(load_model(run), images).figures
    return found.top1, found.loss


def one(name: str, data: Path, out: Path, epochs: int) -> dict[str, Any]:
    record = out / f"{name}.json"
    if record.is_file():
        return json.loads(record.read_text())
    path = out / name
    settings = {"data.name": "folder", "train.epochs": epochs, "schedule.milestones": [epochs // 3, 2 * epochs // 3]}
    run = alexnet.train(f"cifar10-{name}", data=data, out=path, resume_run=path.exists(), settings=settings)
    model = load_model(run)
    train, test = dataset_for(model, None, "train"), alexnet.dataset("cifar10", split="test")
    found = {"parameters": model.card.parameters, "train": figures(run, train), "test": figures(run, test)}
    write_json(record, found)
    return found


def table(rows: dict[str, dict[str, Any]]) -> str:
    head = ("network", "parameters", "accuracy, training images", "test", "gap", "loss, training images", "test", "gap")
    lines = [head, ("---",) * len(head)]
    for name, found in rows.items():
        cells = []
        for place, sign in ((0, -1), (1, 1)):
            train, test = found["train"][place], found["test"][place]
            cells += [f"{train:.4f}", f"{test:.4f}", f"{sign * (test - train):.4f}"]
        lines.append((f"`cifar10-{name}`", f"{found['parameters']:,}", *cells))
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--per-class", type=int, default=200)
    parser.add_argument("--epochs", type=int, default=48)
    parser.add_argument("--only", action="append", choices=NETWORKS, help="repeatable")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    counts = {name: int(given.per_class) for name in alexnet.dataset("cifar10").classes}
    data = write(given.out / "images", part_of_set("cifar10", counts, 100))
    rows: dict[str, dict[str, Any]] = {}
    for name in given.only or NETWORKS:
        rows[name] = one(name, data, given.out, given.epochs)
        print(name, json.dumps(rows[name]), flush=True)
        write_text(given.out / "table.md", table(rows))
    print(table(rows))


if __name__ == "__main__":
    main()
