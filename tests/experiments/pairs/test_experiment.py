"""The pairs in a study, with a narrow network and hardly trained. Oracles: what is on the disk, what a cell may see."""

import json
import math
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file

from sketchloss.experiments.cells import RUN, CellStore
from sketchloss.experiments.pairs import experiment
from sketchloss.experiments.study import Study, study
from sketchloss.experiments.study.plan import plan_cells
from sketchloss.experiments.study.running import CELLS
from sketchloss.metrics.ink_overlap import ink_overlap

SIZE = 16


@pytest.fixture
def config(tmp_path, narrow, few_classes) -> Study:
    return Study(
        out=tmp_path / "out",
        only=("pairs",),
        pairs_tasks=("rough",),
        pairs_classes=("cat", "house"),
        pairs_per_class=4,
        pairs_judge_data=few_classes,
        pairs_judge_steps=2,
        pairs_losses=("none", f"{narrow}:ink"),
        pairs_pulls=(0.5, 2.0),
        pairs_distances=(f"{narrow}:l1",),
        pairs_size=SIZE,
        pairs_width=4,
        pairs_steps=3,
        pairs_batch=2,
        pairs_seeds=2,
    )


def test_a_study_of_the_pairs_alone_makes_a_table_and_a_sheet_and_is_done_once(config, capsys):
    results = study(config)
    assert [cell.get("reason") for cell in results["cells"]] == [None] * 11, (
        "classifier, two to choose, two losses by two, each judged"
    )
    judges, distances = results["tables"]["pairs"].values()
    assert list(judges) == ["pixels", "pixels + narrow, ink", "the input as it is", "the true drawing"]
    assert set(judges["pixels"]["f1"]["values"]) == {"0", "1"}
    assert judges["the true drawing"]["f1"]["mean"] == 1
    assert (
        judges["the true drawing"]["l1"]["mean"]
        == distances["the true drawing"][config.pairs_distances[0]]["mean"]
        == 0
    )

    # the numbers are of the drawings that were kept
    store = CellStore(config.out / CELLS, plan_cells(config), started=math.inf)
    drawn = {}
    for name in ("pixels", "pixels + narrow, ink"):
        drawn[name] = load_file(store.place(f"pairs/rough/{name}/0") / RUN / experiment.DRAWN)
    truth = drawn["pixels"]["targets"]
    found = ink_overlap(drawn["pixels + narrow, ink"]["drawn"].float() / 255, truth.float() / 255)
    assert judges["pixels + narrow, ink"]["chamfer"]["values"]["0"] == pytest.approx(found.chamfer.mean().item())

    # the pull is the one that validation chose
    scores = {
        pull: store.result(f"pairs/rough/pixels + narrow, ink/choose pull {pull:g}")["score"] for pull in (0.5, 2.0)
    }
    best = max(scores, key=lambda pull: (scores[pull], -pull))
    assert set(judges["pixels + narrow, ink"]["pull"]["values"].values()) == {best}
    assert (config.out / "figures" / "pairs-rough.png").stat().st_size > 2000
    assert "figures/pairs-rough.png" in (config.out / "report.md").read_text()

    capsys.readouterr()
    assert study(config)["tables"] == results["tables"]
    assert "11 of 11 cells are there already" in capsys.readouterr().out


def test_choosing_looks_at_validation_drawings_only(config, monkeypatch, tmp_path):
    seen = []

    class Parts(SimpleNamespace):
        @property
        def test(self):
            raise AssertionError("the test part was looked at")

    open_parts = experiment.open_parts

    def without_test(data):
        found = open_parts(data)
        return Parts(train=found.train, choose=found.choose)

    monkeypatch.setattr(experiment, "open_parts", without_test)
    score = experiment.validation_score
    monkeypatch.setattr(experiment, "validation_score", lambda *of: seen.append(of[2]) or score(*of))
    store = CellStore(tmp_path / "cells", plan_cells(config), started=0)
    choosing = [cell for cell in store if "choose" in cell.name]
    assert [cell.settings["seed"] for cell in choosing] == [experiment.CHOOSING_SEED] * 2, "no seed that counts"
    for cell in choosing:
        assert store.run(cell.name)
        assert store.state(cell.name) == "done", store.reason(cell.name)
    wanted = open_parts(experiment.PairData(**experiment._data_settings(config, "rough"))).choose.targets
    assert all(torch.equal(targets, wanted) for targets in seen)
    assert len(seen) == 2


