"""The judges together. Oracles: the true drawings themselves, the judges one by one, and a line of known width."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from sketchloss.data.doodles.kinds import doodle
from sketchloss.data.sources import Sketches
from sketchloss.experiments.pairs import judging
from sketchloss.experiments.pairs.settings import JudgeSettings
from sketchloss.experiments.unseen_classes import UNSEEN
from sketchloss.metrics.ink_overlap import ink_overlap
from sketchloss.metrics.scoot import scoot


def lines(width: int, at: int = 12) -> torch.Tensor:
    """Two pages of 32 pixels with a line down the page, and one across."""
    pages = torch.full((2, 3, 32, 32), 255, dtype=torch.uint8)
    pages[0, :, 4:28, at : at + width] = 0
    pages[1, :, at : at + width, 4:28] = 0
    return pages


def settings(source: str, *classes: str, strokes: str = "doodles", steps: int = 2) -> JudgeSettings:
    return JudgeSettings(source=source, strokes=strokes, per_class=3, classes=classes, image_size=32, steps=steps)


def test_the_true_drawings_have_no_fault():
    true = lines(2)
    for task, more in (("rough", {"width_error": 0.0}), ("faces-fs2k", {"scoot": 1.0})):
        found = judging.measure(task, true, true)
        perfect = {"ssim": 1, "precision": 1, "recall": 1, "f1": 1, "chamfer": 0, "ink_ratio": 1, "stray_ink": 0}
        assert found == pytest.approx(perfect | {"white_paper": 1, "saturation": 0, "l1": 0} | more)


def test_measures_are_means_of_the_judges_over_drawings():
    drawn, true = lines(3, at=16), lines(2)
    found = judging.measure("rough", drawn, true)
    one_by_one = ink_overlap(drawn.float() / 255, true.float() / 255)
    assert found["chamfer"] == pytest.approx(one_by_one.chamfer.mean().item())
    # 24 by 3 pixels: twice the area over an outline of 2 * (24 + 3), whose corners count the root of 2 and not 2
    assert found["width_error"] == pytest.approx(144 / 54 - 96 / 52, abs=0.05)
    assert found["l1"] == pytest.approx(24 * 5 / 32**2)
    coloured = drawn.clone()
    coloured[:, 0] = 255
    assert judging.measure("rough", coloured, true)["saturation"] == pytest.approx(24 * 3 / 32**2)


def test_faces_are_chosen_by_scoot_and_drawings_by_ink():
    drawn, true = lines(3, at=16), lines(2)
    ours, theirs = drawn.float() / 255, true.float() / 255
    assert judging.validation_score("scan", drawn, true) == pytest.approx(ink_overlap(ours, theirs).f1.mean().item())
    assert judging.validation_score("faces-cufs", drawn, true) == pytest.approx(scoot(ours, theirs).mean().item())


def test_distances_of_networks_are_of_the_named_loss(narrow):
    true = lines(2)
    names = (f"{narrow}:ink", f"{narrow}:l1")
    found = judging.measure_distances(names, lines(3, at=16), true)
    assert set(found) == set(names)
    assert min(found.values()) > 0.001
    assert judging.measure_distances(names, true, true) == pytest.approx(dict.fromkeys(names, 0), abs=1e-6)


def test_the_classifier_knows_the_class_by_its_name_and_is_no_lottery(few_classes):
    config = settings(few_classes, "star", "cat", steps=12)
    judge = judging.make_judge(config)
    assert judge.classes == ("cat", "star")
    again = judging.make_judge(config)
    assert all(torch.equal(one, other) for one, other in zip(judge.parameters(), again.parameters(), strict=True))
    drawn = torch.cat([lines(2), lines(3)])
    guesses = judge.classify(drawn.float() / 255).argmax(1)
    right = [("cat", "star")[guess] for guess in guesses.tolist()]
    wrong = [("star", "cat")[guess] for guess in guesses.tolist()]
    assert judging.measure_by(judge, drawn, drawn, right) == pytest.approx(
        {"class_accuracy": 1, "frechet": 0}, abs=1e-6
    )
    found = judging.measure_by(judge, 255 - drawn, drawn, wrong)
    assert judging.measure_by(judge, drawn, drawn, wrong)["class_accuracy"] == 0
    assert found["frechet"] > 0.01


def test_a_class_that_the_classifiers_data_lack_is_one_line():
    config = settings("doodles", "cat", "nobody")
    with pytest.raises(ValueError, match="doodles has no class 'nobody'"):
        judging.make_judge(config)


def write_strokes(folder: Path, seeds: range) -> str:
    """Write doodles as QuickDraw has them, in coordinates of 0 to 255."""
    folder.mkdir()
    for kind in ("cat", "house"):
        drawings = [
            [(stroke.clip(0, 1) * 255).round().astype(int).T.tolist() for stroke in doodle(kind, seed).strokes]
            for seed in seeds
        ]
        lines = [json.dumps({"word": kind, "drawing": drawing}) for drawing in drawings]
        (folder / f"{kind}.ndjson").write_text("\n".join(lines))
    return str(folder)


def watch_training(monkeypatch) -> list[Sketches]:
    """Return a list that what the classifier learns and what is held out will be in."""
    learned, train_judge = [], judging.train_judge
    monkeypatch.setattr(
        judging, "train_judge", lambda *parts, **settings: learned.extend(parts) or train_judge(*parts, **settings)
    )
    return learned


def test_the_classifier_learns_no_drawing_that_is_judged_and_no_copy(tmp_path, monkeypatch):
    """Oracle: doodles of other seeds."""
    strokes = write_strokes(tmp_path / "strokes", range(3))
    more = write_strokes(tmp_path / "more", range(1, 9))
    again = write_strokes(tmp_path / "again", range(5, 10))
    learned = watch_training(monkeypatch)
    judging.make_judge(settings(f"{strokes},{more},{again}", "cat", "house", strokes=strokes))
    rows = Counter(
        (part.classes[label], part.rows[int(row)]["part"])
        for part in learned
        for label, row in zip(part.labels, part.order, strict=True)
    )
    expected = {("cat", 1): 6, ("house", 1): 6, ("cat", 2): 1, ("house", 2): 1}
    assert rows == expected, "seeds 3 to 8 of the second folder, and 9 of the third"
    assert [set(part.labels.tolist()) for part in learned] == [{0, 1}] * 2
    with pytest.raises(
        ValueError, match=r"strokes has 0 drawings of cat that are not among the pairs: .* fewer pairs_per_class"
    ):
        judging.make_judge(settings(strokes, "cat", "house", strokes=strokes))


def test_drawings_of_people_are_known_again_whatever_their_line_width(data_folder, monkeypatch):
    """Oracle: 16 of the 32 drawings of each class are pairs; in either set each line has a width of its own."""
    learned = watch_training(monkeypatch)
    quickdraw, classes = str(data_folder / "quickdraw"), UNSEEN[:6]
    judging.make_judge(replace(settings(quickdraw, *classes, strokes=quickdraw), per_class=16, image_size=64))
    assert sum(map(len, learned)) == 6 * (32 - 16)
