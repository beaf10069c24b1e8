"""What measures the pairs of one command, also in several processes that share them."""

from collections.abc import Iterable, Iterator, Sequence

from sketchloss.compare.measuring import LeftOut, PairDistance, measure_each, pairs_at_once
from sketchloss.compare.pairing import Pair
from sketchloss.compare.settings import SSIM, Compare
from sketchloss.loss.loss import SketchLoss
from sketchloss.metrics.plain_distance import load_distance, one_minus_ssim
from sketchloss.system.device import pick_device
from sketchloss.system.processes import share_out

#: Blocks of pairs that a process measures in a round.
BLOCKS = 8


class Measurer:
    """The loss and the other distances that a command names. A process that this is sent to loads them anew.

    Args:
        config: settings of the command.

    Raises:
        ValueError: as `SketchLoss` and `load_distance`, or if there is no such device.
    """

    def __init__(self, config: Compare) -> None:
        self.config = config
        device = pick_device(config.device)
        self.others = [
            one_minus_ssim("1-ssim") if spec == SSIM else load_distance(spec, device) for spec in config.distance
        ]
        self.loss = SketchLoss(config.weights, layers=config.layers or None, metric=config.metric, check=False)
        self.loss.to(device)

    def __reduce__(self) -> tuple:
        return Measurer, (self.config,)

    @property
    def at_once(self) -> int:
        """Number of pairs of a block: they are measured together, and so their last digits stay."""
        return pairs_at_once(self.config.size, self.loss.backbone.mean.device.type)

    def __call__(self, pairs: Iterable[Pair], *, workers: int | None = None) -> Iterator[PairDistance | LeftOut]:
        """Measure pairs, as `measure_each`."""
        return measure_each(
            self.loss,
            pairs,
            size=self.config.size,
            invert=self.config.invert,
            others=self.others,
            precision=self.config.precision,
            workers=workers,
        )

    def measure(self, pairs: Sequence[Pair], *, start: int = 0) -> Iterator[PairDistance | LeftOut]:
        """Measure pairs from one on, the first of a block, in their order; all processes of a job share them."""
        rest = (pairs[place] for place in range(start, len(pairs)))
        return share_out(self, rest, at_once=BLOCKS * self.at_once)
