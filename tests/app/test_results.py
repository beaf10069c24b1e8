"""What is told of drawings that a search found. Oracle: matches and their files, both made here."""

import base64
from hashlib import sha256
from io import BytesIO

import pytest
import torch
from PIL import Image

from sketchloss import Backbone, SketchLoss
from sketchloss.app.originals import small_picture
from sketchloss.app.results import GREYS, SIDE, as_cards, as_rows
from sketchloss.app.services import Services
from sketchloss.gallery import Match
from sketchloss.system.images import fit_square


@pytest.fixture(scope="module")
def services() -> Services:
    torch.manual_seed(0)
    return Services(SketchLoss(Backbone(width=0.125), layers=("relu1_2",)), "narrow", "", None, {}, {}, None)


@pytest.fixture
def matches(tmp_path) -> list[Match]:
    found = []
    for place, label in enumerate(("cat", "house")):
        file = tmp_path / label / f"{place}.png"
        file.parent.mkdir()
        Image.new("L", (40, 20), 60 * place).save(file)
        found.append(Match(file, 0.9 - place / 10, label, file.stat().st_size, sha256(file.read_bytes()).hexdigest()))
    return found


def test_programs_are_told_of_each_drawing_from_rank_1_on(services, matches):
    rows = as_rows(services, matches, "shared", {})
    assert [(row["rank"], row["similarity"], row["label"], row["name"]) for row in rows] == [
        (1, 0.9, "cat", "0.png"),
        (2, 0.8, "house", "1.png"),
    ]
    assert [row["file_path"] for row in rows] == ["cat/0.png", "house/1.png"]
    assert [row["content"] for row in rows] == [match.hash for match in matches]


def test_a_card_has_the_drawing_and_what_can_be_asked_of_it(services, matches):
    cards = as_cards(services, matches, "shared", {})
    assert [(card["gallery"], card["name"], card["path"], card["label"]) for card in cards] == [
        ("shared", "0.png", "cat/0.png", "cat"),
        ("shared", "1.png", "house/1.png", "house"),
    ]
    for card, match in zip(cards, matches, strict=True):
        assert (card["content"], card["similarity"]) == (match.hash, match.similarity)
        shown = Image.open(BytesIO(base64.b64decode(card["picture"].partition("base64,")[2]))).convert("L")
        with Image.open(match.path) as drawn:
            expected = fit_square(drawn, SIDE)
        assert shown.size == (SIDE, SIDE)
        middle = (SIDE // 2, SIDE // 2)
        assert shown.getpixel(middle) == pytest.approx(expected.getpixel(middle), abs=256 / GREYS)


def test_a_file_that_has_gone_is_a_grey_card(services, matches):
    matches[0].path.unlink()
    card = as_cards(services, matches[:1], "shared", {})[0]
    shown = Image.open(BytesIO(base64.b64decode(card["picture"].partition("base64,")[2]))).convert("L")
    assert len(shown.getcolors()) == 1
    assert small_picture(matches[0].path, matches[0].hash, SIDE).size == (SIDE, SIDE)
