"""The study on a few doodles with a narrow backbone. Oracles: the files it leaves, and those of others left alone."""

import json
from dataclasses import replace

import pytest
import torch

from sketchloss import ARMS, Backbone, save_backbone
from sketchloss.diffusion.pipeline import build_tiny, save_pipeline
from sketchloss.recipes.study import Study, study

pytestmark = pytest.mark.usefixtures("fresh_accelerate")


@pytest.fixture
def config(tmp_path) -> Study:
    torch.manual_seed(0)
    save_backbone(Backbone(width=0.125), tmp_path / "weights")
    save_pipeline(build_tiny(["a sketch of a cat"]), tmp_path / "base")
    return Study(
        out=tmp_path / "out",
        weights=str(tmp_path / "weights"),
        base=str(tmp_path / "base"),
        per_class=3,  # one held-out sketch a class: the comparison picture must do with that
        epochs=1,
        image_size=32,
        drawing_steps=2,
        teaching_steps=2,
    )


def test_a_study_leaves_its_table_and_pictures_and_can_be_done_over(config, capsys):
    first = study(config)
    on_disk = json.loads((config.out / "results.json").read_text())
    assert [row["arm"] for row in on_disk["arms"]] == list(ARMS)
    assert all(0 <= row["top_1"] <= row["top_3"] <= row["top_5"] <= 1 for row in on_disk["arms"])
    assert all((row["classification"] is None) != ARMS[row["arm"]].tuning for row in on_disk["arms"])
    assert (config.out / "compare.png").stat().st_size > 5000
    assert (config.out / "lora" / "samples.png").stat().st_size > 5000
    assert "| attention+tuning |" in capsys.readouterr().out

    with pytest.raises(ValueError, match="add --again"):
        study(config)
    assert study(replace(config, again=True)) == first, "one seed, other numbers"


def test_other_peoples_files_are_never_removed(config):
    config.out.mkdir()
    (config.out / "results.json").write_text('{"my": "numbers"}')
    with pytest.raises(ValueError, match="not a study"):
        study(replace(config, again=True))
    (config.out / "results.json").write_text('{"format": "sketchloss study"}')
    (config.out / "thesis.txt").write_text("precious")
    with pytest.raises(ValueError, match=r"holds thesis\.txt, which no study made"):
        study(replace(config, again=True))
    assert (config.out / "thesis.txt").read_text() == "precious"


def test_a_mistake_costs_nothing(config):
    config.out.mkdir()
    (config.out / "results.json").write_text('{"format": "sketchloss study"}')
    (config.out / "results.md").write_text("the earlier table")
    for mistake in (
        {"data": "no/such/folder/"},
        {"weights": "typo"},
        {"base": "no/such/base/"},
        {"taught": "no/such/"},
    ):
        with pytest.raises((ValueError, FileNotFoundError)):
            study(replace(config, again=True, **mistake))
    assert (config.out / "results.md").read_text() == "the earlier table"
    with pytest.raises(ValueError, match=r"held_out is 2\.0"):
        replace(config, held_out=2.0)
