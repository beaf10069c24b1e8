"""Ink on a transparent ground. Oracles: the same drawing as dark ink on white paper; the arithmetic of alpha."""

import json
from pathlib import Path

import datasets
import numpy as np
import pytest
import torch
from datasets import Dataset
from PIL import Image, ImageOps

from sketchloss.cli import main
from sketchloss.data.captions.captioned import open_captioned
from sketchloss.data.doodles.kinds import doodle
from sketchloss.data.pairs import open_pairs
from sketchloss.data.photos import open_photos, open_style
from sketchloss.data.sources import open_sketches
from sketchloss.gallery import Gallery
from sketchloss.metrics.triplets import read_triplets
from sketchloss.system.images import UnreadablePicture, open_picture, to_tensor
from sketchloss.system.visible_ink import HiddenInk, hides_ink, open_to_show, open_visible

LIGHT = "its ink is light on a transparent ground, and lost on white paper: add --invert"


def on_paper(kind: str = "cat", seed: int = 1) -> Image.Image:
    """A drawing in dark ink on white paper."""
    return doodle(kind, seed, style="ink").sketch(64).convert("L")


def transparent(drawing: Image.Image, ink: str = "white") -> Image.Image:
    """The same drawing in another ink, on no paper at all."""
    picture = Image.new("RGBA", drawing.size, ink)
    picture.putalpha(ImageOps.invert(drawing))
    return picture


@pytest.fixture
def chalk(tmp_path) -> Path:
    transparent(on_paper()).save(tmp_path / "chalk.png")
    return tmp_path / "chalk.png"


def far(one: Image.Image, other: Image.Image) -> int:
    """The greatest difference of two pictures, of 255."""
    return int(np.abs(np.asarray(one.convert("RGB"), int) - np.asarray(other.convert("RGB"), int)).max())


def test_light_ink_inverted_is_dark_ink_on_white(chalk):
    wanted = on_paper()
    held = transparent(on_paper())
    array = np.asarray(held)
    for picture in (chalk, str(chalk), chalk.read_bytes(), chalk.open("rb"), held, array):
        assert far(open_visible(picture, invert=True), wanted) <= 1
        if not isinstance(picture, bytes | np.ndarray | Image.Image | str | Path):
            picture.close()
    assert far(open_visible(transparent(wanted, "black")), wanted) <= 1
    assert far(open_visible(ImageOps.invert(wanted), invert=True), wanted) == 0  # no transparency: turned, no more


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA", "P"])
def test_what_would_be_a_blank_page_is_refused_and_named(tmp_path, mode):
    path = tmp_path / f"{mode}.{'png' if mode in ('RGBA', 'LA', 'P') else 'tif'}"
    picture = transparent(on_paper().point(lambda value: 255 * (value > 99)))
    if mode == "P":
        picture = picture.quantize(4)
    elif mode == "PA":
        alpha = picture.getchannel("A")
        picture = picture.convert("L").convert("PA")
        picture.putalpha(alpha)
    else:
        picture = picture.convert(mode)
    picture.save(path)
    with pytest.raises(HiddenInk, match=f"^{path}: {LIGHT}"):
        open_visible(path)
    assert np.ptp(np.asarray(open_visible(path, invert=True))) > 200
    assert far(open_to_show(path), open_visible(path, invert=True)) == 0


def test_dark_ink_inverted_is_refused_too(tmp_path):
    transparent(on_paper(), "black").save(tmp_path / "ink.png")
    with pytest.raises(UnreadablePicture, match=r"its ink is dark .* lost on black paper: leave --invert out"):
        open_visible(tmp_path / "ink.png", invert=True)
    assert far(open_to_show(tmp_path / "ink.png"), on_paper()) <= 1


@pytest.mark.parametrize("invert", [False, True])
@pytest.mark.parametrize(
    "picture",
    [
        Image.new("L", (9, 9), 255),
        Image.new("L", (9, 9), 0),
        Image.new("RGB", (9, 9), "red"),
        Image.new("RGBA", (9, 9), (255, 255, 255, 0)),
        Image.new("RGBA", (9, 9), (0, 0, 0, 0)),
        transparent(on_paper(), "red"),
        on_paper(),
    ],
)
def test_pages_that_are_blank_in_any_case_and_ink_that_shows_are_opened(picture, invert):
    assert not hides_ink(picture, invert=invert)
    assert open_visible(picture, invert=invert).size == picture.size


