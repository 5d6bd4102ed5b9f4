"""One line that names the valid choices."""

from alexnet.errors import InputError, agreeing, counted, unknown


def test_a_misspelt_name_gets_the_nearest_ones() -> None:
    error = unknown("network", "alexnet-cifar", ["alexnet-cifar10", *(f"resnet-{n}" for n in range(6))])
    assert isinstance(error, InputError)
    assert str(error) == "unknown network 'alexnet-cifar'; did you mean alexnet-cifar10?"


def test_up_to_six_choices_are_all_named() -> None:
    precisions = ["auto", "fp32", "bf16", "int8"]
    assert str(unknown("precision", "fp16", precisions)) == (
        "unknown precision 'fp16'; did you mean bf16? Choose one of: auto, fp32, bf16, int8"
    )
    assert (
        str(unknown("pooling", "x", ["none", "mean", "max"])) == "unknown pooling 'x'; choose one of: none, mean, max"
    )
    assert str(unknown("class", "cat5", [f"cat{i}" for i in "12346789"])).endswith("?")


def test_capitals_do_not_matter() -> None:
    layers = [f"{kind}{number}" for kind in ("conv", "fc", "pool") for number in range(8)]
    assert str(unknown("layer", "FC7", layers)) == "unknown layer 'FC7'; did you mean fc7?"


def test_what_is_no_name_is_not_quoted() -> None:
    assert str(unknown("pooling", None, ["none", "mean"])).startswith("unknown pooling None; choose")


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
