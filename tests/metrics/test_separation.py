"""Oracles: brute force over all pairs in float64, written with NumPy; known arrangements where that proves less."""

import importlib
import math
from contextlib import contextmanager
from dataclasses import astuple
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import sketchloss
from sketchloss import separation
from sketchloss.metrics import distance_histogram as distance_histogram_module
from sketchloss.metrics import rows
from sketchloss.metrics.distance_histogram import distance_histogram
from sketchloss.metrics.separation import OneAgainstRest, SeparationMeter

no_deadline = settings(deadline=None)  # a busy machine is no failure
module = importlib.import_module("sketchloss.metrics.separation")


def brute_force(rows, labels):
    """Return (intra, inter) over all pairs and, of each class, (count, intra or None, inter)."""
    rows, labels = np.asarray(rows, np.float64), np.asarray(labels)
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    distance = 1 - unit @ unit.T
    one, other = np.triu_indices(len(rows), 1)
    same = labels[one] == labels[other]
    micro = distance[one, other][same].mean(), distance[one, other][~same].mean()
    per_class = {}
    for label in np.unique(labels):
        mine = labels == label
        within = distance[np.ix_(mine, mine)][np.triu_indices(mine.sum(), 1)]
        per_class[int(label)] = int(mine.sum()), within.mean() if len(within) else None, distance[mine][:, ~mine].mean()
    return micro, per_class


def check(found, rows, labels, tolerance=1e-10):
    micro, per_class = brute_force(rows, labels)
    close = lambda value: pytest.approx(value, abs=tolerance)  # noqa: E731
    assert (found.intra, found.inter) == close(micro)
    assert list(found.per_class) == list(per_class)
    for label, (count, intra, inter) in per_class.items():
        one = found.per_class[label]
        assert one.count == count
        assert one.intra == (None if intra is None else close(intra))
        assert one.inter == close(inter)
    known = [intra for _, intra, _ in per_class.values() if intra is not None]
    assert found.macro_intra == close(np.mean(known))
    assert found.macro_inter == close(np.mean([inter for _, _, inter in per_class.values()]))
    assert (found.n, found.classes, found.singletons) == (len(rows), len(per_class), len(per_class) - len(known))
    for intra, inter, ratio in [
        (found.intra, found.inter, found.ratio),
        (found.macro_intra, found.macro_inter, found.macro_ratio),
        *((one.intra, one.inter, one.ratio) for one in found.per_class.values() if one.intra is not None),
    ]:
        if intra:
            assert ratio == inter / intra
        else:
            assert not math.isfinite(ratio)


@contextmanager
def working_on(block, flush=2**13):
    with pytest.MonkeyPatch.context() as patch:
        for place in (module, rows):
            patch.setattr(place, "BLOCK_ELEMENTS", block)
            patch.setattr(place, "SUMMED_ROWS", flush)
        yield


@st.composite
def sets(draw):
    """Rows of several classes: lengths from tiny to huge, copies within and across classes, singletons."""
    d = draw(st.integers(1, 6))
    number = st.floats(-1, 1, width=32).filter(lambda value: value == 0 or abs(value) > 1e-3)
    different = draw(arrays(np.float32, (draw(st.integers(2, 8)), d), elements=number, unique=False))
    different[~different.any(1)] = 1
    picks = draw(st.lists(st.integers(0, len(different) - 1), min_size=3, max_size=30))
    scales = draw(st.lists(st.sampled_from([1e-6, 0.5, 1.0, 3e5]), min_size=len(picks), max_size=len(picks)))
    labels = draw(st.lists(st.sampled_from([-(2**40), -1, 0, 7, 2**40]), min_size=len(picks), max_size=len(picks)))
    labels[0], labels[1], labels[2] = 0, 0, 7  # one class with two members, and another
    return different[picks] * np.array(scales, np.float32)[:, None], np.array(labels)


@no_deadline
@given(data=sets(), block=st.sampled_from([1, 10, 2**19]), flush=st.sampled_from([1, 5, 2**13]))
def test_agrees_with_brute_force(data, block, flush):
    rows, labels = data
    with working_on(block, flush):
        check(separation(torch.from_numpy(rows), torch.from_numpy(labels)), rows, labels)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("label_dtype", [torch.int32, torch.int64, torch.uint8])
