"""The folder of a training after kills. Oracle: what is in it."""

import json
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator

from sketchloss.experiments.tuning.settings import Finetune
from sketchloss.training.rates import rate_schedule
from sketchloss.training.run import Run

pytestmark = pytest.mark.usefixtures("fresh_accelerate")


def test_what_a_kill_left_beside_the_last_checkpoint_is_cleared_when_the_run_goes_on(tmp_path, monkeypatch):
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

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:  # and again, within the next checkpoint
        patch.setattr(Path, "rename", killed)
        with pytest.raises(KeyboardInterrupt):
            run.save_checkpoint({"step": 2})
    assert run.load_checkpoint() == {"step": 1}
    run.save_checkpoint({"step": 2})
    assert [path.name for path in place.iterdir()] == ["last"]


def test_a_checkpoint_of_an_earlier_version_is_refused_in_one_line(tmp_path):
    """Its learning rates are kept in another way; to go on without them would be another training."""
    accelerator = Accelerator()
    run = Run(tmp_path / "run", Finetune(data="doodles", out=tmp_path / "run"), accelerator, resume=False)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(()))], lr=0.1)
    earlier = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1.0)
    accelerator.register_for_checkpointing(earlier)
    run.save_checkpoint({"step": 1})
    now = rate_schedule(optimizer, "cosine", steps=9, warmup=2, after_warmup=True)
    accelerator._custom_objects = [now]
    found = r"last is damaged, or of another version of sketchloss \(.*\): start a new run elsewhere"
    with pytest.raises(ValueError, match=found):
        run.load_checkpoint()
