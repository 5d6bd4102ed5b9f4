"""Each key of a recipe changes the step as its definition says, beside ten lines of plain PyTorch; a key without a test
fails here."""

import ast
import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from alexnet.artifacts.run import Run
from alexnet.device import derive_seed
from alexnet.process.group import Parallel
from alexnet.recipes import recipe as recipes
from alexnet.recipes.schema import Optimizer, Recipe, Schedule
from alexnet.training.learner import Learner
from alexnet.training.loop import Trainer
from alexnet.training.muon import orthogonalized
from alexnet.training.objective import CrossEntropy, Distillation
from alexnet.training.reporter import Reporter
from alexnet.training.schedule import factor
from alexnet.training.setup import prepare

TESTS = Path(__file__).parents[1]
BASE: dict[str, Any] = {
    "data.name": "synthetic", "data.synthetic_images": 80, "train.batch_size": 16, "train.precision": "fp32",
    "schedule.name": "constant", "optimizer.name": "sgd", "optimizer.lr": 0.05, "model.init": "keras-he",
    "model.dropout": 0.0, "augment.shift": 0.0,
}  # fmt: skip
RATES = (0.05, 0.005, 0.02)  # they change: a velocity with the rate inside it is another one than with it outside


def learner(changes: dict[str, Any]) -> Learner:
    return Learner(prepare(recipes.load("digits", BASE | changes), None, "cpu"))


def batch(number: int) -> tuple[Tensor, Tensor]:
    draws = torch.Generator().manual_seed(number)
    images = torch.randint(0, 256, (16, 8, 8, 1), dtype=torch.uint8, generator=draws)
    return images, torch.randint(0, 10, (16,), generator=draws)


# One update of a weight w with gradient g, by the definitions. s: what it remembers. t: the step, from 1.


def _sgd(w: Tensor, g: Tensor, lr: float, wd: float, s: dict[str, Tensor], t: int, o: Optimizer) -> Tensor:
    g = g + wd * w
    v = s["v"] = o.momentum * s.get("v", torch.zeros_like(w)) + g
    return w - lr * (g + o.momentum * v if o.nesterov else v)


def _velocity(w: Tensor, g: Tensor, lr: float, wd: float, s: dict[str, Tensor], t: int, o: Optimizer) -> Tensor:
    g = g + wd * w
    v = s["v"] = o.momentum * s.get("v", torch.zeros_like(w)) - lr * g
    return w + (o.momentum * v - lr * g if o.nesterov else v)


def _adam(w: Tensor, g: Tensor, lr: float, wd: float, s: dict[str, Tensor], t: int, o: Optimizer) -> Tensor:
    w, g = (w * (1 - lr * wd), g) if o.name == "adamw" else (w, g + wd * w)
    m = s["m"] = o.beta1 * s.get("m", torch.zeros_like(w)) + (1 - o.beta1) * g
    v = s["v"] = o.beta2 * s.get("v", torch.zeros_like(w)) + (1 - o.beta2) * g**2
    return w - lr * (m / (1 - o.beta1**t)) / ((v / (1 - o.beta2**t)).sqrt() + o.eps)


def _adadelta(w: Tensor, g: Tensor, lr: float, wd: float, s: dict[str, Tensor], t: int, o: Optimizer) -> Tensor:
    g = g + wd * w
    v = s["v"] = o.rho * s.get("v", torch.zeros_like(w)) + (1 - o.rho) * g**2
    u = s.get("u", torch.zeros_like(w))
    step = (u + o.eps).sqrt() / (v + o.eps).sqrt() * g
    s["u"] = o.rho * u + (1 - o.rho) * step**2
    return w - lr * step


