"""Galleries that clean their pictures. Oracles: `clean_page` and the backbone, asked directly."""

import json
import shlex
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from sketchloss import Backbone, load_backbone, save_backbone
from sketchloss.cli import main
from sketchloss.data.doodles.kinds import doodle
from sketchloss.gallery import Gallery
from sketchloss.gallery.reading import read
from sketchloss.gallery.settings import FILE
from sketchloss.system.clean_page import NoDrawing, clean_page
from sketchloss.system.images import fit_square, open_picture, to_tensor
from sketchloss.system.visible_ink import HiddenInk

SIZE = 48


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("weights")
    save_backbone(Backbone(width=0.1), folder)
    return folder


@pytest.fixture(scope="module")
def drawings(tmp_path_factory) -> Path:
    """Six drawings and a blank page: 2 and 3 are inverted, 4 is light on a transparent ground, 5 lies in a corner."""
    folder = tmp_path_factory.mktemp("drawings")
    for seed in range(6):
        kind = ("cat", "house")[seed % 2]
        (folder / kind).mkdir(exist_ok=True)
        picture = clean(seed)
        if seed in (2, 3):
            picture = ImageOps.invert(picture)
        if seed == 4:
            grey = ImageOps.invert(picture.convert("L"))
            picture = Image.merge("RGBA", [Image.new("L", grey.size, 255)] * 3 + [grey])
        if seed == 5:
            picture = ImageOps.expand(picture, (10, 250, 300, 10), "white")
        picture.save(folder / kind / f"{seed}.png")
    Image.new("RGB", (60, 60), "#998877").save(folder / "cat" / "blank.png")
    return folder


def clean(seed: int) -> Image.Image:
    return doodle(("cat", "house")[seed % 2], seed, style="ink").sketch(96).convert("RGB")


@pytest.fixture(scope="module")
def gallery(drawings, weights, tmp_path_factory) -> Gallery:
    folder = tmp_path_factory.mktemp("gallery") / "clean"
    built, report = Gallery.build(folder, [drawings], weights=weights, image_size=SIZE, clean=True)
    assert report.rows == 6
    (line,) = report.unreadable
    assert (
        line == f"{drawings}/cat/blank.png: cleaning finds no drawing on it, only paper or only ink; check the picture"
    )
    return built


def test_what_is_added_and_what_is_asked_is_cleaned(gallery, weights):
    backbone = load_backbone(weights)
    for row in gallery.table.rows():
        seed = int(Path(row.path.decode()).stem)
        image = to_tensor(fit_square(clean_page(clean(seed)), SIZE))
        with torch.inference_mode():
            expected = backbone.embed(image[None])[0].numpy()
        assert float(expected @ row.embedding) > 0.995
        for query in (clean(seed), ImageOps.invert(clean(seed)), np.asarray(clean(seed))):
            (found,) = gallery.search(query, k=1)
            assert found[0].path.stem == str(seed)
            assert found[0].similarity == pytest.approx(float(expected @ row.embedding), abs=0.01)


def test_the_setting_is_kept_and_older_galleries_do_not_clean(gallery, drawings, weights, tmp_path):
    assert Gallery.open(gallery.folder).settings.clean is True
    assert gallery.info().clean is True
    plain, report = Gallery.build(tmp_path / "plain", [drawings], weights=weights, image_size=SIZE)
    assert plain.settings.clean is False
    assert report.rows == 6  # the blank page, too, and not the light ink, which is lost on white
    stored = json.loads((plain.folder / FILE).read_text())
    assert stored.pop("clean") is False
    (plain.folder / FILE).write_text(json.dumps(stored))
    older = Gallery.open(plain.folder)
    assert older.info().clean is False
    path = drawings / "house" / "5.png"
    assert torch.equal(older.read(path).image, to_tensor(fit_square(open_picture(path), SIZE)))


def test_a_building_that_was_interrupted_goes_on_only_with_the_same_setting(drawings, weights, tmp_path):
    gallery, _ = Gallery.build(tmp_path / "g", [drawings / "house"], weights=weights, image_size=SIZE, clean=True)
    gallery._mark(built=False)
    with pytest.raises(ValueError, match="was begun with clean True, not False: use that"):
        Gallery.build(gallery.folder, [drawings], weights=weights, image_size=SIZE, clean=False)
    gone_on, report = Gallery.build(gallery.folder, [drawings], weights=weights, image_size=SIZE)
    assert (gone_on.settings.clean, report.rows, report.embedded) == (True, 6, 3)


