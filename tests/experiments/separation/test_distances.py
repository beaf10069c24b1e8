"""The recipe on a few doodles with narrow backbones. Oracles: brute force over pairs of embeddings computed apart from
the recipe, scipy's t-test on the numbers of the runs, and the files themselves."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import stats

from sketchloss import ARMS, Backbone, cli, load_backbone, save_backbone
from sketchloss.data.sources import open_sketches
from sketchloss.experiments.retrieval.heads import retrieval
from sketchloss.experiments.retrieval.settings import Retrieval
from sketchloss.experiments.separation import distances as recipe
from sketchloss.experiments.separation.distances import MADE, class_separation, take_settings_of_run, what_varies
from sketchloss.experiments.separation.settings import PRESETS, ClassSeparation
from sketchloss.experiments.separation.table import PAPER, QUANTITIES, measures, section, table_of
from sketchloss.experiments.table import CSV_HEADER, Table
from sketchloss.metrics.features import cached_features, embed_sketches
from sketchloss.networks.embedder import load_embedder

SIZE, PER_CLASS, SEEDS = 32, 4, 3


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """Weights of the four arms, of which one is tuned anew for each seed."""
    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    names = ["photo", "attention_tuning", *(f"tuning_{seed}" for seed in range(SEEDS))]
    for name in names:
        save_backbone(Backbone(width=0.1, attention=name.startswith("attention")), folder / name)
    return folder


@pytest.fixture(scope="module")
def settings(place) -> dict:
    return {
        **{"photo": str(place / "photo"), "attention_tuning": (str(place / "attention_tuning"),)},
        "tuning": tuple(str(place / f"tuning_{seed}") for seed in range(SEEDS)),
        **{"image_size": SIZE, "per_class": PER_CLASS, "seeds": SEEDS, "cache": place / "cache", "workers": 0},
    }


@pytest.fixture(scope="module")
def whole(place, settings):
    """The config and the results of a run on the whole set."""
    config = ClassSeparation(out=place / "whole", **settings)
    return config, class_separation(config)


@pytest.fixture
def without_map(monkeypatch):
    """Maps take half of the time, and have tests of their own."""
    monkeypatch.setattr(recipe, "map_to_plane", lambda rows: None)


def report_of(*results: dict) -> str:
    return section(results).markdown()


def row_of(report: str, arm: str) -> list[str]:
    """Return the cells of an arm in the table."""
    line = next(line for line in report.splitlines() if line.startswith(f"| {arm} "))
    return [cell.strip() for cell in line.split("|")[2:-1]]


def brute_force(unit, labels):
    distance = 1 - unit @ unit.T
    one, other = np.triu_indices(len(unit), 1)
    same = labels[one] == labels[other]
    near = np.where(np.eye(len(unit), dtype=bool), np.inf, distance).argmin(1)
    return distance[one, other][same].mean(), distance[one, other][~same].mean(), (labels[near] == labels).mean()


# The whole set -------------------------------------------------------------------------------------------------------


def test_distances_agree_with_brute_force_over_pairs(whole, place):
    _, results = whole
    sketches = open_sketches("doodles", SIZE, per_class=PER_CLASS)
    cases = (("original", 0, "photo"), ("attention+tuning", 0, "attention_tuning"), ("tuning", 2, "tuning_2"))
    for arm, run, weights in cases:
        unit = embed_sketches(load_backbone(place / weights), sketches, workers=0).double().numpy()
        intra, inter, top_1 = brute_force(unit, sketches.labels)
        found = results["arms"][arm]["runs"][run]
        assert found["intra"] == pytest.approx(intra, rel=1e-3)  # features are kept in float16
        assert found["inter"] == pytest.approx(inter, rel=1e-3)
        assert found["ratio"] == pytest.approx(inter / intra, rel=1e-3)
        assert found["top_1"] == pytest.approx(top_1, abs=1.5 / len(sketches))


def test_an_arm_without_variation_says_so_and_has_neither_spread_nor_p(whole):
    _, results = whole
    assert list(results["arms"]) == list(ARMS)
    counts = {arm: len(of_arm["runs"]) for arm, of_arm in results["arms"].items()}
    assert counts == {"attention+tuning": 1, "tuning": SEEDS, "attention": SEEDS, "original": 1}
    report = report_of(results)
    for arm in ("attention+tuning", "original"):
        assert f"- {arm}: nothing differs between seeds" in report
        for name in QUANTITIES:
            found = results["table"][arm][name]
            assert found["deviation"] is found["comparison"] is None
        assert "±" not in "".join(row_of(report, arm))
    assert "- tuning: 3 seeds, which differ in the tuned weights." in report
    assert "- attention: 3 seeds, which differ in the untrained gates." in report
    assert len({run["ratio"] for run in results["arms"]["attention"]["runs"]}) == SEEDS
    assert all("±" in cell for cell in row_of(report, "attention"))


def test_spread_and_p_are_those_of_the_runs(whole):
    _, results = whole
    attention, tuning = ([run["ratio"] for run in results["arms"][arm]["runs"]] for arm in ("attention", "tuning"))
    found = results["table"]["attention"]["ratio"]
    kept = found["comparison"]
    assert kept["difference"] == pytest.approx(np.mean(attention) - np.mean(tuning))
    assert (kept["seeds"], kept["p"]) == (SEEDS, None), "three seeds are too few"
    five = {arm: {"ratio": dict(enumerate([*values, 2 * values[0], values[1]]))} for arm, values in
            (("attention", attention), ("tuning", tuning))}  # fmt: skip
    p = Table(measures(9), five).compare()["attention", "ratio"].p
    assert p == pytest.approx(stats.ttest_rel(*(list(of["ratio"].values()) for of in five.values())).pvalue)
    assert found["mean"] == pytest.approx(np.mean(attention))
    assert found["deviation"] == pytest.approx(np.std(attention, ddof=1))
    assert results["table"]["tuning"]["ratio"]["comparison"] is None


def test_files_hold_what_was_found(whole):
    config, results = whole
    assert {path.name for path in config.out.iterdir()} == MADE
    assert json.loads((config.out / "results.json").read_text()) == json.loads(json.dumps(results))
    assert json.loads((config.out / "config.json").read_text())["per_class"] == PER_CLASS
    assert (config.out / "table.md").read_text() == report_of(results) + "\n"
    with (config.out / "table.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    rows = {(row["row"], row["measure"]): row for row in lines}
    assert tuple(lines[0]) == CSV_HEADER
    assert list(rows) == [(arm, name) for arm in ARMS for name in QUANTITIES]
    for (arm, name), row in rows.items():
        of_runs = [run[name] for run in results["arms"][arm]["runs"]]
        assert float(row["mean"]) == results["table"][arm][name]["mean"] == pytest.approx(np.mean(of_runs))
        assert (row["set"], row["seeds"]) == ("doodles", str(len(of_runs)))
        published = PAPER[name][arm][0] if name in PAPER else None
        assert row["paper_mean"] == ("" if published is None else str(published))
    assert {rows["original", "ratio"][name] for name in ("deviation", "p", "against", "verdict")} == {""}
    assert rows["attention", "ratio"]["verdict"] == "too few seeds: 3 of 5"
    for name in ("ratio.png", "distances.png", "map.png"):
        with Image.open(config.out / name) as picture:
            assert min(picture.size) > 400
            assert len(set(picture.convert("L").resize((64, 64)).get_flattened_data())) > 10


def test_the_report_tells_sizes_and_the_papers_numbers(whole):
    report = report_of(whole[1])
    for words in ("140 sketches of 35 classes, the whole set, 32 pixels", "50,889 sketches"):
        assert words in report
    assert row_of(report, "arm") == ["intra ↓", "inter ↑", "ratio ↑", "macro ratio ↑", "1-NN (%) ↑"]
    assert row_of(report, "*attention+tuning (Seo 2025, other data)*") == [
        *("*0.132 ± 0.012*", "*1.000 ± 0.041*", "*7.59*", "-", "-"),
    ]
    assert "Hardest to tell apart" in report


def test_hardest_pairs_are_those_of_the_class_means(whole, place):
    _, results = whole
    sketches = open_sketches("doodles", SIZE, per_class=PER_CLASS)
    unit = embed_sketches(load_backbone(place / "photo"), sketches, workers=0).double().numpy()
    means = np.stack([unit[sketches.labels == label].mean(0) for label in range(len(sketches.classes))])
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    cosines = np.triu(means @ means.T, 1)
    first, second = np.unravel_index(cosines.argmax(), cosines.shape)
    hardest = results["arms"]["original"]["hardest"]
    assert len(hardest) == 5
    assert {hardest[0]["first"], hardest[0]["second"]} == {sketches.classes[first], sketches.classes[second]}
    assert hardest[0]["cosine"] == pytest.approx(cosines.max(), abs=1e-4)


def test_the_same_again(whole):
    config, results = whole
    with pytest.raises(ValueError, match="add --again"):
        class_separation(config)
    assert class_separation(replace(config, again=True)) == results


# Held-out part, and arms that are missing ----------------------------------------------------------------------------


def test_the_held_out_part_is_that_of_each_seed(settings, tmp_path, without_map):
    changes = {"tuning": (), "attention_tuning": (), "part": "held-out", "held_out": 0.5, "seeds": 2, "seed": 7}
    results = class_separation(ClassSeparation(out=tmp_path / "out", **settings | changes))
    assert list(results["arms"]) == ["attention", "original"]
    sketches = open_sketches("doodles", SIZE, per_class=PER_CLASS, seed=7)
    unit = embed_sketches(load_backbone(settings["photo"]), sketches, workers=0).double().numpy()
    for run, seed in zip(results["arms"]["original"]["runs"], (7, 8), strict=True):
        held = sketches.split_indices(0.5, seed=seed)[1]
        assert run["seed"] == seed
        assert run["intra"] == pytest.approx(brute_force(unit[held], sketches.labels[held])[0], rel=1e-3)
    report = report_of(results)
    words = "of which 70 held out by the first split (asked for 50 % of each class; one at least, and related sketches"
    assert words in report
    assert "than tuning with p" not in report  # there is no test
    assert "Mean ± standard deviation over seeds." in report
    assert "- tuning: left out, no weights given (--tuning); so there is no t-test." in report
    assert "- original: 2 seeds, which differ in the split." in report


def test_the_caption_tells_how_many_were_held_out_and_not_the_share_asked_for(settings, tmp_path, without_map):
    changes = {"tuning": (), "attention_tuning": (), "part": "held-out", "held_out": 0.125, "seeds": 1}
    changes |= {"data": str(_photos_with_copies(tmp_path / "data")), "per_class": None}
    results = class_separation(ClassSeparation(out=tmp_path / "out", **settings | changes))
    assert results["measured"] == 4
    report = report_of(results)
    assert "16 sketches of 2 classes, of which 4 held out by the split (asked for 12.5 % of each class;" in report
    assert "standard deviation over seeds" not in report


def _photos_with_copies(folder: Path) -> Path:
    """Two classes of eight sketches, each class of four photos with two sketches (Sketchy's names)."""
    rng = np.random.default_rng(0)
    for number, name in enumerate(("cat", "dog")):
        (folder / name).mkdir(parents=True)
        for photo in range(4):
            for sketch in range(2):
                picture = Image.fromarray(rng.integers(256, size=(SIZE, SIZE), dtype=np.uint8))
                picture.save(folder / name / f"n0000000{number}_{photo}-{sketch + 1}.png")
    return folder


@pytest.mark.parametrize("only", [("attention",), ("tuning",), ("original", "tuning")])
def test_the_arms_that_are_named_are_measured_as_among_all(whole, settings, tmp_path, only, without_map):
    results = class_separation(ClassSeparation(out=tmp_path / "out", **settings, only=only))
    assert list(results["arms"]) == [arm for arm in ARMS if arm in only]
    assert results["left_out"] == []
    for arm, found in results["arms"].items():
        assert json.loads(json.dumps(found)) == json.loads(json.dumps(whole[1]["arms"][arm]))
        expected = whole[1]["table"][arm]
        if "tuning" not in only:
            expected = {name: one | {"comparison": None} for name, one in expected.items()}
        assert results["table"][arm] == expected
    report = report_of(results)
    assert "left out" not in report
    assert "paired t-test" not in report, "original is measured once: nothing is paired"
    assert {path.name for path in (tmp_path / "out").iterdir()} == MADE


def test_seed_reaches_the_untrained_gates(whole, settings, tmp_path, without_map):
    changes = {"tuning": (), "attention_tuning": (), "seeds": 2, "seed": 1}
    # Seeds 1 and 2 here are the second and third of 0, 1 and 2; line widths and the choice of doodles differ, too, so
    # the backbones are compared.
    config = ClassSeparation(out=tmp_path / "out", **settings | changes)
    for run in range(2):
        mine = recipe._load(config, "attention", run)[0].state_dict()
        same, other = (recipe._load(whole[0], "attention", run + more)[0].state_dict() for more in (1, 0))
        assert all(mine[name].equal(same[name]) for name in mine)
        assert not all(mine[name].equal(other[name]) for name in mine)


def made_up(results: dict, **factors: list[float]) -> dict:
    """Return results whose arms have the quantities of the first repeat of `tuning`, times a factor for each seed."""
    changed = json.loads(json.dumps(results)) | {"seeds": 5}
    first = changed["arms"]["tuning"]["runs"][0]
    for arm, of_arm in factors.items():
        changed["arms"][arm]["runs"] = [
            {"seed": seed, **{name: first[name] * factor for name in QUANTITIES}} for seed, factor in enumerate(of_arm)
        ]
    return changed


def test_marks_tell_better_from_worse(whole):
    near_one = [1.0, 1.01, 0.99, 1.0, 1.005]
    half, double = ([factor * one for one in near_one[::-1]] for factor in (0.5, 2.0))
    changed = made_up(whole[1], tuning=near_one, attention=half, original=double)
    changed["measured"] = 100_000  # else the shares are of too few sketches to differ
    report = report_of(changed)
    assert "* better and † worse than tuning with p < 0.05" in report
    # Of the members of a class, near is better.
    assert [cell[-2:] for cell in row_of(report, "attention")] == [" *", " †", " †", " †", " †"]
    assert [cell[-2:] for cell in row_of(report, "original")] == [" †", " *", " *", " *", " *"]
    assert not [cell for cell in row_of(report, "tuning") if cell.endswith((" *", " †"))]
    ratios = table_of([changed]).values
    raw = [
        stats.ttest_rel(*([*ratios[arm]["ratio"].values()] for arm in (arm, "tuning"))).pvalue
        for arm in ("attention", "original")
    ]
    assert max(raw) * 10 < 0.001, "even times the tests of the table"
    assert "- p of the ratio: attention <0.001; original <0.001." in report
    four = report_of(made_up(whole[1], tuning=near_one[:4], attention=half[:4], original=double[:4]))
    for arm in ("attention", "original"):
        assert not [cell for cell in row_of(four, arm) if cell.endswith((" *", " †"))]
    assert "- Too few seeds for a verdict against tuning: 4 of 5" in four
    assert "p of the ratio" not in four


def test_runs_of_single_arms_and_seeds_make_the_table_of_one_run(whole):
    """As a study has them, which says itself what varies."""
    _, results = whole
    apart = [
        results | {"seeds": 1, "arms": {arm: of_arm | {"runs": [run]}}}
        for arm, of_arm in results["arms"].items()
        for run in of_arm["runs"]
    ]
    made = section(apart, dict.fromkeys(ARMS, "the trained head"))
    assert made.table is not None
    assert made.table.markdown() == table_of([results]).markdown()
    assert made.table.as_json() == table_of([results]).as_json()
    assert "Mean ± standard deviation over seeds." in made.caption
    assert made.after == section([results]).after
    assert [note for note in made.notes if note.partition(":")[0] in ARMS] == [
        "attention+tuning: one seed, no ±, no p.",
        "tuning: 3 seeds, which differ in the trained head.",
        "attention: 3 seeds, which differ in the trained head.",
        "original: one seed, no ±, no p.",
    ]


def test_a_repeat_that_collapsed_leaves_its_arm_without_a_ratio_in_one_run_or_several(whole):
    changed = json.loads(json.dumps(whole[1]))
    changed["arms"]["tuning"]["runs"][1]["ratio"] = None
    apart = [
        changed | {"seeds": 1, "arms": {"tuning": changed["arms"]["tuning"] | {"runs": [run]}}}
        for run in changed["arms"]["tuning"]["runs"]
    ]
    for results in ([changed], apart):
        report = report_of(*results)
        assert "ratio" not in table_of(results).as_json()["tuning"]
        assert "- tuning: the distances within classes are 0, its features have collapsed: no ratio." in report
    assert row_of(report_of(changed), "tuning")[2] == "-"


def test_pictures_of_one_seed_say_so(settings, tmp_path, monkeypatch, without_map):
    titles = []
    for name in ("draw_distances", "draw_map"):
        monkeypatch.setattr(recipe, name, lambda *_, title: titles.append(title))
    changes = {"tuning": (), "attention_tuning": ()}
    for seeds in (2, 1):
        class_separation(ClassSeparation(out=tmp_path / str(seeds), **settings | changes | {"seeds": seeds}))
    assert ["first seed" in title for title in titles] == [True, True, False, False]


def test_features_are_looked_up_once_for_the_same_weights(settings, tmp_path, monkeypatch, without_map):
    asked = []

    def counted(*arguments, name, **settings):
        asked.append(name)
        return cached_features(*arguments, name=name, **settings)

    monkeypatch.setattr(recipe, "cached_features", counted)
    changes = {"tuning": (), "attention_tuning": (), "part": "held-out", "held_out": 0.5}
    class_separation(ClassSeparation(out=tmp_path / "out", **settings | changes))
    assert asked == ["attention"] * SEEDS + ["original"]


def test_what_varies(settings, tmp_path):
    config = ClassSeparation(out=tmp_path, **settings)
    assert {arm: what_varies(config, arm) for arm in ARMS} == {
        **{"attention+tuning": "", "tuning": "the tuned weights"},
        **{"attention": "the untrained gates", "original": ""},
    }
    assert what_varies(replace(config, part="held-out"), "attention") == "the split and the untrained gates"
    assert what_varies(replace(config, seeds=1, tuning=()), "attention") == ""


def test_collapsed_features_have_no_ratio_and_spoil_nothing(settings, tmp_path):
    backbone = Backbone(width=0.1)
    convolutions = [module for module in backbone.features if isinstance(module, torch.nn.Conv2d)]
    with torch.no_grad():  # every second one gives nothing whatever it sees, and the next one its bias alone
        for place, convolution in enumerate(convolutions):
            convolution.weight.fill_(-1.0 if place else -0.01)
            assert convolution.bias is not None
            convolution.bias.fill_(1.0 - place % 2)
    save_backbone(backbone, tmp_path / "constant")
    changes = {"tuning": (str(tmp_path / "constant"),), "attention_tuning": (), "seeds": 1}
    results = class_separation(ClassSeparation(out=tmp_path / "out", **settings | changes))
    found = results["arms"]["tuning"]
    assert found["runs"][0]["intra"] == 0
    assert found["runs"][0]["ratio"] is None
    assert "ratio" not in results["table"]["tuning"]
    report = report_of(results)
    assert "- tuning: the distances within classes are 0, its features have collapsed: no ratio." in report
    assert "- One seed: no ±, no p." in report
    assert {path.name for path in (tmp_path / "out").iterdir()} == MADE

    with torch.no_grad():
        for convolution in convolutions:
            assert convolution.bias is not None
            convolution.bias.zero_()
    save_backbone(backbone, tmp_path / "dead")
    changes["tuning"] = (str(tmp_path / "dead"),)
    with pytest.raises(ValueError, match="tuning: row 0 of the embeddings is zero"):
        class_separation(ClassSeparation(out=tmp_path / "dead_out", **settings | changes))


# Heads of a retrieval run --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def run(place, settings) -> Path:
    shared = {name: value for name, value in settings.items() if name != "seeds"}
    out = place / "retrieval"
    changes = {"tuning": (), "seeds": 2, "seed": 3}
    retrieval(Retrieval(data="doodles", out=out, epochs=1, held_out=0.5, hidden=16, **shared | changes))
    return out


def test_heads_are_measured_as_the_run_made_them(run, place, tmp_path, without_map):
    common = {"heads": run, "cache": place / "cache", "workers": 0}
    results = class_separation(ClassSeparation(out=tmp_path / "out", part="held-out", **common))
    sketches = open_sketches("doodles", SIZE, per_class=PER_CLASS, seed=3)
    assert list(results["arms"]) == ["attention+tuning", "attention", "original"]
    for number, seed in enumerate((3, 4)):
        head = load_embedder(run / "heads" / "original" / str(seed))
        backbone = load_backbone(place / "photo")
        with torch.inference_mode():
            images = torch.stack([item["image"] for item in sketches]) / 255
            unit = head.embed(backbone(images, ("pool5",))["pool5"].flatten(1)).double().numpy()
        held = sketches.split_indices(0.5, seed=seed)[1]
        intra, inter, _ = brute_force(unit[held], sketches.labels[held])
        found = results["arms"]["original"]["runs"][number]
        assert (found["intra"], found["inter"]) == pytest.approx((intra, inter), rel=0.02)  # bfloat16 in the run
    report = report_of(results)
    assert "the embedding of trained heads (16 wide, 1 epoch)" in report
    assert "- original: 2 seeds, which differ in the split and the trained head." in report
    assert "- tuning: left out, not in the run of the heads; so there is no t-test." in report
    assert "trained on most of these sketches" not in report
    assert "trained on most of these sketches" in report_of(results | {"part": "whole"})


def test_which_arms_are_measured_is_said_for_itself_whatever_the_run_compared(run, place, tmp_path, without_map):
    common = {"heads": run, "cache": place / "cache", "workers": 0}
    whole = class_separation(ClassSeparation(out=tmp_path / "whole", **common))
    (tmp_path / "run").mkdir()
    stored = json.loads((run / "config.json").read_text())
    (tmp_path / "run" / "config.json").write_text(json.dumps(stored | {"only": ["attention"]}))
    for name in ("heads", "data.json"):
        (tmp_path / "run" / name).symlink_to(run / name)
    common["heads"] = tmp_path / "run"
    for only in ((), ("original",)):
        results = class_separation(ClassSeparation(out=tmp_path / f"out{len(only)}", **common, only=only))
        assert results["arms"] == {arm: whole["arms"][arm] for arm in only or whole["arms"]}
        assert results["left_out"] == ([] if only else ["tuning"])
    with pytest.raises(ValueError, match=r"only names tuning, which is not in .*run/heads: name others, or finish"):
        class_separation(ClassSeparation(out=tmp_path / "never", **common, only=("original", "tuning")))
    assert not (tmp_path / "never").exists()


def test_a_tuned_arm_of_a_run_is_measured_with_the_weights_of_the_run(place, settings, tmp_path, without_map):
    shared = {name: settings[name] for name in ("photo", "tuning", "image_size", "per_class", "cache", "workers")}
    heads = tmp_path / "retrieval"
    retrieval(Retrieval(data="doodles", out=heads, epochs=1, hidden=16, seeds=3, only=("tuning",), **shared))
    where = {"heads": heads, "cache": place / "cache", "workers": 0}
    results = class_separation(ClassSeparation(out=tmp_path / "out", only=("tuning",), **where))
    assert results["arms"]["tuning"]["weights"] == list(settings["tuning"])
    assert results["arms"]["tuning"]["varies"] == "the tuned weights and the trained head"


@pytest.mark.parametrize("preset", PRESETS)
def test_what_a_preset_sets_gives_way_to_the_run(run, tmp_path, preset):
    config = take_settings_of_run(ClassSeparation(out=tmp_path, heads=run, **PRESETS[preset]), run)
    assert (config.image_size, config.per_class) == (SIZE, PER_CLASS)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"image_size": 48}, r"image_size is 48, but the heads in .* have 32: leave --image-size out"),
        ({"data": "elsewhere"}, r"data is 'elsewhere', but the heads in .* have 'doodles': leave --data out"),
        ({"seeds": 3}, "leave --seeds out"),
    ],
)
def test_what_the_run_settles_cannot_be_changed(run, tmp_path, change, words):
    with pytest.raises(ValueError, match=words):
        class_separation(ClassSeparation(out=tmp_path / "out", heads=run, **change))
    assert not (tmp_path / "out").exists()


