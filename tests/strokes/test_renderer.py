"""Oracles: Pillow's rasteriser (drawn 16 times as large and averaged), finite differences, scipy's
Gaussian filter, strokes drawn one at a time.
"""

import math

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from sketchloss.data.quickdraw import painting as pillow
from sketchloss.strokes import StrokeBatch, render
from sketchloss.strokes.named_losses import pixels_l2_blurred
from sketchloss.strokes.renderer import SHARP
from sketchloss.system.images import to_tensor


def random_strokes(seed: int, size: int, strokes: int = 5) -> list[np.ndarray]:
    """Walks of one to eight points, which cross themselves and one another and may leave the picture."""
    rng = np.random.default_rng(seed)
    walks = [np.cumsum(rng.normal(0, 0.08, (rng.integers(1, 9), 2)), axis=0) for _ in range(strokes)]
    return [size * (walk + rng.uniform(0.1, 0.9, 2)) for walk in walks]


@pytest.mark.parametrize("size", [64, 128])
@pytest.mark.parametrize("width", [1.0, 1.6, 2.5, 6.0])
def test_agrees_with_pillow(size, width, monkeypatch):
    monkeypatch.setattr(pillow, "SUPERSAMPLING", 16)
    drawings = [random_strokes(seed, size) for seed in range(4)]
    ours = render(StrokeBatch.of(drawings, [width] * 4), size)
    theirs = torch.stack(
        [to_tensor(pillow.draw_strokes([s / size for s in strokes], size, line_width=width)) for strokes in drawings]
    )
    difference = (ours - theirs).abs()
    assert difference.mean() < 0.003  # of the whole picture; a step of 8 bits is 0.004
    assert difference.sum() < 0.1 * (1 - theirs).sum()  # of the ink
    assert (1 - ours).sum() == pytest.approx((1 - theirs).sum().item(), rel=0.04)


def test_ink_across_a_line_is_a_blurred_line():
    """A wide horizontal line, at every softness, against scipy's Gaussian filter of the same line drawn fine."""
    for softness in (SHARP, 1.0, 2.0):
        line = StrokeBatch.of([[np.array([[-99.0, 16.3], [131.0, 16.3]])]], [3.0], torch.float64)
        ours = 1 - render(line, 32, softness=softness)[0, 0, :, 16]
        fine = np.zeros(32 * 100)
        fine[round(14.8 * 100) : round(17.8 * 100)] = 1
        theirs = gaussian_filter(fine, softness * 100, mode="constant", truncate=8)
        at_centres = (theirs[49::100] + theirs[50::100]) / 2
        assert np.abs(ours.numpy() - at_centres).max() < 2e-4


def test_strokes_lie_over_one_another_as_transparent_ink():
    strokes = random_strokes(3, 24, strokes=4)
    parts = [render(StrokeBatch.of([[stroke]], [2.0], torch.float64), 24) for stroke in strokes]
    whole = render(StrokeBatch.of([strokes], [2.0], torch.float64), 24)
    torch.testing.assert_close(whole, torch.stack(parts).prod(0), atol=1e-5, rtol=0)


def test_a_stroke_is_as_dark_as_its_nearest_segment_alone():
    """Joints, where two segments are equally near, and crossings are not drawn twice."""
    stroke = np.array([[4.0, 4.0], [20.0, 4.0], [20.0, 18.0], [10.0, 1.0], [10.0, 1.0], [3.0, 20.0]])
    segments = [[stroke[index : index + 2]] for index in range(len(stroke) - 1)]
    alone = render(StrokeBatch.of(segments, [2.0] * len(segments), torch.float64), 24)
    whole = render(StrokeBatch.of([[stroke]], [2.0], torch.float64), 24)
    torch.testing.assert_close(whole[0], alone.amin(0), atol=1e-6, rtol=0)


def test_opacity_makes_ink_paler():
    strokes = StrokeBatch.of([[np.array([[2.0, 8.5], [14.0, 8.5]])]], [4.0])
    pale = StrokeBatch(**{**vars(strokes), "opacities": torch.tensor([0.25])})
    torch.testing.assert_close(1 - render(pale, 16), 0.25 * (1 - render(strokes, 16)), atol=1e-5, rtol=0)


def test_drawings_do_not_touch_one_another_and_chunks_change_nothing(monkeypatch):
    drawings = [random_strokes(seed, 40) for seed in range(3)] + [[]]
    together = render(StrokeBatch.of(drawings, [1.0, 2.0, 3.0, 1.0]), (40, 56))
    assert together.shape == (4, 1, 40, 56)
    assert together.min() >= 0
    assert together.max() <= 1
    assert (together[3] == 1).all()  # a drawing without strokes is paper
    monkeypatch.setattr("sketchloss.strokes.renderer.AT_ONCE", 1)
    for index, drawing in enumerate(drawings):
        alone = render(StrokeBatch.of([drawing], [[1.0, 2.0, 3.0, 1.0][index]]), (40, 56))
        assert torch.equal(alone[0], together[index])


