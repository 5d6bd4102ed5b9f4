"""One rule for every verb that writes: a file that is there is replaced with --force alone."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import get_type_hints

import numpy as np
import pytest

import alexnet
from alexnet.artifacts import store
from alexnet.artifacts.run import Run
from alexnet.cli.app import command_of
from alexnet.cli.registry import VERBS, function_of

READ = {
    "baseline", "check", "classes", "data", "file", "files", "image", "index", "labels", "model", "models",
    "peer_python", "rdm", "recipe", "runs", "seed_files", "weights",
}  # fmt: skip
"""Arguments and options that name what is read; an index that is not there is written, one that is there is read."""
SKETCH = ["RUN", "own.png"]
TABLE: dict[tuple[str, str], list[Sequence[str]]] = {
    ("evaluate", "out"): [["RUN", "--out", "old.csv"]],
    ("evaluate", "page"): [["RUN", "--page", "old.html"]],
    ("predict", "out"): [["RUN", "own.png", "--out", "old.csv"]],
    ("features", "out"): [
        ["RUN", "--data", "own.png", "--layers", "fc6", "--out", "old.npz"],
        ["RUN", "--data", "own.png", "--layers", "fc6", "--out", "new.npy", "OLD", "new.npy.json"],
        ["RUN", "--data", "own.png", "--layers", "fc6", "--out", "features.npy", "OLD", "file_names.txt"],
    ],
    ("explain", "out"): [[*SKETCH, "--out", "old.png"]],
    ("similar", "out"): [[*SKETCH, "--data", "images", "--layer", "fc6", "--count", "1", "--out", "old.png"]],
    ("filters", "out"): [["RUN", "--out", "old.png"]],
    ("activations", "out"): [[*SKETCH, "--out", "old.png"]],
    ("probe", "out"): [["RUN", "--data", "images", "--neighbors", "1", "--out", "old.png"]],
    ("map", "out"): [
        ["RUN", "--data", "images", "--layer", "fc6", "--out", "old.png"],
        ["RUN", "--data", "images", "--layer", "fc6", "--out", "new.png", "OLD", "new.html"],
    ],
    ("what-if", "out"): [[*SKETCH, "--change", "scale=1", "--out", "old.png"]],
    ("rsa", "out"): [["FEATURES", "--out", "old.png"]],
    ("compare", "out"): [["RUN", "--out", "old.html"]],
    ("compare", "plots"): [["RUN", "--plots", "curves", "OLD", "curves/epoch.png"]],
    ("report", "out"): [
        ["RUN", "--out", "old.html"],
        ["RUN", "--format", "md", "--out", "new.md", "OLD", "new_files/mine.png"],
    ],
    ("check", "out"): [["--data", "images", "--out", "old.html"]],
    ("check", "quarantine"): [["--data", "images", "--quarantine", "old.txt"]],
    ("draw", "out"): [["alexnet-digits", "--out", "old.svg"]],
    ("import", "out"): [
        ["WEIGHTS", "--out", "old.safetensors"],
        ["WEIGHTS", "--out", "new.safetensors", "OLD", "new.json"],
    ],
    ("export", "out"): [
        ["RUN", "--format", "safetensors", "--out", "old.safetensors"],
        ["RUN", "--format", "safetensors", "--out", "new.safetensors", "OLD", "new.json"],
        ["RUN", "--format", "hub", "--out", "hub", "OLD", "hub/mine.txt"],
    ],
    ("bench", "out"): [["alexnet-digits", "--steps", "1", "--batch", "2", "--out", "b", "OLD", "b/bench.json"]],
}  # fmt: skip
"""What a verb writes that names an existing file: OLD is followed by one that is not itself the option's value."""
FOLDERS = {
    ("train", "out"): ["digits", "--out", "folder"],
    ("pack", "out"): ["--data", "images", "--out", "folder"],
}
"""Folders that a verb fills, which are new or its own; there is no --force. What lies in those of `data` and
`reproduce` is checked, and used again; `predict --copy-to` takes names that are free."""
OWN = {("data", "out"), ("reproduce", "out"), ("predict", "copy_to")}
CASES = [(verb, each) for (verb, _), several in TABLE.items() for each in several]


