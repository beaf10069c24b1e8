"""Table 2 in very small: two arms and a plain LoRA on a few drawings, with an untrained base of 16 pixels.

Oracles: counts and files worked out by hand, the judge asked directly, the distances computed anew.
"""

import csv
import json
import shutil
from dataclasses import replace

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from scipy.stats import ttest_rel

from sketchloss import load_backbone
from sketchloss.cli import main
from sketchloss.data.doodles.kinds import doodle
from sketchloss.experiments.prompts import drawings as module
from sketchloss.experiments.prompts.drawings import BASE_ROW, TRUE_ROW, lora_table
from sketchloss.experiments.prompts.settings import LoraTable
from sketchloss.experiments.prompts.table import PAPER_CLIP, PAPER_FID, section
from sketchloss.experiments.table import CSV_HEADER
from sketchloss.lora.prompted import open_prompted
from sketchloss.metrics.distances import frechet_distance
from sketchloss.metrics.extractors import backbone_extractor, embed_images
from sketchloss.networks.judge import load_judge

pytestmark = pytest.mark.usefixtures("fresh_accelerate")

KINDS = ("cat", "house", "star")
ARMS = ["attention", "original", "none"]


@pytest.fixture(scope="module")
def drawings(tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("data") / "drawings"
    for kind in KINDS:
        (folder / kind).mkdir(parents=True)
        for seed in range(6):
            doodle(kind, seed).sketch(16).save(folder / kind / f"{seed}.png")
    return str(folder)


@pytest.fixture(scope="module")
def first(untrained_base, narrow, drawings, tmp_path_factory) -> LoraTable:
    """Settings of two seeds."""
    return LoraTable(
        base=untrained_base,
        data=drawings,
        out=tmp_path_factory.mktemp("first") / "table",
        photo=narrow,
        tuning=(),
        attention_tuning=(),
        image_size=16,
        layers=("relu1_2",),
        rank=2,
        batch_size=2,
        steps=2,
        lr=1e-2,
        held_out=0.34,
        balance_batches=2,
        minimum_snr=0.05,
        decoded_part=1.0,
        sample_every=2,
        checkpoint_every=2,
        validation_pictures=2,
        shown=0,
        guidance=2.0,
        precision="no",
        workers=0,
        seeds=2,
        drawings=2,
        drawing_steps=2,
        judge_steps=30,
        extractors=(narrow,),
        extractor_layer="relu2_2",
        examples=2,
    )


@pytest.fixture(scope="module")
def begun(first) -> tuple[LoraTable, dict]:
    """A table of one seed, and its results."""
    config = replace(first, seeds=1)
    return config, lora_table(config)


@pytest.fixture(scope="module")
def whole(first, begun, tmp_path_factory) -> tuple[LoraTable, dict, list[str]]:
    """The same, resumed for two seeds; its results; the names of what was trained then."""
    config = replace(first, out=tmp_path_factory.mktemp("whole") / "table", resume=True)
    shutil.copytree(begun[0].out, config.out)
    trained, train = [], module.latent_diffusion
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "latent_diffusion", lambda training: (trained.append(training.out.name), train(training)))
        patch.setattr(module, "train_judge", lambda *_, **__: pytest.fail("the judge is there"))
        return config, lora_table(config), trained


@pytest.fixture
def config(first, tmp_path) -> LoraTable:
    return replace(first, out=tmp_path / "table")


@pytest.fixture
def copied(begun, tmp_path) -> LoraTable:
    """Settings to resume a copy of the table of one seed."""
    config = replace(begun[0], out=tmp_path / "copied", resume=True)
    shutil.copytree(begun[0].out, config.out)
    return config


