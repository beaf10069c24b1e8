"""The distance by ink. Oracles: its formula written out with loops, finite differences, and what must not matter."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from sketchloss import SketchLoss
from sketchloss.data.doodles.kinds import KINDS, doodle
from sketchloss.loss.blank_paper import BlankPaper
from sketchloss.loss.ink_distance import DARKNESS, NARROWEST, WINDOWS, Floor, ink_distance, ink_distance_and_map
from sketchloss.loss.loss import PAPER_LAYERS
from sketchloss.system.images import to_tensor

FLOOR = Floor(places=1e-3, windows=1e-4)


def _features(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    """Features of a few strokes: mostly zero, as a line drawing's are relative to paper."""
    random = torch.Generator().manual_seed(seed)
    values = torch.randn(shape, generator=random, dtype=torch.float64)
    return (values * (torch.rand(shape[0], 1, *shape[2:], generator=random) < 0.2)).to(dtype)


def _blank(features: torch.Tensor) -> torch.Tensor:
    return torch.zeros_like(features[:1])


def _by_pairs(a: np.ndarray, b: np.ndarray, floor: Floor, windows: Sequence[float]) -> float:
    """The formula of the module's first lines, for c×h×w features relative to paper.

    Windows that lie densely see of two positions together a Gaussian of their distance, so that no window is needed.
    """
    _, height, width = a.shape
    energy = (a**2).sum(0) + (b**2).sum(0) + floor.places / (height * width)
    ys, xs = np.mgrid[:height, :width]
    y, x = ((energy * place).sum() / energy.sum() for place in (ys, xs))
    spread = math.sqrt((energy * ((ys - y) ** 2 + (xs - x) ** 2)).sum() / energy.sum() / 2)
    apart = (ys.reshape(-1, 1) - ys.reshape(-1)) ** 2 + (xs.reshape(-1, 1) - xs.reshape(-1)) ** 2
    found = []
    for window in windows:
        shared = np.exp(-apart / (2 * max(window * spread, NARROWEST)) ** 2) / (4 * math.pi)
        one, other, inner = (
            (first.reshape(len(a), -1) @ shared * second.reshape(len(a), -1)).sum() + floor.windows
            for first, second in ((a, a), (b, b), (a, b))
        )
        first, second = (each + DARKNESS * (one + other) for each in (one, other))
        found.append(1 - (1 + 2 * DARKNESS) * inner / math.sqrt(first * second))
    return float(np.mean(found))


@pytest.mark.parametrize(
    ("shape", "windows", "accuracy"),
    [
        ((3, 12, 9), WINDOWS, 3e-4),
        ((2, 24, 24), WINDOWS, 3e-4),
        ((2, 30, 20), (1.0, 0.5), 3e-4),  # through windows, which lie so densely only nearly
        ((3, 12, 9), (0.0625, 0.125), 1e-9),  # without
        ((5, 1, 1), WINDOWS, 1e-9),
    ],
)
def test_it_is_the_formula(shape, windows, accuracy):
    ours, theirs, blank = (_features(4, *shape, seed=seed) for seed in range(3))
    found = ink_distance(ours, theirs, blank[:1], floor=FLOOR, windows=windows)
    expected = [
        _by_pairs((a - blank[0]).numpy(), (b - blank[0]).numpy(), FLOOR, windows)
        for a, b in zip(ours, theirs, strict=True)
    ]
    assert found.tolist() == pytest.approx(expected, rel=accuracy)


def test_its_gradients_are_those_of_finite_differences_also_where_it_is_0_or_1():
    drawing = _features(1, 2, 4, 4, seed=1)
    for pred in (_features(1, 2, 4, 4, seed=2), drawing.clone(), torch.zeros_like(drawing)):
        for target in (drawing, torch.zeros_like(drawing)):

            def distance(features, target=target):
                return ink_distance(features, target, _blank(features), floor=FLOOR)

            assert torch.autograd.gradcheck(distance, pred.requires_grad_(), eps=1e-7, atol=1e-4)
            assert torch.autograd.gradgradcheck(distance, pred, eps=1e-7, atol=1e-2, rtol=1e-2)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_equal_and_blank_features_have_finite_values_and_gradients(dtype):
    drawing, blank = _features(2, 4, 8, 8, dtype=dtype), torch.zeros(2, 4, 8, 8, dtype=dtype)
    for pred, target, expected in ((drawing, drawing, 0), (blank, blank, 0), (blank, drawing, 1), (drawing, blank, 1)):
        pred = pred.clone().requires_grad_()
        found = ink_distance(pred, target, _blank(pred), floor=FLOOR)
        found.sum().backward()
        assert found.dtype == torch.float32
        assert found.tolist() == pytest.approx([expected] * 2, abs=0.01)
        assert pred.grad is not None
        assert pred.grad.isfinite().all()
        assert bool(pred.grad.any()) == bool(expected)


