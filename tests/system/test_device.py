"""Oracle: what torch says of a GPU, here and as if there were one or none."""

import pytest
import torch

from sketchloss.system.device import pick_device


@pytest.mark.parametrize("has_gpu", [False, True])
def test_a_name_is_the_device_that_is_there(has_gpu, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: has_gpu)
    assert pick_device("auto") == torch.device("cuda" if has_gpu else "cpu")
    assert pick_device("cpu") == torch.device("cpu")
    if has_gpu:
        assert pick_device("cuda") == torch.device("cuda")
    else:
        with pytest.raises(ValueError, match="device is cuda: torch finds no GPU here; use --device cpu"):
            pick_device("cuda")
