"""The contact sheet of the pairs."""

import numpy as np
import torch
from PIL import Image

from sketchloss.experiments.pairs.figure import SHOWN, draw_pairs, shown_places


def test_a_few_drawings_are_shown_from_the_first_to_the_last():
    assert shown_places(3) == [0, 1, 2]
    places = shown_places(230)
    assert len(places) == SHOWN
    assert (places[0], places[-1]) == (0, 229)
    assert np.ptp(np.diff(places)) <= 1


def test_a_sheet_of_all_drawings_is_that_of_those_that_it_shows(tmp_path):
    torch.manual_seed(0)
    columns = {"input": torch.randint(256, (30, 3, 16, 16), dtype=torch.uint8)}
    draw_pairs(columns, tmp_path / "all.png")
    draw_pairs({"input": columns["input"][shown_places(30)]}, tmp_path / "shown.png")
    with Image.open(tmp_path / "all.png") as one, Image.open(tmp_path / "shown.png") as other:
        assert one.tobytes() == other.tobytes()
