"""Oracles: the contract's own words, and that each mend, run as code, mends."""

import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from child_process import finished
from sketchloss import to_tensor
from sketchloss.system.image_contract import check_images, check_value_range


@given(
    n=st.integers(1, 3),
    channels=st.sampled_from([1, 3]),
    height=st.integers(1, 9),
    width=st.integers(1, 9),
    dtype=st.sampled_from([torch.float16, torch.bfloat16, torch.float32, torch.float64]),
)
def test_good_images_pass_unchanged_and_grey_is_expanded_without_a_copy(n, channels, height, width, dtype):
    images = torch.rand(n, channels, height, width).to(dtype)
    checked = check_images(images)
    assert checked.shape == (n, 3, height, width)
    assert checked.dtype == dtype
    assert checked.untyped_storage().data_ptr() == images.untyped_storage().data_ptr()
    assert torch.equal(checked, images.expand_as(checked))


BAD_SHAPES = [(3, 8, 8), (8, 8), (2, 8, 8, 3), (8, 8, 3), (2, 4, 8, 8), (0, 3, 8, 8), (1, 2, 3, 8, 8), (5, 8, 8), ()]


@pytest.mark.parametrize("shape", BAD_SHAPES, ids=str)
def test_bad_shapes_are_refused_and_the_mend_works(shape):
    images = torch.rand(shape)
    with pytest.raises(ValueError, match=r"^sketches: expected shape") as error:
        check_images(images, name="sketches")
    assert str(shape) in str(error.value)
    mend = str(error.value).split()[-1]
    if mend.startswith("sketches"):
        assert check_images(eval(mend, {"sketches": images})).shape[1:] == (3, 8, 8)


@pytest.mark.parametrize(
    "images",
    [
        torch.randint(0, 256, (2, 3, 8, 8), dtype=torch.uint8),
        torch.randint(0, 256, (2, 3, 8, 8)),
        torch.ones(2, 3, 8, 8, dtype=torch.bool),
        torch.linspace(0, 255, 192).reshape(1, 3, 8, 8),
        torch.linspace(-1, 1, 192).reshape(1, 3, 8, 8),
        torch.linspace(-0.1, 1.2, 192).reshape(1, 3, 8, 8),
    ],
    ids=["uint8", "int64", "bool", "0 to 255", "-1 to 1", "overshoot"],
)
def test_bad_types_and_ranges_are_refused_and_the_mend_works(images):
    with pytest.raises(ValueError, match=r"^pred: expected") as error:
        check_images(images, name="pred")
    mend = str(error.value).split(": ")[-1]
    assert check_images(eval(mend, {"pred": images})).shape[1] == 3


UNIT, AROUND, BYTES = (0.0, 1.0), (-1.0, 1.0), (0.0, 255.0)
SIGNED = "if it is in [-1, 1], rescale: (pred + 1) / 2"
NORMALISED = "if it was normalised, undo that: pred * std + mean"


@pytest.mark.parametrize(
    ("low", "high", "value_range", "mend"),
    [
        # Bytes as floats: of the darkest pictures, and with what a filter adds; no byte is below 0.
        (0, 255, UNIT, "divide by 255: pred / 255"),
        (0, 2.01, UNIT, "divide by 255: pred / 255"),
        (-0.01, 256, UNIT, "divide by 255: pred / 255"),
        (0, 2.01, AROUND, "divide by 255: (pred / 255) * 2 - 1"),
        (0, 2, UNIT, NORMALISED),
        (0, 257, UNIT, NORMALISED),
        (-0.02, 255, UNIT, NORMALISED),
        # Between -1 and 1; a little below 0 is an overshoot.
        (-1, 1, UNIT, SIGNED),
        (-1.01, 1.01, UNIT, SIGNED),
        (-0.11, 1, UNIT, SIGNED),
        (-0.1, 1, UNIT, "clamp it: pred.clamp(0, 1)"),
        (-1.02, 1, UNIT, NORMALISED),
        # Overshoots: up to half of the range on each side.
        (-0.5, 1.5, UNIT, "clamp it: pred.clamp(0, 1)"),
        (0, 2, AROUND, "clamp it: pred.clamp(-1, 1)"),
        (-127, 382, BYTES, "clamp it: pred.clamp(0, 255)"),
        (-0.51, 1.5, UNIT, NORMALISED),
        (-0.5, 1.51, UNIT, NORMALISED),
        (-2.1, 2.6, UNIT, NORMALISED),  # ImageNet's
        (-128, 255, BYTES, "rescale it, or build the loss with the range that it has"),
        (-1, 383, BYTES, "rescale it, or build the loss with the range that it has"),
    ],
)
def test_the_mend_is_for_what_such_values_are(low, high, value_range, mend):
    images = torch.full((1, 1, 2, 2), low, dtype=torch.float64)
    images[0, 0, 1, 1] = high
    with pytest.raises(ValueError, match=r"^pred: expected values in") as error:
        check_images(images, name="pred", value_range=value_range)
    assert str(error.value).endswith(f"in shape (1, 1, 2, 2); {mend}")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_values_that_are_no_numbers_are_refused(value):
    images = torch.rand(1, 3, 4, 4)
    images[0, 1, 2, 3] = value
    with pytest.raises(ValueError, match="NaN or infinity"):
        check_images(images)
    assert check_images(images, check=False) is images


