"""Images copied by class: each class a folder, nothing twice, and never into what is read."""

from pathlib import Path

import pytest

from alexnet.errors import InputError
from alexnet.inference.copies import Copies, folder_name, folder_names
from alexnet.inference.predict import Predicted, Prediction


def cat(path: Path) -> Predicted:
    return Predicted(str(path), [Prediction("cat", 1.0)])


def images(folder: Path, *contents: bytes) -> list[Path]:
    """x.png in a folder of its own for each content."""
    for number, content in enumerate(contents):
        (folder / str(number)).mkdir(parents=True)
        (folder / str(number) / "x.png").write_bytes(content)
    return [folder / str(number) / "x.png" for number in range(len(contents))]


@pytest.mark.parametrize(
    ("label", "name"),
    [("cat", "cat"), ("../../etc", "_.._etc"), ("..", "_"), ("", "_"), ("a/b:c", "a_b_c"), ("x\x1b[2J", "x_[2J")],
)
def test_a_label_names_a_folder_and_nothing_else(label: str, name: str):
    assert folder_name(label) == name


def test_each_label_has_a_folder_of_its_own():
    names = folder_names(["a/b", "a_b", "A_b", "..", ".", "_", "cat", "a/b"])
    assert names == {"a/b": "a_b", "a_b": "a_b-2", "A_b": "A_b-3", "..": "_", ".": "_-2", "_": "_-3", "cat": "cat"}
    assert folder_names(["x", "x-2", "X"]) == {"x": "x", "x-2": "x-2", "X": "X-3"}


def test_copies_keep_each_other_and_are_not_made_twice(tmp_path: Path):
    found = images(tmp_path / "from", b"0", b"1", b"2")
    for times in range(2):
        copies = Copies(tmp_path / "sorted", ["cat"])
        for path in found:
            copies.add(cat(path))
        assert copies.there == times * 3
        there = sorted((tmp_path / "sorted" / "cat").iterdir())
        assert [(path.name, path.read_bytes()) for path in there] == [
            ("x-2.png", b"1"),
            ("x-3.png", b"2"),
            ("x.png", b"0"),
        ]


def test_nothing_is_copied_among_the_images_that_are_read(tmp_path: Path):
    (path,) = images(tmp_path / "from", b"0")
    (tmp_path / "link").symlink_to(tmp_path / "from")
    for place in ("from", "from/0", "from/0/sorted", ".", "link", "link/new"):
        with pytest.raises(InputError, match="among the images that are read"):
            Copies(tmp_path / place, ["cat"], [str(tmp_path / "from" / "0"), str(tmp_path / "from")])
    for place in ("from", "from/0", "."):  # the image itself was named
        with pytest.raises(InputError, match="lies in the folder of --copy-to"):
            Copies(tmp_path / place, ["cat"], [str(path)]).add(cat(path))
    assert [each for each in (tmp_path / "from").rglob("*") if each.is_file()] == [path]
    assert Copies(tmp_path / "from" / "0" / "sorted", ["cat"], [str(path)]).add(cat(path))  # beside it


def test_a_link_that_leads_to_itself_is_one_line(tmp_path: Path):
    (path,) = images(tmp_path / "from", b"0")
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(InputError, match="cannot be a folder"):
        Copies(tmp_path / "loop", ["cat"], [str(tmp_path / "loop"), str(path)]).add(cat(path))
