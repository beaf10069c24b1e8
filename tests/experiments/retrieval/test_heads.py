"""The retrieval experiment in small. Oracles: accuracy recomputed with NumPy from the saved heads and the backbones'
own features, scipy's t-test, and an unbroken run beside an interrupted one."""

import csv
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.stats import t

from sketchloss import Backbone, save_backbone, separation
from sketchloss.cli import main
from sketchloss.data.sources import open_sketches
from sketchloss.experiments.retrieval import heads as recipe
from sketchloss.experiments.retrieval.heads import retrieval
from sketchloss.experiments.retrieval.settings import Retrieval
from sketchloss.experiments.retrieval.table import PAPER, measures, section
from sketchloss.experiments.table import CSV_HEADER
from sketchloss.networks.embedder import load_embedder
from sketchloss.training.guards import TrainingStopped

ARMS = ["attention+tuning", "tuning", "attention", "original"]
MEASURES = ["top_1", "top_3", "top_5", "untrained_top_1"]


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    for name, attention in (("photo", False), ("tuning", False), ("both", True)):
        save_backbone(Backbone(width=0.125, attention=attention, gate_init="open"), folder / name)
    return folder


@pytest.fixture
def config(weights, tmp_path) -> Retrieval:
    return Retrieval(
        **{"data": "doodles", "out": tmp_path / "out", "cache": tmp_path / "cache", "precision": "no"},
        **{"photo": str(weights / "photo"), "tuning": (str(weights / "tuning"),)},
        **{"attention_tuning": (str(weights / "both"),), "image_size": 32, "per_class": 5, "held_out": 0.2},
        **{"epochs": 12, "seeds": 2, "hidden": 32, "lr": 3e-3, "workers": 0},
    )


@pytest.fixture(scope="module")
def finished(weights, tmp_path_factory) -> Retrieval:
    place = tmp_path_factory.mktemp("finished")
    done = config.__wrapped__(weights, place)  # pyright: ignore[reportFunctionMemberAccess]
    retrieval(done)
    return done


def results(config: Retrieval) -> dict:
    return json.loads((config.out / "results.json").read_text())


def nearest_by_hand(queries: np.ndarray, gallery: np.ndarray) -> np.ndarray:
    queries, gallery = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (queries, gallery))
    return np.argsort(-(queries @ gallery.T), axis=1, kind="stable")


@pytest.mark.parametrize("arm", ARMS)
def test_accuracies_are_those_of_the_saved_heads_on_the_backbones_own_features(finished, arm):
    sketches = open_sketches("doodles", 32, per_class=5)
    images = torch.stack([sketches[index]["image"] for index in range(len(sketches))]).float() / 255
    with torch.inference_mode():
        maps = finished.load(arm)(images, ("pool5",))["pool5"].flatten(1).numpy().astype(np.float64)
        averaged = finished.load(arm)(images, ("pool5",))["pool5"].mean((2, 3)).numpy().astype(np.float64)
    entry = results(finished)["arms"][arm]
    for run, seed in zip(entry["runs"], (0, 1), strict=True):
        learnt, asked = sketches.split_indices(0.2, seed=seed)
        assert (len(learnt), len(asked)) == (140, 35)
        tensors = {name: t.double().numpy() for name, t in load_head(finished, arm, seed).state_dict().items()}
        hidden = np.maximum(maps @ tensors["layers.0.weight"].T + tensors["layers.0.bias"], 0)
        rows = hidden @ tensors["layers.3.weight"].T + tensors["layers.3.bias"]
        for given, names in ((rows, {1: "top_1", 3: "top_3", 5: "top_5"}), (averaged, {1: "untrained_top_1"})):
            order = nearest_by_hand(given[asked], given[learnt])
            hits = sketches.labels[learnt][order] == sketches.labels[asked][:, None]
            for k, name in names.items():
                # Heads and features are kept in float16: a neighbour or two may change places.
                assert run[name] == pytest.approx(hits[:, :k].any(1).mean(), abs=2 / 35 + 1e-9)


def load_head(config: Retrieval, arm: str, seed: int):
    return load_embedder(config.out / "heads" / arm / str(seed))