@pytest.fixture
def here(trained: Run, tmp_path: Path, two_classes: None) -> Path:
    """A folder with images of two classes, an image, a feature file and weights without a card."""
    return tmp_path


def _said(words: Sequence[str], trained: Run, here: Path) -> tuple[list[str], Path]:
    """The command, and the file that is in its way, which holds 'mine'."""
    given = list(words)
    old = given[given.index("OLD") + 1] if "OLD" in given else given[-1]
    given = given[: given.index("OLD")] if "OLD" in given else given
    path = here / old
    path.parent.mkdir(exist_ok=True)
    path.write_text("mine")
    if "FEATURES" in given:
        found = alexnet.features(alexnet.load(trained), alexnet.dataset("digits").subset(range(8)), ["fc6"])
        np.savez(here / "f.npz", fc6=found["fc6"])
    if "WEIGHTS" in given:
        store.save(here / "w.safetensors", alexnet.load(trained).module.state_dict())
    named = {"RUN": str(trained.path), "FEATURES": "f.npz", "WEIGHTS": "w.safetensors"}
    return [named.get(each, each) for each in given], path


def test_every_option_that_names_what_is_written_is_in_the_table() -> None:
    written = {
        (verb, name)
        for verb in VERBS
        for name, kind in get_type_hints(function_of(verb)).items()
        if name == "out" or ("Path" in str(kind) and name not in READ)
    }
    assert written == TABLE.keys() | FOLDERS.keys() | OWN
    for verb in {verb for verb, _ in TABLE}:
        assert "--force" in {name for each in command_of(verb).params for name in each.opts}, verb


@pytest.mark.parametrize(("verb", "words"), CASES, ids=lambda each: each if isinstance(each, str) else each[-1])
def test_an_existing_file_stays(
    verb: str, words: Sequence[str], trained: Run, here: Path, refused: Callable[..., str]
) -> None:
    given, path = _said(words, trained, here)
    before = sorted(each.name for each in here.iterdir())
    assert "add --force" in refused(verb, *given)
    assert path.read_text() == "mine"
    assert sorted(each.name for each in here.iterdir()) == before


@pytest.mark.parametrize(
    ("verb", "words"),
    [each for each in CASES if each[0] != "bench"],  # which takes half a minute
    ids=lambda each: each if isinstance(each, str) else each[-1],
)
def test_force_replaces_it(verb: str, words: Sequence[str], trained: Run, here: Path, command: Callable) -> None:
    given, path = _said(words, trained, here)
    ended = command(verb, *given, "--force")
    assert ended.code in (0, 3), ended  # 3: with findings, as `check` has them
    folder = path.name.startswith("mine")  # of the verb's files, none is called so
    assert path.read_bytes() == b"mine" if folder else path.read_bytes() != b"mine"


@pytest.mark.parametrize("verb", ["explain", "activations", "what-if"])
def test_a_name_that_is_not_given_is_one_that_is_free(verb: str, trained: Run, here: Path, command: Callable) -> None:
    for number in ("", "-2", "-3"):
        said = command(verb, trained.path, "own.png", *(["--force"] if number else [])).out
        path = Path(said.splitlines()[-1].removeprefix("picture: "))
        assert path.stem.endswith(number)
        assert path.is_file()
        path.write_text("mine")
    assert [each.read_text() for each in here.glob("*-2.png")] == ["mine"]


def test_a_map_without_a_name_leaves_page_and_picture(trained: Run, here: Path, command: Callable) -> None:
    Path("map.html").write_text("mine")
    said = command("map", trained.path, "--data", "images", "--layer", "fc6").out
    assert "picture: map-2.png" in said
    assert "page: map-2.html" in said
    assert Path("map.html").read_text() == "mine"


@pytest.mark.parametrize(("verb", "words"), [(verb, words) for (verb, _), words in FOLDERS.items()])
def test_a_folder_with_something_else_stays(
    verb: str, words: list[str], here: Path, refused: Callable[..., str]
) -> None:
    (here / "folder").mkdir()
    (here / "folder" / "mine.txt").write_text("mine")
    assert "folder" in refused(verb, *words)
    if verb == "train":
        assert "holds something else" in refused(verb, "digits", "--lr-range", "--out", "folder")
    assert [each.name for each in (here / "folder").iterdir()] == ["mine.txt"]
