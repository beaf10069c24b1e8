"""Checkpoints of a few weights. Oracles: the weights before and after, and the files in the folder."""

import pytest
import torch
from torch import nn

from sketchloss.training.accelerator import new_accelerator
from sketchloss.training.trained_part import TrainedPart, leave_out_frozen_weights

pytestmark = pytest.mark.usefixtures("fresh_accelerate")


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(300, 300).requires_grad_(False), nn.Linear(300, 2))


def test_a_checkpoint_holds_the_trained_part_and_nothing_frozen(tmp_path):
    accelerator = new_accelerator("no", seed=0)
    whole = network()
    trained = [parameter for parameter in whole.parameters() if parameter.requires_grad]
    model, optimizer = accelerator.prepare(whole, torch.optim.AdamW(trained, lr=0.1))
    accelerator.register_for_checkpointing(TrainedPart(trained))
    leave_out_frozen_weights(accelerator)
    model(torch.ones(1, 300)).sum().backward()
    optimizer.step()
    before = [parameter.detach().clone() for parameter in trained]
    accelerator.save_state(str(tmp_path / "here"))
    assert sum(file.stat().st_size for file in (tmp_path / "here").iterdir()) < 300 * 300 * 4
    frozen = whole[0].weight.detach().clone()
    with torch.no_grad():
        for parameter in whole.parameters():
            parameter.add_(1)
    accelerator.load_state(str(tmp_path / "here"))
    assert all(torch.equal(parameter, kept) for parameter, kept in zip(trained, before, strict=True))
    assert torch.equal(whole[0].weight, frozen + 1)  # not touched


def test_what_was_saved_does_not_change_with_the_training():
    parameters = [nn.Parameter(torch.ones(3))]
    state = TrainedPart(parameters).state_dict()
    with torch.no_grad():
        parameters[0].zero_()
    assert state["0"].tolist() == [1, 1, 1]
