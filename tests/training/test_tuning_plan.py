"""What a tuning will take, and whether it can be done. Oracle: seconds that are given, summed by hand."""

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from sketchloss import Backbone
from sketchloss.training import tuning_plan
from sketchloss.training.classifier import count_step_memory
from sketchloss.training.sizes import StepSizes
from sketchloss.training.tuning_plan import check_sizes, plan_lines, plan_tuning

CPU = torch.device("cpu")
HOUR = 3600.0


def test_the_whole_is_the_sum_over_the_steps_of_each_size(monkeypatch):
    backbone = Backbone(width=0.125, classes=("cat", "dog"))
    sizes = StepSizes((16, 32), (0.25, 0.75))
    batches = DataLoader(TensorDataset(torch.arange(10)), batch_size=3)
    given = {16: HOUR, 32: 2 * HOUR}
    done = []

    def measure(step, found, device):
        assert (found, device) == (batches, CPU)
        step("a batch")
        return given[done[-1][1]]

    monkeypatch.setattr(tuning_plan, "measure_steps", measure)
    plan = plan_tuning(
        *(backbone, sizes, lambda batch, size: done.append((batch, size)), batches), epochs=5, seed=3, device=CPU
    )
    assert done == [("a batch", 16), ("a batch", 32)]
    assert (plan["training_images"], plan["classes"], plan["steps"]) == (10, 2, 20)
    small, large = plan["sizes"]
    counts = sizes.count(3, 20)
    assert {16: small["steps"], 32: large["steps"]} == counts
    assert counts[16] + counts[32] == 20
    assert counts[16] != counts[32]
    assert (small["seconds_a_step"], large["seconds_a_step"]) == (HOUR, 2 * HOUR)
    assert plan["hours_of_steps"] == counts[16] * 1 + counts[32] * 2
    assert plan["seconds_a_step"] == pytest.approx(HOUR * (counts[16] + 2 * counts[32]) / 20)
    forward = sum(row["steps"] * row["multiply_adds_an_image_forward"] for row in (small, large)) / 20
    assert plan["multiply_adds_an_image_forward"] == round(forward)
    # Forwards, and backwards for the weights and for the features, of ten images five times.
    assert plan["multiply_adds_in_all"] == pytest.approx(3 * 5 * 10 * forward)

    lines = plan_lines(plan)
    assert lines[0] == "training images: 10"
    assert f"hours of steps: {plan['hours_of_steps']:,}" in lines
    assert lines[-1] == (
        f"at 32 pixels: share 0.75, steps {counts[32]}, multiply adds an image forward "
        f"{large['multiply_adds_an_image_forward']:,}, seconds a step 7,200.0"
    )
    assert not any("sizes" in line for line in lines)


@pytest.mark.parametrize(
    ("image_size", "sizes", "words"),
    [
        (15, (16,), "image_size is 15: relu5_3 of this backbone needs 16 pixels or more"),
        (16, (32, 15), "a size of image_sizes is 15: relu5_3 of this backbone needs 16 pixels or more"),
    ],
)
def test_a_size_that_the_classifier_cannot_take_is_refused(image_size, sizes, words):
    backbone = Backbone(width=0.125, classes=("cat", "dog"))
    with pytest.raises(ValueError, match=f"^{words}$"):
        check_sizes(backbone, StepSizes(sizes), image_size=image_size, batch_size=2, precision="no", device=CPU)
    check_sizes(backbone, StepSizes((16,)), image_size=16, batch_size=2, precision="no", device=CPU)


def test_a_step_at_the_largest_size_must_fit_into_memory(monkeypatch):
    asked = []
    monkeypatch.setattr(tuning_plan, "require_memory", lambda *given, **words: asked.append((given, words)))
    backbone = Backbone(width=0.125, classes=("cat", "dog"))
    check_sizes(backbone, StepSizes((64, 96, 32)), image_size=64, batch_size=8, precision="no", device=CPU)
    (((needed, device), words),) = asked
    assert device == CPU
    assert needed == count_step_memory(backbone, image_size=96, batch_size=8, precision="no")
    assert words["what"] == "a step of 8 images at 96 pixels"
    assert words["mend"] == "name smaller image_sizes, a smaller batch_size, or set checkpoint_activations"


def test_the_memory_of_the_process_is_said_in_mebibytes(monkeypatch):
    monkeypatch.setattr(tuning_plan, "peak_memory", lambda device: 3 * 2**20 + 1)
    monkeypatch.setattr(tuning_plan, "measure_steps", lambda *_: 1.0)
    batches = DataLoader(TensorDataset(torch.arange(4)), batch_size=2)
    backbone = Backbone(width=0.125, classes=("cat", "dog"))
    plan = plan_tuning(backbone, StepSizes((16,)), print, batches, epochs=1, seed=0, device=CPU)
    assert plan["peak_memory_MiB"] == 3
    assert plan["hours_of_steps"] == pytest.approx(2 / HOUR, abs=5e-4)
