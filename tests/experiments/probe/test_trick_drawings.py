"""What the tricks make of drawings. Oracles: ink counted, pictures moved by slicing, the names of Sketchy's files."""

import numpy as np
import pytest
from PIL import Image

from sketchloss.data.quickdraw.drawings import open_drawings
from sketchloss.data.sources import open_sketches
from sketchloss.experiments.probe.trick_drawings import QUARTER, REFERENCES, TRICKS, make_tricks

SIZE = 64


@pytest.fixture(scope="module")
def drawings():
    return open_drawings("doodles", per_class=3, classes=4, seed=1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, drawings):
    """Two classes of pictures; of each class two sketches of one photo, and one of another photo."""
    place = tmp_path_factory.mktemp("pictures")
    classes = sorted({drawing.label for drawing in drawings})[:2]
    for number, label in enumerate(classes):
        (place / label).mkdir()
        for drawing, name in zip(
            [drawing for drawing in drawings if drawing.label == label], ("1-1", "1-2", "2-1"), strict=True
        ):
            drawing.picture(100).save(place / label / f"n0000000{number}_{name}.png")
    return place


@pytest.fixture(scope="module", params=["strokes", "pixels"])
def tricked(request, drawings, folder):
    return make_tricks(drawings if request.param == "strokes" else open_sketches(folder, 64), SIZE, seed=2)


def ink(pictures):
    return (255 - pictures.numpy().astype(float)).sum((-2, -1))


def trick(tricked, name):
    return tricked.tricks[:, list(TRICKS).index(name)]


def reference(tricked, name):
    return tricked.references[:, list(REFERENCES).index(name)]


def test_the_amount_of_ink_is_what_each_trick_says(tricked):
    own = ink(tricked.drawings)
    assert not ink(trick(tricked, "blank page")).any()
    assert (ink(trick(tricked, "one speck")) > 0).all()
    assert (ink(trick(tricked, "one speck")) < 0.1 * own).all()
    assert (ink(trick(tricked, "one stroke")) < 0.4 * own).all()
    assert ink(trick(tricked, "half gone")) / own == pytest.approx(0.5, abs=0.15)
    assert np.median(ink(trick(tricked, "twice the ink")) / own) == pytest.approx(1.8, abs=0.4)
    assert np.median(ink(trick(tricked, "thicker")) / own) == pytest.approx(1.8, abs=0.25)
    assert ink(trick(tricked, "half-tone")) / own == pytest.approx(1, abs=0.05)
    assert (trick(tricked, "half-tone").amin((1, 2)) > 60).all()  # grey
    assert (ink(reference(tricked, "redrawn")) / own) == pytest.approx(1, abs=0.45)


def test_what_is_left_was_there_and_what_is_added_stands_beside_it(tricked):
    for name in ("one speck", "one stroke", "half gone"):
        left = trick(tricked, name).int() < 128
        near = np.stack([_near(picture.numpy() < 200) for picture in tricked.drawings])
        assert (left.numpy() <= near).all(), name
    assert (trick(tricked, "twice the ink").int() <= tricked.drawings.int() + 8).all()


def _near(mask):
    return np.max([np.roll(mask, move, (0, 1)) for move in np.ndindex(3, 3)], axis=0) | np.max(
        [np.roll(mask, (-down, -right), (0, 1)) for down, right in np.ndindex(3, 3)], axis=0
    )


