"""The settings of the pairs in a study."""

from dataclasses import dataclass
from typing import Any

from sketchloss.experiments.guiding_losses import NONE, PERCEPTUAL, TERMS, column_title
from sketchloss.experiments.pairs.settings import Task, check_size
from sketchloss.experiments.tuning.plan import Plan, in_data_folder
from sketchloss.experiments.unseen_classes import UNSEEN
from sketchloss.training.checks import require_positive


@dataclass(frozen=True)
class PairsPlan(Plan):
    """Settings of the pairs in a study: what is learned, from which data, and with which losses."""

    pairs_tasks: tuple[Task, ...] = ("rough", "scan")
    """What a U-Net learns: `faces-cufs` and `faces-fs2k`, photo to sketch; `rough`, rough lines to clean ones; `scan`,
    a poor scan to the clean drawing."""
    pairs_cufs: str = "cufs:cufs"
    """Photos and sketches of the task `faces-cufs`: `cufs:PATH`."""
    pairs_fs2k: str = "fs2k:fs2k?style=1"
    """Photos and sketches of the task `faces-fs2k`: `fs2k:PATH?style=1`."""
    pairs_strokes: str = "doodles"
    """Strokes of the true drawings of `rough` and `scan`: `doodles`, or a folder of QuickDraw .ndjson."""
    pairs_classes: tuple[str, ...] = ("apple", "car", "cat", "fish", "house", "star")
    """Classes of the drawings of `rough` and `scan`."""
    pairs_per_class: int = 8
    """Use at most this many drawings of a class: about a quarter is for the test, a seventh chooses the pull."""
    pairs_judge_data: str = "doodles?tool=ink"
    """Labelled sketches that the classifier which judges `rough` and `scan` is trained on. Those that are among the
    strokes above are left out, copies too."""
    pairs_judge_steps: int = 60
    """Training steps of the classifier."""
    pairs_losses: tuple[str, ...] = TERMS
    """Terms beside the mean absolute difference of pixels, one for each row of the table: `none`, `ssim`,
    `WEIGHTS:METRIC` or `WEIGHTS:METRIC:LAYER,LAYER`. `none` must be there: the others are compared with it."""
    pairs_pulls: tuple[float, ...] = (1.0,)
    """Pulls of the term: norms of its gradient at the output as multiples of the pixels' one. If there are several,
    each loss has the one that is best on validation drawings."""
    pairs_distances: tuple[str, ...] = PERCEPTUAL
    """Distances of networks that are measured as well, named as terms."""
    pairs_size: int = 32
    """Side of the pictures in pixels, a multiple of 8."""
    pairs_width: int = 16
    """Channels of the U-Net's first level; each further level has twice as many."""
    pairs_steps: int = 60
    """Training steps of each U-Net."""
    pairs_batch: int = 8
    """Pictures in each step of a U-Net."""
    pairs_seeds: int = 1
    """Number of U-Nets for each task and loss, of other seeds; five are needed for a verdict."""

    def __post_init__(self) -> None:
        super().__post_init__()
        counts = ("pairs_per_class", "pairs_judge_steps", "pairs_width", "pairs_steps", "pairs_batch", "pairs_seeds")
        require_positive(self, counts)
        check_size(self.pairs_size, "pairs_size")
        for name in ("pairs_tasks", "pairs_classes", "pairs_losses", "pairs_pulls", "pairs_distances"):
            values = getattr(self, name)
            if not values and name != "pairs_distances":
                raise ValueError(f"{name} is empty: name at least one")
            if twice := [value for value in values if values.count(value) > 1]:
                raise ValueError(f"{name} names {twice[0]} twice: name each once")
        if NONE in self.pairs_distances:
            raise ValueError(f"pairs_distances names {NONE!r}, which is no distance: name networks, or leave it empty")
        if "pixels" in self.pairs_losses:
            raise ValueError("pairs_losses names 'pixels', which is in every row already: leave it out")
        if NONE not in self.pairs_losses:
            raise ValueError(f"pairs_losses has no {NONE!r}, which the others are compared with: add it")
        if len(self.pairs_classes) < 2:
            raise ValueError(f"pairs_classes is {', '.join(self.pairs_classes)} alone: a classifier needs two or more")
        if self.pairs_per_class < 3:
            raise ValueError(
                f"pairs_per_class is {self.pairs_per_class}: one drawing of a class is to learn from, one chooses and "
                "one is for the test, so give 3 or more"
            )
        for pull in self.pairs_pulls:
            if not 0 < pull < float("inf"):
                raise ValueError(f"pairs_pulls has {pull}: each must be above 0 and finite")
        titles = [column_title(term) for term in self.pairs_losses]
        if twice := [title for title in titles if titles.count(title) > 1]:
            raise ValueError(f"pairs_losses has two losses called {twice[0]}: name each once")

    def all_pairs_seeds(self) -> range:
        """Return the seed of each U-Net of a task and loss."""
        return range(self.seed, self.seed + self.pairs_seeds)

    def source_of(self, task: str) -> str:
        """Return the data of a task."""
        return {"faces-cufs": self.pairs_cufs, "faces-fs2k": self.pairs_fs2k}.get(task, self.pairs_strokes)


_ALL_TASKS = ("faces-cufs", "faces-fs2k", "rough", "scan")
# What a table with verdicts needs: five seeds, and pulls to choose from.
_WHOLE: dict[str, Any] = {
    "pairs_pulls": (0.3, 1.0, 3.0),
    "pairs_size": 64,
    "pairs_steps": 400,
    "pairs_seeds": 5,
    "pairs_judge_steps": 800,
}
#: What each preset of a study changes of the defaults above.
PRESETS: dict[str, dict[str, Any]] = {
    "real": {
        **_WHOLE,
        "pairs_tasks": _ALL_TASKS,
        "pairs_cufs": f"cufs:{in_data_folder('cufs')}",
        "pairs_fs2k": f"fs2k:{in_data_folder('fs2k')}?style=1",
        "pairs_strokes": in_data_folder("quickdraw"),
        "pairs_classes": UNSEEN,
        "pairs_per_class": 20,
        "pairs_judge_data": in_data_folder("quickdraw_more"),
    },
    "weekend": {**_WHOLE, "pairs_tasks": _ALL_TASKS, "pairs_per_class": 60},
    "paper": {**_WHOLE, "pairs_tasks": _ALL_TASKS, "pairs_per_class": 60},
}
