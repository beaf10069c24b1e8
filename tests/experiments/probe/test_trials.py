"""What a distance is asked. Oracles: brute force over pixels, and the pictures drawn apart from the trials."""

import numpy as np
import pytest
import torch

from sketchloss.data.quickdraw.drawings import open_drawings
from sketchloss.data.quickdraw.edits import EDITS, edited, removed
from sketchloss.data.quickdraw.ignorable import CHANGES, changed
from sketchloss.experiments.probe import trials as module
from sketchloss.experiments.probe.trials import FIFTH, LEVELS, MARGIN, check_levels, make_trials

SIZE, LEVEL = 48, (0.1, 0.3, 0.6)


@pytest.fixture(scope="module")
def drawings():
    return open_drawings("doodles", per_class=4, classes=5, seed=2)


@pytest.fixture(scope="module")
def trials(drawings):
    return make_trials(drawings, SIZE, count=10, levels=LEVEL, seed=7)


def pixels(picture):
    return torch.from_numpy(np.array(picture))


def test_references_are_the_drawings_an_equal_share_of_each_class(drawings, trials):
    assert [drawing.label for drawing in trials.drawings] == [one.label for one in drawings[::4]] * 2
    assert [drawing.number for drawing in trials.drawings] == [0] * 5 + [1] * 5
    for drawing, reference in zip(trials.drawings, trials.references, strict=True):
        assert torch.equal(reference, pixels(drawing.picture(SIZE)))
    assert trials.image_size == SIZE
    assert trials.classes == 5


def test_variants_are_what_the_layout_says(drawings, trials):
    columns = trials.variants.shape[1]
    numbers = np.arange(columns, dtype=float)[None].repeat(len(trials.drawings), axis=0)
    parts = {name: getattr(trials, name)(numbers)[0] for name in ("growth", "fifth", "ignorable", "another", "choice")}
    assert sorted(np.concatenate([np.ravel(part) for part in parts.values()]).tolist()) == list(range(columns))
    for row, drawing in enumerate(trials.drawings):

        def picture(column, row=row):
            return trials.variants[row, int(column)]

        for edit, name in enumerate(EDITS):
            for place, level in enumerate(LEVEL):
                found = edited(drawing, name, level, seed=7, others=drawings)
                assert torch.equal(picture(parts["growth"][edit, place]), pixels(found.drawing.picture(SIZE)))
                assert trials.amounts[row, edit, place] == found.amount
        assert torch.equal(picture(parts["fifth"]), pixels(removed(drawing, FIFTH, seed=7).drawing.picture(SIZE)))
        for column, name in zip(parts["ignorable"], CHANGES, strict=True):
            assert torch.equal(picture(column), pixels(changed(drawing, name, SIZE, seed=7)))
        mates = [pixels(one.picture(SIZE)) for one in drawings if one.label == drawing.label and one is not drawing]
        others = [pixels(one.picture(SIZE)) for one in drawings if one.label != drawing.label]
        assert any(torch.equal(picture(parts["another"]), mate) for mate in mates)
        # The rival of its class is the nearest of all there are; the other comes from a sample of eleven.
        gaps = [(mate.float() - trials.references[row].float()).abs().mean() for mate in mates]
        assert torch.equal(picture(parts["choice"][1]), mates[int(np.argmin(gaps))])
        assert any(torch.equal(picture(parts["choice"][2]), other) for other in others)


def test_a_choice_is_valid_where_pixels_prefer_the_rival(trials):
    reference, variants = trials.references.double()[:, None], trials.variants.double()
    gaps = (variants[:, -3:] - reference).abs().mean((2, 3)).numpy()
    np.testing.assert_array_equal(trials.valid, gaps[:, 1:] < (1 - MARGIN) * gaps[:, :1])
    assert trials.valid.any()


def test_the_redrawn_drawing_is_no_copy_and_still_the_same_thing(trials):
    redrawn = trials.variants[:, -3]
    assert not any(torch.equal(one, other) for one, other in zip(redrawn, trials.references, strict=True))
    # Blurred over an eighth of the picture, where lines that went a little astray still meet.
    blur = lambda images: torch.nn.functional.avg_pool2d(images.double()[:, None], 6, stride=3)  # noqa: E731
    own = blur(trials.references)
    correlation = [
        np.mean([np.corrcoef(one.flatten(), other.flatten())[0, 1] for one, other in zip(blur(side), own, strict=True)])
        for side in (redrawn, trials.variants[:, -1])
    ]
    assert correlation[0] > 0.6 > correlation[1]


def test_the_same_seed_asks_the_same(drawings, trials):
    again = make_trials(drawings, SIZE, count=10, levels=LEVEL, seed=7)
    assert torch.equal(again.variants, trials.variants)
    other = make_trials(drawings, SIZE, count=10, levels=LEVEL, seed=8)
    assert torch.equal(other.references, trials.references)
    assert not torch.equal(other.variants, trials.variants)


def test_a_drawing_alone_in_its_class_is_not_asked_about_but_serves_as_rival(drawings):
    some = [*drawings[:4], drawings[4]]
    found = make_trials(some, 32, levels=LEVEL)
    assert [drawing.label for drawing in found.drawings] == [drawings[0].label] * 4
    rival = pixels(drawings[4].picture(32))
    assert all(torch.equal(variants[-1], rival) for variants in found.variants)


def test_mistakes_say_what_is_wrong(drawings):
    with pytest.raises(ValueError, match="image_size is 8"):
        make_trials(drawings, 8)
    with pytest.raises(ValueError, match="count is 0"):
        make_trials(drawings, 32, count=0)
    with pytest.raises(ValueError, match=r"4 drawings of 1 classes.*two classes"):
        make_trials(drawings[:4], 32)
    with pytest.raises(ValueError, match="2 drawings of 2 classes"):
        make_trials([drawings[0], drawings[4]], 32)
    for levels in ((0.1,), (0.0, 0.1), (0.5, 1.2), (0.3, 0.2), (0.2, 0.2)):
        with pytest.raises(ValueError, match=r"levels are .*ascending"):
            check_levels(levels)
    assert check_levels(LEVELS) == LEVELS


@pytest.mark.parametrize("margin", [-0.3, -0.7])
def test_a_rival_must_be_nearer_by_the_margin(drawings, monkeypatch, margin):
    monkeypatch.setattr(module, "MARGIN", margin)  # below 0, because few rivals of so few drawings are near
    found = make_trials(drawings[:8], 32, count=4, levels=LEVEL)
    gaps = (found.variants[:, -3:].double() - found.references.double()[:, None]).abs().mean((2, 3)).numpy()
    np.testing.assert_array_equal(found.valid, gaps[:, 1:] < (1 - margin) * gaps[:, :1])
    assert found.valid.any()