def test_a_run_that_is_none_or_no_longer_fits_is_named(run, place, tmp_path):
    config = ClassSeparation(out=tmp_path / "out", heads=tmp_path)
    with pytest.raises(ValueError, match=r"holds no readable config\.json: --heads takes the folder"):
        class_separation(config)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ValueError, match=r"holds no heads: .* finish it with `sketchloss retrieval --resume`"):
        class_separation(config)
    (tmp_path / "heads").mkdir()
    with pytest.raises(ValueError, match="finish the run with `sketchloss retrieval --resume`"):
        class_separation(config)
    stored = json.loads((run / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(stored | {"photo": str(place / "tuning_0")}))
    (tmp_path / "heads").rmdir()
    (tmp_path / "heads").symlink_to(run / "heads")
    with pytest.raises(ValueError, match=r"attention/3 was trained on other weights than .*tuning_0 is now"):
        class_separation(replace(config, photo=str(place / "tuning_0")))
    assert not (tmp_path / "out").exists()
    (tmp_path / "config.json").write_text(json.dumps(stored | {"held_out": "half"}))
    with pytest.raises(ValueError, match="is damaged"):
        class_separation(config)


# Mistakes ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"image_size": 0}, "image_size is 0: it must be at least 1"),
        ({"seeds": 0}, "seeds is 0"),
        ({"seed": -1}, "seed is -1: it must be 0 or more"),
        ({"hardest": -1}, "hardest is -1"),
        ({"workers": -1}, "workers is -1"),
        ({"per_class": 1}, "per_class is 1: distances within a class need at least 2"),
        ({"held_out": 1.0}, r"held_out is 1\.0"),
        ({"heads": Path("run"), "layer": "pool1"}, "layer is pool1, but --heads measures the trained embedding"),
    ],
)
def test_settings_out_of_range_are_named(change, words):
    with pytest.raises(ValueError, match=words):
        ClassSeparation(out=Path("out"), **change)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"tuning": ("a", "b")}, "tuning has 2 weights for 3 seeds: give one, or one for each seed"),
        ({"photo": "typo"}, "typo"),
        ({"layer": "relu6_1"}, "layer 'relu6_1' is unknown: choose from relu1_1"),
        ({"image_size": 8, "layer": "pool5"}, "image_size is 8: pool5 of attention.tuning needs 32 pixels at least"),
        ({"data": "no/such/folder/"}, "no/such/folder/ does not exist"),
        ({"part": "held-out", "held_out": 0.1}, "no class has two sketches in the held-out part: hold out more"),
    ],
)
def test_a_mistake_costs_nothing(settings, tmp_path, change, words):
    with pytest.raises((ValueError, FileNotFoundError), match=words):
        class_separation(ClassSeparation(out=tmp_path / "out", **settings | change))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("separation", "missing --out PATH"),
        ("separation --out o --part hold-out", "did you mean held-out?"),
        ("separation --out o --seeds five", "--seeds takes a whole number, not 'five'"),
        ("separation --out o --layr pool1", "did you mean --layer?"),
        ("separation --out o --layer conv1", "layer 'conv1' is unknown"),
        ("separation --out o --held-out 2", "held_out is 2.0"),
        ("separation --out o --data nowhere", "nowhere does not exist"),
        ("separation --out o --heads nowhere", "nowhere holds no readable config.json"),
        ("separation --out o --preset papper", "did you mean paper?"),
    ],
)
def test_a_mistake_on_the_command_line_is_one_line(line, said, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.main(line.split()) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert captured.err.startswith("sketchloss separation: ")
    assert said in captured.err
    assert list(tmp_path.iterdir()) == []


def test_help_names_every_option(capsys):
    assert cli.main(["separation", "--help"]) == 0
    shown = capsys.readouterr().out
    for flag in ("--data", "--heads", "--layer", "--part", "--seeds", "--tuning", "--attention-tuning", "--again"):
        assert flag in shown


def test_papers_table_is_table_4():
    published = {arm: tuple(PAPER[name][arm][0] for name in ("intra", "inter", "ratio")) for arm in PAPER["intra"]}
    assert published == {
        "original": (0.551, 0.695, 1.26),
        "tuning": (0.198, 0.762, 3.85),
        "attention": (0.426, 0.912, 2.14),
        "attention+tuning": (0.132, 1.000, 7.59),
    }
    assert {measure.name: measure.paper for measure in measures(9) if measure.paper} == PAPER
    # The printed ratios are inter / intra of the printed means, but for rounding.
    for intra, inter, ratio in published.values():
        assert ratio == pytest.approx(inter / intra, abs=0.02)
