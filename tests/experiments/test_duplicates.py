"""Flipped copies of one picture stay on one side of a split. Oracle: sets of pairs, so an odd part parts a pair."""

from dataclasses import replace

import pytest
from PIL import ImageOps

from sketchloss.data.doodles.kinds import doodle
from sketchloss.experiments.retrieval.heads import retrieval
from sketchloss.experiments.retrieval.settings import Retrieval
from sketchloss.experiments.separation.distances import class_separation
from sketchloss.experiments.separation.settings import ClassSeparation


@pytest.fixture
def mirrored(tmp_path) -> str:
    """Six pairs of each of three classes."""
    for kind in ("cat", "house", "star"):
        (tmp_path / "mirrored" / kind).mkdir(parents=True)
        for seed in range(6):
            picture = doodle(kind, seed).sketch(64)
            picture.save(tmp_path / "mirrored" / kind / f"{seed}.png")
            ImageOps.mirror(picture).save(tmp_path / "mirrored" / kind / f"{seed}-mirrored.png")
    return str(tmp_path / "mirrored")


@pytest.fixture
def settings(mirrored, narrow, tmp_path) -> dict:
    return {
        **{"data": mirrored, "photo": narrow, "tuning": (), "attention_tuning": (), "only": ("original",)},
        **{"out": tmp_path / "out", "cache": tmp_path / "cache", "workers": 0, "precision": "no"},
        **{"image_size": 32, "held_out": 0.25, "seeds": 1},
    }


def test_retrieval_asks_for_no_copy_of_what_it_has_learnt(settings, tmp_path):
    config = Retrieval(**settings, epochs=1, hidden=8, duplicates="together")
    found = retrieval(config)
    assert found["queries"] % 2 == 0
    assert found["queries"] + found["gallery"] == 36
    parted = retrieval(replace(config, duplicates="ignore", out=tmp_path / "parted"))
    assert (parted["queries"], parted["gallery"]) == (9, 27)  # a quarter of each twelve


def test_separation_measures_copies_together(settings, tmp_path):
    config = ClassSeparation(**settings, part="held-out", duplicates="together")
    assert class_separation(config)["measured"] % 2 == 0
    assert class_separation(replace(config, duplicates="ignore", out=tmp_path / "parted"))["measured"] == 9
