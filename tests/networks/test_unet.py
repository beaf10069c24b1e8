"""The U-Net of the pairs. Oracles: shapes, a closed form of its first output, and its gradient."""

import pytest
import torch

from sketchloss.networks.unet import LEVELS, UNet


def test_it_begins_with_nearly_white_paper_and_draws_within_the_range():
    torch.manual_seed(0)
    network = UNet(4)
    drawn = network(torch.rand(2, 3, 32, 16))
    assert drawn.shape == (2, 3, 32, 16)
    assert drawn.dtype == torch.float32
    assert drawn.min() >= 0
    assert drawn.max() <= 1
    assert drawn.mean() > 0.8


def test_the_gradient_passes_where_a_value_is_cut():
    network = UNet(4).eval()
    weight, bias = network.out.parameters()
    with torch.no_grad():
        weight.zero_()
        bias.fill_(2.0)
    drawn = network(torch.rand(1, 3, 8, 8))
    assert torch.equal(drawn, torch.ones(1, 3, 8, 8))
    drawn.sum().backward()
    assert bias.grad is not None
    assert torch.equal(bias.grad, torch.full((3,), 64.0))


def test_each_level_is_twice_as_wide():
    network = UNet(4, channels=1)
    widths = [next(block.parameters()).shape[0] for block in network.down]
    assert widths == [4 * 2**level for level in range(LEVELS)]
    assert network.out.out_channels == 1
    with pytest.raises(ValueError, match="width is 0 and channels 3: both must be at least 1"):
        UNet(0)