@given(st.floats(-3, 300, width=32))
def test_the_range_is_what_the_contract_says(value):
    images = torch.full((1, 1, 2, 2), value)
    if -0.01 <= value <= 1.01:
        check_images(images)
    else:
        with pytest.raises(ValueError, match="expected values in"):
            check_images(images)


def test_small_images_are_refused_by_their_size():
    with pytest.raises(ValueError, match=r"at least 16 by 16 pixels, got shape \(1, 3, 15, 99\)"):
        check_images(torch.rand(1, 3, 15, 99), minimum=16)


def test_gradients_pass_through():
    images = torch.rand(1, 1, 4, 4, requires_grad=True)
    check_images(images).sum().backward()
    assert torch.equal(images.grad, torch.full_like(images, 3))


def test_under_compile_and_export_there_is_no_value_check_and_no_graph_break():
    # in a process of its own: the checks of signatures, on in this one, are not for the compiler
    program = """
import torch
from sketchloss.system.image_contract import check_images
images = torch.full((2, 1, 4, 4), 7.0)
compiled = torch.compile(lambda images: check_images(images) * 2, backend="eager", fullgraph=True)
assert compiled(images).shape == (2, 3, 4, 4)
class Check(torch.nn.Module):
    def forward(self, images):
        return check_images(images, minimum=2) * 2
batch = torch.export.Dim("batch", min=1, max=64)
exported = torch.export.export(Check(), (images,), dynamic_shapes=({0: batch},)).module()
assert exported(torch.rand(5, 1, 4, 4)).shape == (5, 3, 4, 4)
"""
    finished([sys.executable, "-c", program], check=True, seconds=240)


# Ranges --------------------------------------------------------------------------------------------------------------

RANGES = [(-1.0, 1.0), (0.0, 255.0), (-3.0, -1.0), (0.5, 0.75)]


@given(st.sampled_from(RANGES), st.floats(-1, 2, width=32))
def test_a_range_of_ones_own_is_held_to_with_a_hundredth_beyond(value_range, place):
    low, high = value_range
    images = torch.full((1, 1, 2, 2), low + place * (high - low), dtype=torch.float64)
    if -0.0099 < place < 1.0099:
        check_images(images, value_range=value_range)
    elif not -0.0101 < place < 1.0101:
        with pytest.raises(ValueError, match=rf"expected values in \[{low:g}, {high:g}\], got \["):
            check_images(images, value_range=value_range)


@pytest.mark.parametrize(
    ("images", "value_range"),
    [
        (torch.linspace(0, 255, 192).reshape(1, 3, 8, 8), (-1.0, 1.0)),
        (torch.randint(0, 256, (1, 3, 8, 8), dtype=torch.uint8), (-1.0, 1.0)),
        (torch.randint(0, 256, (1, 3, 8, 8), dtype=torch.uint8), (0.0, 255.0)),
        (torch.arange(192).reshape(1, 3, 8, 8).to(torch.uint16), (0.0, 1.0)),
        (torch.ones(1, 3, 8, 8, dtype=torch.bool), (1.0, 3.0)),
        (torch.linspace(-1.5, 1.7, 192).reshape(1, 3, 8, 8), (-1.0, 1.0)),
        (np.zeros((8, 8, 3), np.uint8), (-1.0, 1.0)),
    ],
    ids=["bytes as floats", "bytes", "bytes for 0 to 255", "16 bit", "bool", "overshoot", "array"],
)
def test_mends_bring_values_into_the_range(images, value_range, without_type_checks):
    with pytest.raises(ValueError, match=r"^pred: expected") as error:
        check_images(images, name="pred", value_range=value_range)
    mend = str(error.value).split(": ")[-1]
    known = {"pred": images, "sketchloss": type("", (), {"to_tensor": staticmethod(to_tensor)})}
    mended = check_images(eval(mend, known), value_range=value_range)
    assert mended.shape == (1, 3, 8, 8)
    if isinstance(images, np.ndarray):
        assert (mended == -1).all()


@pytest.mark.parametrize(
    "value_range",
    [
        *("01", b"01", None, 1, (), (1,), (0, 1, 2), (1, 0), (1, 1), (0, float("inf")), (float("nan"), 1)),
        *(
            (-float("inf"), 1),
            ("a", "b"),
            ("0", "1"),
            (None, 1),
            (0, 1e39),
            (-3e38, 3e38),
            (0, 1e-40),
            [[0, 1]],
            (0, 1j),
        ),
    ],
    ids=repr,
)
def test_ranges_that_are_none_are_refused(value_range, without_type_checks):
    with pytest.raises(
        ValueError, match=r"^value_range is .*give two finite numbers, the lower first, such as"
    ) as error:
        check_value_range(value_range)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("value_range", [(0, 1), [-1, 1], (np.float32(0), np.int64(255)), torch.tensor([-1.0, 1.0])])
def test_ranges_of_any_numbers_are_taken(value_range):
    low, high = check_value_range(value_range)
    assert (low, high) == (float(value_range[0]), float(value_range[1]))
    assert type(low) is type(high) is float
