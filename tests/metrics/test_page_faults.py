"""Oracles: pages whose faults were put there."""

import pytest
import torch

from sketchloss.metrics.page_faults import page_faults

SIDE = 64


def page(*rectangles: tuple[slice, slice], dark: float = 0.0, channels: int = 1) -> torch.Tensor:
    picture = torch.ones(1, channels, SIDE, SIDE)
    for rows, columns in rectangles:
        picture[..., rows, columns] = dark
    return picture


LINE, FAR = (slice(10, 12), slice(8, 40)), (slice(50, 54), slice(20, 28))  # 64 and 32 pixels


def test_each_fault_is_found_where_it_was_put():
    wanted = page(LINE)
    pale = page(LINE, dark=0.5)
    stray, grey = page(LINE, FAR), torch.full((1, 1, SIDE, SIDE), 0.9)
    grey[..., LINE[0], LINE[1]] = 0.0
    found = page_faults(torch.cat([wanted, pale, stray, grey]), wanted.expand(4, -1, -1, -1))
    assert found.ink_ratio.tolist() == pytest.approx([1, 0.5, 1.5, (64 + 0.1 * (SIDE**2 - 64)) / 64])
    assert found.stray_ink.tolist()[:3] == pytest.approx([0, 0, 0.5])
    near = 4 * 34  # pixels within one pixel of the line, in a square
    assert found.stray_ink[3].item() == pytest.approx(0.1 * (SIDE**2 - near) / 64)
    assert found.white_paper.tolist() == pytest.approx([1, 1, 1 - 32 / (SIDE**2 - near), 0])
    assert found.saturation.tolist() == [0, 0, 0, 0]


def test_ink_within_the_tolerance_does_not_stray():
    moved = page((slice(11, 13), LINE[1]))
    assert page_faults(moved, page(LINE)).stray_ink == 0
    assert page_faults(moved, page(LINE), tolerance=0).stray_ink == pytest.approx(0.5)


def test_the_tolerance_is_rounded_down_to_whole_pixels():
    wanted, drawn = torch.ones(2, 1, 1, 96, 96)
    wanted[..., 20:30, 20:30] = 0
    for side in (1, 2):
        drawn[:] = 1
        drawn[..., 29 + side, 29 + side] = 0
        assert page_faults(drawn, wanted, tolerance=1.5 / 96).stray_ink.item() == pytest.approx((side - 1) / 100)


def test_colour():
    red = page(LINE, channels=3)
    red[:, 0, LINE[0], LINE[1]] = 1
    found = page_faults(red, page(LINE, channels=3))
    assert found.saturation.item() == pytest.approx(64 / SIDE**2)
    assert found.ink_ratio.item() == pytest.approx(2 / 3)


def test_blank_pages():
    blank, drawn = page(), page(LINE)
    pairs = ((blank, blank), (drawn, blank), (blank, drawn))
    found = [page_faults(*pair) for pair in pairs]
    assert [one.ink_ratio.item() for one in found] == [1, float("inf"), 0]
    assert [one.stray_ink.item() for one in found] == [0, float("inf"), 0]
    black = torch.zeros(1, 1, SIDE, SIDE)
    assert page_faults(black, black).white_paper == 1  # no place is blank


@pytest.mark.parametrize(
    ("pred", "target", "how", "said"),
    [
        (page(), page(channels=3), {}, "give pairs of one shape"),
        (page() * 2, page(), {}, "pred"),
        (page(), page(), {"tolerance": 1.5}, "tolerance is 1.5"),
    ],
)
def test_bad_input_is_refused(pred, target, how, said):
    with pytest.raises(ValueError, match=said):
        page_faults(pred, target, **how)