def test_agrees_with_brute_force_in_every_dtype(dtype, label_dtype):
    generator = torch.Generator().manual_seed(0)
    # Close together, as ReLU features are: cosines near 1, where digits cancel.
    rows = (1 + 0.01 * torch.randn(300, 40, generator=generator)).to(dtype)
    labels = torch.randint(40, (300,), generator=generator).to(label_dtype)
    check(separation(rows, labels), rows.double().numpy(), labels.numpy(), tolerance=1e-12)


def test_numpy_arrays_are_taken_as_they_are():
    rng = np.random.default_rng(0)
    rows, labels = rng.normal(size=(50, 8)).astype(np.float16), rng.integers(4, size=50, dtype=np.int32)
    rows.flags.writeable = labels.flags.writeable = False
    assert separation(rows, labels) == separation(torch.tensor(rows), torch.tensor(labels))
    assert separation(rows[::2], labels[::2]) == separation(rows[::2].copy(), labels[::2].copy())


@no_deadline
@given(data=sets(), seed=st.integers(0, 100), cuts=st.lists(st.integers(0, 30), max_size=6))
def test_chunks_and_order_change_nothing(data, seed, cuts):
    rows, labels = (torch.from_numpy(part) for part in data)
    order = torch.from_numpy(np.random.default_rng(seed).permutation(len(rows)))
    edges = [0, *sorted(min(cut, len(rows)) for cut in cuts), len(rows)]
    meter = SeparationMeter()
    for part in (order[start:end] for start, end in pairwise(edges)):
        meter.add(rows[part], labels[part])
    whole, cut = separation(rows, labels), meter.result()
    assert (cut.intra, cut.inter) == pytest.approx((whole.intra, whole.inter), abs=1e-13)
    assert list(cut.per_class) == list(whole.per_class)
    assert [one.count for one in cut.per_class.values()] == [one.count for one in whole.per_class.values()]


@no_deadline
@given(labels=st.lists(st.integers(-(2**63), 2**63 - 1) | st.integers(-5, 5), max_size=20))
def test_labels_are_numbered_in_order(labels):
    values, places = rows.distinct(torch.tensor(labels, dtype=torch.int64))
    assert values.tolist() == sorted(set(labels))
    assert values[places].tolist() == labels


def test_a_meter_goes_on_after_a_result():
    rows, labels = torch.randn(60, 5, generator=torch.Generator().manual_seed(0)), torch.arange(60) % 7
    meter = SeparationMeter()
    meter.add(rows[:20], labels[:20])
    check(meter.result(), rows[:20], labels[:20])
    meter.add(rows[20:], labels[20:])
    check(meter.result(), rows, labels)
    assert meter.result() == meter.result()


def test_a_rare_class_beside_a_large_one_keeps_its_digits():
    # Taken as the total less the large class, the rare one's sum would keep about 1e-11 here.
    generator = torch.Generator().manual_seed(0)
    rows = 1 + 0.001 * torch.rand(200_003, 3, generator=generator, dtype=torch.float64)
    labels = torch.zeros(200_003, dtype=torch.int64)
    labels[:3] = 1
    unit = rows / rows.norm(dim=1, keepdim=True)
    # 1 - cosine is half the squared length of the difference: nothing cancels.
    expected = torch.stack([(unit[3:] - one).square().sum(1).mean() / 2 for one in unit[:3]]).mean()
    assert separation(rows, labels).inter == pytest.approx(float(expected), abs=1e-14)


@pytest.mark.parametrize(("count", "seed"), [(2, 0), (3, 0), (1000, 0), (300_000, 0), (300_000, 4)])
def test_equal_rows_have_no_distance_at_all(count, seed):
    # Of these rows, many copies added one by one are off by 1e-11 in the end.
    row = torch.rand(1, 3, generator=torch.Generator().manual_seed(seed))
    rows, labels = torch.cat([row.repeat(count, 1), -3 * row]), torch.tensor([0] * count + [1])
    found = separation(rows, labels)
    assert found.intra == found.macro_intra == 0
    assert found.inter == pytest.approx(2, abs=1e-12)
    assert found.ratio == found.macro_ratio == math.inf
    assert found.per_class[0].ratio == math.inf
    assert found.per_class[1] == OneAgainstRest(1, None, found.inter, None)