def test_gradients_are_those_of_finite_differences():
    rng = np.random.default_rng(0)
    drawings = [
        [rng.uniform(0, 8, (3, 2)), rng.uniform(0, 8, (1, 2)), rng.uniform(-3, 11, (2, 2))],
        [rng.uniform(0, 8, (3, 2))],
    ]
    begun = StrokeBatch.of(drawings, [1.3, 2.2], torch.float64)
    opacities = torch.tensor([0.9, 0.4, 1.0 - 1e-3, 0.7], dtype=torch.float64)

    def picture(points, widths, opacities, softness):
        batch = StrokeBatch(**{**vars(begun), "points": points, "widths": widths, "opacities": opacities})
        return render(batch, (8, 9), softness=softness)

    inputs = [begun.points.clone(), begun.widths.clone(), opacities]
    for softness in (SHARP, 0.8):
        for given in inputs:
            given.requires_grad_()
        assert torch.autograd.gradcheck(lambda *given: picture(*given, softness), inputs, atol=1e-5)  # noqa: B023


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gradients_are_finite_where_strokes_degenerate(dtype):
    strokes = [
        np.array([[4.5, 4.5]]),  # a dot at a pixel's centre
        np.array([[6.5, 6.5], [6.5, 6.5], [6.5, 6.5]]),  # three coincident points
        np.array([[2.0, 2.0], [2.0, 2.0], [9.0, 2.0], [9.0, 2.0]]),  # segments of length 0
        np.array([[3.0, 8.0], [9.0, 8.0], [3.0, 8.0]]),  # there and back
        np.array([[3.0, 8.0], [9.0, 8.0], [3.0, 8.0]]),  # the same once more
        np.array([[-50.0, -50.0], [-40.0, -50.0]]),  # out of sight
        np.array([[-1e9, 5.0], [1e9, 5.0]]),  # endless
        np.array([[1.0, 10.0], [1.0 + 1e-20, 10.0]]),
    ]
    batch = StrokeBatch.of([strokes], [1.5], dtype)
    for widths in (batch.widths, torch.zeros_like(batch.widths), torch.full_like(batch.widths, 40.0)):
        points, widths = batch.points.clone().requires_grad_(), widths.clone().requires_grad_()
        picture = render(batch.moved(points, widths), 12)
        assert picture.isfinite().all()
        picture.square().sum().backward()
        assert points.grad.isfinite().all()
        assert widths.grad.isfinite().all()


def test_a_line_of_width_0_leaves_no_ink_but_wants_to_grow():
    line = StrokeBatch.of([[np.array([[2.0, 8.5], [14.0, 8.5]])]], [1.0])
    widths = torch.zeros(1, requires_grad=True)
    picture = render(line.moved(line.points, widths), 16)
    assert (picture == 1).all()
    picture.sum().backward()
    # On a row of centres, ink grows by the Gaussian's height along the line, and a little beyond its ends.
    assert widths.grad.item() == pytest.approx(-12 / (SHARP * math.sqrt(2 * math.pi)), abs=1.5)


@pytest.mark.parametrize("width", [1.0, 4.0])
def test_a_step_along_the_gradient_reduces_a_blurred_loss(width):
    line = np.array([[8.0, 8.0], [20.0, 10.0], [24.0, 22.0]])
    target = render(StrokeBatch.of([[line]], [width]), 32)
    begun = StrokeBatch.of([[line + np.array([3.0, -2.0])]], [width])
    points = begun.points.clone().requires_grad_()
    before = pixels_l2_blurred(render(begun.moved(points), 32), target).sum()
    before.backward()
    step = 0.2 * points.grad / points.grad.abs().max()
    after = pixels_l2_blurred(render(begun.moved((points - step).detach()), 32), target).sum()
    assert after < before
    # The whole stroke is drawn back, left and down.
    assert (points.grad.sum(0).sign() == torch.tensor([1.0, -1.0])).all()


@pytest.mark.parametrize(
    ("size", "softness", "message"),
    [
        (0, SHARP, "size is 0: give at least 1 pixel"),
        ((8, 0), SHARP, r"size is \(8, 0\)"),
        (-3, SHARP, "size is -3"),
        (8, 0.0, r"softness is 0\.0: it must be above 0"),
        (8, math.nan, "softness is nan"),
    ],
)
def test_bad_settings_are_one_clear_line(size, softness, message):
    with pytest.raises(ValueError, match=message):
        render(StrokeBatch.of([[np.array([[1.0, 1.0]])]], [1.0]), size, softness=softness)
