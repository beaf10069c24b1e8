"""The folder of a training after kills. Oracle: what is in it."""

import json
from pathlib import Path

import pytest
from accelerate import Accelerator

from sketchloss.recipes.finetune_settings import Finetune
from sketchloss.training.run import Run

pytestmark = pytest.mark.usefixtures("fresh_accelerate")


def test_what_a_kill_left_beside_the_last_checkpoint_is_cleared_when_the_run_goes_on(tmp_path):
    config = Finetune(data="doodles", out=tmp_path / "run")
    run = Run(config.out, config, Accelerator(), resume=False)
    run.save_checkpoint({"step": 1})
    place = config.out / "checkpoints"
    (place / "previous").mkdir()
    (place / "previous" / "position.json").write_text(json.dumps({"step": 0}))
    assert run.load_checkpoint() == {"step": 1}
    assert [path.name for path in place.iterdir()] == ["last"]

    Path(place / "last").rename(place / "previous")  # killed between two renames: then it is all that there is
    assert run.load_checkpoint() == {"step": 1}
    assert [path.name for path in place.iterdir()] == ["previous"]