def test_all_rows_equal_leave_the_ratio_open():
    found = separation(torch.ones(4, 3), torch.tensor([0, 0, 1, 1]))
    assert (found.intra, found.inter) == (0, 0)
    assert math.isnan(found.ratio)


def test_a_known_arrangement():
    # Class 5: two rows at a right angle, and 9: one between them. cos 45° = 0.7071.
    found = separation(torch.tensor([[2.0, 0.0], [0.0, 9.0], [1.0, 1.0]]), torch.tensor([5, 5, 9]))
    inter = pytest.approx(1 - math.sqrt(0.5))
    assert (found.intra, found.inter, found.ratio) == (pytest.approx(1), inter, inter)
    assert (found.macro_intra, found.macro_inter, found.macro_ratio) == (pytest.approx(1), inter, inter)
    assert (found.n, found.classes, found.singletons) == (3, 2, 1)
    assert astuple(found.per_class[5]) == (2, pytest.approx(1), inter, inter)
    assert astuple(found.per_class[9]) == (1, None, inter, None)
    assert [astuple(pair) for pair in found.hardest] == [(5, 9, pytest.approx(1))]


def test_micro_counts_pairs_and_macro_classes():
    # Class 0: 4 members, 6 pairs, all equal. Class 1: 2 members, 1 pair at a right angle.
    rows = torch.tensor([[1.0, 0, 0]] * 4 + [[0, 1.0, 0], [0, 0, 1.0]])
    found = separation(rows, torch.tensor([0, 0, 0, 0, 1, 1]))
    assert found.intra == pytest.approx(1 / 7)
    assert found.macro_intra == pytest.approx(1 / 2)
    assert found.inter == found.macro_inter == pytest.approx(1)
    assert found.macro_ratio == pytest.approx(2)


# The hardest classes ------------------------------------------------------------------------------------------------


@no_deadline
@given(seed=st.integers(0, 1000), number=st.integers(0, 40), block=st.sampled_from([1, 30, 2**19]))
@example(seed=0, number=28, block=1)
def test_hardest_pairs_agree_with_brute_force(seed, number, block):
    rng = np.random.default_rng(seed)
    rows, labels = rng.normal(size=(40, 4)), rng.integers(8, size=40) * 10 - 30
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    names = np.unique(labels)
    means = np.stack([unit[labels == name].mean(0) for name in names])
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    pairs = [(means[i] @ means[j], names[i], names[j]) for j in range(len(names)) for i in range(j)]
    expected = sorted(pairs, reverse=True)[:number]
    with working_on(block):
        found = separation(rows, labels, hardest=number).hardest
    assert [(pair.first, pair.second) for pair in found] == [(first, second) for _, first, second in expected]
    assert [pair.cosine for pair in found] == pytest.approx([cosine for cosine, _, _ in expected], abs=1e-12)


def test_a_class_whose_members_cancel_out_has_no_direction():
    rows = torch.tensor([[1.0, 0], [-1, 0], [1, 1], [2, 2], [0, 1], [0, 1]])
    found = separation(rows, torch.tensor([0, 0, 1, 1, 2, 2])).hardest
    assert [astuple(pair) for pair in found] == [(1, 2, pytest.approx(math.sqrt(0.5)))]
    assert separation(rows[:4], torch.tensor([0, 0, 1, 1])).hardest == ()


# Lengths ------------------------------------------------------------------------------------------------------------


@no_deadline
@given(exponent=st.integers(-300, 300))
def test_length_does_not_matter(exponent):
    rows = np.array([[3.0, 4.0], [4.0, 3.0], [0.0, 1.0]])
    labels = np.array([0, 0, 1])
    scaled = rows * np.array([[1.0], [10.0**exponent], [1.0]])
    assert separation(scaled, labels).intra == pytest.approx(separation(rows, labels).intra, abs=1e-15)


def test_gradients_are_left_alone():
    rows = torch.randn(6, 3, generator=torch.Generator().manual_seed(0)).requires_grad_()
    found = separation(rows, torch.tensor([0, 0, 0, 1, 1, 1]))
    assert found == separation(rows.detach(), torch.tensor([0, 0, 0, 1, 1, 1]))


