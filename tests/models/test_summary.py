import torch

from alexnet.models import catalog
from alexnet.models.summary import summarize


def test_caltech_table_is_the_published_one():
    with torch.device("meta"):
        model = catalog.create("alexnet-caltech")
    table = summarize(model)
    assert (table.parameters, table.trainable_parameters, table.statistics) == (14_674_221, 14_673_869, 352)
    assert table.file_bytes == 4 * 14_674_221


def test_costs_of_a_layer():
    with torch.device("meta"):
        model = catalog.create("alexnet-cifar10")
    rows = {row.name: row for row in summarize(model).layers}
    assert rows["conv1"].output == (96, 8, 8)
    assert rows["conv1"].flops == 2 * 96 * 8 * 8 * 11 * 11 * 3
    assert rows["conv1"].activation_bytes == 4 * 96 * 8 * 8
    assert rows["fc8"].flops == 2 * 4096 * 10
    assert rows["pool1"].flops == rows["relu1"].parameters == 0
    with torch.device("meta"):
        grouped = {row.name: row for row in summarize(catalog.create("alexnet-2012")).layers}
    assert grouped["conv2"].flops == 2 * 256 * 27 * 27 * 5 * 5 * 48  # each filter sees half of the 96 channels


def test_a_summary_leaves_the_model_and_the_random_numbers_alone():
    model = catalog.create("alexnet-digits")
    model.conv1.requires_grad_(False)
    before, state = {k: v.clone() for k, v in model.state_dict().items()}, torch.get_rng_state()
    table = summarize(model)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(model.state_dict()[key], value) for key, value in before.items())
    assert table.trainable_parameters == table.parameters - 320
    assert model.training


def test_a_summary_leaves_batch_norm_working():
    model = catalog.create("resnet-20")
    x = torch.randn(1, *model.input)
    before = model(x)
    summarize(model)
    assert torch.equal(model(x), before)
    assert model.get_buffer("bn1.num_batches_tracked") == 2
