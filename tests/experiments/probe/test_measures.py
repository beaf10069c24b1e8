"""What comes of the trials. Oracles: distances built to be perfect, constant or as pixels; scipy; closed forms."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binomtest, spearmanr

from sketchloss.data.quickdraw.drawings import open_drawings
from sketchloss.data.quickdraw.edits import EDITS
from sketchloss.data.quickdraw.ignorable import CHANGES
from sketchloss.experiments.probe import make_trials, probe_distance
from sketchloss.experiments.probe.measures import (
    Answers,
    answers,
    difference,
    in_plain,
    resampled,
    score,
    score_of,
    spearman,
    summarise,
    wilson,
)
from sketchloss.experiments.probe.trials import FIFTH, RIVALS

LEVELS = (0.1, 0.3, 0.6)


@pytest.fixture(scope="module")
def drawings():
    return open_drawings("doodles", per_class=4, classes=4, seed=1)


@pytest.fixture(scope="module")
def trials(drawings):
    return make_trials(drawings, 48, count=8, levels=LEVELS)


def perfect(trials):
    """Distances that are right: the share changed, nearly nothing for what people ignore, all for another drawing."""
    n, columns = trials.variants.shape[:2]
    values = np.ones((n, columns))
    edited = len(EDITS) * len(LEVELS)
    values[:, :edited] = trials.amounts.reshape(n, -1)
    values[:, edited] = FIFTH
    values[:, edited + 1 : edited + 1 + len(CHANGES)] = 0.01
    values[:, -3] = 0.02
    return values


def make_answers(rng, n=40):
    choice = rng.integers(0, 2, (n, 2)).astype(float)
    choice[rng.random((n, 2)) < 0.3] = np.nan
    return Answers(rng.uniform(-1, 1, (n, 5)), rng.integers(0, 2, (n, 6)).astype(float), rng.random((n, 6)), choice)


# Whole distances -----------------------------------------------------------------------------------------------------


def test_a_perfect_distance_scores_1(trials):
    found = summarise(answers(perfect(trials), trials))
    assert found.score == found.low == found.high == 1
    assert set(found.growth.values()) == {1.0}
    assert set(found.ignoring.values()) == {1.0}
    assert found.ratio == dict.fromkeys(CHANGES, pytest.approx(0.01))
    asked = dict(zip(RIVALS, trials.valid.sum(0), strict=True))
    for rival, share in found.choice.items():
        assert share is not None
        assert (share.value, share.trials) == (1, asked[rival])
    assert found.drawings == 8


def test_a_perfect_distance_of_pictures_scores_1(trials):
    """The same through the pictures: a distance that looks up how different a picture is from the drawing."""
    known = {}
    for reference, variants, values in zip(trials.references, trials.variants, perfect(trials), strict=True):
        # Edits that leave the picture as it was to the pixel would have two amounts.
        known |= {(v.numpy().tobytes(), reference.numpy().tobytes()): d for v, d in zip(variants, values, strict=True)}

    def key(image):
        return (image[0] * 255).round().byte().numpy().tobytes()

    def look_up(pred, target):
        return pred.new_tensor([known[key(one), key(other)] for one, other in zip(pred, target, strict=True)])

    assert probe_distance(look_up, trials).score == pytest.approx(1, abs=0.02)


def test_the_opposite_of_a_perfect_distance_scores_the_least(trials):
    found = summarise(answers(-perfect(trials), trials))
    assert found.score == pytest.approx((-1 + 0 + 0) / 3)
    assert set(found.ratio.values()) == {None}  # of a distance below 0 to another drawing


def test_a_constant_distance_grows_not_at_all_and_ignores_and_chooses_by_half(trials):
    found = probe_distance(lambda pred, target: pred.new_full((len(pred),), 3.0), trials)
    assert set(found.growth.values()) == {0.0}
    assert set(found.ignoring.values()) == {0.5}
    assert {share.value for share in found.choice.values() if share} == {0.5}
    assert set(found.ratio.values()) == {1.0}
    assert found.score == pytest.approx((0 + 0.5 + 0.5) / 3)
    nothing = probe_distance(lambda pred, target: pred.new_zeros(len(pred)), trials)
    assert nothing.score == found.score
    assert set(nothing.ratio.values()) == {None}


def test_pixels_choose_wrongly_always_by_construction(trials):
    def pixels(pred, target):
        return (pred - target).abs().mean((1, 2, 3))

    found = probe_distance(pixels, trials)
    assert {share.value for share in found.choice.values() if share} == {0.0}
    assert min(value for value in found.growth.values() if value is not None) > 0.9
    assert found.ignoring["shifted"] == 0


def test_drawings_or_trials_of_them_give_the_same(drawings):
    def pixels(pred, target):
        return (pred - target).square().mean((1, 2, 3))

    some = [drawings[0], drawings[1], drawings[4], drawings[5]]
    assert probe_distance(pixels, some, image_size=32, seed=3) == probe_distance(pixels, make_trials(some, 32, seed=3))


def test_a_distance_that_fails_is_named(drawings):
    with pytest.raises(ValueError, match=r"distance worse returned shape \(\)"):
        probe_distance(lambda pred, target: pred.mean(), make_trials(drawings[:5], 16), name="worse")

    def broken(pred, target):
        raise RuntimeError("out of ink")

    with pytest.raises(ValueError, match=r"distance broken failed .*out of ink"):
        probe_distance(broken, drawings[:5], image_size=16)


# Parts ---------------------------------------------------------------------------------------------------------------


def test_spearman_is_scipy_s_ties_included():
    rng = np.random.default_rng(0)
    amounts, values = rng.integers(0, 5, (200, 6)).astype(float), rng.integers(0, 5, (200, 6)).astype(float)
    found = spearman(amounts, values)
    for one, other, correlation in zip(amounts, values, found, strict=True):
        if len(set(one)) > 1 and len(set(other)) > 1:
            assert correlation == pytest.approx(spearmanr(one, other).statistic)


def test_spearman_of_what_is_equal():
    levels = np.array([[0.1, 0.2, 0.3]])
    assert spearman(levels, np.array([[2.0, 2.0, 2.0]])).tolist() == [0]
    assert spearman(levels, np.zeros((1, 3))).tolist() == [0]
    assert np.isnan(spearman(np.full((1, 3), 0.1), levels)).all()
    # Rounding of arithmetic makes no order: the first two are equal.
    assert spearman(np.array([[0.1, 0.1, 0.3]]), np.array([[1.0, 1 + 1e-9, 2.0]])).tolist() == [pytest.approx(1)]


def test_ignoring_compares_with_a_fifth_removed_and_equal_counts_half(trials):
    values = perfect(trials)
    edited = len(EDITS) * len(LEVELS)
    values[:, edited + 1 : edited + 4] = [FIFTH, 0.3, 0.1]
    found = summarise(answers(values, trials))
    assert list(found.ignoring.values()) == [0.5, 0, 1, 1, 1, 1]
    assert list(found.ratio.values())[:3] == pytest.approx([FIFTH, 0.3, 0.1])


def test_the_ratio_is_a_median_and_a_rival_at_no_distance_is_beyond_all(trials):
    values = perfect(trials)
    values[:, -4] = [0, 1, 1, 2, 2, 4, 4, 4]  # 0.01 divided by them: beyond all, 0.01 (2), 0.005 (2), 0.0025 (3)
    assert summarise(answers(values, trials)).ratio["jpeg"] == pytest.approx(0.005)


def test_choices_not_asked_are_not_counted(trials):
    none = replace(trials, valid=np.zeros_like(trials.valid))
    found = summarise(answers(perfect(trials), none))
    assert found.choice == {"same class": None, "other class": None}
    assert found.score == 1
    one = replace(trials, valid=np.eye(8, 2, dtype=bool))
    found = summarise(answers(-perfect(trials), one))
    assert [share and (share.value, share.trials) for share in found.choice.values()] == [(0, 1), (0, 1)]


def test_the_score_is_the_mean_of_three_means():
    found = make_answers(np.random.default_rng(1))
    choice = np.nanmean(found.choice, axis=0).mean()
    expected = (found.growth.mean() + found.ignoring.mean() + choice) / 3
    assert score(found) == pytest.approx(expected)
    measures = summarise(found)
    assert measures.score == pytest.approx(expected)
    assert measures.grows == pytest.approx(found.growth.mean())
    assert measures.ignores == pytest.approx(found.ignoring.mean())


def test_the_interval_is_a_bootstrap_over_drawings():
    found = make_answers(np.random.default_rng(1))
    rng, scores = np.random.default_rng(5), []
    for _ in range(2000):
        rows = rng.integers(40, size=40)
        scores.append(
            score(Answers(*(getattr(found, name)[rows] for name in ("growth", "ignoring", "ratio", "choice"))))
        )
    measures = summarise(found)
    assert (measures.low, measures.high) == pytest.approx(np.quantile(scores, (0.025, 0.975)), abs=0.015)
    assert summarise(found) == measures
    counts = resampled(40, 100, 0)
    assert (counts.sum(1) == 40).all()
    assert score_of(found, np.ones((1, 40), dtype=np.int64)) == pytest.approx([score(found)])


def test_a_difference_is_paired():
    found = make_answers(np.random.default_rng(2))
    better = replace(found, ignoring=found.ignoring + 0.3)
    # The same drawings gain the same: nothing is uncertain, though either score is.
    assert difference(better, found) == pytest.approx({"difference": 0.1, "low": 0.1, "high": 0.1})


@pytest.mark.parametrize(("right", "trials"), [(0, 5), (5, 5), (3, 7), (90, 100)])
def test_wilson_is_scipy_s(right, trials):
    expected = binomtest(right, trials).proportion_ci(0.95, method="wilson")
    assert wilson(right / trials, trials) == pytest.approx((expected.low, expected.high))


def test_measures_become_plain_values(trials):
    found = in_plain(summarise(answers(perfect(trials), trials)))
    assert found["growth"] == {"mean": 1, **dict.fromkeys(EDITS, 1)}
    assert found["ignoring"] == {"mean": 1, **dict.fromkeys(CHANGES, 1)}
    assert math.isclose(found["ratio"]["mean"], 0.01)
    assert set(found["choice"]["same class"]) == {"value", "low", "high", "trials"}
