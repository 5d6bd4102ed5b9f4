"""state.pt comes back equal; a damaged or hostile one is refused, and no code in it runs."""

import os
import pickle
from pathlib import Path

import pytest
import torch

from alexnet.errors import InputError
from alexnet.training import checkpoint


def test_a_state_comes_back_equal(tmp_path: Path) -> None:
    state = {"weights": {"w": torch.arange(3.0)}, "rows": [{"epoch": 1, "note": "é"}], "best": None}
    checkpoint.save(tmp_path / "state.pt", state)
    loaded = checkpoint.load(tmp_path / "state.pt")
    assert torch.equal(loaded["weights"]["w"], state["weights"]["w"])
    assert (loaded["rows"], loaded["best"]) == (state["rows"], None)


def test_none_damaged_and_foreign_states_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "state.pt"
    with pytest.raises(InputError, match="stopped before it saved"):
        checkpoint.load(path)
    checkpoint.save(path, {"w": torch.arange(1000.0)})
    whole = path.read_bytes()
    for content in (b"", b"nonsense", whole[: len(whole) // 2], whole[:100]):
        path.write_bytes(content)
        with pytest.raises(InputError, match="damaged"):
            checkpoint.load(path)
    for other in ({"version": checkpoint.VERSION + 1}, [1, 2]):
        torch.save(other, path)
        with pytest.raises(InputError, match="another version"):
            checkpoint.load(path)


class Hostile:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.mark),)


@pytest.mark.parametrize("writer", [torch.save, lambda what, path: path.write_bytes(pickle.dumps(what))])
def test_no_code_in_it_runs(tmp_path: Path, writer) -> None:
    writer({"version": checkpoint.VERSION, "x": Hostile(tmp_path / "mark")}, tmp_path / "state.pt")
    with pytest.raises(InputError, match="cannot be resumed"):
        checkpoint.load(tmp_path / "state.pt")
    assert not (tmp_path / "mark").exists()