def test_a_table_has_a_row_for_each_arm_and_reference_and_measures_that_are_true(whole):
    config, results, _ = whole
    out = config.out
    assert json.loads((out / "results.json").read_text()) == json.loads(json.dumps(results))  # tuples are lists there
    assert list(results["rows"]) == [*ARMS, BASE_ROW, TRUE_ROW]
    assert [len(runs) for runs in results["rows"].values()] == [2, 2, 2, 1, 1]
    judge = load_judge(out / "judge")
    assert results["judge"]["accuracy"] == judge.accuracy
    assert results["compared"] == 6  # two held-out drawings of each class

    labels = torch.tensor([0, 0, 1, 1, 2, 2])
    true = torch.stack([torch.stack([held_image(config, kind, place) for place in range(2)]) for kind in KINDS])
    extractor = backbone_extractor(load_backbone(config.photo), "narrow", "relu2_2")
    for arm in ARMS:
        for run in range(2):
            drawn = load_file(out / "runs" / f"{arm}-{run}" / "drawings.safetensors")["drawings"] / 255
            found = results["rows"][arm][run]
            assert found["class_accuracy"] == judge.accuracy_of(drawn, labels)
            features = [embed_images(extractor, [images]) for images in (drawn, true.flatten(0, 1))]
            by_name = {distance["name"]: distance for distance in found["distances"]}
            assert by_name["FD (sketchloss narrow relu2_2)"]["value"] == pytest.approx(
                frechet_distance(*features), rel=1e-3, abs=1e-9
            )
    first, second = (load_file(out / "runs" / f"none-{run}" / "drawings.safetensors")["drawings"] for run in range(2))
    assert not torch.equal(first, second)  # another LoRA, other noise

    assert (out / "table.md").read_text() == section([results]).markdown() + "\n"
    with (out / "table.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == CSV_HEADER
    assert len(rows) == 5 * (1 + 2 * 2)  # class accuracy, and of two judges both distances
    (found,) = [row for row in rows if (row["row"], row["measure"]) == ("original", "FD (sketchloss narrow relu2_2)")]
    values = [run["distances"][1]["value"] for run in results["rows"]["original"]]
    assert (found["seeds"], float(found["mean"])) == ("2", pytest.approx(sum(values) / 2))
    assert float(found["deviation"]) == pytest.approx(abs(values[0] - values[1]) / 2**0.5)
    with Image.open(out / "figure.png") as figure:
        assert figure.width > 2 * 96
        assert figure.height > 5 * 96  # true, base, three arms


def held_image(config: LoraTable, kind: str, place: int) -> torch.Tensor:
    _, held = open_prompted(config, config.data, print).split(config.held_out, seed=config.split_seed)
    assert held.labels is not None
    index = (held.labels == KINDS.index(kind)).nonzero()[0][place]
    return held[int(index)]["image"] / 255


def test_a_table_resumed_trains_and_draws_only_what_is_missing(begun, whole):
    _, results, trained = whole
    assert trained == [f"{arm}-1" for arm in ARMS]
    for arm in ARMS:
        assert results["rows"][arm][0] == begun[1]["rows"][arm][0]
        assert len(results["rows"][arm]) == 2


def test_only_the_arms_that_are_named_are_trained_and_more_can_follow(config):
    config = replace(config, steps=1, drawings=1)
    alone = lora_table(replace(config, only=("original",)))
    assert list(alone["rows"]) == ["original", BASE_ROW, TRUE_ROW]
    assert [folder.name for folder in sorted((config.out / "runs").iterdir())] == ["original-0", "original-1"]
    text = (config.out / "table.md").read_text()
    assert "against none" not in text
    assert "left out" not in text
    both = lora_table(replace(config, only=("none", "original"), resume=True))
    assert both["rows"]["original"] == alone["rows"]["original"]
    assert "Too few seeds for a verdict against none: 2 of 5" in (config.out / "table.md").read_text()


def test_another_number_of_drawings_needs_no_training(copied, monkeypatch):
    monkeypatch.setattr(module, "latent_diffusion", lambda _: pytest.fail("trained again"))
    results = lora_table(replace(copied, drawings=1))
    assert results["compared"] == 3


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"seeds": 0}, "seeds is 0: it must be at least 1"),
        ({"drawings": 0}, "drawings is 0: it must be at least 1"),
        ({"tuning": ("a", "b", "c")}, "tuning has 3 weights for 2 seeds: give one, or one for each seed"),
        ({"rank": 0}, "rank is 0: it must be positive"),
        ({"only": ("none", "tuning"), "tuning": ()}, "only names tuning, which has no weights: give --tuning"),
    ],
)
def test_settings_out_of_range_are_named(config, changes, words):
    with pytest.raises(ValueError, match=words):
        replace(config, **changes)


