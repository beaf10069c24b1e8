"""Does a distance between drawings behave as it should? Trials whose right answer is known, and what comes of them."""

from sketchloss.experiments.probe.distances import Distance as Distance
from sketchloss.experiments.probe.fooled import Fooled as Fooled
from sketchloss.experiments.probe.fooled import fooled as fooled
from sketchloss.experiments.probe.fooled import open_halves as open_halves
from sketchloss.experiments.probe.measures import Measures as Measures
from sketchloss.experiments.probe.measures import probe_distance as probe_distance
from sketchloss.experiments.probe.trials import Trials as Trials
from sketchloss.experiments.probe.trials import make_trials as make_trials
from sketchloss.experiments.probe.trick_drawings import make_tricks as make_tricks
