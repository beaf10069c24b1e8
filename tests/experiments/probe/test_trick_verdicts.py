"""Who is fooled by what. Oracles: distances that know all, nothing, or pixels; loops; `SketchLoss` by itself."""

import numpy as np
import pytest
import torch

from sketchloss import Backbone, SketchLoss
from sketchloss.data.quickdraw.drawings import open_drawings
from sketchloss.data.sources import open_sketches
from sketchloss.experiments.probe import fooled, make_tricks, open_halves
from sketchloss.experiments.probe.sharing import share_backbone
from sketchloss.experiments.probe.trick_drawings import GREY, GREY_PAPER, QUARTER, REFERENCES, TRICKS, Tricked
from sketchloss.experiments.probe.trick_verdicts import (
    ORDER,
    TrickDistances,
    Verdicts,
    judge,
    measure_tricks,
    summarise,
)
from sketchloss.networks.vgg import VGG

#: Distances that are right.
RIGHT = {
    **{"redrawn": 1.0, "another person": 1.2, "same kind": 2.0, "other kind": 3.0},
    **{"blank page": 4.0, "one speck": 3.5, "one stroke": 2.5, "half gone": 1.5, "twice the ink": 1.5},
    **{"thicker": 0.5, "half-tone": 1.9, "shift 1 px": 0.1, "shift 2 px": 0.2, "shift 3 px": 0.3, QUARTER: 2.9},
}


@pytest.fixture(scope="module")
def tricked():
    return make_tricks(open_drawings("doodles", per_class=3, classes=3, seed=1), 32, seed=1)


@pytest.fixture(scope="module")
def losses():
    torch.manual_seed(0)
    backbone = Backbone(width=0.06)
    return {
        f"{metric} {layer}": SketchLoss(backbone, metric=metric, layers=(layer,), reduction="none", check=False)
        for metric in ("l1", "cosine")
        for layer in ("relu2_2", "relu3_3")
    }


def pixel_l1(pred, target):
    return (pred - target).abs().mean((1, 2, 3))


def constant(pred, target):
    return torch.full((len(pred),), 0.3)


def values(shares):
    return {name: share and share.value for name, share in shares.items()}


def repeat(right, n=1):
    """Distances of n drawings from numbers by name."""
    rows = [np.tile([right[name] for name in names], (n, 1)) for names in (REFERENCES, TRICKS, ORDER)]
    return TrickDistances(*rows)


# Distances whose answers are known -----------------------------------------------------------------------------------


def test_a_distance_that_knows_every_answer_is_never_fooled(tricked):
    known = {}
    names = [*REFERENCES, *TRICKS]
    for row, drawing in enumerate(tricked.drawings):
        pictures = [*tricked.references[row], *tricked.tricks[row]]
        for paper in (1.0, GREY):
            target = _key(paper * drawing / 255)
            known |= {(target, _key(paper * one / 255)): RIGHT[name] for name, one in zip(names, pictures, strict=True)}
            known[target, _key(paper * tricked.tricks[row, 0] / 255)] = RIGHT["blank page"]  # as where no person drew

    def oracle(pred, target):
        return torch.tensor(
            [known[_key(one), _key(other)] for one, other in zip(target[:, 0], pred[:, 0], strict=True)]
        )

    found = fooled(oracle, tricked)
    assert values(found.shares) == dict.fromkeys([*TRICKS, GREY_PAPER], 0)
    assert found.mean == 0
    assert values(found.order) == {"redrawn before same kind": 1, "same kind before other kind": 1}
    assert found.ratios["blank page"] == 4
    assert found.ratios[GREY_PAPER] == 1
    assert found.drawings == len(tricked) == 9


def _key(picture):
    return (picture * 1000).round().to(torch.int32).numpy().tobytes()


@pytest.mark.parametrize(
    "distance", [constant, lambda pred, target: (pred != target).flatten(1).any(1).float()], ids=["constant", "unequal"]
)
def test_a_distance_that_knows_nothing_counts_half(distance, tricked):
    found = fooled(distance, tricked)
    assert values(found.shares) == dict.fromkeys([*TRICKS, GREY_PAPER], 0.5)
    assert set(found.ratios.values()) == {1}
    assert values(found.order) == {"redrawn before same kind": 0.5, "same kind before other kind": 0.5}
    assert found.nearer["thicker"]["another person"] is None
    assert found.nearer["thicker"]["same kind"].value == 0.5