def test_the_best_pull_wins_and_of_equal_ones_the_smallest():
    pulls = (0.3, 1.0, 3.0)
    scores = [{"pull": pull, "score": score} for pull, score in zip(pulls, (0.5, 0.7, 0.7), strict=True)]
    assert experiment.choose_pull(pulls, scores) == 1.0
    assert experiment.choose_pull((2.0,), []) == 2.0
    assert experiment.choose_pull((), []) is None


def test_a_changed_loss_or_pull_leaves_the_cells_of_the_others(config):
    keys = CellStore(config.out, plan_cells(config), started=0).keys
    more = replace(config, pairs_losses=(*config.pairs_losses, "ssim"))
    assert CellStore(config.out, plan_cells(more), started=0).keys.items() >= keys.items()
    pulls = CellStore(config.out, plan_cells(replace(config, pairs_pulls=(0.5, 2.0, 3.0))), started=0).keys
    assert {name for name in keys if pulls[name] == keys[name]} == {
        name for name in keys if "ink/" not in name or "choose" in name
    }
    other = CellStore(config.out, plan_cells(replace(config, pairs_steps=4)), started=0).keys
    assert [name for name in keys if other[name] == keys[name]] == ["pairs/judge"]


def test_another_classifier_trains_no_network_anew(config):
    keys = CellStore(config.out, plan_cells(config), started=0).keys
    other = CellStore(config.out, plan_cells(replace(config, pairs_judge_steps=3)), started=0).keys
    changed = {name for name in keys if other[name] != keys[name]}
    assert changed == {"pairs/judge", *(name for name in keys if name.endswith("/judged"))}

    study(config)
    store = CellStore(config.out / CELLS, plan_cells(config), started=math.inf)
    (store.place("pairs/rough/pixels/0") / RUN / experiment.DRAWN).unlink()
    found = study(replace(config, pairs_judge_steps=3))
    (failed,) = (cell for cell in found["cells"] if "reason" in cell)
    assert failed["name"] == "pairs/rough/pixels/0/judged"
    assert "drawn.safetensors is gone: delete the folder " in failed["reason"]
    classes = found["tables"]["pairs"]["rough"]["pixels"]["class_accuracy"]["values"]
    assert set(classes) == {"1"}, "of the other seed, and what needs no classifier is there of both"
    assert set(found["tables"]["pairs"]["rough"]["pixels"]["f1"]["values"]) == {"0", "1"}


def test_a_dry_run_counts_steps_and_arithmetic_and_writes_nothing(config):
    (row,) = study(replace(config, dry_run=True))["plan"]
    assert (row["part"], row["cells"]) == ("pairs", 11)
    assert row["steps"] == [2, 3]
    assert not config.out.exists()
    loads = {cell.name: experiment.load(config, cell) for cell in plan_cells(config)}
    plain, ink = (loads[f"pairs/rough/{name}/0"].multiply_adds for name in ("pixels", "pixels + narrow, ink"))
    # three passes of a batch of two in each of three steps; the widest level alone: 3 to 4 and 4 to 4 channels, 3 by 3
    assert plain > 3 * 3 * 2 * SIZE**2 * 9 * (3 * 4 + 4 * 4)
    assert ink > 2 * plain


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"pairs_tasks": ("faces-cufs",), "pairs_cufs": "cufs:gone"}, "the task faces-cufs: gone does not exist"),
        (
            {"pairs_tasks": ("faces-fs2k",), "pairs_fs2k": "gone"},
            "the task faces-fs2k: 'gone' does not say which pairs",
        ),
        ({"pairs_classes": ("cat", "hous")}, "the task rough: doodles has no class 'hous'"),
        ({"pairs_judge_data": "gone"}, "pairs_judge_data: "),
        ({"pairs_losses": ("none", "gone:ink")}, "weights 'gone' are unknown"),
        ({"pairs_losses": ("none", "gone")}, "loss 'gone' is unknown"),
    ],
)
def test_what_is_missing_is_one_line_before_anything_is_computed(changes, said, config):
    with pytest.raises(ValueError, match=said):
        study(replace(config, **changes))
    assert not config.out.exists()


def test_results_are_numbers_that_json_takes(config):
    study(replace(config, pairs_losses=("none",), pairs_seeds=1, pairs_distances=()))
    json.dumps(json.loads((config.out / "results.json").read_text()), allow_nan=False)
