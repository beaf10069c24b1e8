"""Oracles: brute force over all pairs of ink pixels, and pictures whose order is known."""

import pytest
import torch

from sketchloss.data.doodles.kinds import doodle
from sketchloss.metrics.ink_overlap import INK, ink_overlap
from sketchloss.system.images import to_tensor

SIDE = 64


def sketches(*doodles) -> torch.Tensor:
    return torch.stack([to_tensor(one.sketch(SIDE, style="ink").convert("L")) for one in doodles])


def by_brute_force(pred: torch.Tensor, target: torch.Tensor, reach: float) -> tuple[float, float, float, float]:
    ours, theirs = (torch.nonzero(1 - image.mean(0) > INK).double() for image in (pred, target))
    far = torch.cdist(ours, theirs)
    there, back = far.amin(1), far.amin(0)
    precision, recall = (float((way <= reach + 1e-9).double().mean()) for way in (there, back))
    return precision, recall, 2 * precision * recall / (precision + recall), float(there.mean() + back.mean()) / 2


@pytest.mark.parametrize("tolerance", [0, 1 / 64, 0.05])
def test_it_is_what_all_pairs_of_pixels_say(tolerance):
    pred = sketches(doodle("cat", 1), doodle("house", 2), doodle("tree", 3))
    target = sketches(doodle("cat", 2), doodle("house", 2), doodle("fish", 3))
    found = ink_overlap(pred, target, tolerance=tolerance)
    for place, pair in enumerate(zip(pred, target, strict=True)):
        expected = by_brute_force(*pair, tolerance * SIDE)
        assert [values[place].item() for values in found] == pytest.approx(expected)
    assert [values[1].item() for values in found] == [1, 1, 1, 0]


def test_of_what_is_known_the_order_is_right():
    scene = doodle("bicycle", 4)
    target = sketches(scene).expand(5, -1, -1, -1)
    missing, more_missing = sketches(scene.without(0.2, seed=0), scene.without(0.6, seed=0))
    other = sketches(doodle("snail", 1))[0]
    pred = torch.stack([target[0], target[0].roll(3, 2), missing, more_missing, other])
    found = ink_overlap(pred, target)
    assert found.recall[0] == 1 > found.recall[2] > found.recall[3]
    assert found.precision[2] > 0.95  # nothing is drawn where nothing belongs
    assert found.chamfer[0] == 0 < found.chamfer[1] < found.chamfer[4]
    assert found.f1[0] > found.f1[1] > found.f1[4]


def test_pages_without_ink():
    blank, drawn = torch.ones(1, 1, SIDE, SIDE), sketches(doodle("cat", 1))
    pairs = ((blank, drawn), (drawn, blank), (blank, blank))
    found = [tuple(values.item() for values in ink_overlap(*pair)) for pair in pairs]
    diagonal = SIDE * 2**0.5
    assert found == [(1, 0, 0, diagonal), (0, 1, 0, diagonal), (1, 1, 1, 0)]


def test_colour_is_averaged_and_darkness_does_not_matter():
    ink = (sketches(doodle("cat", 1)) < 0.5).float()
    for drawn in (1 - 0.6 * ink, torch.cat([1 - ink, torch.ones_like(ink), 1 - ink], 1)):
        assert ink_overlap(drawn, (1 - ink).expand_as(drawn)).f1 == 1


@pytest.mark.parametrize(
    ("pred", "target", "how", "said"),
    [
        (torch.ones(1, 1, 8, 8), torch.ones(1, 3, 8, 8), {}, "give pairs of one shape"),
        (torch.ones(1, 1, 8, 8), torch.ones(1, 1, 8, 8) * 2, {}, "target"),
        (torch.ones(8, 8), torch.ones(8, 8), {}, "pred"),
        (torch.ones(1, 1, 8, 8), torch.ones(1, 1, 8, 8), {"tolerance": -0.1}, "tolerance is -0.1"),
        (torch.ones(1, 1, 8, 8), torch.ones(1, 1, 8, 8), {"tolerance": 1}, "tolerance is 1"),
        (torch.ones(1, 1, 8, 8), torch.ones(1, 1, 8, 8), {"tolerance": float("nan")}, "tolerance is nan"),
    ],
)
def test_bad_input_is_refused(pred, target, how, said):
    with pytest.raises(ValueError, match=said):
        ink_overlap(pred, target, **how)