def test_paper_is_what_transparency_is_flattened_on(chalk):
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 4), dtype=np.uint8)
    colours, alpha = pixels[..., :3].astype(float), pixels[..., 3:] / 255
    floats = pixels.astype(np.float32) / 255
    for paper, ground in (("white", 255.0), ("black", 0.0)):
        wanted = alpha * colours + (1 - alpha) * ground
        for picture in (pixels, floats, Image.fromarray(pixels)):
            assert np.abs(np.asarray(open_picture(picture, paper=paper), float) - wanted).max() <= 1
            tensor = to_tensor(picture, paper=paper)
            assert (255 * tensor - torch.from_numpy(wanted).permute(2, 0, 1)).abs().max() <= 1
        assert torch.equal(to_tensor(chalk, paper=paper), to_tensor(open_picture(chalk, paper=paper)))
    kept = open_picture(chalk, paper=None)
    assert kept.mode == "RGBA"
    assert np.array_equal(np.asarray(kept), np.asarray(transparent(on_paper())))
    kept.convert("RGB").save(chalk.with_name("opaque.png"))
    assert open_picture(chalk.with_name("opaque.png"), paper=None).mode == "RGB"


# Commands ------------------------------------------------------------------------------------------------------------


def test_comparing(chalk, tmp_path, capsys):
    other = tmp_path / "other.png"
    transparent(on_paper("house", 2)).save(other)
    on_paper().save(tmp_path / "paper.png")
    on_paper("house", 2).save(tmp_path / "house.png")
    command = ["compare", "--size", "64", "--json"]
    assert main([*command, str(chalk), str(other)]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"sketchloss compare: {chalk}: {LIGHT}")
    assert said.count("\n") == 1
    numbers = []
    for pair in ((chalk, other, "--invert"), (tmp_path / "paper.png", tmp_path / "house.png")):
        assert main([*command, *map(str, pair)]) == 0
        numbers.append(json.loads(capsys.readouterr().out)["distance"])
    assert numbers[0] == pytest.approx(numbers[1], rel=0.01)
    assert numbers[0] > 0.1
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        on_paper().save(tmp_path / folder / "paper.png")
        transparent(on_paper()).save(tmp_path / folder / "chalk.png")
    assert main([*command, str(tmp_path / "a"), str(tmp_path / "b")]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [pair["name"] for pair in found["pairs"]] == ["paper"]
    assert [line.startswith(f"{tmp_path / 'a' / 'chalk.png'}: {LIGHT}") for line in found["left_out"]] == [True]


def test_galleries(tmp_path, capsys):
    folder, gallery = tmp_path / "drawings", str(tmp_path / "gallery")
    for kind in ("cat", "house", "fish"):
        (folder / kind).mkdir(parents=True)
        for number in range(2):
            transparent(on_paper(kind, number)).save(folder / kind / f"{number}.png")
    on_paper("tree", 1).save(folder / "tree.png")
    assert main(["gallery", "build", gallery, str(folder), "--image-size", "64"]) == 0
    said = capsys.readouterr().out
    assert "1 added" in said
    assert "6 left out:" in said
    assert f"{folder / 'cat' / '0.png'}: {LIGHT}" in said
    assert main(["gallery", "add", gallery, str(folder), "--invert", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["added"], report["unchanged"], report["unreadable"]) == (6, 1, [])

    query = str(folder / "house" / "1.png")
    transparent(on_paper("house", 7)).save(tmp_path / "new.png")
    assert main(["gallery", "search", gallery, str(tmp_path / "new.png")]) == 2
    assert LIGHT in capsys.readouterr().err
    assert main(["gallery", "search", gallery, query, "-k", "1"]) == 0  # its embedding is there already
    assert query in capsys.readouterr().out
    sheet = ["--sheet", str(tmp_path / "sheet.png")]
    assert main(["gallery", "search", gallery, query, "--invert", "-k", "3", "--json", *sheet]) == 0
    (found,) = json.loads(capsys.readouterr().out)["queries"]
    assert found["matches"][0]["path"] == query
    assert found["matches"][0]["similarity"] == pytest.approx(1, abs=1e-3)
    drawn = np.asarray(Image.open(tmp_path / "sheet.png").convert("L"))
    assert (drawn < 100).any(axis=0).mean() > 0.5  # ink in every tile, not on the left alone

    opened = Gallery.open(gallery)
    with Image.open(query) as picture:
        with pytest.raises(HiddenInk, match=f"picture: {LIGHT}"):
            opened.search(picture)
        assert str(opened.search(picture, 1, invert=True)[0][0].path) == query
    assert str(opened.search(on_paper("house", 1), 1)[0][0].path) == query


def test_galleries_of_light_drawings_alone(tmp_path, capsys):
    (tmp_path / "chalk").mkdir()
    transparent(on_paper()).save(tmp_path / "chalk" / "1.png")
    build = ["gallery", "build", str(tmp_path / "gallery"), str(tmp_path / "chalk"), "--image-size", "64"]
    assert main(build) == 2
    assert LIGHT in capsys.readouterr().err
    assert not (tmp_path / "gallery").exists()
    assert main([*build, "--invert"]) == 0
    assert "1 added" in capsys.readouterr().out


def test_stylizing(chalk, tmp_path, capsys):
    assert main(["style", "apply", "pencil", str(chalk), "--out", str(tmp_path / "sketch.png")]) == 0
    said = capsys.readouterr().err
    assert said.startswith(f"note: {chalk}: all in it is light on a transparent ground, and lost on white paper")
    transparent(on_paper(), "black").save(tmp_path / "ink.png")
    assert main(["style", "apply", "pencil", str(tmp_path / "ink.png"), "--out", str(tmp_path / "inked.png")]) == 0
    assert capsys.readouterr().err == ""


# What is learned from ------------------------------------------------------------------------------------------------


def parquet(folder: Path, pictures: list[Path]) -> str:
    """A data set of the hub, as files: these pictures, each with a class."""
    rows = Dataset.from_dict({"image": [str(path) for path in pictures], "label": [path.stem for path in pictures]})
    folder.mkdir()
    rows.cast_column("image", datasets.Image()).to_parquet(folder / "train.parquet")
    return str(folder)


def test_trainings_see_light_ink_as_dark_ink_on_white(tmp_path):
    for kind in ("cat", "house"):
        (tmp_path / "drawings" / kind).mkdir(parents=True)
        transparent(on_paper(kind)).save(tmp_path / "drawings" / kind / f"{kind}.png")
    files = sorted((tmp_path / "drawings").rglob("*.png"))
    (tmp_path / "captioned").mkdir()
    transparent(on_paper("cat")).save(tmp_path / "captioned" / "cat.png")
    (tmp_path / "captioned" / "cat.txt").write_text("a cat")
    table = parquet(tmp_path / "table", files)
    opened = [
        open_sketches(tmp_path / "drawings", 64),
        open_sketches(table, 64),
        open_captioned(tmp_path / "captioned", 64),
        open_style(str(tmp_path / "drawings"), 64),
        open_style(table, 64),
        open_style(files[0], 64),
    ]
    for pictures in opened:
        assert far(pictures.picture(0), on_paper("cat")) <= 1
        assert pictures.unreadable == []
    assert np.abs(opened[0][1]["image"].numpy() - np.asarray(on_paper("house")).astype(int)).max() <= 1


def test_trainings_see_light_photos_on_black(tmp_path):
    for name in ("photos", "sketches"):
        (tmp_path / "cufs" / "train" / name).mkdir(parents=True)
        transparent(on_paper()).save(tmp_path / "cufs" / "train" / name / "1.png")
    folder = tmp_path / "cufs" / "train" / "photos"
    pairs, table = open_pairs(f"cufs:{tmp_path / 'cufs'}"), parquet(tmp_path / "table", [folder / "1.png"])
    for photo in (
        open_photos(str(folder), 64).picture(0),
        open_photos(folder / "1.png", 64).picture(0),
        open_photos(table, 64).picture(0),
        pairs.photo(0, 64),
    ):
        assert far(photo, ImageOps.invert(on_paper())) <= 1
    assert far(pairs.sketch(0, 64), on_paper()) <= 1


def test_a_transparent_ground_is_white_for_what_shows_on_it(tmp_path):
    wanted = Image.new("RGB", (64, 64), "white")
    wanted.paste("red", (9, 9, 40, 40))
    half = Image.new("RGBA", (64, 64))
    half.paste("red", (9, 9, 40, 40))
    half.save(tmp_path / "red.png")
    for opened in (open_photos, open_style):
        assert far(opened(tmp_path / "red.png", 64).picture(0), wanted) == 0


def test_judged_drawings_are_seen(tmp_path):
    for number in range(3):
        transparent(on_paper("cat", number)).save(tmp_path / f"{number}.png")
    (tmp_path / "triplets.csv").write_text("reference,closer,farther\n0,1,2\n")
    triplets = read_triplets(tmp_path / "triplets.csv")
    for index, path in enumerate(triplets.pictures):
        assert far(triplets.read(index), on_paper("cat", int(path.stem))) <= 1
