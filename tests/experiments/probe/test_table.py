"""The probe in words. Oracle: numbers chosen here, looked up in the text and the rows."""

import copy

import pytest

from sketchloss.data.quickdraw.edits import EDITS
from sketchloss.data.quickdraw.ignorable import CHANGES
from sketchloss.experiments.probe.table import PUBLISHED, PUBLISHED_PICTURES, groups, is_published, sections
from sketchloss.experiments.table import CSV_HEADER

TAPS = ("relu1_2", "relu2_2", "relu3_3")


def measures(score=0.5, grows=0.5, ignores=0.5, ratio: float | None = 0.5, choice: float | None = 0.5):
    share = choice if choice is None else {"value": choice, "low": choice - 0.1, "high": choice + 0.1, "trials": 9}
    return {
        **{"score": score, "low": score - 0.02, "high": score + 0.02, "drawings": 10},
        "growth": {"mean": grows, **dict.fromkeys(EDITS, grows)},
        "ignoring": {"mean": ignores, **dict.fromkeys(CHANGES, ignores)},
        "ratio": {"mean": ratio, **dict.fromkeys(CHANGES, ratio)},
        "choice": {"same class": share, "other class": share},
    }


def row(name, kind, group=None, taps=(), people=None, **values):
    return {
        **{"name": name, "kind": kind, "group": group, "arm": group, "weights": group and "imagenet"},
        **{"taps": dict.fromkeys(taps, 1.0), "metric": "l1" if group else None},
        "report": measures(**values),
        "choose": measures(score=0.123),
        "people": people and {"value": people, "low": people - 0.01, "high": people + 0.01, "judgments": 50,
                              "participants": 5},
    }  # fmt: skip


@pytest.fixture
def results():
    return {
        **{"data": "doodles", "drawings": 10, "choose_drawings": 11, "classes": 4, "image_size": 64, "seed": 0},
        **{"levels": [0.1, 0.5], "unreadable": 0, "trials": {"same class": 8, "other class": 7}},
        "triplets": None,
        "rows": [
            row("pixel l1", "baseline", score=0.333, choice=None, ratio=None),
            row("original, default taps", "default", "original", TAPS, score=0.777),
            row("original, relu1_2", "tap", "original", ["relu1_2"], grows=0.99, ignores=0.2, choice=0.3, score=0.4),
            row("original, relu2_2", "tap", "original", ["relu2_2"], grows=0.987, ignores=0.6, choice=0.8, score=0.7),
            row("original, relu3_3", "tap", "original", ["relu3_3"], grows=0.9, ignores=0.8, choice=0.7, score=0.8),
        ],
        "chosen": [],
    }


def entry(layers, weighting, score, people=None):
    return {
        **{"layers": layers, "metric": "l1", "weighting": weighting, "people": people},
        **{"choose": measures(score=score + 0.01), "report": measures(score=score)},
    }


def chosen():
    best = entry({"relu3_3": 0.75, "relu1_2": 0.25}, "deep", 0.9)
    return {
        **{"group": "original", "weights": "runs/mine", "candidates": 327, "best": best, "top": [best]},
        "default": entry({"relu1_2": 1.0}, None, 0.777),
        "best_of": [entry({"relu2_2": 1.0}, "equal", 0.85), best],
        "gain": {"difference": 0.123, "low": 0.05, "high": 0.2},
    }


def probe_report(results):
    """What the command prints of it."""
    return "\n\n".join(section.markdown() for section in sections(results))