def _muon(w: Tensor, g: Tensor, lr: float, wd: float, s: dict[str, Tensor], t: int, o: Optimizer) -> Tensor:
    if w.ndim != 4:
        g = g + wd * w
    v = s["v"] = o.momentum * s.get("v", torch.zeros_like(w)) + g
    step = g + o.momentum * v
    if w.ndim != 4:
        return w - lr * step
    n, c, h, k = w.shape
    matrix = orthogonalized(step.permute(0, 2, 3, 1).reshape(n, -1)) * max(1, n / (c * h * k)) ** 0.5
    lr *= o.filter_lr
    return w * (1 - lr * wd) - lr * matrix.reshape(n, h, k, c).permute(0, 3, 1, 2)


UPDATES = {"sgd": _sgd, "velocity": _velocity, "adam": _adam, "adamw": _adam, "adadelta": _adadelta, "muon": _muon}


def plain(own: Learner, rates: tuple[float, ...]) -> tuple[list[Tensor], list[Tensor]]:
    """The weights, and their moving average, after a step at each of the rates, computed by the definitions."""
    o, train, network = own.recipe.optimizer, own.recipe.train, copy.deepcopy(own.network).train()
    assert isinstance(own.objective, CrossEntropy)
    classes = own.objective.weights
    memory: dict[str, dict[str, Tensor]] = {}
    average = {name: p.detach().clone() for name, p in network.named_parameters()}
    for t, rate in enumerate(rates, 1):
        images, labels = batch(t)
        logits = network(own.augmenter.evaluate(images))
        loss = functional.cross_entropy(logits, labels, weight=classes, label_smoothing=train.label_smoothing)
        for name, p in network.named_parameters():
            if p.ndim > 1 and (not o.l2_layers or name.startswith(o.l2_layers)):
                loss = loss + o.l2 * p.square().sum()
        named = dict(network.named_parameters())
        gradients = torch.autograd.grad(loss, list(named.values()))
        norm = torch.cat([g.flatten() for g in gradients]).norm()
        scale = min(1.0, train.clip_norm / float(norm)) if train.clip_norm else 1.0
        for (name, p), g in zip(named.items(), gradients, strict=True):
            lr = rate * o.layer_lr.get(name.split(".")[0], 1.0) * (o.bias_lr if name.endswith("bias") else 1.0)
            decay = o.weight_decay if p.ndim > 1 else 0.0
            p.data = UPDATES[o.name](p.detach(), g * scale, lr, decay, memory.setdefault(name, {}), t, o)
            kept = min(train.ema, (1 + t) / (10 + t))
            average[name] = kept * average[name] + (1 - kept) * p.detach()
    return [p.detach() for p in network.parameters()], list(average.values())


STEPS: dict[str, list[dict[str, Any]]] = {
    "optimizer.name": [{"optimizer.name": name} for name in UPDATES],
    "optimizer.momentum": [{"optimizer.name": name, "optimizer.momentum": 0.5} for name in ("sgd", "velocity", "muon")],
    "optimizer.nesterov": [{"optimizer.name": name, "optimizer.nesterov": True} for name in ("sgd", "velocity")],
    "optimizer.beta1": [{"optimizer.name": name, "optimizer.beta1": 0.5} for name in ("adam", "adamw")],
    "optimizer.beta2": [{"optimizer.name": name, "optimizer.beta2": 0.5} for name in ("adam", "adamw")],
    "optimizer.rho": [{"optimizer.name": "adadelta", "optimizer.rho": 0.5}],
    "optimizer.eps": [{"optimizer.name": name, "optimizer.eps": 1e-2} for name in ("adam", "adamw", "adadelta")],
    "optimizer.weight_decay": [{"optimizer.name": name, "optimizer.weight_decay": 2.0} for name in UPDATES],
    "optimizer.l2": [{"optimizer.l2": 0.01}],
    "optimizer.l2_layers": [{"optimizer.l2": 0.01, "optimizer.l2_layers": ["fc"]}],
    "optimizer.bias_lr": [{"optimizer.bias_lr": 2.0}],
    "optimizer.layer_lr": [{"optimizer.layer_lr": {"fc8": 10.0, "conv1": 0.0}}],
    "optimizer.filter_lr": [{"optimizer.name": "muon", "optimizer.filter_lr": 0.1}],
    "train.label_smoothing": [{"train.label_smoothing": 0.2}],
    "train.class_weights": [{"train.class_weights": True}],
    "train.clip_norm": [{"train.clip_norm": 0.05}],
    "train.ema": [{"train.ema": 0.15}, {"train.ema": 0.99}],
    "train.accumulate": [{"train.accumulate": 4}, {"train.accumulate": 4, "train.class_weights": True}],
}
SAME_STEP = ("train.accumulate", "train.ema")  # the step is the same by definition


