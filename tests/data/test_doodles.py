import sys
from functools import cache
from hashlib import sha256
from itertools import combinations

import numpy as np
import pytest
from PIL import Image, ImageFilter

from child_process import finished
from sketchloss.data.doodles.drawing import SPACING, visible_strokes
from sketchloss.data.doodles.kinds import KINDS, STYLES, doodle
from sketchloss.data.doodles.shapes import RED, box, ellipse, fill, line, shape

made = cache(doodle)  # a doodle is frozen, so tests may share it


def ink(sketch):
    return 1 - np.asarray(sketch, dtype=np.float64) / 255


def blurred(sketch, side=16):
    soft = sketch.filter(ImageFilter.GaussianBlur(sketch.width / 32)).resize((side, side), Image.Resampling.BOX)
    return ink(soft).ravel()


def fingerprint(kind, seed):
    one = doodle(kind, seed)
    return sha256(one.sketch(48).tobytes() + one.photo(48).tobytes()).hexdigest()


def test_at_least_24_kinds_sorted_by_name():
    assert len(KINDS) >= 24
    assert list(KINDS) == sorted(set(KINDS))


def test_same_in_a_fresh_process():
    cases = [(kind, seed) for seed, kind in enumerate(KINDS[::5])]
    program = (
        "from hashlib import sha256\n"
        "from sketchloss.data.doodles.kinds import doodle\n"
        f"for kind, seed in {cases!r}:\n"
        "    one = doodle(kind, seed)\n"
        "    print(sha256(one.sketch(48).tobytes() + one.photo(48).tobytes()).hexdigest())\n"
    )
    fresh = finished([sys.executable, "-c", program], check=True, seconds=240)
    assert fresh.stdout.split() == [fingerprint(kind, seed) for kind, seed in cases]


@pytest.mark.parametrize("kind", KINDS)
def test_seeds_vary_scene_and_not_only_line(kind):
    several = [made(kind, seed) for seed in range(4)]
    for one, other in combinations(several, 2):
        assert np.abs(blurred(one.sketch(64, style="ink")) - blurred(other.sketch(64, style="ink"))).mean() > 0.01
        assert np.abs(np.subtract(one.photo(32), other.photo(32), dtype=np.float64)).mean() > 5


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("kind", KINDS)
def test_dark_lines_on_white_paper(kind, style):
    for seed in range(2):
        sketch = made(kind, seed).sketch(64, style=style)
        assert (sketch.mode, sketch.size) == ("L", (64, 64))
        assert 0.01 < ink(sketch).mean() < 0.3
        assert np.median(np.asarray(sketch)) == 255
        assert np.asarray(sketch).min() < 130


def test_every_drawing_stays_inside_the_paper():
    for kind in KINDS:
        for seed in range(3):
            points = np.concatenate([part.points for part in made(kind, seed).parts])
            assert points.min() > 0.02
            assert points.max() < 0.98


def test_lines_of_the_sketch_lie_on_edges_of_the_photo():
    # Oracle: the photo's contrast within 5 pixels, which knows nothing of strokes; lines 4 pixels away meet less of it.
    def local_contrast(photo):
        grey = photo.convert("L")
        darkest, lightest = grey.filter(ImageFilter.MinFilter(5)), grey.filter(ImageFilter.MaxFilter(5))
        return np.subtract(lightest, darkest, dtype=np.float64)

    for kind in KINDS:
        several = [made(kind, seed) for seed in range(4)]
        lines = np.array([ink(one.sketch(96, style="ink", line_width=1.0)) for one in several])
        contrast = np.array([local_contrast(one.photo(96)) for one in several])
        fit = (lines * contrast).sum()
        for shift in ((4, 0), (-4, 0), (0, 4), (0, -4)):
            assert (np.roll(lines, shift, axis=(1, 2)) * contrast).sum() < 0.93 * fit, (kind, shift)


def inside(points, outline):
    """Even-odd rule by ray casting."""
    (x, y), start, stop = points.T, outline, np.roll(outline, -1, axis=0)
    spans = (start[:, 1] > y[:, None]) != (stop[:, 1] > y[:, None])
    rise = np.where(stop[:, 1] == start[:, 1], 1, stop[:, 1] - start[:, 1])
    crossing = start[:, 0] + (y[:, None] - start[:, 1]) / rise * (stop[:, 0] - start[:, 0])
    return (spans & (x[:, None] < crossing)).sum(axis=1) % 2 == 1


def test_a_part_hides_the_lines_behind_it():
    for kind in KINDS:
        one = made(kind, 3)
        for index, part in enumerate(one.parts):
            hiders = [hider for hider in one.parts[index + 1 :] if hider.filled]
            shown = visible_strokes([part, *hiders])
            shown = shown[: len(shown) - len(visible_strokes(hiders))]  # those of the part come first
            for hider in hiders:
                middle = hider.points.mean(axis=0)
                core = middle + (hider.points - middle) * 0.9
                star_shaped = inside(core, hider.points).all()  # otherwise the shrunk outline is not within the outline
                if shown and star_shaped:
                    assert not inside(np.concatenate(shown), core).any(), (kind, index)


