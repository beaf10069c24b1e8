"""Oracles: closed forms of Gaussians, scipy's sqrtm, torchmetrics, brute force, trials."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import sqrtm
from torch import nn
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.kid import poly_mmd

from sketchloss.metrics.distances import (
    SetDistance,
    distribution_distance,
    frechet_distance,
    frechet_distance_of,
    kernel_distance,
)
from sketchloss.metrics.extractors import FID_INCEPTION


@pytest.fixture
def random():
    return torch.Generator().manual_seed(0)


# ---------------------------------------------------------------------------------------------------------------------
# Fréchet distance


def sample_of(mean, covariance, count, random):
    """Rows with exactly this mean and covariance, n - 1 in the denominator (count > d)."""
    size = len(mean)
    noise = torch.randn(count, size, dtype=torch.float64, generator=random)
    white = torch.linalg.qr(noise - noise.mean(0)).Q * math.sqrt(count - 1)
    return white @ torch.linalg.cholesky(covariance).T + mean


def with_scipy(ours, theirs):
    """The distance as pytorch-fid computes it."""
    ours, theirs = ours.double().numpy(), theirs.double().numpy()
    shift = ours.mean(0) - theirs.mean(0)
    one, other = np.cov(ours, rowvar=False), np.cov(theirs, rowvar=False)
    return shift @ shift + np.trace(one) + np.trace(other) - 2 * np.trace(np.real(sqrtm(one @ other)))


def moments(features):
    return features.double().mean(0), torch.from_numpy(np.cov(features.double().numpy(), rowvar=False))


def test_distance_of_gaussians_in_one_dimension(random):
    # (mean1 - mean2)² + (deviation1 - deviation2)²
    ours = sample_of(torch.tensor([3.0]).double(), torch.tensor([[4.0]]).double(), 7, random)
    theirs = sample_of(torch.tensor([-1.0]).double(), torch.tensor([[25.0]]).double(), 9, random)
    assert frechet_distance(ours, theirs) == pytest.approx(4**2 + (2 - 5) ** 2, rel=1e-12)


@pytest.mark.parametrize("counts", [(6, 9), (50, 300)])
def test_distance_of_gaussians_whose_covariances_commute(random, counts):
    # With common axes it is |mean1 - mean2|² + sum of (deviation1 - deviation2)² along these.
    mean1, mean2 = torch.randn(2, 5, dtype=torch.float64, generator=random)
    deviations1, deviations2 = 0.1 + torch.rand(2, 5, dtype=torch.float64, generator=random)
    axes = torch.linalg.qr(torch.randn(5, 5, dtype=torch.float64, generator=random)).Q
    expected = float((mean1 - mean2).square().sum() + (deviations1 - deviations2).square().sum())
    covariance1, covariance2 = (axes @ torch.diag(d**2) @ axes.T for d in (deviations1, deviations2))
    ours = sample_of(mean1, covariance1, counts[0], random)
    theirs = sample_of(mean2, covariance2, counts[1], random)
    assert frechet_distance(ours, theirs) == pytest.approx(expected, rel=1e-10)
    assert frechet_distance_of(mean1, covariance1, mean2, covariance2) == pytest.approx(expected, rel=1e-10)


def test_distance_of_two_images_a_side(random):
    # Covariances of rank 1, uuᵀ and vvᵀ: the trace of the root of their product is |u·v|.
    ours, theirs = torch.randn(2, 2, 512, dtype=torch.float64, generator=random)
    u, v = (ours[0] - ours[1]) / math.sqrt(2), (theirs[0] - theirs[1]) / math.sqrt(2)
    shift = ours.mean(0) - theirs.mean(0)
    expected = float(shift @ shift + u @ u + v @ v - 2 * (u @ v).abs())
    assert frechet_distance(ours, theirs) == pytest.approx(expected, rel=1e-12)


def test_distance_of_collapsed_images_is_of_the_means_and_one_covariance(random):
    ours = torch.full((5, 8), 2.0, dtype=torch.float64)
    theirs = torch.randn(6, 8, dtype=torch.float64, generator=random)
    expected = float((theirs.mean(0) - 2).square().sum() + theirs.var(0).sum())
    assert frechet_distance(ours, theirs) == pytest.approx(expected, rel=1e-12)
    assert frechet_distance(ours, ours) == 0


@pytest.mark.parametrize(("n", "m"), [(200, 300), (40, 50), (200, 40)])
def test_distance_is_scipys_where_covariances_are_well_conditioned(random, n, m):
    mixing = torch.randn(16, 16, generator=random) / 4 + torch.eye(16)
    ours = torch.randn(n, 16, generator=random) @ mixing
    theirs = torch.randn(m, 16, generator=random) + 0.3
    expected = with_scipy(ours, theirs)
    assert frechet_distance(ours, theirs) == pytest.approx(expected, rel=1e-6)
    assert frechet_distance_of(*moments(ours), *moments(theirs)) == pytest.approx(expected, rel=1e-6)


def test_distance_keeps_a_golden_value():
    # 23.129300214465708 by numpy 2.4.6 and scipy 1.17.1 as pytorch-fid does: np.cov of each, sqrtm of their product.
    def wave(count, speed):
        row, column = torch.arange(count).double()[:, None], torch.arange(8).double()[None]
        return torch.sin(speed * (row + 1) * (column + 1) ** 1.5) * (1 + column / 4) + speed * column

    assert frechet_distance(wave(60, 0.7), wave(50, 1.1)) == pytest.approx(23.129300214465708, rel=1e-9)


def test_distance_is_torchmetrics_fid(random):
    class Rows(nn.Module):
        num_features = 16

        def forward(self, features):
            return features

    ours = torch.randn(300, 16, generator=random) * 2
    theirs = torch.randn(200, 16, generator=random) + 1
    metric = FrechetInceptionDistance(Rows()).set_dtype(torch.float64)
    metric.update(ours, real=False)
    metric.update(theirs, real=True)
    assert frechet_distance(ours, theirs) == pytest.approx(metric.compute().item(), rel=1e-6)


@pytest.mark.parametrize(("n", "m", "d"), [(20, 30, 64), (90, 30, 64), (90, 150, 64), (64, 65, 64)])
def test_distance_from_features_and_from_moments_agree(random, n, m, d):
    # Fewer rows than features, more, and one of each: different matrices, and singular covariances.
    ours = torch.randn(n, d, generator=random) * torch.arange(1, d + 1) ** -0.5
    theirs = torch.randn(m, d, generator=random) + 0.2
    from_moments = frechet_distance_of(*moments(ours), *moments(theirs))
    assert frechet_distance(ours, theirs) == pytest.approx(from_moments, rel=1e-6)


@pytest.mark.parametrize(("n", "d"), [(2, 512), (30, 512), (700, 20)])
def test_identical_sets_are_at_no_distance(random, n, d):
    features = torch.randn(n, d, generator=random) * 1000 + 5
    spread = features.var(0).sum().item()
    assert frechet_distance(features, features.clone()) <= 1e-9 * spread
    assert frechet_distance(features, features.flip(0)) <= 1e-9 * spread
    assert frechet_distance_of(*moments(features), *moments(features)) <= 1e-9 * spread


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**31), st.integers(2, 9), st.integers(2, 9), st.integers(1, 6))
def test_distance_is_symmetric_turns_moves_and_scales(seed, n, m, d):
    random = torch.Generator().manual_seed(seed)
    ours, theirs = (torch.randn(count, d, dtype=torch.float64, generator=random) for count in (n, m))
    turn = torch.linalg.qr(torch.randn(d, d, dtype=torch.float64, generator=random)).Q
    distance = frechet_distance(ours, theirs)
    close = pytest.approx(distance, rel=1e-9, abs=1e-12)
    assert distance >= 0
    assert frechet_distance(theirs, ours) == close
    assert frechet_distance(ours @ turn + 3, theirs @ turn + 3) == close
    assert frechet_distance(ours * 5, theirs * 5) / 25 == close


BAD_FEATURES = [
    (torch.zeros(1, 4), r"ours has shape \(1, 4\): a covariance needs at least 2 images"),
    (torch.zeros(4), r"ours is torch.float32 of shape \(4,\)"),
    (torch.zeros(3, 0), r"ours is torch.float32 of shape \(3, 0\)"),
    (torch.zeros(3, 4, dtype=torch.int64), "ours is torch.int64 of shape"),
    (torch.tensor([[1.0, math.nan], [1.0, 2.0], [math.inf, 3.0]]), "ours holds NaN or infinity in 2 of 3 rows"),
]


@pytest.mark.parametrize(("ours", "message"), BAD_FEATURES)
def test_features_that_cannot_be_compared_are_refused(ours, message):
    theirs = torch.ones(6, 4)
    for distance in (frechet_distance, kernel_distance):
        with pytest.raises(ValueError, match=message):
            distance(ours, theirs)
        with pytest.raises(ValueError, match=message.replace("ours", "theirs")):
            distance(theirs, ours)
    with pytest.raises(ValueError, match=message):
        distribution_distance(ours, theirs, extractor_name="any")


@pytest.mark.parametrize("distance", [frechet_distance, kernel_distance])
def test_features_of_different_extractors_are_refused(distance):
    with pytest.raises(ValueError, match="ours has 5 features, theirs 4: use one extractor for both"):
        distance(torch.zeros(3, 5), torch.zeros(3, 4))


@pytest.mark.parametrize(
    ("mean", "covariance", "message"),
    [
        (torch.zeros(3), torch.eye(2), r"covariance1 \(2, 2\) do not fit"),
        (torch.zeros(2, 1), torch.eye(2), r"mean1 \(2, 1\)"),
        (torch.zeros(2), torch.tensor([[1.0, 2.0], [0.0, 1.0]]), "covariance1 is asymmetric by 2"),
        (torch.zeros(2), torch.tensor([[1.0, 2.0], [2.0, 1.0]]), "least eigenvalue -1"),
        (torch.tensor([math.nan, 0.0]), torch.eye(2), "mean1 or covariance1 holds NaN"),
        (torch.zeros(2), torch.eye(2) * math.inf, "mean1 or covariance1 holds NaN or infinity"),
    ],
)
def test_moments_that_are_none_are_refused(mean, covariance, message):
    with pytest.raises(ValueError, match=message):
        frechet_distance_of(mean, covariance, torch.zeros_like(mean), covariance)


def test_means_of_different_length_are_refused():
    with pytest.raises(ValueError, match=r"\(2,\) and \(3,\): they must be equal"):
        frechet_distance_of(torch.zeros(2), torch.eye(2), torch.zeros(3), torch.eye(3))


# ---------------------------------------------------------------------------------------------------------------------
# Kernel distance


def brute_force_kernel_distance(ours, theirs):
    def mean(pairs):
        return np.mean([(float(x @ y) / len(x) + 1) ** 3 for x, y in pairs])

    within = [[(a, b) for i, a in enumerate(rows) for j, b in enumerate(rows) if i != j] for rows in (ours, theirs)]
    return mean(within[0]) + mean(within[1]) - 2 * mean([(a, b) for a in ours for b in theirs])


@pytest.mark.parametrize("m", [9, 5])
def test_kernel_distance_of_all_images_is_brute_force(random, m):
    ours = torch.randn(9, 4, dtype=torch.float64, generator=random)
    theirs = torch.randn(m, 4, dtype=torch.float64, generator=random) * 2 + 0.5
    found = kernel_distance(ours, theirs)
    assert found.mean == pytest.approx(brute_force_kernel_distance(ours, theirs), rel=1e-12)
    assert (found.deviation, found.count) == (None, 1)  # there are fewer than the 1,000 of a subset


def test_kernel_distance_is_torchmetrics_kid(random):
    ours = torch.randn(50, 16, generator=random)
    theirs = torch.randn(50, 16, generator=random) * 2 + 0.5
    expected = poly_mmd(ours.double(), theirs.double()).item()
    assert kernel_distance(ours, theirs).mean == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("subset_size", [2, 5, 9])
def test_kernel_distance_of_subsets_averages_to_that_of_all(random, subset_size):
    # Every subset is unbiased for the whole; of the 7 images all are taken if a subset may hold 9.
    ours = torch.randn(12, 4, generator=random)
    theirs = torch.randn(7, 4, generator=random) + 0.5
    found = kernel_distance(ours, theirs, subsets=2000, subset_size=subset_size)
    error = found.deviation / math.sqrt(2000)
    assert found.count == 2000
    assert error > 0
    assert abs(found.mean - brute_force_kernel_distance(ours.double(), theirs.double())) < 3 * error


def test_kernel_distance_repeats_with_its_seed(random):
    ours, theirs = torch.randn(2, 20, 4, generator=random)
    state = torch.random.get_rng_state()
    first, again, other = (kernel_distance(ours, theirs, subsets=3, subset_size=5, seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert first.mean != other.mean
    assert torch.equal(torch.random.get_rng_state(), state)  # the program's own draws are left alone


@pytest.mark.parametrize("settings", [{"subsets": 0}, {"subset_size": 1}])
def test_kernel_distance_refuses_no_subsets(settings):
    with pytest.raises(ValueError, match=r"subsets is \d+, subset_size \d+: give at least"):
        kernel_distance(torch.ones(3, 2), torch.ones(3, 2), **settings)


# ---------------------------------------------------------------------------------------------------------------------
# The interval


@pytest.mark.parametrize(("n", "m", "d"), [(12, 9, 30), (25, 30, 4)])
def test_interval_is_of_repeated_rows_moved_by_their_mean(random, n, m, d):
    ours, theirs = torch.randn(n, d, generator=random), torch.randn(m, d, generator=random) + 1
    found = distribution_distance(ours, theirs, extractor_name="any", bootstrap=40, seed=5)
    draws = torch.Generator().manual_seed(5)
    drawn = []
    for _ in range(40):
        one = ours[torch.randint(n, (n,), generator=draws)]
        other = theirs[torch.randint(m, (m,), generator=draws)]
        drawn.append(frechet_distance(one, other))
    low, high = np.quantile(drawn, [0.025, 0.975]) - (np.mean(drawn) - found.value)
    assert (found.low, found.high) == pytest.approx((low, high), rel=1e-6)
    assert found.bias == pytest.approx(np.mean(drawn) - found.value, rel=1e-9)
    assert found.value == frechet_distance(ours, theirs)
    assert found.kernel == pytest.approx(kernel_distance(ours, theirs).mean, rel=1e-12)


def coverage(expected, draw, trials):
    """In what part of the trials the interval held the expected distance, and the percentiles unmoved."""
    moved = unmoved = 0
    for trial in range(trials):
        found = distribution_distance(*draw(), extractor_name="any", bootstrap=80, subsets=1, seed=trial)
        moved += found.low <= expected <= found.high
        unmoved += found.low + found.bias <= expected <= found.high + found.bias
    return moved / trials, unmoved / trials


def test_interval_holds_the_known_distance_where_images_are_many(random):
    # Far apart in 2 dimensions, 400 images: what is left of the small-sample bias is small beside the spread.
    deviation = torch.tensor([1.0, 0.5])

    def draw():
        ours, theirs = torch.randn(2, 400, 2, generator=random)
        return ours * deviation, theirs * deviation * 1.5 + 1

    known = 2 * 1.0**2 + float((0.5 * deviation).square().sum())
    assert 0.88 <= coverage(known, draw, 100)[0] <= 1  # 95 %, less three standard errors of 100 trials


@pytest.mark.parametrize(("n", "d"), [(60, 16), (25, 64)])
def test_interval_holds_the_expected_distance_where_images_are_few(random, n, d):
    deviation = torch.arange(1, d + 1) ** -0.5
    shift = torch.zeros(d)
    shift[: d // 8] = 0.4

    def draw():
        ours, theirs = torch.randn(2, n, d, generator=random)
        return ours * deviation, (theirs * 1.2 + shift) * deviation

    expected = np.mean([frechet_distance(*draw()) for _ in range(300)])
    moved, unmoved = coverage(expected, draw, 60)
    assert moved >= 0.86  # 95 %, less three standard errors of 60 trials
    assert unmoved < 0.75  # why they are moved


def test_bias_is_about_how_far_small_samples_lie_above_the_populations(random):
    # 100 images a side of one population in 8 dimensions: the true distance is 0, and the values are all bias.
    found = [
        distribution_distance(*torch.randn(2, 100, 8, generator=random), extractor_name="any", bootstrap=50)
        for _ in range(30)
    ]
    assert np.mean([one.bias for one in found]) == pytest.approx(np.mean([one.value for one in found]), rel=0.2)
    assert min(one.low for one in found) >= 0


def test_without_resamplings_there_is_no_interval(random):
    found = distribution_distance(*torch.randn(2, 5, 3, generator=random), extractor_name="any", bootstrap=0)
    assert (found.low, found.high, found.bias) == (None, None, None)
    assert "[" not in str(found)


def test_count_compares_the_first_of_both(random):
    ours, theirs = torch.randn(12, 3, generator=random), torch.randn(9, 3, generator=random)
    found = distribution_distance(ours, theirs, extractor_name="any", count=7)
    assert found == distribution_distance(ours[:7], theirs[:7], extractor_name="any")
    assert found.images == (7, 7)
    assert found != distribution_distance(ours, theirs, extractor_name="any")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"count": 10}, "count is 10, there are 12 and 9 rows"),
        ({"count": 1}, "count is 1, there are"),
        ({"bootstrap": 1}, "bootstrap is 1: give 0"),
        ({"bootstrap": -3}, "bootstrap is -3: give 0"),
        ({"subset_size": 0}, "subset_size 0"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        distribution_distance(torch.rand(12, 3), torch.rand(9, 3), extractor_name="any", **settings)


@pytest.mark.parametrize(("n", "m", "small"), [(2047, 2048, True), (2048, 2047, True), (2048, 2048, False)])
def test_fewer_than_2048_on_either_side_are_a_small_sample(n, m, small):
    ours, theirs = torch.linspace(0, 1, n)[:, None], torch.linspace(0, 2, m)[:, None]
    found = distribution_distance(ours, theirs, extractor_name="any", bootstrap=0, subsets=1, subset_size=2)
    assert found.small_sample is small
    assert found.images == (n, m)


def test_only_the_fid_inception_makes_an_fid():
    rows = torch.eye(4)
    other = distribution_distance(rows, rows + 1, extractor_name="sketchloss sketch relu5_3", bootstrap=0)
    assert (other.name, other.kernel_name) == ("FD (sketchloss sketch relu5_3)", "KD (sketchloss sketch relu5_3)")
    fid = distribution_distance(rows, rows + 1, extractor_name=FID_INCEPTION, bootstrap=0)
    assert (fid.name, fid.kernel_name) == ("FID", "KID")


def test_a_distance_reads_as_in_a_table():
    distance = SetDistance("FD (x)", 12.34, 10.06, 14.94, 1.0, (300, 300), True, "KD (x)", 0.1, None)
    assert str(distance) == distance.describe() == "FD (x) 12.3 [10.1, 14.9], small sample"
    assert str(replace(distance, low=None, high=None, small_sample=False)) == "FD (x) 12.3"
    assert str(replace(distance, value=1234.5, low=1200.0, high=1300.4)) == "FD (x) 1234 [1200, 1300], small sample"
    assert str(replace(distance, value=0.01234, low=0.0, high=0.02)) == "FD (x) 0.0123 [0.0000, 0.0200], small sample"
    assert str(replace(distance, value=0.0, low=None, high=None)) == "FD (x) 0.0, small sample"