def off(weights: list[Tensor], expected: list[Tensor], start: list[Tensor]) -> float:
    """How far weights are from those expected, as a share of how far they have moved."""
    moved = sum(float((one - other).square().sum()) for one, other in zip(expected, start, strict=True))
    wrong = sum(float((one.detach() - other).square().sum()) for one, other in zip(weights, expected, strict=True))
    return (wrong / moved) ** 0.5


# Adam divides by the gradient's own size: one of rounding errors makes a whole step. Muon rounds to bf16.
TOLERANCE = {"sgd": 1e-3, "velocity": 1e-3, "adadelta": 1e-3, "adam": 2e-2, "adamw": 2e-2, "muon": 6e-2}


@pytest.mark.parametrize("changes", [each for some in STEPS.values() for each in some], ids=str)
def test_steps_are_those_of_plain_torch(changes: dict[str, Any]) -> None:
    own = learner(changes)
    start = [p.detach().clone() for p in own.network.parameters()]
    expected, average = plain(own, RATES)
    for number, rate in enumerate(RATES, 1):
        own.step(*batch(number), rate=rate)
    tolerance = TOLERANCE[own.recipe.optimizer.name]
    assert off(list(own.network.parameters()), expected, start) < tolerance
    if own.recipe.train.ema:
        with own.averaged() as network:
            assert off([p.detach() for p in network.parameters()], average, start) < tolerance
        assert off(list(own.network.parameters()), expected, start) < tolerance  # its own weights are back


def after(changes: dict[str, Any], steps: int = len(RATES)) -> Tensor:
    own = learner(changes)
    for number, rate in enumerate(RATES[:steps], 1):
        own.step(*batch(number), rate=rate)
    return torch.cat([p.detach().flatten() for p in own.network.parameters()])


@pytest.mark.parametrize("key", [key for key in STEPS if key not in SAME_STEP])
def test_a_key_changes_the_step(key: str) -> None:
    for changes in STEPS[key]:
        without = {name: value for name, value in changes.items() if name != key}
        if recipes.load("digits", BASE | changes) != recipes.load("digits", BASE | without):
            one, other = after(changes), after(without)
            tolerance = TOLERANCE[changes.get("optimizer.name", "sgd")]
            assert off([one], [other], [after(changes, 0)]) > 2 * tolerance


AUGMENTATIONS: dict[str, tuple[dict[str, Any], object]] = {
    "augment.shared": ({"augment.flip": 0.5}, 8),
    "augment.flip": ({}, 0.5),
    "augment.shift": ({}, 0.25),
    "augment.interpolate": ({"augment.shift": 0.25}, True),
    "augment.fill": ({"augment.shift": 0.25}, "edge"),
    "augment.cutout": ({}, 3),
    "augment.resized_crop": ({}, [0.1, 0.5]),
    "augment.crop_ratio": ({"augment.resized_crop": [0.1, 0.5]}, [1.0, 1.0]),
    "augment.randaugment_ops": ({}, 2),
    "augment.randaugment_magnitude": ({"augment.randaugment_ops": 2}, 1.0),
    "augment.random_erasing": ({}, 1.0),
    "augment.random_erasing_fill": ({"augment.random_erasing": 1.0}, "mean"),
    "augment.mixup": ({}, 1.0),
    "augment.cutmix": ({}, 1.0),
    "augment.mix_probability": ({"augment.mixup": 1.0}, 0.5),
}
"""Key → what it needs beside it, and a value."""


