"""The fuzzer forks where a reader starts a process: what it sees is what a user sees."""

import os
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))

from alexnet.isolated import child
from fuzz import forked, readers, records
from fuzz.mutate import mutated


def _asked(reader: str, content: bytes | Path, **options: Any) -> Any:
    """What is answered, or said, of a file."""
    try:
        if isinstance(content, bytes):
            found = child.ask(reader, content, **options)
        else:
            with content.open("rb") as file:
                found = child.ask(reader, file, **options)
    except child.Broken as broken:
        return str(broken)
    arrays = {name: (each.dtype.str, each.shape, each.tobytes()) for name, each in found.arrays.items()}
    return arrays, found.about


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the fuzzer is for Linux")
def test_a_forked_process_answers_as_one_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("h5py", reason="pip install 'alexnet[keras]'")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=os.pathsep)
    monkeypatch.setattr(child, "_SECONDS", 2)
    weights = {"attributes": ["layer_names"], "weights": True, "skip": []}
    whole, mat = readers.h5(), tmp_path / "f.mat"
    mat.write_bytes(records.features("mat")["file.mat"])
    asked: list[tuple[str, bytes | Path, dict[str, Any]]] = [
        ("odd_readers", b"abc" + bytes(10**6), {"what": ""}),
        *(("odd_readers", b"abc", {"what": what}) for what in ("signal", "loop", "short", "broken", "exit")),
        *(("alexnet.isolated.hdf5", content, weights) for content in (whole, whole[:900], b"", mutated(whole, "h5 3"))),
        ("alexnet.isolated.matlab", mat, {}),
        ("alexnet.isolated.matlab", mat.read_bytes()[:300], {}),
    ]
    own = [_asked(reader, content, **options) for reader, content, options in asked]
    monkeypatch.setattr(child, "start", forked.start)
    try:
        assert [_asked(reader, content, **options) for reader, content, options in asked] == own
    finally:
        forked.end()
    assert len({str(each) for each in own}) >= 9
