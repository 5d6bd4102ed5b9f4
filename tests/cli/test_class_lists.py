"""Lists of class names that `alexnet import` is given."""

import os
from pathlib import Path

import pytest

from alexnet.cli.import_ import _names
from alexnet.errors import InputError


def test_a_list_of_class_names(tmp_path: Path) -> None:
    file = tmp_path / "names.txt"
    file.write_bytes("\ufeffcat\r\ncafe\u0301\r\n\r\ndog\r\n".encode())  # as an editor on Windows saves it
    assert _names(file) == ("cat", "caf\u00e9", "dog")
    file.write_text("crane\nx\ncafé\ncrane\n")
    with pytest.raises(InputError, match="names the class 'crane' in lines 1 and 4"):
        _names(file)
    file.write_bytes("caf\u00e9\n".encode("latin-1"))
    with pytest.raises(InputError, match="is not a readable text file"):
        _names(file)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="not a regular file"):
        _names(tmp_path / "pipe")
