"""Oracles: copies that the test itself makes; the files before and after."""

import hashlib
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from sketchloss import Backbone
from sketchloss.data.doodles.kinds import doodle
from sketchloss.data.picture_edits import erased, to_ink, to_paper
from sketchloss.gallery import Gallery
from sketchloss.gallery.duplicates import Duplicates, find_duplicates
from sketchloss.gallery.table import writing

SIDE = 96
COPIES = {"shifted.png", "again.jpg", "smaller.png", "same.png"}


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    torch.manual_seed(0)
    return Backbone(width=0.1)


@pytest.fixture(scope="module")
def planted(tmp_path_factory) -> Path:
    """A house with four copies and a house with ink erased, and a cat."""
    place = tmp_path_factory.mktemp("planted")
    drawing = doodle("house", 1, style="ink").sketch(SIDE - 16).convert("L")
    house = Image.new("L", (SIDE, SIDE), "white")
    house.paste(drawing, (8, 8))
    house.save(place / "house.png")
    (place / "same.png").write_bytes((place / "house.png").read_bytes())
    page = Image.new("L", (SIDE, SIDE), "white")
    page.paste(drawing, (14, 3))
    page.save(place / "shifted.png")
    house.save(place / "again.jpg", quality=40)
    house.resize((60, 60), Image.Resampling.BILINEAR).save(place / "smaller.png")
    to_paper(erased(to_ink(house), 0.1, np.random.default_rng(0))).save(place / "erased.png")
    doodle("cat", 1, style="ink").sketch(SIDE).save(place / "cat.png")
    for age, path in enumerate(sorted(place.iterdir())):
        os.utime(path, (10**9 - age, 10**9 - age))  # the later in the alphabet, the older
    return place


@pytest.fixture(scope="module")
def found(planted, backbone, tmp_path_factory) -> Duplicates:
    gallery, _ = Gallery.build(tmp_path_factory.mktemp("g") / "gallery", [planted], weights=backbone, image_size=32)
    before = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in planted.iterdir()}
    duplicates = find_duplicates(gallery, min_similarity=0)
    assert {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in planted.iterdir()} == before
    assert len(gallery) == len(before)
    return duplicates


def names(paths) -> list[str]:
    return [Path(path).name for path in paths]


def test_moved_reencoded_rescaled_and_exact_copies_are_found_and_no_others(found):
    (group,) = found.groups
    assert set(names(copy.path for copy in group.copies)) | {group.kept.path.name} == COPIES | {"house.png"}
    assert [copy.path.name for copy in group.copies if copy.exact] == ["house.png"]
    assert len(found.compared) == 7
    assert found.left_out.unreadable == found.left_out.gone == found.left_out.changed == ()


def test_the_largest_is_kept_without_losses_and_then_the_oldest(found):
    (group,) = found.groups
    # All but smaller.png have the same pixels; again.jpg has losses; shifted.png may have as many bytes as the others.
    kept = max((path for path in found.compared if path.name in ("house.png", "same.png")), key=lambda p: p.name)
    sizes = {path.name: path.stat().st_size for path in found.compared}
    expected = "shifted.png" if sizes["shifted.png"] > sizes["same.png"] else kept.name
    assert group.kept.path.name == expected
    assert (group.kept.width, group.kept.height, group.kept.size) == (SIDE, SIDE, sizes[expected])


def test_a_move_is_nothing_and_a_smaller_picture_next_to_nothing(found):
    (group,) = found.groups
    by_name = {copy.path.name: copy.distance for copy in group.copies}
    assert by_name["house.png"] == 0
    assert 0 < by_name["smaller.png"] < 0.05
    shifted = by_name.get("shifted.png", 0.0)
    assert shifted == pytest.approx(0, abs=1e-5)  # moved by whole pixels