def cells(text, name):
    """The cells of the lines that begin with a name."""
    lines = [line for line in text.splitlines() if line.startswith(f"| {name} ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_the_table_says_what_was_measured_and_a_dash_where_nothing(results):
    text = probe_report(results)
    first, second = cells(text, "pixel l1")
    assert first == ["pixel l1", "0.333 [0.313, 0.353]", "0.500", "0.500", "-", "-", "-"]
    assert second == ["pixel l1", *["0.500"] * len(EDITS), *["0.50"] * len(CHANGES)]
    (tap, _) = cells(text, "original, relu3_3")
    choice = ["0.700 [0.600, 0.800]"] * 2
    assert tap == ["original, relu3_3", "**0.800 [0.780, 0.820]**", "0.900", "**0.800**", "0.50", *choice]
    headings = ["score ↑", "grows ↑", "ignores ↑", "ratio ↓", "same class ↑", "other class ↑"]
    assert cells(text, "distance")[0] == ["distance", *headings]
    assert "10 drawings of 4 classes, 64 pixels, seed 0" in text
    assert "8 trials with the same class and 7 trials with the other class in 10 drawings" in text
    assert "pixel l1 scores 0 by construction" in text
    assert "left out" not in text


def test_people_have_a_column_where_they_were_asked(results):
    assert "people ↑" not in cells(probe_report(results), "distance")[0]
    results["triplets"] = {"name": "place/triplets.csv", "pictures": 64, "judgments": 6787, "participants": 38,
                           "kind": "random", "size": 128, "published": False}  # fmt: skip
    results["rows"][1]["people"] = {"value": 0.61, "low": 0.59, "high": 0.63, "judgments": 6787, "participants": 38}
    text = probe_report(results)
    assert cells(text, "distance")[0][-1] == "people ↑"
    assert cells(text, "original, default taps")[0][-1] == "0.610 [0.590, 0.630]"
    assert cells(text, "pixel l1")[0][-1] == "-"
    assert "6,787 judgments of kind random (triplets.csv) by 38 people; intervals: bootstrap over people" in text
    assert "nothing was chosen by it" in text
    assert "Published" not in text


def test_judgments_without_people_say_so(results):
    results["triplets"] = {"name": "t.csv", "pictures": 3, "judgments": 4, "participants": None, "kind": None,
                           "size": 64, "published": False}  # fmt: skip
    text = probe_report(results)
    assert "bootstrap over judgments, too narrow if one person gave many" in text


def test_published_numbers_stand_beside_that_set_alone(results):
    results["triplets"] = {"name": "t.csv", "pictures": 64, "judgments": 4, "participants": 2, "kind": None,
                           "size": 64, "published": True}  # fmt: skip
    text = probe_report(results)
    assert "Published on this set of drawings" in text
    assert "Mukherjee & Rogers" in text
    assert "all judgments of the original, a part here" in text
    for name, value in PUBLISHED.items():
        assert f"{name} {value:.3f}" in text
    assert "about 72 %" in text


def test_the_published_set_is_known_by_its_pictures():
    assert len(PUBLISHED_PICTURES) == 64
    assert is_published(sorted(PUBLISHED_PICTURES))
    assert not is_published(sorted(PUBLISHED_PICTURES)[1:])
    assert not is_published([*PUBLISHED_PICTURES, "5-1-1.png"])


def test_the_published_set_itself(data_folder):
    folder = data_folder / "human_triplets" / "pictures"
    assert is_published([path.name for path in folder.iterdir()])


def test_advice_follows_from_the_numbers(results):
    text = probe_report(results)
    line = next(line for line in text.splitlines() if line.startswith("- original. For"))
    assert "measuring how much was changed: relu1_2 or relu2_2 (0.990)" in line  # alike
    assert "ignoring what people ignore: relu3_3 (0.800)" in line
    assert "telling a redrawn drawing from another: relu2_2 (0.800)" in line
    assert "all but people (score): relu3_3 (0.800)" in line
    assert "default taps together: score 0.777" in line
    assert "agreeing with people" not in line
    results["rows"][2]["people"] = {"value": 0.6, "low": 0.5, "high": 0.7, "judgments": 50}
    assert "agreeing with people: relu1_2 (0.600)" in probe_report(results)


def test_advice_names_the_tap_from_which_on_a_change_is_ignored(results):
    shares = ({"jpeg": 0.9, "thinner": 0.9}, {"thinner": 0.4}, {"pencil": 0.3})
    for tap, values in zip(results["rows"][2:], shares, strict=True):
        tap["report"]["ignoring"] |= values
    results["rows"][4]["report"]["ignoring"]["shifted"] = 0.1
    line = next(line for line in probe_report(results).splitlines() if "From which tap on" in line)
    assert "jpeg relu1_2" in line
    assert "thinner relu3_3" in line  # relu1_2 does, relu2_2 does not
    assert "scaled relu2_2" in line
    assert "shifted not steadily" in line
    results["rows"][3]["report"]["ignoring"]["shifted"] = 0.2
    assert "shifted never" in probe_report(results)


def test_what_was_chosen_stands_with_its_gain(results):
    results["chosen"] = [chosen()]
    text = probe_report(results)
    assert "Chosen for original (runs/mine): of 327 combinations" in text
    assert "it scores +0.123 [+0.050, +0.200] against the default: more." in text
    best, *_ = cells(text, "best")
    assert best == ["best", "l1", "relu3_3 0.75, relu1_2 0.25", "0.910", "0.900", "0.880 to 0.920"]
    (equal,) = cells(text, "best l1, equal weights")
    assert equal[4] == "0.850"
    results["chosen"][0]["gain"] = {"difference": 0.01, "low": -0.02, "high": 0.04}
    assert "against the default: not clearly more." in probe_report(results)


def test_rows_of_several_runs_make_one_report(results):
    other = copy.deepcopy(results)
    other["rows"] = [row("tuning, relu2_2", "tap", "tuning", ["relu2_2"], score=0.6)]
    merged = {**results, "rows": results["rows"] + other["rows"], "chosen": [chosen(), {**chosen(), "group": "tuning"}]}
    text = probe_report(merged)
    assert groups(merged) == ["original", "tuning"]
    assert cells(text, "tuning, relu2_2")[0][1] == "0.600 [0.580, 0.620]"
    assert "- tuning. For" in text
    assert "Chosen for tuning" in text


def test_a_report_of_pixels_alone_advises_nothing(results):
    results["rows"] = results["rows"][:1]
    text = probe_report(results)
    assert "Which taps" not in text
    assert cells(text, "pixel l1")[0][1] == "0.333 [0.313, 0.353]"


def test_rows_for_csv_hold_every_number(results):
    results["rows"][1]["people"] = {"value": 0.61, "low": 0.59, "high": 0.63, "judgments": 6787, "participants": 38}
    found = [
        dict(zip(CSV_HEADER, line, strict=True))
        for section in sections(results)
        for line in (section.table.csv_rows(section.source) if section.table else ())
    ]
    table = {(one["row"], one["measure"]): one for one in found}
    assert len(table) == len(found)
    # The score, means and parts, the choices; of how many drawings and trials. Pixels have no ratio and no choice.
    of_half = 1 + (1 + len(EDITS)) + 2 * (1 + len(CHANGES)) + 2 + 3
    unknown = 1 + len(CHANGES) + 2
    assert len(found) == 5 * 2 * of_half - unknown + 2  # and of people two
    score = table["original, default taps", "score"]
    assert [score[name] for name in ("mean", "low", "high")] == pytest.approx([0.777, 0.757, 0.797])
    assert table["original, default taps", "drawings"]["mean"] == 10
    of_choosing = table["original, relu3_3", "choosing half: score"]
    assert [of_choosing[name] for name in ("mean", "low", "high")] == pytest.approx([0.123, 0.103, 0.143])
    same = table["original, relu3_3", "same class"]
    assert [same[name] for name in ("mean", "low", "high")] == pytest.approx([0.7, 0.6, 0.8])
    assert table["original, relu3_3", "trials with the same class"]["mean"] == 9
    assert table["original, relu3_3", "choosing half: trials with the same class"]["mean"] == 9
    assert table["original, relu3_3", "ratio of jpeg"]["mean"] == 0.5
    assert ("pixel l1", "same class") not in table
    assert table["pixel l1", "trials with the same class"]["mean"] == 0
    people = table["original, default taps", "people"]
    assert [people[name] for name in ("mean", "low", "high")] == [0.61, 0.59, 0.63]
    assert table["original, default taps", "judgments"]["mean"] == 6787
