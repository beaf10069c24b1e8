"""The accelerator of a training. Oracles: what was asked for; a processor has no float16."""

import pytest
import torch

from sketchloss.training.accelerator import new_accelerator

pytestmark = pytest.mark.usefixtures("fresh_accelerate")


@pytest.mark.parametrize("precision", ["no", "bf16"])
def test_what_a_processor_can_do_is_given(precision):
    accelerator = new_accelerator(precision, seed=3, accumulate=4)
    assert accelerator.mixed_precision == precision
    assert accelerator.gradient_accumulation_steps == 4
    assert accelerator.dataloader_config.data_seed == 3


def test_another_precision_may_follow_in_the_same_process():
    assert [new_accelerator(precision, seed=0).mixed_precision for precision in ("bf16", "no")] == ["bf16", "no"]


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU has float16")
def test_float16_without_a_gpu_is_one_clear_line():
    with pytest.raises(ValueError, match="precision is fp16, which needs a GPU: use bf16 or no"):
        new_accelerator("fp16", seed=0)
