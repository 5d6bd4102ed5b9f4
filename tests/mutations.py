"""Changes one expression at a time in a copy of the source, and runs the tests that should notice.

    python tests/mutations.py [--only WORD]

Each mutation is (file below src/alexnet, old text, new text, tests to run). A mutation is killed when a test fails; one
that survives is printed last, and the exit code is 1. What is printed are rows of
docs/MUTATIONS.md. An old text that is not there exactly once is an error: the list follows the code.
"""

import argparse
import os
import re
import shutil
import sys
import tempfile
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "alexnet"

MUTATIONS: tuple[tuple[str, str, str, str], ...] = (
    (
        "training/schedule.py",
        "return max(epoch / warmup, 1e-3)",
        "return epoch / warmup",
        "training/test_schedule.py -k known_points",
    ),
    (
        "training/schedule.py",
        'schedule.name != "one-cycle":\n        return max',
        "True:\n        return max",
        "training/test_schedule.py -k known_points",
    ),
    (
        "training/schedule.py",
        "sum(epoch >= float(milestone)",
        "sum(epoch > float(milestone)",
        "training/test_schedule.py -k known_points",
    ),
    (
        "training/schedule.py",
        "(epoch - warmup) / max(epochs - warmup, 1e-9)",
        "epoch / epochs",
        "training/test_schedule.py -k known_points",
    ),
    (
        "training/schedule.py",
        "_cosine(1 / 25, 1.0, done / schedule.peak)",
        "_cosine(1 / 10, 1.0, done / schedule.peak)",
        "training/test_schedule.py -k known_points",
    ),
    (
        "training/schedule.py",
        "(done - schedule.peak) / (1 - schedule.peak)",
        "done",
        "training/test_schedule.py -k known_points",
    ),
    (
        "training/schedule.py",
        "count, waited = count + 1, 0",
        "count, waited = count + 1, waited",
        "training/test_schedule.py -k plateau_is",
    ),
    ("training/schedule.py", "best = max(best, score)", "best = score", "training/test_schedule.py -k plateau_is"),
    (
        "training/schedule.py",
        "drops(scores, int(schedule.patience)), schedule.final)",
        "drops(scores, int(schedule.patience)), 0.0)",
        "training/test_schedule.py -k known_points",
    ),
    (
        "training/schedule.py",
        "0 < length <= warmup",
        "0 < length < warmup",
        "training/test_schedule.py -k warm_up_that_lasts",
    ),
    ("training/muon.py", "_ITERATIONS = 5", "_ITERATIONS = 2", "training/test_muon.py"),
    ("training/muon.py", "(x.t() if tall else x).to", "x.to", "training/test_muon.py"),
    ("training/muon.py", "x = x / (x.norm() + 1e-7)", "x = x / 1", "training/test_muon.py"),
    (
        "training/muon.py",
        "gradient.add(velocity, alpha=momentum).permute",
        "velocity.clone().permute",
        "training/test_muon.py",
    ),
    ("training/muon.py", 'weight.mul_(1 - rate * group["weight_decay"])', "weight.mul_(1)", "training/test_muon.py"),
    ("training/muon.py", 'rate *= group["filters"]', "pass", "training/test_muon.py"),
    ("training/muon.py", "nesterov=True", "nesterov=False", "training/test_muon.py"),
    ("training/muon.py", "max(1.0, matrix.shape[0] / matrix.shape[1]) ** 0.5", "1.0", "training/test_muon.py"),
    ("data/transforms/mixing.py", "np.sqrt(1 - kept)", "1 - kept", "data/transforms/test_mixing.py"),
    (
        "data/transforms/mixing.py",
        "own = share * (1 - rows.mean(1) * columns.mean(1))",
        "own = share",
        "data/transforms/test_mixing.py",
    ),
    (
        "data/transforms/mixing.py",
        "mixed = chance < self.probability",
        "mixed = chance < 1",
        "data/transforms/test_mixing.py",
    ),
    (
        "data/transforms/mixing.py",
        "coin < (0.5 if self.mixup and self.cutmix else",
        "coin < (1.0 if self.mixup and self.cutmix else",
        "data/transforms/test_mixing.py",
    ),
    (
        "data/transforms/mixing.py",
        "torch.lerp(inputs[partners], inputs,",
        "torch.lerp(inputs, inputs[partners],",
        "data/transforms/test_mixing.py",
    ),
    ("data/transforms/mixing.py", "Mix(labels[partners], own)", "Mix(labels, own)", "data/transforms/test_mixing.py"),
    (
        "data/transforms/mixing.py",
        "((labels, mix.share), (mix.labels, 1 - mix.share))",
        "((labels, mix.share), (mix.labels, mix.share))",
        "data/transforms/test_mixing.py",
    ),
    (
        "data/transforms/mixing.py",
        "losses.sum() / masses(labels, mix, weight).sum()",
        "losses.mean()",
        "data/transforms/test_mixing.py",
    ),
    (
        "inference/metrics.py",
        "labels * classes + predictions",
        "predictions * classes + labels",
        "inference/test_metrics.py",
    ),
    (
        "inference/metrics.py",
        "_ratio(right, predicted), _ratio(right, support)",
        "_ratio(right, support), _ratio(right, predicted)",
        "inference/test_metrics.py",
    ),
    (
        "inference/metrics.py",
        "_ratio(2 * right, support + predicted)",
        "_ratio(right, support + predicted)",
        "inference/test_metrics.py",
    ),
    ("inference/metrics.py", "present = support > 0", "present = support >= 0", "inference/test_metrics.py"),
    ("inference/metrics.py", "most = int(counts.argmax())", "most = 0", "inference/test_metrics.py"),
    (
        "inference/metrics.py",
        "confusion * (1 - np.eye(len(confusion), dtype=confusion.dtype))",
        "confusion",
        "inference/test_metrics.py",
    ),
    (
        "inference/metrics.py",
        "float(off[i, j] / support[i])) for",
        "float(off[i, j] / support[j])) for",
        "inference/test_metrics.py",
    ),
    (
        "inference/metrics.py",
        "(self.support > 0) | (self.predicted > 0)",
        "(self.support >= 0)",
        "inference/test_metrics.py",
    ),
    (
        "inference/views.py",
        "torch.logsumexp(torch.stack(found), 0) - math.log(views)",
        "torch.stack(found).mean(0)",
        "inference/test_views.py",
    ),
    (
        "inference/views.py",
        "for mirrored in (False, True)",
        "for mirrored in (False, False)",
        "inference/test_views.py",
    ),
    ("inference/views.py", "top, left, mirrored=True)", "top, left, mirrored=False)", "inference/test_views.py"),
    ("inference/views.py", "(-margin[1], spare[1] + margin[1])", "(0, spare[1])", "inference/test_views.py"),
    ("models/layers.py", "self.alpha / self.size if self.divide", "self.alpha if self.divide", "models/test_layers.py"),
    ("models/layers.py", "return root * root.sqrt()", "return root * root", "models/test_layers.py"),
    ("models/layers.py", "unflatten(1, (groups, -1))", "unflatten(1, (1, -1))", "models/test_layers.py"),
    ("models/layers.py", "for offset in range(1, half + 1)", "for offset in range(1, half)", "models/test_layers.py"),
    ("data/loading/samples.py", "NARROW = 1 / 8", "NARROW = 0", "data/loading/test_decode.py -k range"),
    ("data/loading/samples.py", "max(8, int(high).bit_length())", "16", "data/loading/test_decode.py -k range"),
    (
        "data/loading/samples.py",
        "np.clip(np.nan_to_num(scaled), 0, 255)",
        "np.nan_to_num(scaled)",
        "data/loading/test_decode.py -k deep",
    ),
    ("data/loading/depth.py", "if most >= NARROW * 255:", "if True:", "data/readers/test_layout.py -k deep"),
    (
        "data/loading/depth.py",
        '_COLOR = (b"\\x10\\x02", b"\\x10\\x06")',
        '_COLOR = (b"\\x10\\x06",)',
        "data/readers/test_layout.py -k deep",
    ),
    ("data/readers/tree.py", "and not _of_few_values(each)", "", "data/readers/test_layout.py -k mask"),
    (
        "data/readers/tree.py",
        "len(others) == 1 and _below(each) <= _below(others[0])",
        "len(others) == 1",
        "data/readers/test_layout.py -k mask",
    ),
    ("data/readers/idx.py", "if request.transpose is None and SOURCES[0]", "if SOURCES[0]", "data/readers/test_idx.py"),
    ("inference/data.py", "if not path.exists():", "if False:", "inference/test_dataset_for.py"),
)


