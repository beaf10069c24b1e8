"""Oracles: a loss that knows the control points recovers everything, one that says nothing recovers nothing; drawings
taken one at a time.
"""

import math

import numpy as np
import pytest
import torch
from scipy.spatial import cKDTree

from sketchloss.data.quickdraw.drawings import StrokeDrawing, open_drawings
from sketchloss.strokes import recover, recovery
from sketchloss.strokes.named_losses import pixels_l1, pixels_l2_blurred


@pytest.fixture(scope="module")
def drawings() -> list[StrokeDrawing]:
    return open_drawings("doodles", per_class=1, classes=4, seed=0)


def single_line(label: str) -> StrokeDrawing:
    angle = {"flat": 0.3, "steep": 1.3}[label]
    line = 0.5 + np.linspace(-0.2, 0.2, 9)[:, None] * np.array([math.cos(angle), math.sin(angle)])
    return StrokeDrawing(label, 0, (line,), 0.03)


def nothing(pred, target):
    return (pred * 0).sum((1, 2, 3))


@pytest.mark.parametrize("start", ["displaced", "half-erased", "blank"])
def test_the_distance_between_control_points_recovers_all(start, drawings, monkeypatch):
    """The renderer is replaced: its "picture" is the control points with their widths themselves."""

    def points_with_widths(strokes, size, *, softness):
        rows = torch.cat([strokes.points, strokes.widths[strokes.stroke_of][:, None]], dim=1)
        return rows[None, None]

    monkeypatch.setattr(recovery, "render", points_with_widths)
    for drawing in drawings[:2]:
        found = recover(
            lambda pred, target: (pred - target).square().sum(), [drawing], start=start, steps=100, record_every=25
        )
        assert found.recovered.all()
        assert (found.after < 0.3).all()
        assert (found.before > 1).all()
        assert found.steps.item() in (25, 50, 75)


@pytest.mark.parametrize("start", ["displaced", "half-erased", "blank"])
def test_a_constant_loss_recovers_none(start, drawings):
    found = recover(nothing, drawings, start=start, steps=4)
    assert not found.recovered.any()
    assert torch.equal(found.before, found.after)
    assert found.steps.isnan().all()


def test_distances_are_of_what_is_drawn_and_of_what_the_start_changed(drawings):
    """By scipy, on the strokes at the start: what stays does not make up for what is missing."""
    found = recover(nothing, drawings[:1], start="half-erased", steps=1)
    start, end = found.truth.segments()
    along = np.linspace(0, 1, 100)[:, None, None]
    segments = (1 - along) * found.truth.points[start].numpy() + along * found.truth.points[end].numpy()
    lengths = np.linalg.norm(segments[-1] - segments[0], axis=-1)
    gone = (found.way[0].widths == 0)[found.truth.stroke_of[start]].numpy()
    assert 0.3 < lengths[gone].sum() / lengths.sum() < 0.7
    far = cKDTree(segments[:, ~gone].reshape(-1, 2)).query(segments[:, gone])[0].mean(0)
    assert found.before.item() == pytest.approx(np.average(far, weights=lengths[gone]) / 2, rel=0.02)


def test_pixels_recover_what_lies_near():
    lines = [single_line("flat"), single_line("steep")]
    found = recover(pixels_l2_blurred, lines, amount=4.0, steps=50, record_every=10)
    assert found.recovered.all()
    assert (found.before > 1.5).all()
    assert (found.steps > 0).all()


def test_a_blank_page_counts_as_far_as_its_diagonal(drawings):
    found = recover(nothing, drawings, start="blank", steps=1, size=32)
    torch.testing.assert_close(found.before, torch.full((4,), 32 * math.sqrt(2)))


def test_the_truth_is_recovered_from_the_start(drawings):
    found = recover(nothing, drawings, amount=0.0, steps=3)
    assert found.recovered.all()
    assert found.after.max() == 0
    assert found.steps.tolist() == [0] * 4


