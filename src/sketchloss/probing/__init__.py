"""Does a distance between drawings behave as it should? Trials whose right answer is known, and what comes of them."""

from sketchloss.probing.distances import Distance as Distance
from sketchloss.probing.fooled import Fooled as Fooled
from sketchloss.probing.fooled import fooled as fooled
from sketchloss.probing.fooled import open_halves as open_halves
from sketchloss.probing.measures import Measures as Measures
from sketchloss.probing.measures import probe_distance as probe_distance
from sketchloss.probing.trials import Trials as Trials
from sketchloss.probing.trials import make_trials as make_trials
from sketchloss.probing.tricks import make_tricks as make_tricks
