"""Judges as columns. Oracles: the measures themselves, drawing by drawing."""

import math

import pytest
import torch

from sketchloss.data.doodles.kinds import doodle
from sketchloss.experiments.page_judges import PAGE_MEASURES, judge_pages
from sketchloss.metrics.ink_overlap import ink_overlap
from sketchloss.metrics.scoot import scoot
from sketchloss.metrics.stroke_width import stroke_width
from sketchloss.system.images import to_picture, to_tensor

TRUE = torch.stack([to_tensor(doodle(kind, 0).sketch(48)) for kind in ("house", "cat")])
DRAWN = torch.stack([to_tensor(doodle(kind, 1).sketch(48)) for kind in ("house", "cat")])


def test_every_column_has_the_mean_over_drawings():
    found = judge_pages(DRAWN, TRUE)
    assert found.keys() == {measure.name for measure in PAGE_MEASURES}
    assert found["f1"] == pytest.approx(ink_overlap(DRAWN, TRUE).f1.mean().item())
    assert found["scoot"] == pytest.approx(scoot(DRAWN, TRUE).mean().item())
    errors = [abs(stroke_width(to_picture(a)) - stroke_width(to_picture(b))) for a, b in zip(DRAWN, TRUE, strict=True)]
    assert found["width_error"] == pytest.approx(sum(errors) / 2)


def test_the_true_drawings_are_the_best_of_every_ranked_column():
    best, other = judge_pages(TRUE, TRUE), judge_pages(DRAWN, TRUE)
    for measure in PAGE_MEASURES:
        if measure.ranked and measure.name != "saturation":  # both are grey
            better = best[measure.name] - other[measure.name]
            assert (better if measure.greater_is_better else -better) > 0, measure.name
    assert best["ink_ratio"] == 1


def test_a_page_where_no_ink_is_wanted_does_not_count_where_its_share_would_be_infinite():
    blank = torch.ones_like(TRUE[:1])
    found = judge_pages(torch.cat([DRAWN, TRUE[:1]]), torch.cat([TRUE, blank]))
    assert all(map(math.isfinite, found.values()))
    assert found["ink_ratio"] == pytest.approx(judge_pages(DRAWN, TRUE)["ink_ratio"])
    assert "ink_ratio" not in judge_pages(TRUE[:1], blank)
