"""The search over taps. Oracles: counts in closed form, weights by hand, distances built so that one set is best."""

import numpy as np
import pytest

from sketchloss.data.quickdraw.drawings import open_drawings
from sketchloss.experiments.probe.distances import combine
from sketchloss.experiments.probe.measures import answers, in_plain, score, summarise
from sketchloss.experiments.probe.tap_choice import WEIGHTINGS, candidates, choose_taps
from sketchloss.experiments.probe.trials import FIFTH, make_trials
from sketchloss.loss.tap_distance import METRICS

TAPS = ("relu1_2", "relu2_2", "relu3_3")


@pytest.fixture(scope="module")
def halves():
    drawings = open_drawings("doodles", per_class=4, classes=4, seed=1)
    return [make_trials(drawings, 32, count=8, levels=(0.1, 0.3, 0.6), seed=seed) for seed in (0, 1)]


def perfect(trials):
    """Right in everything: the share changed, nothing for what people ignore, all for another drawing."""
    n, columns = trials.variants.shape[:2]
    values = np.ones((n, columns))
    edited = trials.amounts[0].size
    values[:, :edited] = trials.amounts.reshape(n, -1)
    values[:, edited:] = [FIFTH, *[0.01] * 6, 1, 0.02, 1, 1]
    return values


def noise(trials, seed, size=1.0):
    return size * np.random.default_rng(seed).random(trials.variants.shape[:2])


def measured(trials, seed=0):
    """relu2_2 by cosine is perfect, relu1_2 and relu3_3 are noise, by l1 all are."""
    found = {f"{tap} {metric}": noise(trials, seed + index) for index, (tap, metric) in
             enumerate((tap, metric) for tap in TAPS for metric in METRICS)}  # fmt: skip
    found["relu2_2 cosine"] = perfect(trials)
    return found


def test_all_sets_of_taps_are_tried_with_all_weightings_and_metrics():
    typical = {f"{tap} {metric}": 1.0 for tap in TAPS for metric in METRICS}
    found = list(candidates(TAPS, typical))
    # 3 taps alone, each weighed in one way only; 4 sets of several in four ways; each metric.
    assert len(found) == len(METRICS) * (3 + 4 * len(WEIGHTINGS))
    assert len({(tuple(one.layers), one.metric, one.weighting) for one in found}) == len(found)
    sizes = [len(one.layers) for one in found]
    assert sizes == sorted(sizes)


def test_weights_are_what_they_say():
    typical = {"relu1_2 l1": 0.5, "relu2_2 l1": 0.1, "relu3_3 l1": 2.0}
    found = {one.weighting: one.layers for one in candidates(TAPS, typical, ("l1",)) if len(one.layers) == 3}
    assert found["equal"] == dict.fromkeys(TAPS, 0.333)
    inverse = np.array([2, 10, 0.5])
    expected = {"balanced": inverse, "deep": inverse * [1, 2, 4], "shallow": inverse / [1, 2, 4]}
    for weighting, weights in expected.items():
        assert list(found[weighting].values()) == pytest.approx(weights / weights.sum(), rel=5e-3)
    contributions = [weight * typical[f"{tap} l1"] for tap, weight in found["balanced"].items()]
    assert contributions == pytest.approx([contributions[0]] * 3, rel=1e-2)


def test_taps_that_see_nothing_are_not_balanced():
    typical = {"relu1_2 l1": 0.5, "relu2_2 l1": 0.0}
    assert {one.weighting for one in candidates(TAPS[:2], typical, ("l1",))} == {"equal"}


def test_more_than_eight_taps_are_refused():
    with pytest.raises(ValueError, match=r"9 taps make 511 sets: search 8 at most"):
        next(candidates([f"relu{n}" for n in range(9)], {}))


def test_the_best_is_found_and_reported_on_the_other_half(halves):
    choose, report = [(measured(half), half) for half in halves]
    default = ({"relu1_2": 0.5, "relu3_3": 0.5}, "l1")
    found = choose_taps(choose, report, TAPS, default=default)
    assert found["candidates"] == len(METRICS) * (3 + 4 * len(WEIGHTINGS))
    assert found["best"]["layers"] == {"relu2_2": 1.0}
    assert (found["best"]["metric"], found["best"]["weighting"]) == ("cosine", "equal")
    assert found["best"]["choose"]["score"] == found["best"]["report"]["score"] == 1
    for half, (distances, trials) in {"choose": choose, "report": report}.items():
        expected = in_plain(summarise(answers(combine(distances, *default), trials)))
        assert found["default"][half] == expected
    gain = found["gain"]
    assert gain["difference"] == pytest.approx(1 - found["default"]["report"]["score"])
    assert 0 < gain["low"] <= gain["difference"] <= gain["high"]


def test_the_best_of_each_metric_and_the_top_are_in_order(halves):
    choose, report = [(measured(half), half) for half in halves]
    found = choose_taps(choose, report, TAPS, default=({"relu1_2": 1.0}, "l1"))
    kinds = [(one["metric"], one["weighting"] == "equal") for one in found["best_of"]]
    assert kinds == [(metric, equal) for metric in METRICS for equal in (True, False)]
    assert found["top"][0] == found["best"]
    assert len(found["tried"]) == found["candidates"]
    assert max(one["choose"] for one in found["tried"]) == found["best"]["choose"]["score"]
    same = [one for one in found["tried"] if one["choose"] == found["best"]["choose"]["score"]]
    assert found["best"]["report"]["score"] in [one["report"] for one in same]
    scores = [one["choose"]["score"] for one in found["top"]]
    assert len(scores) == 10
    assert scores == sorted(scores, reverse=True)
    typical = {name: choose[1].another(values).mean() for name, values in choose[0].items()}
    best = {(one.metric, one.weighting == "equal"): 0.0 for one in candidates(TAPS, typical)}
    for one in candidates(TAPS, typical):
        kind = (one.metric, one.weighting == "equal")
        best[kind] = max(best[kind], score(answers(combine(choose[0], one.layers, one.metric), choose[1])))
    assert [one["choose"]["score"] for one in found["best_of"]] == pytest.approx([best[kind] for kind in kinds])


def test_of_equal_scores_the_smaller_set_wins(halves):
    both = [({f"{tap} l1": perfect(half) for tap in TAPS}, half) for half in halves]
    found = choose_taps(*both, TAPS, default=({"relu3_3": 1.0}, "l1"), metrics=("l1",))
    assert found["best"]["layers"] == {"relu1_2": 1.0}
    assert found["gain"] == {"difference": 0, "low": 0, "high": 0}


def test_a_choice_made_of_noise_does_not_look_good_on_the_other_half(halves):
    """What choosing on one half and reporting on the other is for."""
    names = [f"{tap} {metric}" for tap in TAPS for metric in METRICS]
    noises = [
        ({name: noise(half, 10 * number + place) for place, name in enumerate(names)}, half)
        for number, half in enumerate(halves)
    ]
    found = choose_taps(*noises, TAPS, default=({"relu1_2": 1.0}, "l1"))
    assert found["best"]["choose"]["score"] > found["best"]["report"]["score"]
