"""The tables of the pairs. Oracles: results that were written here, and what must not be counted."""

from typing import Any

import pytest

from sketchloss.experiments.pairs import table

TERMS = ("none", "ssim", "imagenet:l1", "sketch:l1", "imagenet:ink", "sketch:ink")
SETTINGS = {"classes": ("cat", "house"), "image_size": 64, "steps": 400, "batch_size": 8}
DISTANCES = TERMS[2:]


def result(term: str, seed: int, better: float) -> dict[str, Any]:
    """Every row better than pixels by every measure, the more so the later it stands."""
    noise = 0.001 * ((seed * 7 + len(term)) % 5)
    good, bad = 0.5 + better + noise, 1.0 - better + noise
    measures = dict.fromkeys(("f1", "precision", "recall", "white_paper", "class_accuracy", "ssim", "ink_ratio"), good)
    measures |= dict.fromkeys(("chamfer", "stray_ink", "saturation", "width_error", "frechet", "l1"), bad)
    distances = dict.fromkeys(DISTANCES, bad)
    reference = {"measures": measures, "distances": distances}
    return {
        **reference,
        "references": {table.INPUT: reference, table.TRUTH: reference} if (term, seed) == ("none", 0) else {},
        "pull": None if term == "none" else 3.0,
        "validation": {} if term == "none" else {"0.3": 0.7, "1": 0.8, "3": 0.9},
        "judge_accuracy": 0.793,
        "learned": 552,
        "chosen_by": 138,
        "tested": 230,
        "parameters": 488_035,
    }


def made(task: str = "rough"):
    results = [(term, seed, result(term, seed, 0.05 * place)) for place, term in enumerate(TERMS) for seed in range(5)]
    return list(table.sections(task, results, SETTINGS))


def test_what_trained_or_chose_a_row_is_not_counted_for_it():
    judges, distances = (one.table for one in made())
    counted = set(judges.compare())
    rows = {row for row, _ in counted}
    assert rows == set(judges.values) - {"pixels", table.INPUT, table.TRUTH}
    assert ("pixels + SSIM", "ssim") not in counted
    assert ("pixels + sketch, ink", "ssim") in counted
    assert not {"f1", "precision", "recall", "l1", "pull", "ink_ratio"} & {name for _, name in counted}
    # a distance is no judge of what was trained through the same weights, by whichever formula
    assert {name for row, name in distances.compare() if row == "pixels + sketch, ink"} == {
        "imagenet:l1",
        "imagenet:ink",
    }
    assert {name for row, name in distances.compare() if row == "pixels + SSIM"} == set(DISTANCES)


def test_faces_are_chosen_by_scoot_and_so_counted_by_ink():
    names = {measure.name: measure.ranked for measure in table.measures("faces-cufs", 100)}
    assert (names["scoot"], names["f1"]) == (False, True)
    names = {measure.name: measure.ranked for measure in table.measures("scan", 100)}
    assert (names["scoot"], names["f1"]) == (True, False)


def test_the_text_says_how_the_pull_was_chosen_and_brackets_what_is_not_counted():
    judges, distances = made()
    text = judges.markdown()
    assert "rough lines to clean ones from 552 pairs of 2 classes at 64 pixels, 400 steps of 8" in text
    assert "best ink F1 on 138 validation drawings" in text
    assert "pixels + sketch, ink 0.3 0.700, 1 0.800, 3 0.900" in text
    assert "79.3% of held-out ones right" in text
    (line,) = (line for line in text.splitlines() if line.startswith("| pixels + SSIM "))
    assert "(0.5" in line
    assert "In brackets: not counted" in text
    lines = [line for line in text.splitlines() if line.startswith("| the ")]
    assert len(lines) == 2, "the input and the true drawing stand last"
    assert "*" not in "".join(lines)
    assert distances.source == "rough by distances of networks"


def test_without_a_choice_the_one_pull_is_named():
    results = [("none", 0, result("none", 0, 0)), ("ssim", 0, result("ssim", 0, 0.1) | {"validation": {}})]
    for _, _, found in results:
        del found["judge_accuracy"]
    judges, _ = table.sections("faces-cufs", results, {**SETTINGS, "classes": ()})
    text = judges.markdown()
    assert "nothing was chosen, all rows have 3" in text
    assert "classifier" not in text.partition("\n- ")[2]


def test_weights_and_formula_are_compared_apart():
    """Oracle: the differences that `result` was given, of five seeds each."""
    terms = {"none": 0.0, "sketch:ink": 0.2, "imagenet:ink": 0.1}
    results = [(term, seed, result(term, seed, better)) for term, better in terms.items() for seed in range(5)]
    judges, _ = table.sections("rough", results, SETTINGS)
    lines = judges.after.splitlines()
    (line,) = (line for line in lines if "sketch, ink against pixels + imagenet, ink" in line)
    header = [cell.strip() for cell in lines[0].split("|")]
    cell = [cell.strip() for cell in line.split("|")][header.index("chamfer, px")]
    assert float(cell.split()[0]) == pytest.approx(-0.1, abs=1e-3)
    assert "paired t-test over seeds" in lines[-1]