def test_a_meter_may_be_filled_inside_and_outside_inference_mode():
    rows, labels = torch.randn(60, 5, generator=torch.Generator().manual_seed(0)), torch.arange(60) % 7
    with torch.inference_mode():
        meter = SeparationMeter()
        meter.add(rows[:20] * 1, labels[:20] * 1)
    check(meter.result(), rows[:20], labels[:20])
    meter.add(rows[20:40], labels[20:40])
    with torch.inference_mode():
        check(meter.result(), rows[:40], labels[:40])
        meter.add(rows[40:] * 1, labels[40:])
    check(meter.result(), rows, labels)
    with torch.inference_mode():
        empty = SeparationMeter()
    with pytest.raises(ValueError, match="there are no rows"):
        empty.result()


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.float8_e5m2])
def test_float8_is_taken_as_the_numbers_it_holds(dtype):
    rows = torch.rand(40, 8, generator=torch.Generator().manual_seed(0)).add(0.1).to(dtype)
    labels = torch.arange(40) % 4
    assert separation(rows, labels) == separation(rows.double(), labels)


def test_labels_may_be_a_list():
    rows, labels = torch.randn(6, 3, generator=torch.Generator().manual_seed(0)), [0, 0, 1, 1, 1, 5]
    assert separation(rows, labels) == separation(rows, torch.tensor(labels))
    assert distance_histogram(rows, labels).within.sum() == 4


# Mistakes -----------------------------------------------------------------------------------------------------------

GOOD = torch.tensor([[1.0, 2], [2, 1], [3, 1], [1, 1]])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"embeddings": torch.ones(4)}, r"shape \(4,\): they must be float, rows by numbers"),
        ({"embeddings": torch.ones(4, 2, dtype=torch.int64)}, r"torch\.int64 of shape \(4, 2\)"),
        ({"embeddings": np.ones((4, 2), np.int32)}, "int32"),
        ({"embeddings": torch.ones(4, 0)}, r"shape \(4, 0\)"),
        ({"embeddings": torch.cat([GOOD[:3], torch.zeros(1, 2)])}, "row 3 of the embeddings is zero or not finite"),
        ({"embeddings": torch.cat([GOOD[:2], torch.full((2, 2), math.nan)])}, "row 2 of the embeddings"),
        ({"embeddings": torch.cat([torch.tensor([[math.inf, 0.0]]), GOOD[:3]])}, "row 0 of the embeddings"),
        ({"labels": torch.tensor([0, 0, 1])}, r"labels are \(3,\): it needs one for each of 4 rows"),
        ({"labels": torch.zeros(4, 1, dtype=torch.int64)}, r"labels are \(4, 1\)"),
        ({"labels": torch.zeros(4)}, r"torch\.float32: they must be integers"),
        ({"labels": np.array(["a", "a", "b", "b"])}, "<U1: they must be integers"),
        ({"labels": torch.tensor([True, True, False, False])}, r"torch\.bool"),
        ({"labels": np.array([True, True, False, False])}, "bool"),
        ({"labels": torch.full((4,), 3)}, "all 4 rows are of class 3: distances across classes need at least two"),
        ({"labels": torch.arange(4)}, "each of 4 classes has one member only"),
        ({"embeddings": torch.ones(0, 2), "labels": torch.zeros(0, dtype=torch.int64)}, "there are no rows"),
        ({"hardest": -1}, "hardest is -1"),
    ],
)
def test_bad_input_is_named(change, words):
    arguments = {"embeddings": GOOD, "labels": torch.tensor([0, 0, 1, 1])} | change
    with pytest.raises(ValueError, match=words):
        separation(**arguments)


@no_deadline
@given(bad=st.integers(0, 19), block=st.sampled_from([2, 7, 2**19]), value=st.sampled_from([0.0, math.nan, -math.inf]))
def test_the_first_bad_row_is_named_whatever_the_block(bad, block, value):
    rows = torch.ones(20, 2)
    rows[bad] = value
    with working_on(block), pytest.raises(ValueError, match=f"^row {bad} of"):
        separation(rows, torch.arange(20) % 2)


