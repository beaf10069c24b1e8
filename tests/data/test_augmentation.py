"""Oracles: the picture itself where nothing is changed, closed forms of single lines, and counted shares."""

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from sketchloss.data.augmentation import CROP_AND_FLIP, Augment, Augmentation
from sketchloss.data.doodles.kinds import KINDS, doodle
from sketchloss.system.images import to_tensor

WHOLE = Augmentation(**CROP_AND_FLIP, crop_scale=(1.0, 1.0), flip=0.0)


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def drawings(count: int, size: int) -> torch.Tensor:
    pictures = [to_tensor(doodle(KINDS[index % len(KINDS)], index).sketch(size)) for index in range(count)]
    return (torch.stack([picture.expand(3, -1, -1) for picture in pictures]) * 255).round().to(torch.uint8)


def upright_line(size: int, width: int, count: int = 1) -> torch.Tensor:
    """White pictures with one black line from top to bottom, `width` columns wide."""
    images = torch.full((count, 3, size, size), 255, dtype=torch.uint8)
    start = (size - width) // 2
    images[..., start : start + width] = 0
    return images


def test_without_changes_the_picture_comes_back():
    images = drawings(4, 48)
    torch.testing.assert_close(Augment(WHOLE)(images, 48), images / 255, atol=1e-5, rtol=0)


def test_flipped_pictures_are_mirrored():
    images = drawings(4, 48)
    flipped = Augment(replace(WHOLE, flip=1.0))(images, 48)
    torch.testing.assert_close(flipped, images.flip(3) / 255, atol=1e-5, rtol=0)


def test_larger_pictures_are_made_smaller_with_all_their_ink():
    # A line of one pixel in 192 is a quarter of a pixel in 48; taken at single points, it would be all there or lost.
    found = Augment(WHOLE)(upright_line(192, 1), 48)
    assert (1 - found).sum().item() == pytest.approx(3 * 48 / 4, rel=0.15)


def test_crops_keep_their_share_of_the_area_and_their_shape():
    # Oracle: pictures whose red is the column and whose green is the row tell where each corner came from.
    size, count = 120, 400
    place = torch.arange(size, dtype=torch.uint8).expand(size, size)
    images = torch.stack([place, place.T, torch.zeros_like(place)]).expand(count, 3, size, size)
    cropped = Augment(replace(WHOLE, crop_scale=(0.2, 0.6), crop_ratio=(0.5, 2.0)))(images, size) * 255
    width = (cropped[:, 0, 60, 90] - cropped[:, 0, 60, 30]) / 60
    height = (cropped[:, 1, 90, 60] - cropped[:, 1, 30, 60]) / 60
    area, ratio = width * height, (width / height).log()
    assert 0.19 < area.min() < 0.25
    assert 0.55 < area.max() < 0.61
    assert ratio.abs().max() < math.log(2.0) + 0.02
    assert ratio.min() < -0.5
    assert ratio.max() > 0.5
    assert cropped[..., 4:-4, 4:-4].max() <= size  # nothing but the picture, which is all ink


