"""Where a distance lies among known pairs. Oracle: NumPy on the pairs themselves, and new drawings."""

import json

import numpy as np
import pytest
import torch

from sketchloss import SketchLoss
from sketchloss.data.doodles.kinds import doodle
from sketchloss.loss.calibration import (
    KINDS,
    QUANTILES,
    Calibration,
    calibration_for,
    load_calibration,
    save_calibration,
)
from sketchloss.system.images import to_tensor


def _calibration(**changes) -> Calibration:
    rng = np.random.default_rng(0)
    grid = np.linspace(0, 1, QUANTILES)
    pairs = {kind: rng.gamma(4, 0.02 * place, 500) for place, kind in enumerate(KINDS, start=1)}
    quantiles = {kind: np.quantile(values, grid).tolist() for kind, values in pairs.items()}
    settings = {"fingerprint": "ab", "layers": ("relu3_3",), "metric": "l1", "size": 64, "source": "made", "pairs": 500}
    return Calibration(**{**settings, "quantiles": quantiles, **changes})


def test_shares_are_those_of_the_pairs():
    rng = np.random.default_rng(1)
    values = np.sort(rng.random(1001))
    found = _calibration(quantiles=dict.fromkeys(KINDS, np.quantile(values, np.linspace(0, 1, QUANTILES)).tolist()))
    for distance in (0.0, 0.1, 0.5, 0.9, 2.0):
        assert found.shares(distance)["redrawn"] == pytest.approx((values < distance).mean(), abs=0.01)


def test_words_go_from_alike_to_different():
    calibration = load_calibration()
    said = list(dict.fromkeys(calibration.words(distance) for distance in np.linspace(0, 1, 2001)))
    assert said[0] == "The same picture"
    assert said[-1] == "More different than nearly all pairs of drawings"
    assert len(said) == 7


@pytest.mark.parametrize("weights", ["sketch", "sketch-small"])
def test_the_packages_own_fits_the_loss_and_places_new_drawings_where_they_belong(weights):
    loss = SketchLoss(weights)
    calibration = calibration_for(loss, 256)
    assert calibration is not None
    assert calibration_for(loss, 128) is None
    assert calibration_for(SketchLoss("imagenet"), 256) is None
    assert calibration_for(SketchLoss(weights, layers=["relu3_3"]), 256) is None
    assert calibration_for(SketchLoss(weights, layers={**loss.layers, "relu4_1": 2.0}), 256) is None
    assert calibration_for(SketchLoss(weights, metric="l2"), 256) is None

    def picture(kind: str, seed: int, hand: int = 0, **settings) -> torch.Tensor:
        return to_tensor(doodle(kind, seed, style="ink").redrawn(hand).sketch(256, **settings))[None]

    first = picture("cat", 3)
    with torch.inference_mode():
        again, other = (float(loss(first, second)) for second in (picture("cat", 3, hand=5), picture("tree", 1)))
    assert calibration.words(again) == "Alike, as when a drawing is made again"
    assert "different" in calibration.words(other)
    assert calibration.shares(other)["redrawn"] > 0.99


def test_written_and_read_it_is_the_same(tmp_path):
    made = _calibration()
    save_calibration(made, tmp_path / "mine.json")
    assert load_calibration(tmp_path / "mine.json") == made


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "is no calibration"),
        ("[]", "is no calibration"),
        ('{"format": "other"}', "says 'other' and not 'sketchloss calibration'"),
        ('{"format": "sketchloss calibration", "layers": []}', "is no calibration"),
    ],
)
def test_a_damaged_file_is_refused_in_one_line(tmp_path, text, said):
    (tmp_path / "bad.json").write_text(text)
    with pytest.raises(ValueError, match=said) as refused:
        load_calibration(tmp_path / "bad.json")
    assert "\n" not in str(refused.value)


def test_mistakes_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.json"):
        load_calibration(tmp_path / "none.json")
    calibration = _calibration()
    for distance in (-1.0, float("nan")):
        with pytest.raises(ValueError, match="from 0 up"):
            calibration.words(distance)
    with pytest.raises(ValueError, match="must be of"):
        _calibration(quantiles={"pen": [0.0] * QUANTILES})
    with pytest.raises(ValueError, match="ascending"):
        _calibration(quantiles={**dict.fromkeys(KINDS, [0.0] * QUANTILES), "pen": [1.0, 0.0] * 50 + [2.0]})
    assert json.loads(json.dumps(calibration.shares(0.1)))
