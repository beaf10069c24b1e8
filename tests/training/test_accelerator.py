"""The accelerator of a training. Oracles: what was asked for; a processor has no float16."""

import pytest
import torch

from sketchloss.training.accelerator import describe, dtype_of, new_accelerator

pytestmark = pytest.mark.usefixtures("fresh_accelerate")


@pytest.mark.usefixtures("cpu_with_bfloat16")
@pytest.mark.parametrize("precision", ["no", "bf16"])
def test_what_a_processor_can_do_is_given(precision):
    accelerator = new_accelerator(precision, seed=3, accumulate=4)
    assert accelerator.mixed_precision == precision
    assert describe(accelerator) == ("cpu in float32" if precision == "no" else "cpu in bfloat16")
    assert accelerator.gradient_accumulation_steps == 4
    assert accelerator.dataloader_config.data_seed == 3


@pytest.mark.skipif(torch.cuda.is_available(), reason="the accelerator is the GPU")
def test_a_processor_that_would_emulate_bfloat16_computes_in_float32(monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True, "avx512_bf16": False})
    assert describe(new_accelerator("bf16", seed=0)) == "cpu in float32"
    assert dtype_of("bf16", "cpu") == torch.float32
    monkeypatch.delattr(torch.cpu, "get_capabilities")  # torch 2.6 does not tell
    assert describe(new_accelerator("bf16", seed=0)) == "cpu in bfloat16"
    assert dtype_of("bf16", "cpu") == torch.bfloat16


@pytest.mark.usefixtures("cpu_with_bfloat16")
def test_another_precision_may_follow_in_the_same_process():
    assert [new_accelerator(precision, seed=0).mixed_precision for precision in ("bf16", "no")] == ["bf16", "no"]


def test_a_training_that_ended_within_an_accumulated_gradient_leaves_the_next_one_alone():
    for accumulate in (2, 1):
        accelerator = new_accelerator("no", seed=0, accumulate=accumulate)
        layer = torch.nn.Linear(2, 1)
        optimizer = accelerator.prepare(torch.optim.SGD(layer.parameters(), lr=1.0))
        before = layer.weight.detach().clone()
        if accumulate > 1:
            with accelerator.accumulate(layer):  # the first of two steps; then it ends
                accelerator.backward(layer(torch.ones(1, 2)).sum())
                optimizer.step()
        else:
            accelerator.backward(layer(torch.ones(1, 2)).sum())
            optimizer.step()
        assert torch.equal(layer.weight, before) == (accumulate > 1)


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU has float16")
def test_float16_without_a_gpu_is_one_clear_line():
    with pytest.raises(ValueError, match="precision is fp16, which needs a GPU: use bf16 or no"):
        new_accelerator("fp16", seed=0)
