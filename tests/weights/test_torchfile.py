import io
import json
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from alexnet.errors import InputError
from alexnet.models.network import Network
from alexnet.weights.recognize import read_weights


def torchvision_names(network: Network) -> dict[str, torch.Tensor]:
    """The small network's tensors under names of torchvision's kind."""
    places = dict(zip(("conv1", "conv2", "conv3", "conv4", "conv5"), (0, 3, 6, 8, 10), strict=True))
    names = {layer: f"features.{place}" for layer, place in places.items()}
    names |= {"fc6": "classifier.1", "fc7": "classifier.4", "fc8": "classifier.6"}
    return {f"{names[n.split('.')[0]]}.{n.split('.')[1]}": value for n, value in network.state_dict().items()}


def save_pth(path: Path, content: Any, **options: Any) -> None:
    torch.save(content, path, **options)


def save_safetensors(path: Path, content: dict[str, torch.Tensor]) -> None:
    path.write_bytes(safetensors.torch.save(content))


def in_checkpoint(path: Path, content: dict[str, torch.Tensor]) -> None:
    names = {name.replace("features.", "features.module."): value for name, value in content.items()}
    torch.save({"epoch": 3, "state_dict": {f"module.{name}": value for name, value in names.items()}}, path)


def legacy(path: Path, content: dict[str, torch.Tensor]) -> None:
    torch.save(content, path, _use_new_zipfile_serialization=False)


def halves(path: Path, content: dict[str, torch.Tensor]) -> None:
    torch.save({name: value.double() for name, value in content.items()}, path)


@pytest.mark.parametrize("write", [save_pth, save_safetensors, in_checkpoint, legacy, halves])
def test_every_form_is_read(write: Callable[[Path, Any], None], digits: Network, tmp_path: Path):
    file = tmp_path / "net.bin"  # recognized by content
    write(file, torchvision_names(digits))
    found, source = read_weights(file)
    assert found.kind == "torch"
    assert list(found.layers)[:2] == ["features.0", "features.3"]
    assert list(found.layers)[-1] == "classifier.6"
    weight = torch.from_numpy(found.layers["features.10"]["weight"].copy())
    assert torch.equal(weight, digits.get_submodule("conv5").get_parameter("weight"))
    assert len(source.sha256) == 64


class Bomb:
    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.mkdir, (self.path,)


@pytest.mark.parametrize("modern", [True, False])
def test_a_pth_that_would_run_code_runs_nothing(modern: bool, tmp_path: Path):
    file, mark = tmp_path / "net.pth", tmp_path / "mark"
    torch.save({"conv1.weight": Bomb(mark)}, file, _use_new_zipfile_serialization=modern)
    with pytest.raises(InputError, match="nothing of it was run"):
        read_weights(file)
    assert not mark.exists()


def test_archives_that_unpack_to_more_than_they_are_are_refused(tmp_path: Path):
    file = tmp_path / "bomb.pth"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x/data.pkl", pickle.dumps({}))
        archive.writestr("x/data/0", bytes(10_000_000))
    with pytest.raises(InputError, match="damaged"):
        read_weights(file)


def claiming() -> bytes:
    header = json.dumps({"a": {"dtype": "F32", "shape": [2_700_000_000], "data_offsets": [0, 10_800_000_000]}}).encode()
    return struct.pack("<Q", len(header)) + header


def expanded() -> bytes:
    content = io.BytesIO()
    torch.save({"conv1.weight": torch.zeros(1).expand(2_700_000_000)}, content)
    return content.getvalue()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (claiming(), "not a readable safetensors"),
        (expanded(), "claims 2,700,000,000 numbers"),
        (b"PK\x03\x04" + bytes(50), "damaged archive"),
        (b"hello, world", "no file of weights that is known here"),
        (struct.pack("<Q", 2) + b"{}", "holds no state dict"),
    ],
)
def test_damaged_and_dishonest_files_are_one_line(content: bytes, said: str, told: Callable[[bytes], str]):
    assert said in told(content)


def test_tensors_without_numbers_are_refused(tmp_path: Path):
    for tensor in (torch.zeros(2, device="meta"), torch.zeros(2).to_sparse(), torch.zeros(2, dtype=torch.complex64)):
        torch.save({"conv1.weight": tensor}, tmp_path / "net.pth")
        with pytest.raises(InputError, match=r"no plain tensor|nothing of it was run"):
            read_weights(tmp_path / "net.pth")


def test_numbers_that_are_none_are_told_where_they_stand(digits: Network, tmp_path: Path):
    state = {name: value.clone() for name, value in digits.state_dict().items()}
    state["conv3.bias"][:2] = torch.tensor([float("nan"), float("inf")])
    save_safetensors(tmp_path / "nan.safetensors", state)
    with pytest.raises(InputError, match=r"2 numbers in conv3\.bias that are not finite"):
        read_weights(tmp_path / "nan.safetensors")


def test_no_file_and_too_large_a_file_are_told(tmp_path: Path):
    with pytest.raises(InputError, match="no weights at"):
        read_weights(tmp_path / "nothing.h5")
    with pytest.raises(InputError, match="is not a file"):
        read_weights(tmp_path)
    with (tmp_path / "sparse.h5").open("wb") as file:
        file.truncate(10 * 2**30)  # takes no room on the disk
    with pytest.raises(InputError, match=r"10,737,418,240 bytes"):
        read_weights(tmp_path / "sparse.h5")