def test_a_query_is_read_once(gallery):
    query = gallery.read(clean(1))
    assert gallery.read(query) is query
    assert gallery.search([query, clean(0)], k=2) == gallery.search([clean(1), clean(0)], k=2)


def test_inverting_and_cleaning_together_is_refused(gallery, drawings, weights, tmp_path):
    for call in (
        lambda: gallery.search(clean(0), invert=True),
        lambda: gallery.add([drawings], invert=True),
        lambda: Gallery.build(tmp_path / "new", [drawings], weights=weights, clean=True, invert=True),
    ):
        with pytest.raises(ValueError, match=r"^invert is on, and this gallery cleans .*: leave it out$"):
            call()
    assert not (tmp_path / "new").exists()
    assert len(gallery) == 6


def test_a_query_without_a_drawing_is_one_line(gallery):
    with pytest.raises(NoDrawing, match=r"^picture: cleaning finds no drawing on it"):
        gallery.search(Image.new("L", (50, 50), 255))


def test_light_ink_on_a_transparent_ground_is_found_only_where_pictures_are_cleaned(drawings):
    path = drawings / "cat" / "4.png"
    with pytest.raises(HiddenInk):
        read(path, SIZE)
    assert read(path, SIZE, clean=True).min() < 0.5


# Rotations -----------------------------------------------------------------------------------------------------------


def test_rotations_find_what_lies_on_its_side(drawings, weights, tmp_path):
    gallery, _ = Gallery.build(tmp_path / "g", [drawings / "house"], weights=weights, image_size=SIZE)
    path = drawings / "house" / "1.png"
    for turn in (Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_180, Image.Transpose.ROTATE_270):
        query = open_picture(path).transpose(turn)
        (as_it_is,) = gallery.search(query, k=10)
        (turned,) = gallery.search(query, k=10, rotations=True)
        assert turned[0].path == path
        assert turned[0].similarity == pytest.approx(1, abs=1e-5)
        assert as_it_is[0].similarity < 0.999
        # The greatest of four searches, each drawing once.
        four = [
            gallery.search(query.transpose(t), k=10)[0]
            for t in (Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_180, Image.Transpose.ROTATE_270)
        ]
        best: dict[Path, float] = {}
        for match in [m for found in (as_it_is, *four) for m in found]:
            best[match.path] = max(best.get(match.path, -1), match.similarity)
        assert {match.path: pytest.approx(match.similarity, abs=1e-4) for match in turned} == best
        assert [m.similarity for m in turned] == sorted((m.similarity for m in turned), reverse=True)
        assert gallery.search(query, k=2, rotations=True) == [turned[:2]]
        assert gallery.search(query, k=2, rotations=True, min_similarity=0.9999) == [turned[:1]]


# The command ---------------------------------------------------------------------------------------------------------


def run(capsys, line: str, code: int = 0) -> str:
    assert main(["gallery", *shlex.split(line)]) == code
    out, err = capsys.readouterr()
    assert not (out and err)
    return out or err


def test_the_command_cleans_tells_so_and_rotates(gallery, drawings, weights, tmp_path, capsys):
    out = run(capsys, f"build {tmp_path}/g {drawings} --clean --weights {weights} --image-size {SIZE}")
    assert "1 left out:" in out
    assert "\ncleaning    drawings and queries are cleaned\n" in run(capsys, f"info {tmp_path}/g")
    assert json.loads(run(capsys, f"info {tmp_path}/g --json"))["clean"] is True
    query = tmp_path / "query.png"
    ImageOps.invert(clean(1)).transpose(Image.Transpose.ROTATE_90).save(query)
    found = json.loads(run(capsys, f"search {tmp_path}/g {query} --rotations --json"))
    (expected,) = gallery.search(query, rotations=True)
    matches = found["queries"][0]["matches"]
    assert [(m["path"], m["similarity"]) for m in matches] == [
        (str(m.path), pytest.approx(m.similarity, abs=1e-6)) for m in expected
    ]
    assert matches[0]["path"].endswith("1.png")
    assert "this gallery cleans its pictures" in run(capsys, f"search {tmp_path}/g {query} --invert", 2)
    assert "cleaning finds no drawing" in run(capsys, f"search {tmp_path}/g {drawings}/cat/blank.png", 2)
