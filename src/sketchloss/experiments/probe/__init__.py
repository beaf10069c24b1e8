"""The probe: trials of distances between drawings whose right answer is known."""

from typing import TYPE_CHECKING

from sketchloss.system.lazy_names import lazy_names

if TYPE_CHECKING:
    from sketchloss.experiments.probe.measures import Measures, probe_distance
    from sketchloss.experiments.probe.trials import Trials, make_trials
    from sketchloss.experiments.probe.trick_drawings import make_tricks
    from sketchloss.experiments.probe.trick_verdicts import Fooled, fooled, open_halves
    from sketchloss.metrics.plain_distance import Distance

_HOMES = {
    "Distance": "measures",
    "Fooled": "trick_verdicts",
    "Measures": "measures",
    "Trials": "trials",
    "fooled": "trick_verdicts",
    "make_tricks": "trick_drawings",
    "make_trials": "trials",
    "open_halves": "trick_verdicts",
    "probe_distance": "measures",
}
__all__ = [
    "Distance",
    "Fooled",
    "Measures",
    "Trials",
    "fooled",
    "make_trials",
    "make_tricks",
    "open_halves",
    "probe_distance",
]

__getattr__ = lazy_names(__name__, _HOMES)
