from pathlib import Path

import pytest
from PIL import Image

from alexnet.errors import InputError
from alexnet.inference.gather import Gathered


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b/2.png", "b/10.png", "a.jpg", "@eaDir/thumb.png", ".hidden.png"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        Image.new("L", (4, 4)).save(path)
    (tmp_path / "b" / "noname").write_bytes((tmp_path / "b" / "2.png").read_bytes())
    (tmp_path / "readme.md").write_text("words")
    return tmp_path


def names(found: Gathered, root: Path) -> list[str]:
    return [str(path.relative_to(root)) for path in found]


def test_a_folder_gives_its_images_sorted_and_counts_the_rest(folder: Path):
    found = Gathered([str(folder)])
    assert names(found, folder) == ["a.jpg", "b/10.png", "b/2.png", "b/noname"]
    assert [path.name for path in found.passed_over] == ["readme.md"]


def test_files_patterns_lists_and_stdin(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(folder)
    assert [str(p) for p in Gathered(["b/*.png", "a.jpg"])] == ["b/10.png", "b/2.png", "a.jpg"]
    assert [str(p) for p in Gathered(["**/2.png"])] == ["b/2.png"]
    Path("list.txt").write_text("\ufeffa.jpg\r\n\nb/2.png\n", encoding="utf-8")
    assert [str(p) for p in Gathered(["list.txt"])] == ["a.jpg", "b/2.png"]
    assert [str(p) for p in Gathered(["-"], ["b/2.png\n", "no such\n"])] == ["b/2.png", "no such"]
    Image.new("L", (4, 4)).save("odd[1].png")
    assert [str(p) for p in Gathered(["odd[1].png"])] == ["odd[1].png"]  # a file is no pattern


def test_nothing_to_read_is_one_line(folder: Path):
    (folder / "empty").mkdir()
    for name, said in ((str(folder / "empty"), "no images in"), (str(folder / "*.tif"), "no file matches")):
        with pytest.raises(InputError, match=said):
            list(Gathered([name]))
    with pytest.raises(InputError, match="one path per line"):
        list(Gathered(["-"], ["x" * 5000]))
