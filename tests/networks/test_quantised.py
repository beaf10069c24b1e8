"""8-bit integers in weights files. Oracle: rounding by hand, and the floats that were written."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from sketchloss import Backbone, load_backbone, save_backbone
from sketchloss.networks.quantised import quantise, restore
from sketchloss.networks.weights import read_tensors


@given(st.integers(0, 2**31), st.sampled_from([1e-7, 1e-4, 1.0, 100.0]))
def test_each_kernel_is_off_by_at_most_half_a_step_of_its_own(seed, size):
    kernels = torch.randn(5, 3, 3, 3, generator=torch.Generator().manual_seed(seed)) * size
    kernels[0] *= 1e-3
    back = restore(quantise({"it.weight": kernels}))["it.weight"].numpy()
    step = np.abs(kernels.numpy()).max((2, 3), keepdims=True) / 127
    least = np.finfo(np.float16).smallest_normal  # of a scale
    assert (np.abs(back - kernels.numpy()) <= np.maximum(0.5 * step * 1.01 + 127 * step / 2**11, least)).all()


def test_what_is_no_convolution_and_zeros_stay_exactly_as_they_are():
    tensors = {"bias": torch.randn(7), "head.weight": torch.randn(5, 4), "one.weight": torch.randn(4, 4, 1, 1)}
    zeros = {"zero.weight": torch.zeros(2, 2, 3, 3)}
    back = restore(quantise(tensors | zeros))
    assert set(back) == set(tensors | zeros)
    assert all(torch.equal(back[name], tensor) for name, tensor in (tensors | zeros).items())


def test_a_backbone_written_so_has_nearly_the_same_features_in_a_smaller_file(tmp_path):
    torch.manual_seed(0)
    backbone = Backbone(width=0.25, attention=True).eval()
    save_backbone(backbone, tmp_path / "floats")
    save_backbone(backbone, tmp_path / "integers", quantised=True)
    sizes = [(tmp_path / name / "model.safetensors").stat().st_size for name in ("floats", "integers")]
    assert sizes[1] < 0.65 * sizes[0]
    images = torch.rand(2, 3, 48, 48)
    with torch.no_grad():
        found, expected = (
            each(images, ("relu4_3",))["relu4_3"] for each in (load_backbone(tmp_path / "integers"), backbone)
        )
    assert (found - expected).norm() < 0.02 * expected.norm()
    again = load_backbone(tmp_path / "integers")
    save_backbone(again, tmp_path / "twice", quantised=True)
    for name, tensor in load_backbone(tmp_path / "twice").state_dict().items():
        torch.testing.assert_close(tensor, again.state_dict()[name], rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda tensors: tensors.pop("a.weight.scale"), "a.weight is of 8-bit integers and there is no a.weight.scale"),
        (lambda tensors: tensors.pop("a.weight"), "a.weight.scale is there and a.weight is not"),
        (lambda tensors: tensors.update({"a.weight.scale": torch.ones(3, 1, 1)}), "do not belong together"),
        (lambda tensors: tensors.update({"a.weight": torch.ones(3, 2, 3, 3)}), "do not belong together"),
    ],
)
def test_damaged_files_are_refused_by_name(tmp_path, change, message):
    tensors = quantise({"a.weight": torch.randn(3, 2, 3, 3)})
    change(tensors)
    save_file(tensors, tmp_path / "it.safetensors")
    assert load_file(tmp_path / "it.safetensors")
    with pytest.raises(ValueError, match=message) as caught:
        read_tensors(tmp_path / "it.safetensors")
    assert str(tmp_path / "it.safetensors") in str(caught.value)