def test_turned_pictures_are_turned_about_their_centre_on_white():
    # Oracle: the angle of a long line, from its two moments; and the white that comes in at the corners.
    size, count = 121, 300
    turned = Augment(replace(WHOLE, rotate=1.0, rotation=15.0))(upright_line(size, 3, count), size)
    ink = 1 - turned[:, 0]
    assert ink.min() >= 0
    rows = torch.arange(size) - size // 2
    column = (ink * rows).sum(2) / ink.sum(2).clamp_min(1e-6)  # where the line is in each row
    near = slice(20, -20)
    slope = (column[:, near] * rows[near]).sum(1) / rows[near].square().sum()
    angle = torch.rad2deg(slope.atan())
    assert 13 < angle.max() <= 15.1
    assert -15.1 <= angle.min() < -13
    assert column[:, size // 2].abs().max() < 0.2  # the centre stays
    assert (turned[:, :, 0, 0] > 0.999).all()


@pytest.mark.parametrize(("size", "widest"), [(48, 5), (96, 7)])
def test_thicker_lines_are_two_pixels_wider_and_broad_ones_four_in_large_pictures(size, widest):
    found = Augment(replace(WHOLE, thicken=1.0))(upright_line(size, 3, 40), size)
    widths = (1 - found[:, 0, size // 2]).sum(1).round().int()
    assert set(widths.tolist()) == {5, widest}


def test_thin_lines_get_fainter_and_wide_ones_narrower():
    augment = Augment(replace(WHOLE, thin=1.0))
    hairline, wide = (1 - augment(upright_line(48, width, 40), 48)[:, 0, 24] for width in (1, 7))
    assert (hairline.amax(1) >= 0.3 - 1e-5).all()
    assert (hairline.amax(1) < 0.71).all()
    assert (wide.sum(1) < 7 - 2 * 0.29).all()
    assert (wide.sum(1) > 7 - 2 * 0.71).all()
    assert (wide[:, 24] > 1 - 1e-5).all()  # the middle is as dark as it was


def test_soft_lines_are_wider_and_hold_the_same_ink():
    found = 1 - Augment(replace(WHOLE, soften=1.0, softness=1.5))(upright_line(48, 3, 30), 48)[:, 0, 10:38]
    assert found.sum((1, 2)).tolist() == pytest.approx([3 * 28] * 30, rel=1e-4)
    deviation = ((found.mean(1) * (torch.arange(48) - 23.0).square()).sum(1) / 3).sqrt()
    # A line of 3 pixels has a deviation of sqrt(2/3); the blur's is added in squares.
    blur = (deviation.square() - 2 / 3).clamp_min(0).sqrt()
    assert 0.1 < blur.min() < 0.6
    assert 1.2 < blur.max() < 1.51


def test_lines_and_paper_get_colours_within_their_bounds():
    images, count = upright_line(48, 9, 200), 200
    settings = replace(WHOLE, lightest_line=0.5, darkest_paper=0.8)
    for name, varied in (("grey", "line"), ("colour", "line"), ("tint", "paper")):
        found = Augment(replace(settings, **{name: 1.0}))(images, 48)
        line, paper = found[:, :, 24, 24], found[:, :, 24, 2]
        channels_differ = (line if varied == "line" else paper).std(1) > 1e-3
        assert channels_differ.float().mean() == pytest.approx(0.0 if name == "grey" else 1.0, abs=0.02)
        if varied == "line":
            assert (paper > 1 - 1e-5).all()
            assert 0 <= line.min() < 0.05
            assert 0.4 < line.max() <= 0.5
        else:
            assert (line < 1e-5).all()
            assert 0.8 <= paper.min() < 0.87
            assert 0.95 < paper.max() <= 1
    assert len(images) == count


@pytest.mark.parametrize("name", ["flip", "rotate", "thicken", "thin", "soften", "grey", "colour", "tint"])
def test_a_share_is_the_share_of_drawings_that_are_changed(name):
    images = drawings(35, 40).repeat(20, 1, 1, 1)
    changed = Augment(replace(WHOLE, **{name: 0.3}))(images, 40)
    share = ((changed - images / 255).abs().amax((1, 2, 3)) > 1e-3).float().mean().item()
    assert share == pytest.approx(0.3, abs=5 * (0.3 * 0.7 / 700) ** 0.5)


def test_coloured_pictures_keep_their_colours():
    images = upright_line(48, 9)
    images[:, 0, :, 20:28] = 200  # a red line
    found = Augment(WHOLE)(images, 48)
    torch.testing.assert_close(found, images / 255, atol=1e-5, rtol=0)


def test_what_comes_out_is_a_batch_to_train_on():
    images = drawings(6, 86)
    for size in (48, 64, 128):
        found = Augment(Augmentation())(images, size)
        assert found.shape == (6, 3, size, size)
        assert found.dtype == torch.float32
        assert found.is_contiguous(memory_format=torch.channels_last)
        assert 0 <= found.min() < found.max() <= 1


def test_the_same_random_state_gives_the_same_pictures():
    images, augment = drawings(8, 64), Augment(Augmentation())
    state = torch.get_rng_state()
    first = augment(images, 48)
    assert not torch.equal(first, augment(images, 48))
    torch.set_rng_state(state)
    assert torch.equal(first, augment(images, 48))


def test_algorithm_1_has_crops_and_flips_alone():
    # Oracle: PyTorch's resampling of the one crop there is when the whole picture is kept.
    images = drawings(4, 64)
    settings = Augmentation(**CROP_AND_FLIP, crop_scale=(1.0, 1.0))
    found = Augment(settings)(images, 48)
    whole = F.interpolate(images / 255, (48, 48), mode="bilinear", align_corners=False)
    same = (found - whole).abs().amax((1, 2, 3)) < 1e-5
    mirrored = (found - whole.flip(3)).abs().amax((1, 2, 3)) < 1e-5
    assert (same ^ mirrored).all()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"crop_scale": (0.5, 0.2)}, r"crop_scale is 0\.5 0\.2"),
        ({"crop_scale": (0.0, 0.2)}, r"crop_scale is 0\.0 0\.2"),
        ({"crop_ratio": (2.0, 1.0)}, r"crop_ratio is 2\.0 1\.0"),
        ({"rotate": 1.1}, r"rotate is 1\.1: it must be a share from 0 to 1"),
        ({"thicken": -0.1}, r"thicken is -0\.1"),
        ({"tint": float("nan")}, "tint is nan"),
        ({"rotation": 200.0}, r"rotation is 200\.0: it must be 0 to 180 degrees"),
        ({"softness": 0.1}, r"softness is 0\.1"),
        ({"lightest_line": 0.9}, r"lightest_line is 0\.9 and darkest_paper 0\.85: lines must be darker"),
        ({"darkest_paper": 1.2}, r"darkest_paper 1\.2"),
    ],
)
def test_settings_out_of_range_are_named(change, words):
    with pytest.raises(ValueError, match=words):
        Augmentation(**change)
