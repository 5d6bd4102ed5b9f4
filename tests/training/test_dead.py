import torch
from torch import nn

from alexnet.training.dead import dead_fractions


def test_dead_fractions_counts_and_leaves_the_model_alone():
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.5))
    model[1].bias.data = torch.tensor([-100.0, -100.0, -100.0, 100.0])
    model[3].eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    images = torch.rand(8, 1, 8, 8)
    random = torch.get_rng_state()
    assert dead_fractions(model, images) == {"2": 0.75}
    assert [module.training for module in model] == [True, True, True, False]
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), random)
    assert not model[2]._forward_hooks


def test_a_channel_that_one_image_wakes_at_one_place_is_not_dead():
    maps = -torch.rand(8, 4, 3, 3) - 0.1
    maps[:, 2] = 1.0
    maps[5, 1, 2, 0] = 0.5
    assert dead_fractions(nn.Sequential(nn.ReLU()), maps) == {"0": 0.5}
