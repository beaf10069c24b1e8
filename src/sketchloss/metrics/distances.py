"""Distances of a set of generated sketches from the true ones: Fréchet and kernel distances of their features.

A distance is named after the network whose features it compares: "FID" only with the FID Inception, else such as
"FD (sketchloss sketch relu5_3)". Distances of different networks, or numbers of images, do not compare.

    extractor = backbone_extractor(load_backbone("sketch"), "sketch")
    ours, theirs = embed_images(extractor, batches), embed_images(extractor, true_batches)
    print(distribution_distance(ours, theirs, extractor_name=extractor.name))
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from sketchloss.metrics.extractors import FID_INCEPTION
from sketchloss.metrics.statistics import Spread, spread

#: With fewer images on either side than features of the FID Inception, its covariances have no full rank.
ENOUGH_IMAGES = 2048

# The Fréchet distance between Gaussians is |mean1 - mean2|² + tr(S1) + tr(S2) - 2 tr((S1 S2)^½) (Dowson & Landau 1982).
# With factors S1 = AᵀA and S2 = BᵀB the last trace is the sum of the singular values of A Bᵀ: no root of a matrix,
# nothing imaginary, and exact for few images, where covariances are singular. Centred features are such a factor.


def frechet_distance(ours: Tensor, theirs: Tensor) -> float:
    """Return the Fréchet distance between Gaussians with the means and covariances of two sets of features.

    It is that of FID (Heusel et al. 2017, eq. 6): squared, with n - 1 in the covariances. It shrinks as sets grow:
    compare only equal numbers.

    Args:
        ours: n×d, any float dtype, n at least 2.
        theirs: m×d.

    Returns:
        At least 0; computed in float64.

    Raises:
        ValueError: for other shapes or dtypes, fewer than two rows, or values that are not finite.
    """
    return _frechet(*(_gaussian(features) for features in _check_pair(ours, theirs)))


def frechet_distance_of(mean1: Tensor, covariance1: Tensor, mean2: Tensor, covariance2: Tensor) -> float:
    """Return the Fréchet distance between two Gaussians, as `frechet_distance`, such as from published moments.

    Args:
        mean1: d, any float dtype; so is `mean2`.
        covariance1: d×d, symmetric and positive semidefinite; so is `covariance2`.

    Raises:
        ValueError: for other shapes, values that are not finite, or a matrix that is no covariance.
    """
    if mean1.shape != mean2.shape:
        raise ValueError(f"means have shapes {tuple(mean1.shape)} and {tuple(mean2.shape)}: they must be equal")
    return _frechet(
        (mean1.double().cpu(), _factor_covariance(mean1, covariance1, "1")),
        (mean2.double().cpu(), _factor_covariance(mean2, covariance2, "2")),
    )


def _frechet(one: tuple[Tensor, Tensor], other: tuple[Tensor, Tensor]) -> float:
    (mean1, factor1), (mean2, factor2) = one, other
    common = torch.linalg.svdvals(factor1 @ factor2.T).sum()
    variances = factor1.square().sum() + factor2.square().sum()
    return max(0.0, float((mean1 - mean2).square().sum() + variances - 2 * common))


def _gaussian(features: Tensor, counts: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Return the mean and a factor of the covariance of float64 rows, each taken so many times."""
    counts = torch.ones(len(features), dtype=torch.float64) if counts is None else counts
    total = counts.sum()
    mean = counts @ features / total
    factor = (counts / (total - 1)).sqrt()[:, None] * (features - mean)
    if len(factor) > factor.shape[1]:  # as many rows as columns are enough
        factor = torch.linalg.qr(factor, mode="r").R
    return mean, factor


def _factor_covariance(mean: Tensor, covariance: Tensor, which: str) -> Tensor:
    size = len(mean) if mean.ndim == 1 else 0
    if not size or covariance.shape != (size, size):
        found = f"mean{which} {tuple(mean.shape)} and covariance{which} {tuple(covariance.shape)}"
        raise ValueError(f"{found} do not fit: give shapes (d,) and (d, d)")
    if not (mean.isfinite().all() and covariance.isfinite().all()):
        raise ValueError(f"mean{which} or covariance{which} holds NaN or infinity: find the features that made it")
    matrix = covariance.double().cpu()
    tolerance = 1e-4 * float(matrix.abs().max())  # of moments that were computed in float32
    asymmetry = float((matrix - matrix.T).abs().max())
    values, vectors = torch.linalg.eigh((matrix + matrix.T) / 2)
    least, greatest = values[0].item(), values[-1].item()
    if asymmetry > tolerance or least < -tolerance:
        found = f"asymmetric by {asymmetry:.3g}, with least eigenvalue {least:.3g}"
        raise ValueError(f"covariance{which} is {found}: give a symmetric, positive semidefinite matrix")
    # What rounding makes of a zero is cut, because its root would be eight digits larger.
    values = values.where(values > size * torch.finfo(torch.float64).eps * greatest, 0)
    return values.sqrt()[:, None] * vectors.T