@pytest.mark.parametrize(("name", "pixels"), [("shift 1 px", 1), ("shift 3 px", 3), (QUARTER, SIZE // 4)])
def test_a_shift_moves_every_pixel_by_so_many(tricked, name, pixels):
    for drawing, found in zip(tricked.drawings.numpy(), trick(tricked, name).numpy(), strict=True):
        white = np.pad(drawing, pixels, constant_values=255)
        moved = [
            white[down : down + SIZE, right : right + SIZE]
            for down, right in ((0, pixels), (2 * pixels, pixels), (pixels, 0), (pixels, 2 * pixels))
        ]
        assert any(np.array_equal(found, one) for one in moved)


def test_a_shift_goes_where_the_margin_is_widest(folder, tmp_path):
    for label in ("a", "b"):
        (tmp_path / label).mkdir()
        for number in range(2):
            picture = np.full((SIZE, SIZE), 255, np.uint8)
            picture[:, 4 : 20 + 4 * number] = 0  # wide to the right
            Image.fromarray(picture).save(tmp_path / label / f"{number}.png")
    found = make_tricks(open_sketches(tmp_path, SIZE), SIZE)
    assert np.array_equal(trick(found, QUARTER)[:, :, 16:], found.drawings[:, :, :-16])


def test_references_are_of_the_kind_they_say(folder):
    found = make_tricks(open_sketches(folder, SIZE), SIZE, seed=3)
    own = {}
    for path in sorted(folder.rglob("*.png")):
        with Image.open(path) as picture:
            label, photo = path.parent.name, path.stem.partition("-")[0]
            own[np.asarray(picture).tobytes()] = (label, photo)
    whole = make_tricks(open_sketches(folder, SIZE), 256, seed=3)
    assert sorted(whole.labels) == sorted(label for label, _ in own.values())
    by_pixels = {picture.numpy().tobytes(): row for row, picture in enumerate(whole.drawings)}
    photos = [_photo(found, folder, picture) for picture in whole.drawings]
    for row, label in enumerate(found.labels):
        same = by_pixels[reference(whole, "same kind")[row].numpy().tobytes()]
        other = by_pixels[reference(whole, "other kind")[row].numpy().tobytes()]
        assert found.labels[same] == label != found.labels[other]
        assert photos[same] != photos[row]
        assert found.known[row].tolist() == [True, photos[row].endswith("_1"), True, True]
        if found.known[row, 1]:
            person = by_pixels[reference(whole, "another person")[row].numpy().tobytes()]
            assert person != row
            assert photos[person] == photos[row]


def _photo(found, folder, picture):
    """Return the photo that a picture is of: the file that it is nearest to."""
    gaps = {}
    for path in folder.rglob("*.png"):
        with Image.open(path) as one:
            large = np.asarray(one.convert("L").resize((256, 256), Image.Resampling.BILINEAR), dtype=float)
        gaps[path.stem.partition("-")[0]] = min(
            gaps.get(path.stem.partition("-")[0], np.inf), np.abs(large - picture.numpy()).mean()
        )
    return min(gaps, key=gaps.__getitem__)


def test_the_same_seed_the_same_and_fewer_are_the_first_of_more(drawings):
    whole, again, other = (make_tricks(drawings, 32, seed=seed) for seed in (5, 5, 6))
    few = make_tricks(drawings, 32, count=3, seed=5)
    assert len(set(few.labels)) == 3
    for name in ("drawings", "references", "tricks"):
        assert (getattr(whole, name) == getattr(again, name)).all()
        assert (getattr(whole, name)[:3] == getattr(few, name)).all()
        assert (getattr(whole, name) != getattr(other, name)).any()


# Mistakes ------------------------------------------------------------------------------------------------------------


def test_too_small_or_too_few(drawings, folder):
    with pytest.raises(ValueError, match="image_size is 8: tricks need 16 pixels at least"):
        make_tricks(drawings, 8)
    with pytest.raises(ValueError, match="count is 0: play on one drawing at least"):
        make_tricks(drawings, count=0)
    with pytest.raises(ValueError, match="3 drawings of 1 classes: tricks need two classes"):
        make_tricks(drawings[:3])
    with pytest.raises(ValueError, match="0 drawings of 0 classes"):
        make_tricks([])
    one_photo = open_sketches(folder, SIZE).select([0, 1, 3, 4])
    with pytest.raises(ValueError, match=r"4 drawings of 2 classes: .* two drawings of one class \(not of one photo\)"):
        make_tricks(one_photo)


def test_no_ink(drawings, tmp_path):
    empty = drawings[0].with_strokes([])
    with pytest.raises(ValueError, match=r"drawing 0 \(class \w+\) has no strokes: leave it out"):
        make_tricks([empty, *drawings[1:]])
    for label in ("cat", "dog"):
        (tmp_path / label).mkdir()
        for number in range(2):
            Image.new("L", (20, 20), 250).save(tmp_path / label / f"{number}.png")
    with pytest.raises(ValueError, match=r"drawing \d \(class (cat|dog)\) has no ink, dark on light: leave it out"):
        make_tricks(open_sketches(tmp_path, SIZE))
