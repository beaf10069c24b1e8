"""Settings of a study: those of its experiments and its own, and its presets."""

from collections import ChainMap
from dataclasses import dataclass
from typing import Annotated, Any

import tyro

from sketchloss.experiments.experiment import Entry
from sketchloss.experiments.study import experiments
from sketchloss.experiments.study.device_speed import check_device_speed
from sketchloss.experiments.study.experiments import EXPERIMENTS
from sketchloss.experiments.tuning import plan
from sketchloss.system.command_line import suggest
from sketchloss.training.checks import require_not_negative

#: The settings of every experiment; those of the first come first.
_OPTIONS = tuple(entry.options for entry in reversed(EXPERIMENTS) if entry.options) or (plan.Plan,)


def _in_words(entries: tuple[Entry, ...]) -> str:
    return ", ".join(f"{entry.name} ({entry.summary})" for entry in entries)


@dataclass(frozen=True)
class Study(*_OPTIONS):
    """Compare the paper's four arms (loss networks) and others, over seeds: every table and figure in one report.

    Presets: `doodles` (its old name is `demo`), on built-in drawings, minutes on a laptop; `real`, on people's drawings
    in `$SKETCHLOSS_DATA`, more than a day on two cores; `gates` (two cores), whether gates add to tuning; `controls`
    (two cores) and `attention` (a GPU), which part of gates acts; `weekend`, the paper's data and sizes, one GPU and a
    weekend; `paper`, its whole protocol.

    Raises:
        ValueError: for a setting outside its range, naming it.
    """

    only: Annotated[tuple[str, ...], tyro.conf.arg(help=f"Parts to do; by default all: {_in_words(EXPERIMENTS)}.")] = ()
    workers: int = 0
    """Processes that share the work, each doing one cell at a time; 0: one for each GPU, or one without a GPU.
    Processes of `accelerate launch` share it in the same way."""
    dry_run: bool = False
    """Print what would be done, about how long it would take and what to leave out to save most, then stop. No network
    is asked: sizes of data sets that are not on this disk are the published ones."""
    device_speed: str = "a100"
    """Speed that a dry run counts with: a card (`a100`, `h100`, `h200`, `l4`, `rtx-3090`, `rtx-4090`, at 30 % of its
    maker's peak), the TFLOP/s that your trainings reach, such as `40`, or `here`, measured on this machine."""
    again: bool = False
    """Remove what an earlier study left in `out`, and start again."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_not_negative(self, ("workers",))
        check_device_speed(self.device_speed)
        names = [entry.name for entry in experiments.EXPERIMENTS]
        for part in self.only:
            if part not in names:
                raise ValueError(f"only names {part!r}: {suggest(part, names)}choose from {', '.join(names)}")

    def asked(self) -> list[Entry]:
        """Return the experiments that are asked for."""
        return [entry for entry in experiments.EXPERIMENTS if not self.only or entry.name in self.only]


#: What each preset changes of the defaults above.
PRESETS: dict[str, dict[str, Any]] = {
    name: dict(ChainMap(dict(changes), *(dict(entry.presets.get(name, {})) for entry in EXPERIMENTS)))
    for name, changes in plan.PRESETS.items()
}