def test_pixels_are_fooled_by_blank_paper_where_lines_do_not_meet():
    # Oracle by hand: a drawing of 8 inked pixels, and others of 8 elsewhere, differ in 16; from blank paper it is 8.
    page = torch.full((16, 16), 255, dtype=torch.uint8)
    pages = {name: page.clone() for name in ("drawing", *REFERENCES, *TRICKS)}
    pages["drawing"][2, :8] = 0
    for row, name in enumerate(REFERENCES):
        pages[name][4 + 2 * row, :8] = 0
    pages["half gone"][2, :4] = 0
    pages["thicker"][2:4, :8] = 0
    tricked = Tricked(
        ("line",),
        pages["drawing"][None],
        torch.stack([pages[name] for name in REFERENCES])[None],
        np.ones((1, len(REFERENCES)), dtype=bool),
        torch.stack([pages[name] for name in TRICKS])[None],
    )
    found = fooled(pixel_l1, tricked)
    assert found.shares["blank page"].value == found.shares["half gone"].value == 1
    assert found.ratios["blank page"] == pytest.approx(8 / 16)
    assert found.ratios["half gone"] == pytest.approx(4 / 16)
    assert found.shares["thicker"].value == 0  # 8 of 16
    assert values(found.nearer["blank page"]) == dict.fromkeys(REFERENCES, 1)
    assert found.ratios[GREY_PAPER] == pytest.approx(GREY)


@pytest.mark.parametrize("name", TRICKS)
def test_each_wrong_answer_is_found_alone(name):
    trick = TRICKS[name]
    if trick.farther_than:
        found = summarise(judge(repeat({**RIGHT, name: RIGHT[trick.farther_than] - 0.01}, 3)))
        assert values(found.shares) == {**dict.fromkeys([*TRICKS, GREY_PAPER], 0), name: 1}
    if trick.nearer_than:
        found = summarise(judge(repeat({**RIGHT, name: RIGHT[trick.nearer_than] + 0.01}, 3)))
        assert values(found.shares) == {**dict.fromkeys([*TRICKS, GREY_PAPER], 0), name: 1}
    assert trick.farther_than or trick.nearer_than


def test_judging_is_what_a_loop_finds():
    rng = np.random.default_rng(0)
    distances = TrickDistances(
        rng.integers(1, 6, (50, 4)) * 1.0, rng.integers(1, 6, (50, 11)) * 1.0, rng.random((50, 3))
    )
    distances.references[:20, 1] = np.nan
    found = judge(distances)
    for row in range(50):
        references = dict(zip(REFERENCES, distances.references[row], strict=True))
        for column, (name, trick) in enumerate(TRICKS.items()):
            value, wrong = distances.tricks[row, column], 0.0
            for reference, sign in ((trick.farther_than, 1), (trick.nearer_than, -1)):
                if reference:
                    gap = sign * (value - references[reference])
                    wrong = max(wrong, 1.0 if gap < 0 else 0.5 if gap == 0 else 0.0)
            assert found.fooled[row, column] == wrong, name
            assert found.ratio[row, column] == value / references["redrawn"]
        person = found.nearer[row, 0, 1]
        assert np.isnan(person) if row < 20 else person in (0, 0.5, 1)


# Grey paper ----------------------------------------------------------------------------------------------------------


def test_on_grey_paper_the_order_is_lost_only_where_it_was():
    white = repeat(RIGHT, 4)
    grey = np.array([[1.0, 2.0, 3.0], [3.0, 2.0, 1.0], [1.0, 2.0, 2.0], [0.5, 0.1, 3.0]])
    found = judge(TrickDistances(white.references, white.tricks, grey))
    assert found.fooled[:, -1].tolist() == [0, 1, 0.5, 1]
    assert found.ratio[:, -1].tolist() == [1, 3, 1, 0.5]
    wrong_on_white = repeat({**RIGHT, "same kind": 3.5}, 4)
    found = summarise(judge(TrickDistances(wrong_on_white.references, wrong_on_white.tricks, grey)))
    assert found.shares[GREY_PAPER] is None
    assert values(found.order) == {"redrawn before same kind": 1, "same kind before other kind": 0}
    assert found.mean == pytest.approx(np.mean([share.value for share in found.shares.values() if share]))


def test_a_distance_sees_both_pictures_on_the_same_paper(tricked):
    papers = set()

    def note(pred, target):
        assert pred.shape == target.shape
        papers.add((pred.amax().item(), target.amax().item()))
        return pixel_l1(pred, target)

    fooled(note, tricked)
    assert papers == {(1.0, 1.0), (GREY, GREY)}


# Losses --------------------------------------------------------------------------------------------------------------


def test_a_loss_is_asked_as_any_function_and_sees_a_drawing_once_for_a_paper(tricked, losses, monkeypatch):
    loss = losses["l1 relu3_3"]
    seen = []
    extract = loss.extract
    monkeypatch.setattr(loss, "extract", lambda target: seen.append(len(target)) or extract(target))
    distances = {"loss": loss, "function": lambda pred, target: loss(pred, target)}
    found = measure_tricks(distances, tricked)
    assert seen == [1] * 2 * len(tricked)
    for part in ("references", "tricks", "grey"):
        one, other = (getattr(found[name], part) for name in distances)
        assert one == pytest.approx(other, rel=1e-4, nan_ok=True), part