def kernel_distance(
    ours: Tensor, theirs: Tensor, *, subsets: int = 100, subset_size: int = 1000, seed: int = 0
) -> Spread:
    """Return the kernel distance: the squared maximum mean discrepancy with kernel (x·y / d + 1)³, unbiased.

    It has no small-sample bias, and so may be below 0 (KID; Bińkowski et al. 2018, "Demystifying MMD GANs", section 4).

    Args:
        ours: n×d, any float dtype, n at least 2.
        theirs: m×d, in the same form.
        subsets: number of pairs of random subsets to take.
        subset_size: images of a subset on either side. Sets of no more are taken whole; if both are, they are compared
            once and there is no deviation.
        seed: random seed of the subsets.

    Returns:
        Mean and standard deviation over the subsets, and their number. The deviation belongs to this subset size; it is
        no standard error of the mean.

    Raises:
        ValueError: as `frechet_distance`; for no subsets, or a subset of fewer than 2.
    """
    # note: not torchmetrics, whose import starts any torchvision there is, and fails where that does
    ours, theirs = _check_pair(ours, theirs)
    if subsets < 1 or subset_size < 2:
        raise ValueError(f"subsets is {subsets}, subset_size {subset_size}: give at least 1 and at least 2")
    if subset_size >= max(len(ours), len(theirs)):
        return spread([_squared_discrepancy(ours, theirs)])
    random = torch.Generator().manual_seed(seed)
    values = []
    for _ in range(subsets):
        one, other = (rows[torch.randperm(len(rows), generator=random)[:subset_size]] for rows in (ours, theirs))
        values.append(_squared_discrepancy(one, other))
    return spread(values)


def _squared_discrepancy(ours: Tensor, theirs: Tensor) -> float:
    value = -2 * _kernel(ours, theirs).mean()
    for rows in (ours, theirs):
        similarities = _kernel(rows, rows)
        value += (similarities.sum() - similarities.trace()) / (len(rows) * (len(rows) - 1))
    return float(value)


def _kernel(one: Tensor, other: Tensor) -> Float[Tensor, "n m"]:
    return (one @ other.T / one.shape[1] + 1) ** 3


@dataclass(frozen=True)
class SetDistance:
    """Distances between two sets of images, by the features of one network."""

    name: str
    """Name of the distance: `FID`, or `FD (...)` with the network."""
    value: float
    """The Fréchet distance of these images."""
    low: float | None
    """Lower end of the 95 % interval of the distance at these numbers of images (see `distribution_distance`), as
    `high` is the upper end; None if not asked for."""
    high: float | None
    bias: float | None
    """Amount by which resampled sets lie above `value`: at least about that much of it comes from the small number of
    images."""
    images: tuple[int, int]
    """Number of images compared, ours and theirs."""
    small_sample: bool
    """Whether either side has fewer than 2,048 images: then do not compare with published values."""
    kernel_name: str
    """Name of the kernel distance: `KID`, or `KD (...)`."""
    kernel: float
    kernel_std: float | None
    """Standard deviation of the kernel distance over subsets; None if all images were compared at once."""

    def describe(self) -> str:
        """Return one line, such as `FD (sketchloss sketch relu5_3) 12.3 [10.1, 14.9], small sample`."""
        scale = max(self.value, self.high or 0.0)
        digits = min(9, max(0, 2 - math.floor(math.log10(scale)))) if scale > 0 else 1
        interval = "" if self.low is None else f" [{self.low:.{digits}f}, {self.high:.{digits}f}]"
        return f"{self.name} {self.value:.{digits}f}{interval}{', small sample' if self.small_sample else ''}"

    __str__ = describe