def test_results_have_the_form_that_people_know(found):
    (group,) = found.groups
    mapping = found.mapping()
    assert set(mapping) == {str(path) for path in found.compared}
    kept = str(group.kept.path)
    assert set(names(other for other, _ in mapping[kept])) | {group.kept.path.name} == COPIES | {"house.png"}
    for copy in group.copies:
        assert mapping[str(copy.path)] == [(kept, copy.distance)]
    assert [path for path, others in mapping.items() if not others] == [
        str(path) for path in found.compared if path.name in ("cat.png", "erased.png")
    ]
    assert sorted(found.to_remove()) == sorted(copy.path for copy in group.copies)


# Exact copies: nothing below asks the loss ----------------------------------------------------------------------------


@pytest.fixture
def build(tmp_path, backbone):
    def make(*names: str) -> Gallery:
        """Build a gallery of files; those with the same letter have the same content."""
        for name in names:
            path = tmp_path / "drawings" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            doodle("cat", ord(name[0])).sketch(32).save(path, format="PNG")
        return Gallery.build(tmp_path / "gallery", [tmp_path / "drawings"], weights=backbone, image_size=32)[0]

    return make


def exact(gallery: Gallery, **settings) -> list[list[str]]:
    found = find_duplicates(gallery, min_similarity=1, **settings)
    return [names([group.kept.path, *(copy.path for copy in group.copies)]) for group in found.groups]


def test_the_oldest_is_kept(build, tmp_path):
    gallery = build("a1.png", "a2.png", "a3.png", "b1.png")
    os.utime(tmp_path / "drawings" / "a2.png", (1, 1))
    os.utime(tmp_path / "drawings" / "a3.png", (2, 2))
    assert exact(gallery, keep="oldest") == [["a2.png", "a3.png", "a1.png"]]


def test_what_is_gone_changed_or_unreadable_is_left_out(build, tmp_path, monkeypatch):
    gallery = build(*(f"a{number}.png" for number in range(6)), "b1.png", "b2.png")
    place = tmp_path / "drawings"
    (place / "a0.png").unlink()
    (place / "a1.png").write_bytes(b"shorter")
    content = bytearray((place / "a2.png").read_bytes())
    content[-20] ^= 1  # of the same size
    (place / "a2.png").write_bytes(content)
    (place / "b1.png").unlink()
    (place / "b1.png").mkdir()
    found = find_duplicates(gallery, min_similarity=1)
    assert names(found.left_out.gone) == ["a0.png"]
    assert names(found.left_out.changed) == ["a1.png", "a2.png", "b1.png"]
    assert [names(copy.path for copy in group.copies) for group in found.groups] == [["a4.png", "a5.png"]]
    assert names(found.compared) == ["a3.png", "a4.png", "a5.png", "b2.png"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_named(build, tmp_path):
    gallery = build("a1.png", "a2.png")
    (tmp_path / "drawings" / "a1.png").chmod(0)
    found = find_duplicates(gallery)
    assert "no permission" in found.left_out.unreadable[0]
    assert found.groups == ()


def test_a_link_is_no_copy_of_its_file(backbone, tmp_path):
    for folder in ("drawings", "far"):
        (tmp_path / folder).mkdir()
    doodle("cat", 1).sketch(32).save(tmp_path / "far" / "b.png")
    (tmp_path / "drawings" / "a.png").symlink_to(tmp_path / "far" / "b.png")
    folders = [tmp_path / "drawings", tmp_path / "far"]
    gallery, _ = Gallery.build(tmp_path / "gallery", folders, weights=backbone, image_size=32)
    found = find_duplicates(gallery)
    assert found.groups == ()
    assert found.left_out.links == (tmp_path / "drawings" / "a.png",)
    (tmp_path / "far" / "c.png").write_bytes((tmp_path / "far" / "b.png").read_bytes())
    gallery.add([tmp_path / "far"])
    assert set(exact(gallery)[0]) == {"b.png", "c.png"}


def test_a_file_with_more_pages_than_the_gallery_has_is_no_copy(backbone, tmp_path):
    """To remove it would lose the others."""
    folder = tmp_path / "drawings"
    folder.mkdir()
    cat, house = (doodle(kind, 1, style="ink").sketch(SIDE) for kind in ("cat", "house"))
    cat.resize((2 * SIDE, 2 * SIDE)).save(folder / "cat.png")
    for name in ("scan.tif", "film.gif", "film.png"):
        cat.save(folder / name, save_all=True, append_images=[house])
    gallery, _ = Gallery.build(tmp_path / "gallery", [folder], weights=backbone, image_size=32)
    found = find_duplicates(gallery, min_similarity=0)
    assert found.groups == ()
    assert sorted(names(found.left_out.pages)) == ["film.gif", "film.png", "scan.tif"]


def test_blank_pages_are_copies_only_byte_by_byte(backbone, tmp_path):
    (tmp_path / "drawings").mkdir()
    for name, side in (("a.png", 32), ("b.png", 32), ("c.png", 48)):
        Image.new("L", (side, side), "white").save(tmp_path / "drawings" / name)
    gallery, _ = Gallery.build(tmp_path / "gallery", [tmp_path / "drawings"], weights=backbone, image_size=32)
    found = find_duplicates(gallery, min_similarity=-1)
    assert [names(copy.path for copy in group.copies) for group in found.groups] == [["b.png"]]


def test_another_process_may_write_meanwhile(build):
    gallery = build("a1.png", "a2.png")
    with writing(gallery.folder, wait=None):
        assert exact(gallery) == [["a1.png", "a2.png"]]


def test_one_drawing_has_no_copies(build):
    found = find_duplicates(build("a1.png"))
    assert (found.groups, names(found.compared), found.to_remove()) == ((), ["a1.png"], [])


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"max_distance": float("nan")}, r"max_distance is nan: it must be in \[0, 1\]"),
        ({"max_distance": -0.1}, "max_distance is -0.1"),
        ({"max_distance": 2}, "max_distance is 2"),
        ({"neighbours": 0}, "neighbours is 0: it must be at least 1"),
        ({"min_similarity": float("nan")}, "min_similarity is nan"),
        ({"min_similarity": 1.5}, "min_similarity is 1.5: a cosine"),
    ],
)
def test_mistakes(build, settings, said):
    gallery = build("a1.png")
    with pytest.raises(ValueError, match=said):
        find_duplicates(gallery, **settings)