def planted(classes: int = 35, each: int = 5, size: int = 16) -> tuple[np.ndarray, torch.Tensor]:
    """Features that scatter around a centre for each class, and their labels."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(classes), each)
    rows = rng.normal(size=(classes, size))[labels] + 0.5 * rng.normal(size=(len(labels), size))
    return rows.astype(np.float16), torch.from_numpy(labels)


def test_a_head_learns_what_it_is_shown_and_nothing_else(config):
    features, labels = planted()
    learnt = np.flatnonzero(labels.numpy() < 20)
    settings = replace(config, epochs=40, lr_every=100)
    head = recipe.new_embedder(settings, [str(label) for label in range(35)], "", 16, seed=0)
    losses = recipe.train_head(settings, head, features, labels, learnt, seed=0)
    assert losses[-1] < 0.3 * losses[0]
    with torch.inference_mode():
        said = head(torch.from_numpy(features).float())[1].argmax(1)
    assert (said == labels)[learnt].double().mean() > 0.95
    assert not (said == labels)[labels >= 20].any(), "classes that it was never shown"


def test_mean_deviation_and_p_are_over_the_seeds_and_against_tuning(finished):
    arms, table = results(finished)["arms"], results(finished)["table"]
    assert list(arms) == list(table) == ARMS
    reference = [run["top_3"] for run in arms["tuning"]["runs"]]
    for arm, entry in arms.items():
        values = [run["top_3"] for run in entry["runs"]]
        assert [run["seed"] for run in entry["runs"]] == [0, 1]
        assert list(table[arm]) == MEASURES
        found = table[arm]["top_3"]
        assert found["values"] == dict(zip("01", values, strict=True))
        assert found["mean"] == pytest.approx(np.mean(values))
        assert found["deviation"] == pytest.approx(np.std(values, ddof=1))
        two = {"seeds": 2, "p": None, "half_width": None, "detectable": None}
        two |= {"against": "tuning", "verdict": "too few seeds: 2 of 5"}
        kept = found["comparison"]
        assert kept == (None if arm == "tuning" else two | {"difference": kept["difference"]})
        assert kept is None or kept["difference"] == pytest.approx(np.mean(values) - np.mean(reference))
    text = (finished.out / "table.md").read_text()
    assert "- Too few seeds for a verdict against tuning: 2 of 5" in text
    assert "n = 35, one sketch = 2.9 points" in text


def test_five_seeds_are_tested_as_shares_of_the_queries(config):
    found = retrieval(replace(config, seeds=5, epochs=1, only=("tuning", "original")))
    runs = {arm: of_arm["runs"] for arm, of_arm in found["arms"].items()}
    raw = {}
    for name in MEASURES:
        values, reference = ([run[name] for run in runs[arm]] for arm in ("original", "tuning"))
        difference = abs(np.mean(values) - np.mean(reference))
        least = math.sqrt(difference * (1 - difference) / 35)
        if deviation := max(least, np.std(np.subtract(values, reference), ddof=1)):
            raw[name] = 2 * t.sf(difference / (deviation / math.sqrt(5)), 4)
    kept = {name: one["comparison"] for name, one in found["table"]["original"].items()}
    least_p = 0.0
    for rank, name in enumerate(sorted(raw, key=raw.__getitem__)):
        least_p = max(least_p, min(1.0, (len(raw) - rank) * raw[name]))
        assert kept[name]["p"] == pytest.approx(least_p)
    assert raw


def test_table_csv_and_picture(finished):
    table = (finished.out / "table.md").read_text()
    assert "35 classes, 35 held-out queries against the 140 sketches" in table
    assert "32 pixels, heads 32 wide, 12 epochs" in table
    rows = {line.split("|")[1].strip(): line for line in table.splitlines() if line.startswith("|")}
    header = rows.pop("arm").split("|")[2:-1]
    headings = ("top-1", "top-3", "top-5", "no head: top-1")
    assert [cell.strip() for cell in header] == [f"{name} (%) ↑" for name in headings]
    papers = [f"*{arm} (Seo 2025, other data)*" for arm in ARMS]
    assert [row for row in rows if not row.startswith("--")] == [*ARMS, *papers]
    assert [cell.strip() for cell in rows[papers[0]].split("|")[2:-1]] == [
        *("*74.90 ± 0.31*", "*83.51 ± 0.28*", "*87.75 ± 0.24*", "-"),
    ]
    found = results(finished)["table"]
    assert f"{100 * found['original']['top_1']['mean']:.2f} ±" in rows["original"]
    with (finished.out / "table.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert tuple(lines[0]) == CSV_HEADER
    assert [(line["row"], line["measure"]) for line in lines] == [(arm, name) for arm in ARMS for name in MEASURES]
    for line in lines:
        one = found[line["row"]][line["measure"]]
        assert (float(line["mean"]), float(line["deviation"])) == (one["mean"], one["deviation"])
        assert (line["set"], line["seeds"]) == ("doodles", "2")
    assert (lines[0]["paper_mean"], lines[0]["paper_deviation"]) == ("0.749", "0.0031")
    with Image.open(finished.out / "nearest.png") as picture:
        pixels = np.asarray(picture.convert("RGB")).reshape(-1, 3)
    assert picture.height > 8 * 112
    wrong = (pixels == (213, 94, 0)).all(1).sum()
    right = (pixels == (0, 158, 115)).all(1).sum()
    assert right + wrong > 40 * 4 * 50, "forty frames"


def test_the_picture_frames_what_is_right_and_what_is_wrong(finished, monkeypatch):
    drawn = {}
    draw = recipe.draw_contact_sheet
    monkeypatch.setattr(recipe, "draw_contact_sheet", lambda rows, **k: draw(drawn.setdefault("rows", rows), **k))
    sketches = open_sketches("doodles", 32, per_class=5)
    learnt, asked = sketches.split_indices(0.2, seed=0)
    # Embeddings that say the class, except that the last classes' queries lie among the first's.
    embeddings = torch.eye(len(sketches.classes))[torch.from_numpy(sketches.labels)]
    lost = asked[sketches.labels[asked] >= 20]
    embeddings[lost] = embeddings[0].clone()
    recipe._picture(finished, sketches, embeddings, learnt, asked)
    assert len(drawn["rows"]) == 8
    for query, tiles in drawn["rows"]:
        wanted = "right" if sketches.classes.index(query.caption) < 20 else "wrong"
        # Four sketches of a class are in the gallery; the fifth nearest is another's.
        assert [tile.verdict for tile in tiles[:4]] == [wanted] * 4
        assert all((tile.verdict == "right") == (tile.caption == query.caption) for tile in tiles)


def test_an_interrupted_run_resumes_to_the_results_of_an_unbroken_one(config, finished, monkeypatch):
    train, trained = recipe.train_head, []

    def train_and_stop(*arguments, **keywords):
        if len(trained) == 3:
            raise KeyboardInterrupt
        trained.append(keywords["name"])
        return train(*arguments, **keywords)

    monkeypatch.setattr(recipe, "train_head", train_and_stop)
    with pytest.raises(KeyboardInterrupt):
        retrieval(config)
    with pytest.raises(ValueError, match="add --resume"):
        retrieval(config)
    monkeypatch.setattr(recipe, "train_head", lambda *a, **k: (trained.append(k["name"]), train(*a, **k))[1])
    retrieval(replace(config, resume=True))
    assert len(trained) == len(set(trained)) == 8, "a head was trained twice"
    assert results(config) == results(finished)
    retrieval(replace(config, resume=True))
    assert len(trained) == 8


def test_resuming_with_other_settings_weights_or_data_is_refused(config, weights, tmp_path, monkeypatch):
    moved = tmp_path / "tuned"
    save_backbone(Backbone(width=0.125), moved)
    config = replace(config, tuning=(str(moved),), attention_tuning=(), epochs=1, seeds=1)
    retrieval(config)
    with pytest.raises(ValueError, match=r"started with margin=0\.2, now it is 0\.3"):
        retrieval(replace(config, resume=True, margin=0.3))
    save_backbone(Backbone(width=0.125), moved)
    with pytest.raises(ValueError, match="was trained on other weights than are given now"):
        retrieval(replace(config, resume=True))
    monkeypatch.setattr(recipe, "open_sketches", lambda *a, **k: open_sketches(*a, **k | {"seed": 7}))
    with pytest.raises(ValueError, match=r"the data of .* has changed"):
        retrieval(replace(config, resume=True))


def test_features_are_computed_once_an_arm(config, monkeypatch):
    computed = []
    cached = recipe.cached_features

    def counted(*arguments, **keywords):
        computed.append(keywords["name"])
        return cached(*arguments, **keywords)

    monkeypatch.setattr(recipe, "cached_features", counted)
    retrieval(replace(config, epochs=1))
    assert computed == ARMS


def test_several_weights_take_turns_with_the_seeds(config, weights):
    tuned = (str(weights / "tuning"), str(weights / "photo"))
    retrieval(replace(config, tuning=tuned, attention_tuning=(), epochs=1))
    entry = results(config)["arms"]["tuning"]
    assert [run["weights"] for run in entry["runs"]] == list(tuned)


@pytest.mark.parametrize("mining", ["batch-hard", "semi-hard", "batch-all"])
def test_every_mining_pulls_classes_apart(config, mining):
    """With the triplet loss alone in effect, own classes come nearer than others, each way of mining."""
    features, labels = planted()
    ratios = []
    for weight in (0.0, 50.0):
        settings = replace(config, mining=mining, triplet_weight=weight, epochs=30, lr_every=100, scale=1e-6)
        embedder = recipe.new_embedder(settings, [str(label) for label in range(35)], "", 16, seed=0)
        recipe.train_head(settings, embedder, features, labels, np.arange(175), seed=0)
        ratios.append(separation(embedder.embed(features), labels).ratio)
    assert ratios[1] > 1.2 * ratios[0]


def test_fewer_classes_than_a_batch_wants(config, tmp_path):
    folder = tmp_path / "two"
    sketches = open_sketches("doodles", 32, per_class=6)
    for index in range(12):  # the first two kinds
        place = folder / sketches.classes[sketches.labels[index]]
        place.mkdir(parents=True, exist_ok=True)
        sketches.picture(index).save(place / f"{index}.png")
    found = retrieval(replace(config, data=str(folder), seeds=1, epochs=1))
    assert (found["classes"], found["gallery"], found["queries"]) == (2, 8, 2)


def test_without_tuned_weights_nothing_is_tested_and_it_says_so(config, capsys):
    retrieval(replace(config, tuning=(), epochs=1, seeds=1))
    assert list(results(config)["arms"]) == ["attention+tuning", "attention", "original"]
    table = results(config)["table"]
    assert {one["comparison"] for of_arm in table.values() for one in of_arm.values()} == {None}
    said = capsys.readouterr().out
    assert "tuning: left out, no weights given (--tuning); so there is no t-test." in said
    assert "†" not in said.partition("\n| arm")[2]


def test_single_arms_have_the_results_of_a_table_of_all_and_their_heads_stay(config, finished, capsys):
    whole, table = results(finished)["arms"], results(finished)["table"]
    for number, only in enumerate([("original",), ("tuning",), ("tuning", "original")]):
        retrieval(replace(config, only=only, resume=number > 0))
        found = results(config)["arms"]
        assert list(found) == [arm for arm in ARMS if arm in only]
        for arm, entry in found.items():
            assert entry["runs"] == whole[arm]["runs"]
            untested = {name: one | {"comparison": None} for name, one in table[arm].items()}
            assert results(config)["table"][arm] == (table[arm] if len(only) > 1 else untested)
        assert json.loads((config.out / "config.json").read_text())["only"] == list(only)
        text = (config.out / "table.md").read_text()
        assert "left out" not in text
        assert ("Too few seeds" in text) == (only == ("tuning", "original"))
        assert (config.out / "nearest.png").is_file()
        if number == 1:
            heads = {path: path.stat().st_mtime_ns for path in config.out.glob("heads/*/*/result.json")}
            assert len(heads) == 4
    assert {path: path.stat().st_mtime_ns for path in config.out.glob("heads/*/*/result.json")} == heads


def test_an_arm_that_is_not_tuned_needs_no_tuned_weights(config, finished):
    only = {"only": ("attention",), "tuning": (), "attention_tuning": ()}
    found = retrieval(replace(config, **only))["arms"]
    assert found["attention"]["runs"] == results(finished)["arms"]["attention"]["runs"]
    assert list(found) == ["attention"]


def runs(*values: float) -> list[dict]:
    """Return what was found of an arm, one value for all measures of a seed."""
    return [{"seed": seed, "weights": "w", **dict.fromkeys(MEASURES, value)} for seed, value in enumerate(values)]


def test_stars_and_daggers_say_which_way_the_difference_goes(config):
    arms = {
        "attention+tuning": runs(0.9, 0.92, 0.91, 0.9, 0.92),
        "tuning": runs(0.5, 0.51, 0.52, 0.51, 0.51),
        "attention": runs(0.1, 0.12, 0.11, 0.11, 0.11),
        "original": runs(0.5, 0.52, 0.51, 0.51, 0.51),
    }
    config = replace(config, seeds=5)
    sketches, layers = open_sketches("doodles", 32, per_class=2), dict.fromkeys(arms, "pool5")
    report = section([recipe._results(config, sketches, (200, 200), layers, arms)]).markdown()
    lines = [line for line in report.splitlines() if line.startswith("| ")][2:6]
    assert [line.split("|")[2].strip() for line in lines] == [
        "**91.00 ± 1.00** *",
        "51.00 ± 0.71",
        "11.00 ± 0.71 †",
        "51.00 ± 0.71",
    ]
    assert "- Marks: * better and † worse than tuning" in report
    assert "- Seeds differ in the split, the head's start and the order." in report
    assert "- original: the weights w." in report


def test_runs_of_single_arms_and_seeds_make_the_table_of_one_run(config):
    """As a study has them."""
    sketches, layers = open_sketches("doodles", 32, per_class=2), {"tuning": "pool5", "attention": "pool4"}
    all_runs = {"tuning": runs(0.5, 0.51, 0.52, 0.51, 0.51), "attention": runs(0.1, 0.12, 0.11, 0.11, 0.11)}
    together = recipe._results(replace(config, seeds=5), sketches, (200, 150), layers, all_runs)
    apart = []
    for arm, of_arm in all_runs.items():
        alone = replace(config, seeds=1, only=(arm,))
        apart += [recipe._results(alone, sketches, (200, 150 + run["seed"]), layers, {arm: [run]}) for run in of_arm]
    one, other = section([together]), section(apart, {"tuning": "tuned anew", "attention": "photo"})
    assert one.table is not None
    assert other.table is not None
    assert other.table.markdown() == one.table.markdown()
    assert other.table.as_json() == one.table.as_json()
    assert "n = 150, one sketch" in other.markdown(), "the fewest queries of any seed"
    assert "mean ± standard deviation over 5 seeds" in other.caption
    assert list(other.notes) == [
        "Seeds differ in the tuned weights, the sketches, the split, the head's start and the order.",
        "tuning: the weights tuned anew.",
        "attention: the weights photo; another random start of the gates for each seed; its layer pool4.",
    ]
    assert "attention: the weights w; one random start of the gates for all seeds; its layer pool4." in one.notes


def test_papers_table_is_table_3_and_is_of_the_same_data_at_its_size_alone(config):
    published = {name: measure.paper for name, measure in zip(MEASURES, measures(9), strict=True)}
    assert published["top_1"] == {
        **{"attention+tuning": (0.749, 0.0031), "tuning": (0.7374, 0.0029)},
        **{"attention": (0.5901, 0.0052), "original": (0.7305, 0.0033)},
    }
    assert published["top_5"]["attention+tuning"] == (0.8775, 0.0024)
    assert set(published["top_3"]) == set(PAPER) == set(ARMS)
    assert published["untrained_top_1"] == {}
    sketches, layers = open_sketches("doodles", 32, per_class=2), {"tuning": "pool5"}
    for data, size, same in (("songweig/imagenet_sketch", 224, True), ("doodles", 224, False)):
        here = replace(config, data=data, image_size=size)
        text = section([recipe._results(here, sketches, (9, 9), layers, {"tuning": runs(0.5, 0.6)})]).markdown()
        assert ("*tuning (Seo 2025)*" in text) == same
        assert ("not comparable with ours" in text) != same


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image_size": 0}, "image_size is 0: it must be positive"),
        ({"lr": float("nan")}, "lr is nan"),
        ({"epochs": 0}, "epochs is 0"),
        ({"seeds": 0}, "seeds is 0"),
        ({"seed": -1}, "seed is -1: it must not be negative"),
        ({"margin": -0.2}, "margin is -0.2"),
        ({"held_out": 1.0}, "held_out is 1.0: it must lie between 0 and 1"),
        ({"classes_per_batch": 1}, "classes_per_batch is 1: a triplet needs two classes"),
        ({"sketches_per_class": 1}, "sketches_per_class is 1"),
        ({"grid": 0}, "grid is 0"),
        ({"tuning": ("a", "b")}, "tuning has 2 weights for 5 seeds: give one, or one for each seed"),
        ({"attention_tuning": ("a",) * 6}, "attention_tuning has 6 weights for 5 seeds"),
    ],
)
def test_settings_out_of_range_are_named(change, message):
    with pytest.raises(ValueError, match=message):
        Retrieval(data="doodles", out=Path("never"), **change)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tuning": ("no/such/run",)}, "no/such/run"),
        ({"layer": "relu9"}, "layer 'relu9' is unknown: choose from relu1_1"),
        ({"data": "no/such/folder/"}, "does not exist"),
        ({"image_size": 16}, "image_size is 16: pool5 of .* needs 32 pixels"),
    ],
)
def test_a_mistake_leaves_nothing(config, change, message):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        retrieval(replace(config, **change))
    assert not config.out.exists()


def test_too_few_sketches_to_rank_are_refused(config, tmp_path):
    for kind in "ab":
        (tmp_path / "few" / kind).mkdir(parents=True)
        for number in range(2):
            Image.new("RGB", (40, 40), (100 * number, 0, 0)).save(tmp_path / "few" / kind / f"{number}.png")
    with pytest.raises(ValueError, match="leaves 2 sketches to learn from and 2 queries: at least 5 and one"):
        retrieval(replace(config, data=str(tmp_path / "few")))
    assert not config.out.exists()


def test_no_query_is_said_before_anything_is_made(config):
    with pytest.raises(ValueError, match="and 0 queries: at least 5 and one are needed; use more sketches a class"):
        retrieval(replace(config, per_class=1))
    assert not config.out.exists()


def test_a_file_given_as_cache_is_named_and_left_alone(config, tmp_path):
    (tmp_path / "notes").write_text("precious")
    with pytest.raises(ValueError, match="notes, a file: give a folder"):
        replace(config, cache=tmp_path / "notes")
    assert (tmp_path / "notes").read_text() == "precious"


def test_a_diverged_head_is_blamed_on_the_learning_rate(config):
    with pytest.raises(TrainingStopped, match=r"the loss is \w+ at step [1-9]\d* \(learning rate 1e\+30\)"):
        retrieval(replace(config, lr=1e30, epochs=1, seeds=1))
    assert not list(config.out.rglob("result.json"))


def test_one_seed_has_no_spread_and_no_stars(config, capsys):
    retrieval(replace(config, seeds=1, epochs=1))
    said = capsys.readouterr().out
    ours = [line for line in said.splitlines() if line.startswith("| ") and "(Seo 2025" not in line]
    assert len(ours) == 2 + len(ARMS)
    for line in (*ours, said.partition("Seo 2025:")[0]):
        assert "±" not in line
        assert "†" not in line
        assert " * " not in line
    assert "1 epoch." in said
    assert "- One seed: no ±, no p." in said


def test_the_gates_come_from_the_seed(config, monkeypatch):
    digests = []
    monkeypatch.setattr(recipe, "_require_embeddings", lambda *_: None)
    for seed in (0, 3):
        out = config.out / str(seed)
        retrieval(replace(config, seed=seed, seeds=1, epochs=1, tuning=(), attention_tuning=(), out=out))
        digests.append(load_embedder(out / "heads" / "attention" / str(seed)).config.weights)
    assert digests[0] != digests[1]


def test_the_command_line_says_mistakes_in_one_line(tmp_path, capsys):
    for arguments, message in (
        (["--data", "doodles"], "--out"),
        (["--data", "doodles", "--out", str(tmp_path / "o"), "--minning", "batch-hard"], "--mining"),
        (["--data", "doodles", "--out", str(tmp_path / "o"), "--seeds", "five"], "five"),
        (["--data", "doodles", "--out", str(tmp_path / "o"), "--tuning", "typo"], "typo"),
        (["--data", "doodles", "--out", str(tmp_path / "o"), "--only", "originl"], "did you mean original?"),
        (
            ["--data", "doodles", "--out", str(tmp_path / "o"), "--only", "original", "tuning", "--tuning"],
            "give --tuning",
        ),
    ):
        assert main(["retrieval", *arguments]) == 2
        said = capsys.readouterr().err
        assert message in said
        assert said.count("\n") == 1
    assert not (tmp_path / "o").exists()
