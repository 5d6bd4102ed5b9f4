"""One line that names the valid choices."""

from alexnet.errors import InputError, agreeing, counted, unknown


def test_a_misspelt_name_gets_the_nearest_ones() -> None:
    error = unknown("network", "alexnet-cifar", ["alexnet-cifar10", "resnet-20", "caffenet"])
    assert isinstance(error, InputError)
    assert str(error) == "unknown network 'alexnet-cifar'; did you mean alexnet-cifar10?"


def test_a_name_like_none_gets_all_and_at_most_forty() -> None:
    assert str(unknown("device", "toaster", ["cpu", "mps"])) == "unknown device 'toaster'; choose one of: cpu, mps"
    many = str(unknown("class", "zzz", [f"c{i}" for i in range(50)]))
    assert "c39, …" in many
    assert "c40" not in many


def test_one_is_singular() -> None:
    assert [counted(n, "image") for n in (0, 1, 2, 1200)] == ["0 images", "1 image", "2 images", "1,200 images"]
    assert [counted(n, "class", "classes") for n in (1, 3)] == ["1 class", "3 classes"]
    assert agreeing(["optimizer.lr"], "differs", "differ") == "optimizer.lr differs"
    assert agreeing(["fc7", "fc8"], "is", "are") == "fc7, fc8 are"