def test_a_meter_that_met_a_bad_row_does_not_go_on():
    meter = SeparationMeter()
    meter.add(GOOD, torch.tensor([0, 0, 1, 1]))
    with pytest.raises(ValueError, match="row 1"):
        meter.add(torch.tensor([[1.0, 1.0], [0.0, 0.0]]), torch.tensor([0, 1]))
    for go_on in (meter.result, lambda: meter.add(GOOD, torch.tensor([0, 0, 1, 1]))):
        with pytest.raises(ValueError, match=r"met a bad row before \(row 1 .*\): begin a new one"):
            go_on()


def test_a_meter_takes_nothing_in_of_a_chunk_of_another_shape():
    meter = SeparationMeter()
    meter.add(GOOD, torch.tensor([0, 0, 1, 1]))
    before = meter.result()
    with pytest.raises(ValueError, match="3 numbers a row, earlier ones 2: embed alike"):
        meter.add(torch.ones(2, 3), torch.tensor([8, 9]))
    with pytest.raises(ValueError, match="one for each of 4 rows"):
        meter.add(GOOD, torch.tensor([8]))
    assert meter.result() == before


# The name -----------------------------------------------------------------------------------------------------------


def test_the_package_gives_the_function():
    assert sketchloss.separation is module.separation
    assert module.__name__ == "sketchloss.metrics.separation"


# Histogram ------------------------------------------------------------------------------------------------------------


@no_deadline
@given(data=sets(), bins=st.integers(1, 30), at_once=st.sampled_from([1, 40, 2**24]))
def test_the_histogram_counts_every_pair_once(data, bins, at_once):
    rows, labels = data
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(distance_histogram_module, "PAIR_ELEMENTS", at_once)
        found = distance_histogram(rows, labels, bins=bins)
    unit = rows.astype(np.float64) / np.linalg.norm(rows.astype(np.float64), axis=1, keepdims=True)
    one, other = np.triu_indices(len(rows), 1)
    same = labels[one] == labels[other]
    assert (found.within.sum(), found.across.sum()) == (same.sum(), (~same).sum())
    # Rounding may carry a distance over an edge, so what lies below each edge is known up to the distances at it.
    distances = 1 - (unit[one] * unit[other]).sum(1)
    for counts, part in ((found.within, distances[same]), (found.across, distances[~same])):
        for edge, below in zip(found.edges[1:], counts.cumsum(), strict=True):
            assert (part < edge - 1e-6).sum() <= below <= (part < edge + 1e-6).sum()
    assert found.edges[-1] == pytest.approx(distances.max(), abs=1e-6)
    assert found.rows == len(rows)


def test_the_histogram_of_many_rows_is_of_a_sample_that_stays_the_same():
    rows = torch.randn(500, 6, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(500) % 5
    all_rows, sample, again = (distance_histogram(rows, labels, most_rows=most) for most in (500, 200, 200))
    assert (all_rows.rows, sample.rows) == (500, 200)
    assert sample.within.sum() + sample.across.sum() == 200 * 199 // 2
    assert (sample.within == again.within).all()
    means = [(part.within * part.edges[1:]).sum() / part.within.sum() for part in (all_rows, sample)]
    assert means[1] == pytest.approx(means[0], abs=0.05)


def test_the_histogram_leaves_gradients_alone():
    rows = torch.randn(9, 3, generator=torch.Generator().manual_seed(0)).requires_grad_()
    found, expected = (distance_histogram(part, torch.arange(9) % 2, bins=7) for part in (rows, rows.detach()))
    assert (found.within == expected.within).all()
    assert (found.edges == expected.edges).all()


# Pairs within: 10·1 = 10, 10·(10·9/2) = 450 of which the root is 21.2, and 2·(200·199/2) = 39,800.
@pytest.mark.parametrize(("classes", "members", "bins"), [(10, 2, 10), (10, 10, 21), (2, 200, 100)])
def test_few_pairs_within_get_few_bins(classes, members, bins):
    rows = torch.randn(classes * members, 4, generator=torch.Generator().manual_seed(0))
    assert len(distance_histogram(rows, torch.arange(len(rows)) % classes).within) == bins


def test_a_histogram_needs_pairs():
    with pytest.raises(ValueError, match="got 1 rows"):
        distance_histogram(torch.ones(1, 2), torch.tensor([0]))
    with pytest.raises(ValueError, match="row 1 of the embeddings"):
        distance_histogram(torch.tensor([[1.0], [0.0]]), torch.tensor([0, 0]))