def given(changes: dict[str, Any]) -> Tensor:
    """What the network gets in the first step."""
    own, seen = learner(changes), []
    assert isinstance(own.forward, Parallel)
    own.forward.module = lambda inputs: (seen.append(inputs), own.network(inputs))[1]
    own.step(*batch(1))
    return seen[0]


@pytest.mark.parametrize("key", AUGMENTATIONS)
def test_an_augmentation_reaches_the_network(key: str) -> None:
    beside, value = AUGMENTATIONS[key]
    assert not given(beside | {key: value}).equal(given(beside))


def test_each_step_draws_its_own_augmentation_and_dropout() -> None:
    """The same images and weights in two steps: other inputs, other masks; the next learner draws the same."""
    settings = {"augment.flip": 0.5, "model.dropout": 0.5, "optimizer.lr": 1e-30}
    images, labels = batch(1)
    inputs, losses = [], []
    for _ in range(2):
        own = learner(settings)
        for _ in range(2):
            inputs.append(own.augmented(images))
            losses.append(float(own.step(images, labels).loss))
    assert inputs[0].equal(inputs[2])
    assert inputs[1].equal(inputs[3])
    assert not inputs[0].equal(inputs[1])
    assert losses[:2] == losses[2:]
    later = learner(settings)
    later.done = later.steps  # the first step of the second epoch
    assert not later.augmented(images).equal(inputs[0])
    still = learner(settings | {"augment.flip": 0.0})
    assert float(still.step(images, labels).loss) != float(still.step(images, labels).loss)  # by dropout alone


def test_each_epoch_has_its_own_order_and_the_seed_decides_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def orders(seed: int) -> list[list[int]]:
        changes = BASE | {"train.seed": seed, "data.validation": 0.2}
        trainer = Trainer(prepare(recipes.load("digits", changes), None, "cpu"), Run(tmp_path), Reporter())
        seen: list[list[int]] = []
        monkeypatch.setattr(
            trainer.setup.train, "batches", lambda order, *_: (seen.append(order.tolist()), iter(()))[1]
        )
        for _ in range(2):
            trainer.train_epoch(lambda: False)
            trainer.log.rows.append({"val_accuracy": 0.0, "val_loss": 0.0})
            trainer.learner.done += trainer.setup.steps
        return seen

    one, again, other = orders(0), orders(0), orders(1)
    assert one == again
    assert sorted(one[0]) == sorted(one[1]) == list(range(len(one[0])))
    assert one[0] != one[1]
    assert one[0] != other[0]
    draws = torch.Generator().manual_seed(derive_seed(0, "order", 1))
    assert one[1] == torch.randperm(len(one[1]), generator=draws).tolist()


def test_the_memory_format_is_the_recipes() -> None:
    """alexnet-cifar10 has filters for which the two formats differ."""
    for wanted in (True, False):
        own = learner({"train.channels_last": wanted})
        filters = [p for p in own.network.parameters() if p.ndim == 4 and p.shape[1] > 1 and p.shape[2] > 1]
        assert filters
        assert all(p.is_contiguous(memory_format=torch.channels_last) == wanted for p in filters)


def test_the_teachers_share_and_temperature_are_the_recipes(trained: Run) -> None:
    settings = {"model.teacher": str(trained.path), "train.distill_weight": 0.3, "train.distill_temperature": 2.5}
    objective = learner(settings | {"data.name": "digits"}).objective
    assert isinstance(objective, Distillation)
    assert (objective.weight, objective.temperature) == (0.3, 2.5)


