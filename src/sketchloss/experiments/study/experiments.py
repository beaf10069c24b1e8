"""The experiments of a study, in the order in which their cells are planned and their parts of the report stand."""

from sketchloss.experiments.experiment import Entry
from sketchloss.experiments.pairs import plan as pairs
from sketchloss.experiments.probe import plan as probe
from sketchloss.experiments.prompts import plan as prompts
from sketchloss.experiments.recovery import plan as recovery
from sketchloss.experiments.retrieval import plan as retrieval
from sketchloss.experiments.style import plan as style
from sketchloss.experiments.tuning import ablation_plan as ablation

_ROOMS = "sketchloss.experiments"
EXPERIMENTS: tuple[Entry, ...] = (
    Entry("tuning", "Algorithm 1", f"{_ROOMS}.tuning.experiment"),
    Entry("style", "Table 1, Figure 2", f"{_ROOMS}.style.experiment", style.StylePlan, style.PRESETS),
    Entry("lora", "Table 2, Figure 3", f"{_ROOMS}.prompts.experiment", prompts.PromptsPlan, prompts.PRESETS),
    Entry("retrieval", "Table 3", f"{_ROOMS}.retrieval.experiment", retrieval.RetrievalPlan, retrieval.PRESETS),
    Entry("separation", "Table 4, Figure 4", f"{_ROOMS}.separation.experiment"),
    Entry("probe", "distances of edited drawings", f"{_ROOMS}.probe.experiment", probe.ProbePlan, probe.PRESETS),
    Entry(
        "recovery",
        "which loss leads drawings back",
        f"{_ROOMS}.recovery.experiment",
        recovery.RecoveryPlan,
        recovery.PRESETS,
    ),
    Entry(
        "ablation",
        "which choices matter",
        f"{_ROOMS}.tuning.ablation",
        ablation.AblationPlan,
        ablation.PRESETS,
    ),
    Entry("pairs", "U-Nets that clean and draw", f"{_ROOMS}.pairs.experiment", pairs.PairsPlan, pairs.PRESETS),
)
