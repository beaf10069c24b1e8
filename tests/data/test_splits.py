from io import BytesIO

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from sketchloss.data.sources import open_sketches
from sketchloss.data.splits import _least_distance, _near_pairs, duplicate_groups, merge_groups, split_by_class
from sketchloss.system.images import open_picture

labels_of = st.lists(st.integers(0, 5), max_size=60).map(lambda labels: np.array(labels, dtype=np.int64))


@given(labels_of, st.floats(0.01, 0.99), st.integers(0, 9))
def test_every_item_on_one_side_and_every_class_on_both(labels, held_out, seed):
    train, held = split_by_class(labels, held_out=held_out, seed=seed)
    assert np.array_equal(np.sort(np.concatenate([train, held])), np.arange(len(labels)))
    assert np.array_equal(train, np.sort(train))
    assert np.array_equal(held, np.sort(held))
    assert train.dtype == held.dtype == np.int64
    for label, count in zip(*np.unique(labels, return_counts=True), strict=True):
        expected = 0 if count == 1 else np.clip(round(count * held_out), 1, count - 1)
        assert (labels[held] == label).sum() == expected
    again = split_by_class(labels, held_out=held_out, seed=seed)
    assert np.array_equal(held, again[1])


@given(labels_of, st.lists(st.integers(0, 20), min_size=60, max_size=60), st.floats(0.01, 0.99), st.integers(0, 9))
def test_groups_within_classes_never_straddle_and_every_class_with_two_is_on_both_sides(labels, names, held_out, seed):
    groups = [f"{label}/{name}" for label, name in zip(labels, names, strict=False)]
    train, held = split_by_class(labels, held_out=held_out, seed=seed, groups=groups)
    assert np.array_equal(np.sort(np.concatenate([train, held])), np.arange(len(labels)))
    assert not {groups[index] for index in train} & {groups[index] for index in held}
    for label in np.unique(labels):
        both = len({group for group in groups if group.startswith(f"{label}/")}) >= 2
        assert (labels[held] == label).any() == both
        assert (labels[train] == label).any()


@given(labels_of, st.lists(st.integers(0, 9), min_size=60, max_size=60), st.integers(0, 9))
def test_groups_that_span_classes_never_straddle_and_leave_no_class_untrained(labels, names, seed):
    groups = np.array(names[: len(labels)])
    train, held = split_by_class(labels, held_out=0.3, seed=seed, groups=groups)
    assert not set(groups[train]) & set(groups[held])
    assert set(labels[train]) == set(labels)


def test_another_seed_is_another_split_and_classes_do_not_disturb_each_other():
    labels = np.repeat(np.arange(4), 50)
    held = [set(split_by_class(labels, seed=seed)[1].tolist()) for seed in (0, 1)]
    assert held[0] != held[1]
    fewer = split_by_class(labels[:150], seed=0)[1]
    assert set(fewer.tolist()) == {index for index in held[0] if index < 150}


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match=r"between 0 and 1, got 1\.5"):
        split_by_class(np.zeros(4, np.int64), held_out=1.5, seed=0)
    with pytest.raises(ValueError, match="each of 4 items, got 3"):
        split_by_class(np.zeros(4, np.int64), seed=0, groups=["a", "b", "c"])


def test_merge_groups_joins_what_any_grouping_joins():
    assert merge_groups(["a", "a", "b", "c", "d"], [1, 2, 2, 3, 4]).tolist() == [0, 0, 0, 3, 4]


def scribble(seed, size=(200, 160)):
    rng = np.random.default_rng(seed)
    picture = Image.new("RGB", size, "white")
    pen = ImageDraw.Draw(picture)
    for _ in range(4):
        pen.line([tuple(point) for point in (rng.random((4, 2)) * size).tolist()], fill="black", width=3)
    return picture


def through_jpeg(picture, quality=60):
    file = BytesIO()
    picture.save(file, "JPEG", quality=quality)
    return open_picture(file.getvalue())


def copies(picture):
    """Every flip and turn, then by JPEG, then larger or smaller."""
    turned = [picture] + [picture.transpose(how) for how in Image.Transpose]
    for number, each in enumerate(turned):
        scale = (0.8, 0.93, 1.0, 1.1)[number % 4]
        resized = each.resize((round(each.width * scale), round(each.height * scale)))
        yield from (each, through_jpeg(each), through_jpeg(resized, quality=50))


def test_flips_turns_jpeg_copies_and_resized_copies_are_one_group():
    pictures = [copy for seed in range(5) for copy in copies(scribble(seed))]
    groups = duplicate_groups(pictures)
    assert groups.tolist() == [index // 24 * 24 for index in range(len(pictures))]


def test_blank_pictures_are_copies_of_one_another_and_of_nothing_else():
    blank = [Image.new("L", (50, 50), 255), Image.new("RGB", (9, 9), "white")]
    assert duplicate_groups([scribble(0), *blank, scribble(1)]).tolist() == [0, 1, 1, 3]
    assert duplicate_groups([]).tolist() == []


@given(st.integers(0, 10_000), st.floats(0.05, 1.3))
def test_sifting_loses_no_pair_that_comparing_all_finds(seed, distance):
    rng = np.random.default_rng(seed)
    base = rng.normal(size=(3, 32, 32))
    near = np.rot90(base[rng.integers(3, size=12)], rng.integers(4), axes=(1, 2))[:, :, :: rng.choice([-1, 1])]
    thumbnails = near + rng.normal(size=near.shape) * rng.uniform(0, 1, (12, 1, 1))
    thumbnails = (thumbnails / np.linalg.norm(thumbnails, axis=(1, 2), keepdims=True)).astype(np.float32)
    first, second = np.triu_indices(12, k=1)
    least = _least_distance(thumbnails, first, second)
    brute = set(zip(first[least <= distance].tolist(), second[least <= distance].tolist(), strict=True))
    assert set(_near_pairs(thumbnails, distance, rows=5)) == brute


def test_real_drawings_of_one_class_are_not_merged_and_their_copies_are(data_folder):
    sketches = open_sketches(data_folder / "quickdraw", 112, per_class=4)
    some = range(0, len(sketches), 69)
    originals = [sketches.picture(index) for index in range(len(sketches))]
    turned = [through_jpeg(originals[index].transpose(Image.Transpose.TRANSVERSE)) for index in some]
    groups = duplicate_groups([*originals, *turned])
    assert groups[len(originals) :].tolist() == list(some)  # every copy found
    assert (groups[: len(originals)] == np.arange(len(originals))).all()  # no false merge among 1,380