def test_some_classes_are_learnt_and_drawn(config):
    opened = open_prompted(replace(config, classes=("star", "cat")), config.data, print)
    assert opened.classes == ["cat", "star"]
    assert len(opened) == 2 * 6
    assert opened.captions == ["a sketch of a cat"] * 6 + ["a sketch of a star"] * 6


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"base": "nowhere"}, "nowhere does not exist"),
        ({"extractors": ("nowhere",)}, "nowhere"),
        ({"extractor_layer": "pool5"}, "needs at least 32 pixels"),
        ({"tuning": ("nowhere",)}, "nowhere"),
        ({"image_size": 20}, "image_size is 20: this base takes multiples of 8, such as 16"),
        ({"image_size": 8}, "image_size is 8: it must be at least 16, 8,192 at most"),
        ({"precision": "fp16"}, "precision is fp16, which needs a GPU"),
        ({"layers": ("relu9_9",)}, "relu9_9"),
        ({"clip_model": "nowhere/at-all"}, "--clip-model FOLDER"),
        ({"data": "nowhere"}, "nowhere does not exist"),
        ({"classes": ("cow",)}, "has no class 'cow'"),
        ({"resume": True}, "holds no run to resume"),
    ],
)
def test_a_mistake_is_said_before_anything_is_trained(config, changes, words):
    with pytest.raises((ValueError, FileNotFoundError), match=words):
        lora_table(replace(config, **changes))
    assert not config.out.exists()


def test_drawings_that_changed_are_not_taken_for_the_old_ones(config, drawings, tmp_path):
    own = tmp_path / "own"
    shutil.copytree(drawings, own)
    config = replace(config, data=str(own), only=("none",), seeds=1, steps=1, judge_steps=1)
    lora_table(config)
    doodle("cat", 99).sketch(16).save(next((own / "cat").iterdir()))
    with pytest.raises(ValueError, match="has changed since it was started"):
        lora_table(replace(config, resume=True))


def test_what_the_judge_or_the_pictures_depend_on_cannot_change_on_the_way(copied):
    before = (copied.out / "config.json").read_text()
    for changes in ({"guidance": 3.0}, {"judge_steps": 2}):
        with pytest.raises(ValueError, match=f"was started with {next(iter(changes))}="):
            lora_table(replace(copied, **changes))
    assert (copied.out / "config.json").read_text() == before


def test_classes_of_one_prompt_are_refused(config, tmp_path):
    for name in ("hot_dog", "hot dog"):
        (tmp_path / "food" / name).mkdir(parents=True)
        for seed in range(6):
            doodle("cat", seed).sketch(16).save(tmp_path / "food" / name / f"{seed}.png")
    with pytest.raises(ValueError, match="classes hot dog and hot_dog have one prompt, 'a sketch of a hot dog'"):
        lora_table(replace(config, data=str(tmp_path / "food")))
    assert not config.out.exists()


def test_captions_without_classes_are_refused(config, tmp_path):
    folder = tmp_path / "flat"
    folder.mkdir()
    for seed in range(6):
        doodle("cat", seed).sketch(16).save(folder / f"{seed}.png")
        (folder / f"{seed}.txt").write_text("a cat")
    with pytest.raises(ValueError, match="has no classes to tell apart"):
        lora_table(replace(config, data=str(folder)))


def test_another_judge_of_other_classes_is_refused(config, begun, tmp_path):
    judge = begun[0].out / "judge"
    other = tmp_path / "other"
    for kind in KINDS[:2]:
        (other / kind).mkdir(parents=True)
        for seed in range(6):
            doodle(kind, seed).sketch(16).save(other / kind / f"{seed}.png")
    with pytest.raises(ValueError, match="judges other classes or another size: leave --judge out"):
        lora_table(replace(config, data=str(other), judge=judge))
    with pytest.raises(ValueError, match="was trained on other drawings than these: leave --judge out"):
        lora_table(replace(config, split_seed=1, judge=judge, out=tmp_path / "third"))