@pytest.mark.parametrize("start", ["displaced", "half-erased"])
def test_drawings_do_not_influence_one_another(start, drawings):
    together = recover(pixels_l1, drawings, start=start, steps=6, record_every=2)
    assert together.recorded.tolist() == [0, 2, 4, 6]
    for index, drawing in enumerate(drawings):
        alone = recover(pixels_l1, [drawing], start=start, steps=6, record_every=2)
        torch.testing.assert_close(alone.chamfer[:, 0], together.chamfer[:, index], atol=1e-4, rtol=0)


def test_a_scalar_loss_moves_strokes_as_its_values_would(drawings):
    values = recover(pixels_l1, drawings, steps=5)
    scalar = recover(lambda pred, target: pixels_l1(pred, target).mean(), drawings, steps=5)
    torch.testing.assert_close(values.way[-1].points, scalar.way[-1].points, atol=1e-3, rtol=0)


def test_the_seed_decides(drawings):
    first, again, other = (recover(pixels_l1, drawings, steps=3, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(first.way[-1].points, again.way[-1].points)
    assert not torch.equal(first.way[0].points, other.way[0].points)


def test_steps_are_those_from_which_a_drawing_stays_recovered(drawings):
    found = recover(nothing, drawings[:1], steps=1)
    far = torch.tensor([[5.0, 0.1, 5.0, 0.2], [0.5, 0.1, 0.5, 0.3], [2.0, 0.1, 0.4, 3.0]])
    rewritten = recovery.Recovery(found.truth, found.way, torch.tensor([0, 5, 10]), far, 1.0)
    assert rewritten.recovered.tolist() == [False, True, True, False]
    torch.testing.assert_close(rewritten.steps, torch.tensor([math.nan, 0.0, 5.0, math.nan]), equal_nan=True)


def test_features_are_extracted_once(drawings):
    class Extracting:
        calls = 0

        def extract(self, target):
            self.calls += 1
            return {"target": target}

        def __call__(self, pred, target):
            return pixels_l1(pred, target["target"])

    loss = Extracting()
    found = recover(loss, drawings, steps=3)
    assert loss.calls == 1
    assert torch.equal(found.way[-1].points, recover(pixels_l1, drawings, steps=3).way[-1].points)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"amount": -2.0}, r"amount is -2\.0: give 0 or more"),
        ({"size": 0}, "size is 0: give at least 1"),
        ({"steps": 0}, "steps is 0: give at least 1"),
        ({"record_every": 0}, "record_every is 0"),
        ({"learning_rate": 0.0}, r"learning_rate is 0\.0: it must be above 0"),
        ({"softness": -1.0}, r"softness is -1\.0"),
        ({"drawings": []}, "there are no drawings"),
        ({"loss": lambda pred, target: (pred - target).abs()}, r"the loss returned shape \(4, 1, 64, 64\)"),
        (
            {"loss": lambda pred, target: pixels_l1(pred, target)[:2]},
            r"shape \(2,\): it must return one value for each",
        ),
        ({"loss": lambda pred, target: 0.5}, "the loss returned float"),
        ({"loss": lambda pred, target: torch.zeros(4)}, "the loss has no gradient"),
        ({"loss": lambda pred, target: pixels_l1(pred, target) / 0}, "the loss is not finite at step 1"),
        ({"loss": lambda pred, target: ((pred - pred) ** 2).sum().sqrt()}, "gradient is not finite at step 1"),
    ],
)
def test_bad_input_is_one_clear_line(settings, message, drawings):
    given = {"loss": pixels_l1, "drawings": drawings, "steps": 2, **settings}
    with pytest.raises(ValueError, match=message) as caught:
        recover(given.pop("loss"), given.pop("drawings"), **given)
    assert "\n" not in str(caught.value)


def test_an_unknown_start_is_one_clear_line():
    with pytest.raises(
        ValueError, match="start 'gone' is unknown: use one of displaced, rotated, bent, dots, half-erased, blank"
    ):
        recovery.check_start("gone", 1.0)