def test_what_must_not_matter_does_not():
    ours, theirs = _features(3, 4, 16, 16), _features(3, 4, 16, 16, seed=1)
    found = ink_distance(ours, theirs, _blank(ours), floor=FLOOR)
    assert torch.allclose(ink_distance(theirs, ours, _blank(ours), floor=FLOOR), found)
    one = torch.cat(
        [ink_distance(a[None], b[None], _blank(ours), floor=FLOOR) for a, b in zip(ours, theirs, strict=True)]
    )
    assert torch.allclose(one, found)  # the batch
    scaled = ink_distance(7 * ours, 7 * theirs, _blank(ours), floor=Floor(49 * FLOOR.places, 49 * FLOOR.windows))
    assert torch.allclose(scaled, found)  # the scale of the weights
    wide = [torch.nn.functional.pad(features, (5, 9, 4, 7)) for features in (ours, theirs)]
    margin = ink_distance(*wide, _blank(wide[0]), floor=FLOOR)
    assert torch.allclose(margin, found, atol=1e-4)


def test_blank_paper_is_the_farthest_and_a_moved_line_the_farther_the_more_it_moved():
    line = torch.zeros(1, 1, 64, 64)
    line[..., 20, 10:50] = 1
    moved = torch.cat([line.roll(rows, 2) for rows in (0, 1, 2, 4, 8, 16, 32)])
    distances = ink_distance(moved, line.expand_as(moved), _blank(line), floor=FLOOR).tolist()
    assert distances == sorted(distances)
    assert min(np.diff(distances)) > 0.01
    blank = ink_distance(torch.zeros_like(line), line, _blank(line), floor=FLOOR).item()
    assert blank > distances[-1]


def test_ink_far_from_the_rest_counts_and_is_pulled():
    drawing = torch.zeros(1, 1, 96, 96)
    drawing[..., 4:10, 4:10] = 1  # small, so that its own windows end long before the page does
    stray = drawing.clone()
    stray[..., 88, 80:90] = 0.5
    stray.requires_grad_()
    found = ink_distance(stray, drawing, _blank(drawing), floor=FLOOR)
    found.backward()
    assert found.item() > 0.05
    assert stray.grad is not None
    assert (stray.grad[..., 88, 80:90] > 1e-4).all()  # less of it is better


def test_a_weight_of_0_takes_ink_away_and_of_everything_gives_0():
    ours, theirs = _features(2, 3, 8, 8), _features(2, 3, 8, 8, seed=1)
    weight = torch.zeros(2, 1, 8, 8)
    weight[..., :4] = 1
    found = ink_distance(ours, theirs, _blank(ours), floor=FLOOR, weight=weight)
    cut = [features * weight for features in (ours, theirs)]
    torch.testing.assert_close(found, ink_distance(*cut, _blank(ours), floor=FLOOR.times(0.5**0.5)))
    assert ink_distance(ours, theirs, _blank(ours), floor=FLOOR, weight=0 * weight).tolist() == [0, 0]


@pytest.mark.parametrize("weight", [0.01, 0.5, 1.0])
def test_an_even_weight_of_everything_changes_nothing(weight):
    ours, theirs = _features(2, 3, 8, 8), _features(2, 3, 8, 8, seed=1)
    floor = Floor(10.0, 1.0)
    even = torch.full((2, 1, 8, 8), weight, dtype=ours.dtype)
    found = ink_distance(ours, theirs, _blank(ours), floor=floor, weight=even)
    torch.testing.assert_close(found, ink_distance(ours, theirs, _blank(ours), floor=floor))


