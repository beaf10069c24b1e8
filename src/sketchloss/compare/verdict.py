"""Whether a comparison passes: what a build pipeline learns from the exit code.

0: it passes. 1: a distance is above the limit, or a picture has no partner. 2: something could not be read, which
`--strict` does not allow. 2 wins over 1, because what was not read was not judged.
"""

from dataclasses import dataclass

from sketchloss.compare.comparison import Comparison
from sketchloss.compare.settings import Compare

PASSED, FAILED, NOT_READ = 0, 1, 2


@dataclass(frozen=True)
class Verdict:
    """The exit code, and a line for each reason why it is not 0."""

    exit_code: int
    failures: list[str]


def judge(config: Compare, found: Comparison) -> Verdict:
    """Judge a comparison by the limits that were set.

    Args:
        config: with `fail_above`, `at`, `fail_on_missing` and `strict`.
        found: what was compared.
    """
    failed = [line for line in (_too_far(config, found), _missing(config, found)) if line]
    not_read = _not_read(found) if config.strict else ""
    code = NOT_READ if not_read else FAILED if failed else PASSED
    return Verdict(code, [*failed, not_read] if not_read else failed)


def _too_far(config: Compare, found: Comparison) -> str:
    if config.fail_above is None:
        return ""
    at = config.at or "mean"
    summary = found.summary()
    value = summary.mean if at == "mean" else summary.quantiles[at]
    if value <= config.fail_above:
        return ""
    limit = f"{value:.6g}, above the limit {config.fail_above:g}"
    if found.single:
        pair = found.tally.distances[0].pair
        return f"failed: the distance is {limit}: {pair.a} and {pair.b}"
    (farthest,) = found.tally.farthest(1)
    return f"failed: the {at} distance is {limit}; the farthest pair is {farthest.pair.name} ({farthest.total:.6g})"


def _missing(config: Compare, found: Comparison) -> str:
    parts = [
        f"{len(names):,} only in {folder}, first {names[0]}"
        for folder, names in ((config.a, found.only_a), (config.b, found.only_b))
        if names
    ]
    return f"failed: pictures without a partner: {'; '.join(parts)}" if parts and config.fail_on_missing else ""


def _not_read(found: Comparison) -> str:
    parts = []
    if found.tally.left_out:
        total = found.tally.left_out_count
        count = "1 pair" if total == 1 else f"{total:,} pairs"
        parts.append(f"{count} left out, first {found.tally.left_out[0].reason}")
    parts += found.unread
    return f"not all could be read: {'; '.join(parts)}" if parts else ""