def test_an_empty_gallery_is_refused(backbone, tmp_path):
    gallery = Gallery.create(tmp_path / "gallery", weights=backbone, image_size=32)
    with pytest.raises(ValueError, match="is empty: add drawings first"):
        find_duplicates(gallery)


def test_what_is_left_out_for_its_pages_is_not_among_what_was_compared(backbone, tmp_path):
    place = tmp_path / "drawings"
    place.mkdir()
    pages = [doodle("house", seed).sketch(64) for seed in (1, 2)]
    for name in ("one.gif", "two.gif"):
        pages[0].save(place / name, save_all=True, append_images=pages[1:])
    doodle("cat", 1).sketch(64).save(place / "cat.png")
    gallery, _ = Gallery.build(tmp_path / "gallery", [place], weights=backbone, image_size=32)
    found = find_duplicates(gallery, min_similarity=0)
    assert set(found.compared).isdisjoint(found.left_out.pages)
    assert names(found.compared) == ["cat.png"]


def test_a_photo_with_a_preview_in_its_file_is_one_drawing(backbone, tmp_path):
    place = tmp_path / "drawings"
    place.mkdir()
    photo, preview = doodle("house", 1).sketch(64), doodle("house", 1).sketch(32)
    for name in ("one.jpg", "two.jpg"):
        photo.save(place / name, format="MPO", save_all=True, append_images=[preview])
    gallery, _ = Gallery.build(tmp_path / "gallery", [place], weights=backbone, image_size=32)
    found = find_duplicates(gallery, min_similarity=0)
    assert found.left_out.pages == ()
    (group,) = found.groups
    assert {group.kept.path.name, *names(copy.path for copy in group.copies)} == {"one.jpg", "two.jpg"}