def test_a_one_cycle_peaks_where_the_recipe_says() -> None:
    assert factor(Schedule("one-cycle", peak=0.5), 5, 10) == 1.0
    assert factor(Schedule("one-cycle"), 5, 10) < 1.0


def test_the_learning_rate_is_scaled_to_the_batch() -> None:
    own = learner({"optimizer.lr_batch": 64, "optimizer.lr": 0.4})
    own.step(*batch(1))
    assert own.optimizer.param_groups[0]["lr"] == pytest.approx(0.1)


ELSEWHERE: dict[str, str] = {}


def _elsewhere(file: str, *keys: str) -> None:
    ELSEWHERE.update(dict.fromkeys(keys, file))


_elsewhere("training/test_every_key.py", "optimizer.lr", "optimizer.lr_batch", "train.channels_last", "train.seed")
_elsewhere("training/test_every_key.py", "train.distill_weight", "train.distill_temperature", "schedule.peak")
_elsewhere("training/test_learner.py", "model.dropout")
_elsewhere("training/test_setup.py", "model.name", "model.init", "data.resize", "data.normalize", "data.validation")
_elsewhere("training/test_setup.py", "data.synthetic_images", "data.name")
_elsewhere("training/test_finetune.py", "model.weights", "model.skip", "model.freeze", "schedule.unfreeze")
_elsewhere("training/test_distill.py", "model.teacher")
_elsewhere("training/test_schedule.py", "schedule.name", "schedule.warmup", "schedule.milestones", "schedule.factor")
_elsewhere("training/test_schedule.py", "schedule.patience", "schedule.final", "schedule.freeze")
_elsewhere("training/test_schedule.py", "schedule.layer_drops", "schedule.biases", "train.epochs", "train.steps")
_elsewhere("training/test_pca_color.py", "augment.pca_color", "augment.pca_color_form", "augment.pca_color_until")
_elsewhere("training/test_pca_color.py", "augment.pca_color_from")
_elsewhere("training/test_loop.py", "train.patience", "train.checkpoint_seconds", "train.batch_size")
_elsewhere("training/test_loop.py", "train.least_steps")
_elsewhere("training/test_loop.py", "train.precision")
_elsewhere("training/test_streamed.py", "data.workers")
_elsewhere("training/test_remote_shards.py", "data.missing_shards")
_elsewhere("training/test_compiled.py", "train.compile")
_elsewhere("training/test_parallel.py", "train.parallel")
_elsewhere("training/test_quarantine.py", "data.quarantine", "data.group_by")
_elsewhere("experiments/test_repeat.py", "data.folds", "data.fold")
_elsewhere("artifacts/test_mean_image.py", "train.test_views")
_elsewhere("training/test_data_keys.py", "data.fit", "data.antialias", "data.samples", "data.transpose")
_elsewhere("training/test_shard_window.py", "data.shuffle")
_elsewhere("training/test_data_keys.py", "data.first_classes", "data.first_images", "data.per_class", "data.layout")
_elsewhere("training/test_data_keys.py", "data.train_images", "data.labels")
_elsewhere("training/test_data_keys.py", "data.label_separator", "data.label_columns")


def test_every_key_of_the_schema_has_a_test() -> None:
    tested = {*STEPS, *AUGMENTATIONS, *ELSEWHERE}
    keys = {key for key, _ in recipes.flat(Recipe())} - {"name", "title", "source"}
    assert keys - tested == set(), "give each a test that it changes the step as its definition says"
    assert tested - keys == set(), "no such keys any more"


@pytest.mark.parametrize("file", sorted(set(ELSEWHERE.values())))
def test_the_tests_elsewhere_name_their_keys(file: str) -> None:
    """By the key's last part, in code and not in a comment."""
    source = ast.unparse(ast.parse((TESTS / file).read_text(encoding="utf-8")))
    for key in (key for key, place in ELSEWHERE.items() if place == file):
        assert key.rpartition(".")[2] in source, f"{file} no longer tests {key}"
