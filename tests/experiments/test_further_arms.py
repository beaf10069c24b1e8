"""An arm of one's own beside the paper's, a tiny network of transformers, in every experiment. Oracle: the same network
measured by itself, in the place of an arm of the paper."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import ResNetConfig, ResNetModel

from sketchloss import load_backbone, save_backbone
from sketchloss.cli import main
from sketchloss.experiments.probe.asking import probe
from sketchloss.experiments.probe.settings import Probe
from sketchloss.experiments.prompts.drawings import lora_table
from sketchloss.experiments.prompts.settings import LoraTable
from sketchloss.experiments.retrieval.heads import retrieval
from sketchloss.experiments.retrieval.settings import Retrieval
from sketchloss.experiments.separation.distances import class_separation
from sketchloss.experiments.separation.settings import ClassSeparation
from sketchloss.experiments.style.drawings import style_table
from sketchloss.experiments.style.settings import StyleTable
from sketchloss.networks.embedder import load_embedder
from sketchloss.networks.stylizer import load_stylizer
from sketchloss.networks.vgg import VGG
from sketchloss.networks.weights import weights_digest

pytestmark = pytest.mark.usefixtures("fresh_accelerate")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> str:
    """Name of a network of transformers, tiny and random."""
    folder = tmp_path_factory.mktemp("models") / "resnet"
    torch.manual_seed(0)
    settings = ResNetConfig(embedding_size=8, hidden_sizes=[8, 16, 24], depths=[1, 1, 1], layer_type="basic")
    ResNetModel(settings).save_pretrained(folder)
    return f"transformers:{folder}"


@pytest.fixture(scope="module")
def mine(tmp_path_factory) -> tuple[str, str]:
    """Two weights of one kind, for two seeds."""
    folder = tmp_path_factory.mktemp("mine")
    torch.manual_seed(5)
    for name in ("a", "b"):
        save_backbone(VGG(width=0.125, attention=True), folder / name)
    return str(folder / "a"), str(folder / "b")


@pytest.fixture
def config(narrow, tiny, mine, few_classes, tmp_path) -> Retrieval:
    return Retrieval(
        **{"data": few_classes, "out": tmp_path / "out", "cache": tmp_path / "cache", "precision": "no", "workers": 0},
        **{"photo": narrow, "tuning": (narrow,), "attention_tuning": (), "only": ("tuning", "tiny", "mine")},
        **{"arm": (f"tiny={tiny}", f"mine={','.join(mine)}"), "image_size": 32, "per_class": 4, "held_out": 0.25},
        **{"epochs": 1, "seeds": 2, "hidden": 8},
    )


def rows_of(table: Path) -> list[str]:
    return [line.split("|")[1].strip() for line in table.read_text().splitlines() if line.startswith("| ")]


def test_retrieval_and_separation_have_its_row(config, narrow, tiny, mine, tmp_path):
    found = retrieval(config)
    assert list(found["arms"]) == ["tuning", "tiny", "mine"]
    assert json.loads((config.out / "results.json").read_text())["arms"]["tiny"] == found["arms"]["tiny"]
    layers = {arm: of_arm["layer"] for arm, of_arm in found["arms"].items()}
    assert layers == {"tuning": "pool5", "tiny": "stage3", "mine": "pool5"}, "each network's own"
    assert [run["weights"] for run in found["arms"]["mine"]["runs"]] == list(mine)
    assert found["table"]["mine"]["top_1"]["comparison"]["seeds"] == 2, "compared as the others are"

    # The same as where it stands for an arm of the paper.
    alone = replace(config, photo=tiny, arm=(), only=("original",), out=tmp_path / "alone")
    for run, other in zip(found["arms"]["tiny"]["runs"], retrieval(alone)["arms"]["original"]["runs"], strict=True):
        assert run == other

    table = (config.out / "table.md").read_text()
    assert rows_of(config.out / "table.md")[-4:] == ["tuning", "tiny", "mine", "*tuning (Seo 2025, other data)*"]
    assert f"- tiny: the weights {tiny}; its layer stage3." in table
    assert f"- mine: the weights {', '.join(mine)}, by turns." in table
    with (config.out / "table.csv").open(newline="") as file:
        seeds = {row["row"]: row["seeds"] for row in csv.DictReader(file) if row["measure"] == "top_1"}
    assert seeds == {"tuning": "2", "tiny": "2", "mine": "2"}

    # Of the heads, and of the features as they are.
    heads = {"heads": config.out, "cache": config.cache, "workers": 0}
    separated = class_separation(ClassSeparation(out=tmp_path / "of_heads", **heads))
    assert list(separated["arms"]) == ["tuning", "tiny", "mine"]
    assert separated["arms"]["mine"]["varies"] == "the weights and the trained head"
    names = ("data", "photo", "arm", "image_size", "per_class", "cache", "workers")
    shared = {name: getattr(config, name) for name in names}
    whole = ClassSeparation(out=tmp_path / "whole", tuning=(narrow,), attention_tuning=(), seeds=2, **shared)
    results = class_separation(whole)
    assert list(results["arms"]) == ["tuning", "attention", "original", "tiny", "mine"]
    assert results["embedding"] == "relu5_3; of tiny stage3, averaged over positions"
    one = class_separation(replace(whole, photo=tiny, only=("original",), arm=(), out=tmp_path / "one"))
    assert results["arms"]["tiny"]["runs"] == one["arms"]["original"]["runs"]
    assert results["arms"]["mine"]["varies"] == "the weights"
    rows = rows_of(whole.out / "table.md")
    assert rows[rows.index("original") + 1 :][:2] == ["tiny", "mine"]
    with (whole.out / "table.csv").open(newline="") as file:
        paper = {row["row"]: row["paper_mean"] for row in csv.DictReader(file) if row["measure"] == "ratio"}
    assert (paper["original"], paper["tiny"]) == ("1.26", "")


def test_it_can_be_added_to_a_run_from_before_there_were_any(config, tiny):
    only = {"only": ("tuning",), "arm": ()}
    first = retrieval(replace(config, **only))
    stored = json.loads((config.out / "config.json").read_text())
    assert stored.pop("arm") == []
    (config.out / "config.json").write_text(json.dumps(stored))
    before = (config.out / "heads" / "tuning" / "0" / "result.json").stat().st_mtime_ns
    second = retrieval(replace(config, resume=True))
    assert (config.out / "heads" / "tuning" / "0" / "result.json").stat().st_mtime_ns == before
    assert second["arms"]["tuning"]["runs"] == first["arms"]["tuning"]["runs"]
    assert list(second["arms"]) == ["tuning", "tiny", "mine"]
    assert load_embedder(config.out / "heads" / "tiny" / "0").config.weights == weights_digest(load_backbone(tiny))
    alone = retrieval(replace(config, only=("tiny",), resume=True))
    assert alone["arms"]["tiny"]["runs"] == second["arms"]["tiny"]["runs"], "a network of other layers may come first"
    before = (config.out / "config.json").read_text()
    with pytest.raises(ValueError, match="started with layer='pool5', now it is 'relu5_3'"):
        retrieval(replace(config, only=("tuning",), layer="relu5_3", resume=True))
    assert (config.out / "config.json").read_text() == before
    other = tuple(given.replace("tiny=", "tiny=transformers:x/../").replace("mine=", "tiny=") for given in config.arm)
    with pytest.raises(ValueError, match="was trained on other weights than are given now"):
        retrieval(replace(config, arm=other[1:], only=("tiny",), resume=True))


def test_what_does_not_fit_is_said_before_anything_is_made(config, tiny):
    mistakes = {
        "tiny: layer 'pool5' is unknown: choose from stem, stage1": {"layer": "pool5"},
        "no/such/folder": {"arm": ("tiny=no/such/folder/", "mine=sketch")},
        "image_size is 4: pool5 of tuning needs 32 pixels": {"image_size": 4},
    }
    for words, changes in mistakes.items():
        with pytest.raises((ValueError, FileNotFoundError), match=words):
            retrieval(replace(config, **changes))
    assert not config.out.exists()


def test_the_tables_of_generators_have_its_row(tiny, narrow, untrained_base, few_classes, tmp_path):
    arms = {"photo": narrow, "tuning": (), "attention_tuning": (), "arm": (f"tiny={tiny}",)}
    small = {"precision": "no", "workers": 0, "steps": 2, "extractors": (narrow,), "examples": 2}
    style = StyleTable(
        **{"content": "doodles?count=8", "sets": ("doodles?tool=ink&count=16",), "out": tmp_path / "style"},
        **{"only": ("original", "tiny"), "image_size": 32, "width": 0.125, "blocks": 1, "pairs": 4, "bootstrap": 2},
        shown=1,
        **arms,
        **small,
    )
    (of_set,) = style_table(style)["sets"].values()
    assert list(of_set["rows"])[:2] == ["original", "tiny"]
    network = style.out / "runs" / of_set["folder"] / "tiny"
    assert load_stylizer(network).config.arm == "tiny"
    assert json.loads((network / "config.json").read_text())["arm"] == f"tiny={tiny}"
    assert "\n| tiny " in (style.out / "table.md").read_text()
    again = style_table(replace(style, resume=True, arm=(), only=("original",)))
    assert next(iter(again["sets"].values()))["rows"]["original"] == of_set["rows"]["original"]
    with pytest.raises(ValueError, match="tiny: layer 'relu1_1' is unknown: choose from stem"):
        style_table(replace(style, style_layers=("relu1_1",), out=tmp_path / "never"))

    lora = LoraTable(
        **{"base": untrained_base, "data": few_classes, "out": tmp_path / "lora", "image_size": 16},
        **{"only": ("tiny", "none"), "rank": 2, "batch_size": 2, "held_out": 0.34, "balance_batches": 2, "warmup": 0},
        **{"decoded_part": 1.0, "drawings": 1, "drawing_steps": 2, "judge_steps": 2, "references": False},
        **{"minimum_snr": 0.05, "validation_pictures": 2, "shown": 0},
        **arms,
        **small,
    )
    found = lora_table(lora)
    assert list(found["rows"]) == ["tiny", "none"]
    assert found["weights"] == {"tiny": [tiny]}
    assert json.loads((lora.out / "runs" / "tiny-0" / "config.json").read_text())["arm"] == f"tiny={tiny}"
    with pytest.raises(ValueError, match="tiny: layer 'relu1_1' is unknown: choose from stem"):
        lora_table(replace(lora, layers=("relu1_1",), out=tmp_path / "never"))
    assert not (tmp_path / "never").exists()


def test_the_probe_asks_it_as_it_asks_weights(tiny, narrow, tmp_path):
    found = probe(
        Probe(
            **{"out": tmp_path / "probe", "photo": narrow, "tuning": (), "attention_tuning": (), "drawings": 4},
            **{"arm": (f"tiny={tiny}",), "weights": (tiny,), "only": ("tiny",), "levels": (0.2, 0.4), "choose": "tiny"},
        )
    )
    rows = {row["name"]: row for row in found["rows"]}
    mine, same = rows["tiny, default taps"], rows[f"{tiny}, default taps"]
    assert (mine["arm"], mine["weights"], same["arm"]) == ("tiny", tiny, None)
    assert mine["report"] == same["report"]
    assert found["chosen"][0]["group"] == "tiny"


def test_mistakes_on_the_command_line_are_one_line(tmp_path, capsys):
    out = ("--out", str(tmp_path / "out"))
    for arguments, words in (
        (("retrieval", "--data", "doodles", *out, "--arm", "dino"), "arm is 'dino': give a name and weights"),
        (("separation", *out, "--arm", "tuning=sketch"), "the name tuning is taken"),
        (("probe", *out, "--arm", "a=sketch", "--only", "b"), "only names 'b': choose from"),
        (("style", "train", *out, "--preset", "demo", "--arm", "tunning"), "did you mean tuning?"),
    ):
        assert main(list(arguments)) == 2
        said = capsys.readouterr().err
        assert words in said
        assert said.count("\n") == 1
    assert not (tmp_path / "out").exists()