def test_the_command_line_says_a_mistake_in_one_line(capsys, tmp_path):
    assert main(["lora", "table", "--preset", "demo", "--seeds", "0", "--out", str(tmp_path / "x")]) == 2
    assert capsys.readouterr().err == "sketchloss lora table: seeds is 0: it must be at least 1\n"


# The report ----------------------------------------------------------------------------------------------------------


def made_up(seeds: int = 3) -> dict:
    def distance(value: float) -> dict:
        kernel = {"kernel_name": "KD (judge)", "kernel": value / 1000, "kernel_std": None}
        found = {"name": "FD (judge)", "value": value, "low": None, "high": None, "bias": None, "small_sample": True}
        return found | kernel

    def runs(accuracy: float, count: int) -> list[dict]:
        spread = [0.0, 0.01, 0.03, 0.02, 0.01][:count]
        return [
            {"class_accuracy": accuracy + more, "clip": None, "distances": [distance(100 * accuracy + 1000 * more)]}
            for more in spread
        ]

    rows = {"attention+tuning": runs(0.8, seeds), "original": runs(0.7, seeds), "none": runs(0.6, seeds)}
    for run, more in zip(rows["attention+tuning"], (0.001, 0.002, 0.0), strict=False):
        run["class_accuracy"] += more  # so that differences differ
    return {
        **{"data": "doodles?tool=ink", "base": "tiny", "template": "a sketch of a {}", "image_size": 64},
        **{"batch_size": 8, "accumulate": 2, "seeds": seeds, "seed": 0, "rank": 16, "targets": "all", "drawings": 8},
        **{"drawing_steps": 25, "guidance": 4.0, "perceptual_weight": 0.2, "balance": "initial", "gate": "snr"},
        **{"minimum_snr": 3.0, "target": "latent", "decoded_part": 0.5, "only": (), "classes": 35, "references": True},
        **{"learnt": 5600, "compared": 280, "steps": 600},
        "judge": {"accuracy": 0.99, "held": 1400, "steps": 600},
        "weights": {"attention+tuning": ["sketch"], "original": ["imagenet"]},
        "rows": {**rows, BASE_ROW: runs(0.1, 1), TRUE_ROW: runs(0.99, 1)},
    }


def rows_of(text: str) -> dict[str, list[str]]:
    """The cells of a table, by those of the first column."""
    table = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("|")]
    return {cells[0]: cells for cells in table}


def csv_rows_of(results: dict) -> dict[tuple[str, str], dict]:
    rows = [dict(zip(CSV_HEADER, row, strict=True)) for row in section([results]).table.csv_rows()]
    return {(row["row"], row["measure"]): row for row in rows}


def test_the_report_has_means_deviations_the_papers_numbers_and_what_is_smaller():
    text = section([made_up()]).markdown()
    rows = rows_of(text)
    # 0.70, 0.71, 0.73: mean 71.33 %, sample deviation 1.53 %; 70, 80, 100: mean 83.3, deviation 15.3
    header = ["class accuracy (%) ↑", "CLIP similarity ↑", "FD (judge) ↓ ‡", "KD (judge) ↓", "FID ↓"]
    assert rows["perceptual term"] == ["perceptual term", *header]
    assert rows["original"] == ["original", "71.3 ± 1.5", "-", "83.3 ± 15.3", "0.0833 ± 0.0153", "-"]
    name = "*original (Seo 2025, other data)*"
    assert rows[name] == [name, "-", "*26.15*", "-", "-", "*80.04*"]
    assert sum("Seo 2025, other data" in row for row in rows) == 2
    assert rows[BASE_ROW][:2] == [BASE_ROW, "10.0"]
    assert list(rows)[-4:-2] == [BASE_ROW, TRUE_ROW]
    for words in (
        "Small samples",
        "3 trainings of each arm",
        "class accuracy: n = 280, one sketch = 0.36 points",
        "Rows in italics: the paper's numbers (Seo 2025), of other data and sizes",
        "Too few seeds for a verdict against none: 3 of 5",
        "99.0% of 1,400",
        "tuning: left out",
        "ratio of at least 3 have it; compared with the decoded true latent, in a window of 0.5 of the side",
    ):
        assert words in text


