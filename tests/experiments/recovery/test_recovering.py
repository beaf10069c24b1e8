"""Oracle: `recover` and `recover_pixels` themselves, on drawings of doodles."""

import numpy as np
import pytest

from sketchloss.experiments.recovery.recovering import SHARES, WAYS, Recover, compute, open_some
from sketchloss.strokes import recover
from sketchloss.strokes.free_pixels import recover_pixels
from sketchloss.strokes.named_losses import pixels_l1


def test_strokes_are_recovered_as_by_the_function(tmp_path):
    found = compute(Recover("pixels", "displaced:3", drawings=3, steps=20, out=tmp_path))
    expected = recover(pixels_l1, open_some("doodles", 3, 0), start="displaced", amount=3.0, steps=20)
    assert found["before"] == expected.before.tolist()
    assert found["after"] == expected.after.tolist()
    assert found["recovered"] == expected.recovered.tolist()
    assert found["share"][-1] == sum(found["recovered"]) / 3
    with np.load(tmp_path / WAYS) as kept:
        assert kept["pictures"].shape == (3, len(SHARES) + 1, 64, 64)


def test_amounts_are_of_64_pixels():
    found = compute(Recover("pixels", "displaced:3@32", drawings=2, steps=1))
    expected = recover(pixels_l1, open_some("doodles", 2, 0), start="displaced", amount=1.5, steps=1, size=32)
    assert found["before"] == expected.before.tolist()
    assert found["pen"] == 0.5


def test_free_pixels_are_recovered_as_by_the_function():
    found = compute(Recover("pixels", "noisy", drawings=2, steps=10))
    expected = recover_pixels(pixels_l1, open_some("doodles", 2, 0), start="noisy", steps=10)
    assert found["after"] == expected.chamfer[-1].tolist()


def test_a_term_beside_pixels_is_not_the_term_alone(narrow):
    both, alone, pixels = (
        compute(Recover(loss, "displaced:3", drawings=2, steps=4))["after"]
        for loss in (f"pixels+{narrow}:ink", f"{narrow}:ink", "pixels")
    )
    assert len({tuple(both), tuple(alone), tuple(pixels)}) == 3


def test_drawings_are_of_as_many_classes_as_there_are():
    assert len({drawing.label for drawing in open_some("doodles", 6, 0)}) == 6
    two = open_some("doodles", 5, 0, ("house", "tree"))
    assert [drawing.label for drawing in two] == ["house", "tree", "house", "tree", "house"]


def test_too_few_drawings_are_one_clear_line():
    with pytest.raises(ValueError, match=r"doodles .*wale"):
        open_some("doodles", 2, 0, ("house", "wale"))
