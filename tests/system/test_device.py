"""Oracle: what torch says of a GPU, here and as if there were one or none."""

import pytest
import torch

from sketchloss.system.device import in_bfloat16, pick_device


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


@pytest.mark.parametrize(
    ("capabilities", "wanted", "dtype"),
    [
        ({"avx2": True, "avx512_bf16": False, "amx_bf16": False}, True, torch.float32),
        ({"avx512_bf16": True}, True, torch.bfloat16),
        ({"bf16": True}, True, torch.bfloat16),
        ({"avx512_bf16": True}, False, torch.float32),
    ],
)
def test_bfloat16_is_used_where_there_are_instructions_for_it(capabilities, wanted, dtype, monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    with in_bfloat16("cpu", wanted=wanted):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == dtype