def killer(mutation: tuple[str, str, str, str], root: Path) -> str | None:
    """The test that fails with the mutation, of the copy at `root`; None: it survives."""
    name, old, new, tests = mutation
    path = root / "alexnet" / name
    kept = path.read_text(encoding="utf-8")
    if kept.count(old) != 1:
        raise SystemExit(f"{name}: {old!r} stands there {kept.count(old)} times, not once")
    path.write_text(kept.replace(old, new), encoding="utf-8")
    file, *rest = tests.split()
    try:
        failed, said = in_a_child([f"tests/{file}", *rest], root)
    finally:
        path.write_text(kept, encoding="utf-8")
    if not failed:
        return None
    found = re.search(r"^(?:FAILED|ERROR) \S+?::(\w+)", said, re.M)
    return found[1] if found else "the tests do not start"


def in_a_child(arguments: list[str], root: Path) -> tuple[bool, str]:
    """Whether pytest failed on the copy at `root`, and what it printed. The child has torch loaded already."""
    with tempfile.TemporaryFile("w+") as printed:
        child = os.fork()
        if child == 0:
            os.dup2(printed.fileno(), 1)
            os.dup2(printed.fileno(), 2)
            sys.path.insert(0, str(root))
            sys.dont_write_bytecode = True
            code = pytest.main(["-q", "-x", "-n0", "-p", "no:cacheprovider", *arguments])
            sys.stdout.flush()
            os._exit(int(code))
        _, status = os.waitpid(child, 0)
        printed.seek(0)
        return status != 0, printed.read()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="mutations with this word in the file's name")
    options = parser.parse_args()
    chosen = [each for each in MUTATIONS if options.only in each[0]]
    survived = []
    os.chdir(ROOT)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(SOURCE, Path(folder) / "alexnet", ignore=shutil.ignore_patterns("__pycache__"))
        for each in chosen:
            found = killer(each, Path(folder))
            survived += [] if found else [each]
            old, new = (" ".join(text.split()) for text in each[1:3])
            print(
                f"| {each[0]} | `{old}` → {f'`{new}`' if new else 'nothing'} | {found or '**survives**'} |", flush=True
            )
    print(f"{len(chosen) - len(survived)} of {len(chosen)} killed")
    return 1 if survived else 0


if __name__ == "__main__":
    raise SystemExit(main())