def test_visible_length_of_two_boxes_in_closed_form():
    # The front box covers the right half of the back one: of its outline 4 * 0.4, half of two sides and one whole go.
    back, front = fill(box(0.2, 0.2, 0.6, 0.6), RED), fill(box(0.4, 0.1, 0.9, 0.8), RED)
    length = sum(np.hypot(*np.diff(stroke, axis=0).T).sum() for stroke in visible_strokes([back, front]))
    assert length == pytest.approx(0.8 + 2 * (0.5 + 0.7), abs=4 * SPACING)
    assert sum(len(stroke) > 2 for stroke in visible_strokes([back, front])) == 3 + 4


def test_a_loop_is_one_stroke_and_a_corner_makes_two():
    assert len(visible_strokes([fill(ellipse(0.5, 0.5, 0.3), RED)])) == 1
    assert len(visible_strokes([fill(shape((0.2, 0.2), (0.8, 0.2), (0.5, 0.8)), RED)])) == 3
    assert len(visible_strokes([line(shape((0.2, 0.2), (0.8, 0.2), (0.8, 0.8)), RED)])) == 2
    # hidden in the middle of its seam: still one visible run, as it is a loop
    assert len(visible_strokes([fill(ellipse(0.5, 0.5, 0.3), RED), fill(box(0.3, 0.4, 0.7, 0.9), RED)])) == 1 + 4


def test_styles_leave_different_marks():
    drawn = {
        style: np.array([ink(made(kind, 0).sketch(96, style=style, line_width=1.5)) for kind in KINDS])
        for style in STYLES
    }
    share = {style: pictures.mean(axis=(1, 2)) for style, pictures in drawn.items()}
    assert (share["brush"] > 1.05 * share["ink"]).all()
    full = {style: (pictures > 0.85).sum() / (pictures > 0.3).sum() for style, pictures in drawn.items()}
    assert full["pencil"] < 0.15 < 0.35 < full["ink"] < full["brush"]


def test_ink_grows_with_line_width():
    one = doodle("umbrella", 1, style="ink")
    thin, middle, thick = (ink(one.sketch(256, line_width=width)).mean() for width in (1.0, 2.0, 4.0))
    assert 1.7 < middle / thin < 2.2
    assert 1.6 < thick / middle < 2.1


def test_a_small_drawing_is_the_large_one_made_smaller():
    for kind in KINDS[::3]:
        one = made(kind, 2)
        small = one.sketch(64, style="ink", line_width=2.0)
        reduced = one.sketch(256, style="ink", line_width=8.0).reduce(4)
        assert np.corrcoef(ink(small).ravel(), ink(reduced).ravel())[0, 1] > 0.97


def test_kinds_can_be_told_apart():
    seeds = 6
    pictures = np.array([blurred(made(kind, seed).sketch(64)) for kind in KINDS for seed in range(seeds)])
    labels = np.repeat(np.arange(len(KINDS)), seeds)
    pictures /= np.linalg.norm(pictures, axis=1, keepdims=True)
    likeness = pictures @ pictures.T
    np.fill_diagonal(likeness, -1)
    accuracy = (labels[likeness.argmax(axis=1)] == labels).mean()
    assert accuracy > 0.4  # chance is 0.03


def test_another_hand_draws_the_same_scene():
    for kind in KINDS:
        one = made(kind, 1)
        again = one.redrawn(9)
        offsets = np.concatenate([a - b for a, b in zip(one.strokes, again.strokes, strict=True)])
        assert 0.001 < np.hypot(*offsets.T).mean() < 0.02
        assert again.photo(32).tobytes() == one.photo(32).tobytes()
        own, redrawn, other = (blurred(d.sketch(64, style="ink")) for d in (one, again, made(kind, 2)))
        assert np.abs(own - redrawn).mean() < 0.6 * np.abs(own - other).mean(), kind


def test_style_changes_nothing_of_the_scene():
    for kind in KINDS[::4]:
        photos = {doodle(kind, 6, style=style).photo(32).tobytes() for style in (None, *STYLES)}
        assert len(photos) == 1
    assert {doodle("cat", seed).style for seed in range(30)} == set(STYLES)


def test_without_removes_that_share_and_leaves_the_rest():
    one = doodle("bicycle", 2)
    fewer = one.without(0.25, seed=1)
    before = [stroke.tobytes() for stroke in one.strokes]
    after = [stroke.tobytes() for stroke in fewer.strokes]
    assert len(before) - len(after) == round(0.25 * len(before))
    assert set(after) < set(before)
    assert one.without(0.25, seed=2).missing != fewer.missing
    assert one.without(0, seed=1).sketch(32).tobytes() == one.sketch(32).tobytes()
    assert ink(one.without(1, seed=1).sketch(32)).sum() == 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: doodle("unicorn", 0), r"kind 'unicorn' is unknown; choose from airplane, .*umbrella"),
        (lambda: doodle("cat", 0, style="oil"), r"style 'oil' is unknown; choose from pencil, ink, brush"),
        (lambda: doodle("cat", -3), r"seed must be 0 or more, got -3"),
        (lambda: doodle("cat", 0).sketch(7), r"size must be at least 8 pixels, got 7"),
        (lambda: doodle("cat", 0).photo(0), r"size must be at least 8 pixels, got 0"),
        (lambda: doodle("cat", 0).sketch(32, style="oil"), r"style 'oil' is unknown"),
        (lambda: doodle("cat", 0).sketch(32, line_width=0.0), r"line_width must be above 0 pixels, got 0.0"),
        (lambda: doodle("cat", 0).without(1.5, 0), r"share must be from 0 to 1, got 1.5"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message) as error:
        call()
    assert "\n" not in str(error.value)
