"""What features in a target's place must be. Oracle: the words that a user needs: which tap, and what to do."""

import pytest
import torch

from sketchloss.loss.target_features import check_features

CPU = torch.device("cpu")


def features(value: float = 0.5, shape: tuple[int, ...] = (2, 3, 4, 4)) -> dict[str, torch.Tensor]:
    return {"relu1_2": torch.rand(1, 2, 8, 8), "relu2_2": torch.full(shape, value)}


@pytest.mark.parametrize("shape", [(), (48,), (2, 3, 4), (1, 2, 3, 4, 4), (0, 3, 4, 4), (2, 0, 4, 4), (2, 3, 0, 4)])
def test_features_of_another_number_of_dimensions_or_of_no_pixels_are_refused(shape):
    with pytest.raises(ValueError, match=r"target features of relu2_2: expected shape \(n, c, h, w\), got") as error:
        check_features(features(shape=shape), ["relu1_2", "relu2_2"], CPU)
    assert str(error.value).endswith(f"got {shape}; extract them with this loss")
    check_features(features(shape=shape), ["relu1_2"], CPU)  # of taps that are not needed nothing is asked


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_values_that_are_no_numbers_are_refused_unless_it_is_said_not_to_look(value):
    with pytest.raises(ValueError, match="target features hold NaN or infinity: extract them with this loss, from a"):
        check_features(features(value), ["relu1_2", "relu2_2"], CPU)
    check_features(features(value), ["relu1_2", "relu2_2"], CPU, check=False)