def test_a_part_is_measured_as_a_picture_of_its_size():
    part = [_features(1, 3, 8, 8, seed=seed) for seed in (0, 1)]
    whole = [F.pad(features, (24, 24, 24, 24), value=5.0) for features in part]
    weight = torch.zeros(1, 1, 56, 56)
    weight[..., 24:32, 24:32] = 1
    floor = Floor(1e-3, 1.0)  # of windows large enough to count; of places it lies on the whole page
    alone = ink_distance(*part, _blank(part[0]), floor=floor)
    found = ink_distance(*whole, _blank(whole[0]), floor=floor.times(7.0), weight=weight)
    torch.testing.assert_close(found, alone, rtol=1e-3, atol=1e-4)


def test_the_maps_mean_is_the_distance_and_it_lies_where_the_drawings_differ():
    ours = torch.zeros(2, 1, 32, 32)
    ours[..., 8, 4:28] = 1
    theirs = ours.clone()
    theirs[1, :, 24, 4:28] = 1
    distance, found = ink_distance_and_map(ours, theirs, _blank(ours), floor=FLOOR)
    torch.testing.assert_close(distance, ink_distance(ours, theirs, _blank(ours), floor=FLOOR))
    assert found.mean((1, 2, 3)).tolist() == pytest.approx(distance.tolist(), rel=1e-5)
    assert not found[0].any()
    assert found[1, :, 16:].sum() > 3 * found[1, :, :16].sum()


def test_a_dot_counts_for_less_than_a_line(narrow):
    from sketchloss import load_backbone

    layers = ("relu1_2", "relu2_2")
    backbone = load_backbone(narrow)
    paper = BlankPaper(backbone, layers)
    paper.measure_floors()
    page = torch.ones(3, 3, 64, 64)
    page[1, :, 31:33, 31:33] = 0
    page[2, :, 10:50, 30:32] = 0
    for tap, seen in paper.seen(64, 64).items():
        blank, dot, line = backbone(page, (tap,))[tap].split(1)
        assert ink_distance(blank, blank, seen.blank, floor=seen.floor).item() == 0
        assert 0.3 < ink_distance(dot, blank, seen.blank, floor=seen.floor).item() < 0.9
        assert ink_distance(line, blank, seen.blank, floor=seen.floor).item() > 0.9


@pytest.mark.parametrize(("size", "kinds"), [(64, KINDS), (96, KINDS[::5])])
@torch.inference_mode()
def test_blank_paper_is_never_nearer_than_the_drawing_drawn_again_or_another_one(size, kinds):
    drawings = [doodle(kind, 900) for kind in kinds]
    target, again, another = (
        torch.stack([to_tensor(one.sketch(size).convert("L")) for one in some])
        for some in (drawings, [one.redrawn(1) for one in drawings], [doodle(kind, 901) for kind in kinds])
    )
    blank = torch.ones_like(target)
    for metric in ("ink", "l1"):
        loss = (
            SketchLoss(reduction="none")
            if metric == "ink"
            else SketchLoss(metric="l1", layers=PAPER_LAYERS, reduction="none")
        )
        features = loss.extract(target)
        to_again, to_another, to_blank = (loss(pred, features) for pred in (again, another, blank))
        assert (to_again < to_blank).all()
        if metric == "ink":
            assert (to_another < to_blank).all()
            assert to_blank.min() > 0.9
        else:  # which is what was wrong: leaving everything out costs less than drawing another one
            assert (to_another > to_blank).float().mean() > 0.5


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_features_of_half_precision_are_seen_in_it_and_summed_in_float32(dtype):
    """Oracle: the same rounded features in float32."""
    one, other = _features(3, 4, 24, 24, dtype=dtype), _features(3, 4, 24, 24, seed=1, dtype=dtype)
    half = ink_distance(one, other, _blank(one), floor=FLOOR)
    exact = ink_distance(one.float(), other.float(), _blank(one).float(), floor=FLOOR)
    assert half.dtype == torch.float32
    assert not torch.equal(half, exact)
    torch.testing.assert_close(half, exact, rtol=3e-3, atol=0)
    assert torch.equal(ink_distance(one, one, _blank(one), floor=FLOOR), torch.zeros(3))
