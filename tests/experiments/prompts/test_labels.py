"""Which class each drawing of a table was meant to be. Oracle: a judge that knows, and drawings of plain grey."""

import pytest
import torch
from PIL import Image

from sketchloss.data.doodles.kinds import doodle
from sketchloss.experiments.prompts import drawings as module
from sketchloss.experiments.prompts.drawings import lora_table
from sketchloss.experiments.prompts.settings import LoraTable
from sketchloss.lora.sampling import Drawing
from sketchloss.networks.judge import Judge, JudgeConfig

pytestmark = pytest.mark.usefixtures("fresh_accelerate")

GREY = {"a sketch of a cat": 40, "a sketch of a house": 215}


class Knowing(Judge):
    """Takes what is dark for a cat and what is pale for a house."""

    def look(self, ink):
        dark = ink.mean((1, 2, 3))
        return ink.flatten(1), torch.stack([dark, 1 - dark], dim=1)


def test_each_drawing_is_judged_by_the_class_of_its_prompt(untrained_base, narrow, tmp_path, monkeypatch):
    for kind in ("cat", "house"):
        (tmp_path / "data" / kind).mkdir(parents=True)
        for seed in range(6):
            doodle(kind, seed).sketch(16).save(tmp_path / "data" / kind / f"{seed}.png")
    config = LoraTable(
        **{"base": untrained_base, "data": str(tmp_path / "data"), "out": tmp_path / "out", "extractors": (narrow,)},
        **{"only": ("none",), "references": False, "drawings": 2, "image_size": 16, "rank": 2, "batch_size": 2},
        **{"steps": 1, "held_out": 0.34, "shown": 0, "precision": "no", "workers": 0, "extractor_layer": "relu2_2"},
    )
    assert config.template == "a sketch of a {}"
    known = Knowing(JudgeConfig(("cat", "house"), 16, widths=(4,)))
    monkeypatch.setattr(module, "_judge", lambda *_: known.eval())
    asked = []

    def draw(_, prompts, seeds, **__):
        """As `lora.sampling.draw`: the first prompt with each seed, then the second; one house is a cat."""
        for prompt in prompts:
            for seed in seeds:
                asked.append((prompt, seed))
                grey = 60 if (prompt, seed) == ("a sketch of a house", 1) else GREY[prompt]
                yield Drawing(Image.new("RGB", (16, 16), (grey,) * 3), prompt, seed)

    monkeypatch.setattr(module, "draw", draw)
    (found,) = lora_table(config)["rows"]["none"]
    assert asked == [(prompt, seed) for prompt in GREY for seed in (0, 1)]
    assert found["class_accuracy"] == 0.75