def test_losses_that_share_a_backbone_give_the_same_for_one_pass(tricked, losses, monkeypatch):
    alone = {name: measure_tricks({name: loss}, tricked)[name] for name, loss in losses.items()}
    passes = []
    run = VGG._run
    monkeypatch.setattr(
        VGG, "_run", lambda self, images, layers: passes.append(len(images)) or run(self, images, layers)
    )
    share_backbone(list(losses.values()))
    together = measure_tricks(losses, tricked)
    for name, one in alone.items():
        for part in ("references", "tricks", "grey"):
            assert getattr(together[name], part) == pytest.approx(getattr(one, part), rel=1e-5, nan_ok=True)
    columns = len(REFERENCES) - 1 + len(TRICKS) + len(ORDER)  # doodles know no other person
    assert sum(passes) == len(tricked) * (columns + 2)


def test_shared_features_follow_the_pixels_and_not_the_tensor():
    torch.manual_seed(0)
    loss = SketchLoss(Backbone(width=0.06), layers=("relu2_2",), reduction="none")
    images = torch.rand(2, 3, 16, 16)
    first, second = loss(images, images.flip(0)), loss(1 - images, images.flip(0))
    share_backbone([loss])
    assert torch.equal(loss(images, images.flip(0)), first)
    images.copy_(1 - images)
    assert torch.allclose(loss(images, 1 - images.flip(0)), second, rtol=1e-4)


# Sources -------------------------------------------------------------------------------------------------------------


def test_halves_of_strokes_and_of_pictures_share_nothing(tmp_path):
    drawings = open_drawings("doodles", per_class=8, classes=2, seed=0)
    for drawing in drawings:
        (tmp_path / drawing.label).mkdir(exist_ok=True)
        number = drawings.index(drawing) % 8
        drawing.picture(40).save(tmp_path / drawing.label / f"n00000001_{number // 2}-{number}.png")
    (tmp_path / drawings[0].label / "torn.png").write_bytes(b"\x89PNG")
    faults = []
    choose, report = open_halves(tmp_path, faults=faults)
    assert not set(choose.groups) & set(report.groups)
    assert len(choose) + len(report) == 16
    assert len(choose.classes) == len(report.classes) == 2
    assert "torn.png" in faults[0]
    assert fooled(pixel_l1, report, image_size=32, count=2).drawings == 2
    choose, report = open_halves("doodles")
    assert not set(map(id, choose)) & set(map(id, report))
    assert len(choose) == len(report)


def test_drawings_of_two_sources_are_joined(tricked):
    verdicts = judge(measure_tricks({"l1": pixel_l1}, tricked)["l1"])
    first, second = (
        Verdicts(*(getattr(verdicts, name)[part] for name in ("fooled", "ratio", "nearer", "order")))
        for part in (slice(4), slice(4, None))
    )
    assert summarise(first + second) == summarise(verdicts)


# Mistakes ------------------------------------------------------------------------------------------------------------


def broken(pred, target):
    raise RuntimeError("no such\nkernel")


@pytest.mark.parametrize(
    ("distance", "words"),
    [
        (broken, r"distance broken failed on two batches of shape \(\d+, 3, 32, 32\): RuntimeError: no such kernel"),
        (lambda pred, target: pixel_l1(pred, target) * torch.nan, "returned nan for a pair"),
        (lambda pred, target: pixel_l1(pred, target).mean(), r"returned shape \(\) for \d+ pairs: it must return"),
        (lambda pred, target: 1.0, "returned float: it must return a tensor"),
    ],
)
def test_what_a_distance_does_wrong_is_one_line(distance, words, tricked):
    with pytest.raises(ValueError, match=words) as caught:
        fooled(distance, tricked)
    assert "\n" not in str(caught.value)


def test_a_loss_that_reduces_or_needs_more_pixels(tricked, losses):
    with pytest.raises(ValueError, match=r"distance SketchLoss returned shape \(\)"):
        fooled(SketchLoss(Backbone(width=0.06)), tricked)
    with pytest.raises(ValueError, match=r"distance deep failed .* expected at least"):
        fooled(SketchLoss(Backbone(width=0.06), layers=("pool5",), reduction="none"),
               make_tricks(open_drawings("doodles", per_class=2, classes=2), 16), name="deep")  # fmt: skip


def test_unknown_sources(tmp_path):
    with pytest.raises(ValueError, match="nowhere does not exist"):
        open_halves("nowhere")
    with pytest.raises(ValueError, match="holds no pictures"):
        open_halves(tmp_path)


# Real drawings -------------------------------------------------------------------------------------------------------


def test_blank_paper_fools_a_mean_difference_of_features_on_real_drawings(data_folder):
    sketches = open_sketches(data_folder / "sketchy", 256)
    found = fooled(SketchLoss("sketch", metric="l1", reduction="none", check=False), sketches, image_size=96, count=8)
    assert found.shares["blank page"].value > 0.7
    assert found.ratios["blank page"] > 1  # nearer than another drawing, but not than the same one redrawn