def test_five_seeds_are_tested_against_none_and_corrected():
    results = made_up(seeds=5)
    text = section([results]).markdown()
    accuracies = {name: [run["class_accuracy"] for run in runs] for name, runs in results["rows"].items()}
    cells = rows_of(text)
    assert cells["attention+tuning"][1] == "**81.5 ± 1.1** *"  # the best, and better
    assert cells["original"][1] == "71.4 ± 1.1 *"
    raw = ttest_rel(accuracies["attention+tuning"], accuracies["none"]).pvalue
    assert raw < 1e-6, "so that the share of 280 drawings decides, not this"
    found = csv_rows_of(results)["attention+tuning", "class_accuracy"]
    assert (found["against"], found["verdict"]) == ("none", "better")
    assert raw < found["p"] < 0.001
    assert found["difference"] == pytest.approx(0.2 + 0.003 / 5)
    assert "Holm's correction for the 2 tests" in text
    assert "Too few seeds" not in text


def test_a_clip_model_has_a_column():
    results = made_up()
    for runs in results["rows"].values():
        for place, run in enumerate(runs):
            run["clip"] = {"name": "CLIP (some)", "mean": 25.0 + place}
    results["rows"][TRUE_ROW][0]["clip"] = None
    rows = rows_of(section([results]).markdown())
    column = rows["perceptual term"].index("CLIP (some) ↑")
    assert rows["original"][column] == "26.00 ± 1.00"
    assert rows[TRUE_ROW][column] == "-"
    assert rows["*original (Seo 2025, other data)*"][column] == "*26.15*"
    found = csv_rows_of(results)
    clip = found["original", "clip"]
    assert [clip[name] for name in ("seeds", "mean", "deviation", "paper_mean")] == [3, 26.0, 1.0, 26.15]
    assert (TRUE_ROW, "clip") not in found
    seeds = {seed: value for row, name, seed, value in section([results]).table.seed_rows()
             if (row, name) == ("original", "clip")}  # fmt: skip
    assert seeds == {0: 25.0, 1: 26.0, 2: 27.0}


def test_one_seed_has_no_test_and_says_so():
    text = section([made_up(seeds=1)]).markdown()
    assert "Too few seeds for a verdict against none: 1 of 5; so no marks, no p." in text
    assert "One training for each arm (seed 0)" in text


def test_rows_for_csv_are_of_every_row_and_measure():
    rows = csv_rows_of(made_up())
    assert len(rows) == 5 * 3
    accuracy = rows["original", "class_accuracy"]
    assert (accuracy["seeds"], accuracy["mean"]) == (3, pytest.approx(0.7 + 0.04 / 3))
    assert rows["original", "FD (judge)"]["mean"] == pytest.approx(250 / 3)
    assert rows[BASE_ROW, "KD (judge)"]["seeds"] == 1


def test_runs_of_single_arms_and_seeds_make_one_table():
    whole = made_up()
    parts = [
        {**whole, "seeds": 1, "seed": seed, "rows": {name: runs[seed : seed + 1]}}
        for seed in range(3)
        for name, runs in whole["rows"].items()
        if len(runs) > 1
    ]
    references = {name: runs for name, runs in whole["rows"].items() if len(runs) == 1}
    parts[0]["rows"] |= references
    parts[4]["rows"] |= references  # another run measured them again
    assert section(parts).table.markdown() == section([whole]).table.markdown()


def test_the_papers_table_is_as_printed():
    assert {arm: (PAPER_CLIP[arm][0], PAPER_FID[arm][0]) for arm in PAPER_CLIP} == {
        "attention+tuning": (27.19, 65.56),
        "tuning": (26.09, 85.03),
        "attention": (22.48, 122.87),
        "original": (26.15, 80.04),
    }