def distribution_distance(
    ours: Tensor,
    theirs: Tensor,
    *,
    extractor_name: str,
    count: int | None = None,
    bootstrap: int = 200,
    subsets: int = 100,
    subset_size: int = 1000,
    seed: int = 0,
) -> SetDistance:
    """Return the Fréchet distance with a bootstrap interval, and the kernel distance.

    The Fréchet distance depends on the numbers of images: its expectation falls towards the distance of the populations
    as they grow (Chong & Forsyth 2020). Compare only distances of equal numbers, or set `count`.

    The interval is of the distance *at these numbers*: where it would lie on average for other images of the same two
    kinds, not for infinitely many. Images are drawn with replacement on both sides. Duplicates make the drawn sets
    smaller than they look, so that their distances lie above the value, for the same reason that the value lies above
    the populations' distance. Their percentiles would often not even contain the value; they are moved down by the mean
    difference, the bootstrap's own estimate of bias (Efron & Tibshirani 1993, chapter 10), and only their spread
    counts. The basic interval (2 value - percentile; Davison & Hinkley 1997, eq. 5.6) aims at the populations' distance
    but needs that estimate to be right, and with fewer images than features it is too small; BCa is undefined once all
    drawn distances lie above the value. On Gaussians of 4 to 256 features and 60 to 400 images this interval held the
    expected distance in 90 % to 100 % of trials.

    Args:
        ours: features n×d, any float dtype, n at least 2.
        theirs: m×d.
        extractor_name: `Extractor.name` of what made them.
        count: compare only the first so many rows of each.
        bootstrap: resamplings; 0: no interval. Each takes O(n·m·min(n, m, d)) time: seconds for 200 of 300 images.
        subsets: and `subset_size`: as for `kernel_distance`.
        seed: random seed of resamplings and subsets.

    Raises:
        ValueError: as the two distances; for a `count` beyond either set; for one resampling, or fewer than none.
    """
    ours, theirs = _check_pair(ours, theirs)
    if count is not None:
        if not 2 <= count <= min(len(ours), len(theirs)):
            raise ValueError(f"count is {count}, there are {len(ours)} and {len(theirs)} rows: give 2 to the lesser")
        ours, theirs = ours[:count], theirs[:count]
    if bootstrap < 0 or bootstrap == 1:
        raise ValueError(f"bootstrap is {bootstrap}: give 0 for no interval, or at least 2 resamplings")
    value = frechet_distance(ours, theirs)
    low = high = bias = None
    if bootstrap:
        drawn = _resample(ours, theirs, bootstrap, seed)
        bias = float(drawn.mean()) - value
        # note: a distance is at least 0, a percentile that was moved need not be
        low, high = (max(0.0, edge - bias) for edge in drawn.quantile(torch.tensor([0.025, 0.975]).double()).tolist())
    kernel = kernel_distance(ours, theirs, subsets=subsets, subset_size=subset_size, seed=seed)
    is_fid = extractor_name == FID_INCEPTION
    return SetDistance(
        name="FID" if is_fid else f"FD ({extractor_name})",
        value=value,
        low=low,
        high=high,
        bias=bias,
        images=(len(ours), len(theirs)),
        small_sample=min(len(ours), len(theirs)) < ENOUGH_IMAGES,
        kernel_name="KID" if is_fid else f"KD ({extractor_name})",
        kernel=kernel.mean,
        kernel_std=kernel.deviation,
    )


def _resample(ours: Tensor, theirs: Tensor, number: int, seed: int) -> Float[Tensor, " number"]:
    random = torch.Generator().manual_seed(seed)
    distances = []
    for _ in range(number):
        gaussians = []
        for rows in (ours, theirs):
            counts = torch.randint(len(rows), (len(rows),), generator=random).bincount(minlength=len(rows)).double()
            drawn = counts > 0  # about 63 % of the rows: repeats are weights, and the matrices stay small
            gaussians.append(_gaussian(rows[drawn], counts[drawn]))
        distances.append(_frechet(*gaussians))
    return torch.tensor(distances, dtype=torch.float64)


def _check_pair(ours: Tensor, theirs: Tensor) -> tuple[Tensor, Tensor]:
    """Return both as float64 on the CPU."""
    for name, features in (("ours", ours), ("theirs", theirs)):
        shape = tuple(features.shape)
        if features.ndim != 2 or not features.is_floating_point() or not features.shape[-1]:
            raise ValueError(f"{name} is {features.dtype} of shape {shape}: give features as floats, a row per image")
        if len(features) < 2:
            raise ValueError(f"{name} has shape {shape}: a covariance needs at least 2 images")
        if not features.isfinite().all():
            broken = int((~features.isfinite().all(1)).sum())
            raise ValueError(f"{name} holds NaN or infinity in {broken} of {len(features)} rows: check what made them")
    if ours.shape[1] != theirs.shape[1]:
        raise ValueError(f"ours has {ours.shape[1]} features, theirs {theirs.shape[1]}: use one extractor for both")
    return ours.detach().double().cpu(), theirs.detach().double().cpu()
