"""The whole paper in one command: four arms, seeds, every table and figure, and a report.

    sketchloss study --preset doodles --out study                  some minutes on two cores, on doodles
    SKETCHLOSS_DATA=FOLDER sketchloss study --preset real --out runs/study
    sketchloss study --preset weekend --out runs/weekend           the paper's data and sizes, one GPU and a weekend
    sketchloss study --preset paper --out runs/paper --dry-run     what the paper's protocol takes
    accelerate launch --num_processes 8 -m sketchloss study --preset paper --out runs/paper

A study is made of cells (`experiments/cells.py`), one for each arm, seed, experiment and set. What is done is kept: the
same command goes on where it was stopped, and with a changed setting does only what depends on it.

`experiments.py` lists what is compared, `settings.py` puts their settings together, `plan.py` their cells; `whole.py`
and `running.py` do them, `report.py` puts their tables into one text. `estimate.py`, `device_speed.py` and `offline.py`
say beforehand what it would take.
"""

from typing import TYPE_CHECKING

from sketchloss.system.lazy_names import lazy_names

if TYPE_CHECKING:
    from sketchloss.experiments.study.settings import PRESETS, Study
    from sketchloss.experiments.study.whole import command, study

__all__ = ["PRESETS", "Study", "command", "study"]

__getattr__ = lazy_names(__name__, {"PRESETS": "settings", "Study": "settings", "command": "whole", "study": "whole"})
