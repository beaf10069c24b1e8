"""A thin network fitted to a wide one. Oracles: a network whose channels come twice, and least squares by NumPy."""

import numpy as np
import pytest
import torch

from sketchloss import Backbone
from sketchloss.networks.thinner import RIDGE, fit_filters, most_telling, new_thin, solve


def test_channels_that_all_come_twice_are_left_out_without_loss():
    """Half the channels of such a network say everything, and the fit finds the network of half the width."""
    torch.manual_seed(0)
    narrow, wide = Backbone(width=0.0625).eval(), Backbone(width=0.125).eval()
    twice = {name: torch.cat([tensor, tensor]) for name, tensor in narrow.state_dict().items()}
    for name, tensor in twice.items():
        if tensor.ndim == 4 and tensor.shape[1] > 3:
            twice[name] = torch.cat([tensor, tensor], dim=1) / 2
    wide.load_state_dict(twice)
    student = new_thin(wide, 0.0625)
    images = torch.rand(48, 3, 32, 32)
    fit_filters(student, wide, images)
    layers = ("relu1_2", "relu3_3")
    wanted, found = narrow(images[:4], layers), student(images[:4], layers)
    for layer in layers:
        channels = found[layer].shape[1]
        gaps = [
            min((found[layer][:, one] - wanted[layer][:, other]).square().mean() for other in range(channels))
            for one in range(channels)
        ]
        assert max(gaps) < 0.02 * wanted[layer].var()


def test_the_gates_of_a_teacher_are_made_up_for():
    torch.manual_seed(0)
    teacher = Backbone(width=0.125, attention=True, gate_init="default").eval()
    student = new_thin(teacher, 0.125)
    images = torch.rand(32, 3, 32, 32)
    fit_filters(student, teacher, images)
    wanted, found = teacher(images, ("relu2_2",))["relu2_2"], student(images, ("relu2_2",))["relu2_2"]
    assert not student.config.attention
    assert (found - wanted).square().mean() < 0.05 * wanted.var()


def test_themost_telling_channels_are_no_multiples_of_each_other():
    one, two, three = torch.rand(3, 4, 5, 5)
    features = torch.stack([one, 0.1 * one, torch.zeros_like(one), 5 * three, two, 3 * two], dim=1)
    kept = set(most_telling(features.transpose(0, 1).flatten(1).cov().double(), 3))
    assert len(kept & {0, 1}) == len(kept & {4, 5}) == len(kept & {3}) == 1


def test_solve_is_least_squares_with_rows_that_want_zero():
    rng = np.random.default_rng(0)
    inputs, wanted = rng.normal(size=(50, 4)), rng.normal(size=(50, 2))
    ridge = RIDGE * np.square(inputs).sum(0).mean()
    rows = np.concatenate([inputs, ridge**0.5 * np.eye(4)])
    expected = np.linalg.lstsq(rows, np.concatenate([wanted, np.zeros((4, 2))]), rcond=None)[0]
    found = solve(torch.from_numpy(inputs.T @ inputs), torch.from_numpy(inputs.T @ wanted))
    np.testing.assert_allclose(found, expected)


@pytest.mark.parametrize("width", [0, -1, 0.126, float("nan")])
def test_a_width_outside_the_teachers_is_refused(width):
    with pytest.raises(ValueError, match=f"width is {width}: it must be above 0 and at most the teacher's, 0.125"):
        new_thin(Backbone(width=0.125), width)
