"""What trainers ask of the loss beside its value. Oracle: the loss itself, asked in another way."""

import copy
import io
import pickle
import warnings
from functools import cache
from typing import get_args

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from sketchloss import Backbone, SketchLoss
from sketchloss.loss.balance import gradient_norms
from sketchloss.loss.tap_distance import Metric

LAYERS = {"relu1_2": 1.0, "relu2_2": 3.0}


@cache
def small_backbone() -> Backbone:
    """Tests share it; a loss copies it."""
    torch.manual_seed(0)
    return Backbone(width=0.125, attention=True)


def small_loss(**arguments) -> SketchLoss:
    return SketchLoss(small_backbone(), **{"layers": LAYERS, **arguments})


def pictures(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


PRED, TARGET, MASK = pictures(3, 3, 16, 16), pictures(3, 3, 16, 16, seed=1), pictures(3, 1, 16, 16, seed=2)


# Parts ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("cached", [False, True])
def test_parts_are_the_weighted_terms_and_sum_up_to_the_value(reduction, masked, cached):
    loss = small_loss(reduction=reduction, content_weight=2.0, style_weight=50.0)
    target, mask = loss.extract(TARGET) if cached else TARGET, MASK if masked else None
    value, parts = loss(PRED, target, mask=mask, return_parts=True)
    assert torch.equal(value, loss(PRED, target, mask=mask))
    assert torch.equal(value, sum(parts.values()))
    assert list(parts) == ["content/relu1_2", "style/relu1_2", "content/relu2_2", "style/relu2_2"]
    terms = loss.per_tap(PRED, target, mask=mask)
    for kind, weight in (("content", 2.0), ("style", 50.0)):
        for tap, share in LAYERS.items():
            part = parts[f"{kind}/{tap}"]
            assert part.shape == value.shape
            torch.testing.assert_close(part, weight * share / 4 * terms[kind][tap])


def test_parts_take_no_second_pass_and_leave_out_terms_without_weight():
    loss = small_loss()
    loss(PRED, TARGET)  # looks at blank paper once
    with FlopCounterMode(display=False) as alone:
        loss(PRED, TARGET)
    with FlopCounterMode(display=False) as with_parts:
        _, parts = loss(PRED, TARGET, return_parts=True)
    assert with_parts.get_total_flops() == alone.get_total_flops() > 0
    assert list(parts) == ["content/relu1_2", "content/relu2_2"]


def test_parts_are_part_of_the_graph():
    loss, pred = small_loss(style_weight=50.0), PRED.clone().requires_grad_()
    value, parts = loss(pred, TARGET, return_parts=True)
    (expected,) = torch.autograd.grad(value, pred, retain_graph=True)
    gradients = [torch.autograd.grad(part, pred, retain_graph=True)[0] for part in parts.values()]
    torch.testing.assert_close(sum(gradients), expected)
    norms = gradient_norms(parts, pred, parts)
    assert norms == pytest.approx({name: g.norm().item() for name, g in zip(parts, gradients, strict=True)})


# Ranges --------------------------------------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(
    low=st.floats(-1000, 1000, width=32),
    span=st.floats(0.125, 1000, width=32),
    invert=st.booleans(),
    seed=st.integers(0, 99),
)
def test_a_range_is_bringing_the_images_to_0_and_1_by_hand(low, span, invert, seed):
    high = low + span
    plain, ranged = small_loss(invert=invert), small_loss(invert=invert, value_range=(low, high))
    pred, target = (pictures(1, 1, 8, 8, seed=seed + i).double() for i in range(2))
    ours, theirs = (low + images * (high - low) for images in (pred, target))
    torch.testing.assert_close(ranged(ours, theirs), plain(pred, target), rtol=1e-3, atol=1e-6)
    torch.testing.assert_close(ranged(ours, ranged.extract(theirs)), plain(pred, target), rtol=1e-3, atol=1e-6)
    torch.testing.assert_close(ranged.map(ours, theirs), plain.map(pred, target), rtol=1e-2, atol=1e-5)


def test_invert_turns_a_range_over():
    ranged, plain = small_loss(invert=True, value_range=(-1, 1)), small_loss(value_range=(-1, 1))
    torch.testing.assert_close(ranged(PRED * 2 - 1, TARGET * 2 - 1), plain(1 - PRED * 2, 1 - TARGET * 2))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_range_in_low_precision(dtype):
    loss = small_loss(value_range=(-1, 1))
    pred, target = (PRED * 2 - 1).to(dtype).requires_grad_(), (TARGET * 2 - 1).to(dtype)
    value = loss(pred, target)
    value.backward()
    torch.testing.assert_close(value, small_loss()(PRED, TARGET), rtol=0.02, atol=0)
    assert pred.grad is not None
    assert pred.grad.isfinite().all()
    assert pred.grad.any()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("settings", [{"invert": True}, {"value_range": (-1, 1)}, {"value_range": (0, 255)}])
def test_a_range_and_inversion_do_not_round_pictures_of_low_precision_once_more(settings, dtype):
    loss = small_loss(**settings)
    low, high = loss.value_range
    pred, target = ((images * (high - low) + low).to(dtype) for images in (PRED, TARGET))
    torch.testing.assert_close(loss.map(pred, target), loss.map(pred.float(), target.float()), rtol=0, atol=0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("metric", get_args(Metric))
def test_features_of_another_type_are_taken_in_the_losss_own(metric, dtype):
    loss = small_loss(metric=metric, style_weight=1.0)
    features = loss.extract(TARGET)
    first = next(iter(LAYERS))
    kept = {**features, first: features[first].to(dtype)}
    rounded = {**features, first: features[first].to(dtype).float()}
    for found, expected in ((loss(PRED, kept), loss(PRED, rounded)), (loss.map(PRED, kept), loss.map(PRED, rounded))):
        torch.testing.assert_close(found, expected, rtol=0, atol=0)
    double = small_loss(metric=metric, style_weight=1.0).double()
    assert double(PRED.double(), kept).dtype == torch.float64


@pytest.mark.parametrize(
    ("role", "images", "words"),
    [
        ("pred", PRED * 255, r"pred: expected values in \[-1, 1\], got \[.*divide by 255: \(pred / 255\) \* 2 - 1"),
        ("target", PRED * 3 - 2, r"target: expected values in \[-1, 1\], got \[-2, 0.9995\].*target.clamp\(-1, 1\)"),
        ("target", (PRED * 255).byte(), r"target: expected floating point in \[-1, 1\], got torch.uint8; divide by"),
    ],
)
def test_errors_speak_of_the_range(role, images, words):
    loss = small_loss(value_range=(-1, 1))
    with pytest.raises(ValueError, match=words):
        loss(**({"pred": PRED, "target": TARGET} | {role: images}))
    loss(PRED * 2.04 - 1.02, TARGET)  # a slight overshoot: a hundredth of the range


def test_a_mask_has_its_own_range():
    loss = small_loss(value_range=(-1, 1))
    with pytest.raises(ValueError, match=r"mask: expected values in \[0, 1\], got \[-1, -1\]"):
        loss(PRED, TARGET, mask=-torch.ones_like(MASK))


@pytest.mark.parametrize("value_range", [(1, -1), "01", (0, float("inf")), None, (0, 1, 2)])
def test_ranges_that_are_none_are_refused(value_range, without_type_checks):
    with pytest.raises(ValueError, match=r"value_range is .*: give two finite numbers, the lower first"):
        small_loss(value_range=value_range)


# Masks ---------------------------------------------------------------------------------------------------------------


def test_masks_of_every_form_are_the_mask_in_full():
    loss = small_loss(style_weight=50.0, reduction="none")
    ink = MASK > 0.5
    expected = loss(PRED, TARGET, mask=ink.float())
    for form in (ink, ink[:, 0], ink.float()[:, 0], ink.half(), ink.double()):
        assert torch.equal(loss(PRED, TARGET, mask=form), expected)
    of_first = loss(PRED, TARGET, mask=ink[:1].float().expand(3, -1, -1, -1))
    for form in (ink[:1], ink[0], ink[0, 0], ink[0, 0].float()):
        assert torch.equal(loss(PRED, TARGET, mask=form), of_first)


def test_a_mask_of_another_number_is_refused():
    for mask in (MASK[:2, 0], MASK[:2], MASK[0, :, :8], MASK[..., :8]):
        with pytest.raises(ValueError, match=r"mask is \(.*\): it must be 3x1x16x16 or 3x16x16, like pred, or 16x16"):
            small_loss()(PRED, TARGET, mask=mask)


# In the wrong order --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cached", [False, True])
def test_a_target_that_wants_the_gradient_is_told_of_once(cached):
    loss, drawn = small_loss(), PRED.clone().requires_grad_()
    target = loss.backbone(drawn, loss.layers) if cached else drawn
    with pytest.warns(UserWarning, match=r"given in the wrong order\? It is loss\(pred, target\)") as caught:
        loss(TARGET, target)
    assert len(caught) == 1
    loss(TARGET, target)  # warnings are errors here: a second one would fail
    copy.deepcopy(loss)(TARGET, target)
    with pytest.warns(UserWarning, match="wrong order"):
        small_loss()(TARGET, target)


def test_what_is_in_order_is_not_told_of():
    loss, drawn = small_loss(), PRED.clone().requires_grad_()
    loss(drawn, TARGET)
    loss(drawn, TARGET.clone().requires_grad_())  # as when a discriminator looks at both
    loss(PRED, TARGET)
    with torch.no_grad():
        loss(TARGET, drawn)
    with torch.inference_mode():
        loss(TARGET, drawn)
    loss.map(TARGET, drawn)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        loss(TARGET, drawn)
    assert [str(warning.message)[:10] for warning in caught] == ["the target"]


# Always in eval mode -------------------------------------------------------------------------------------------------


def test_it_is_never_in_training_mode():
    loss = small_loss()
    saved = io.BytesIO()
    torch.save(loss, saved)
    saved.seek(0)
    parent = nn.Sequential(nn.Conv2d(3, 3, 1), loss)
    parent.train()
    assert parent.training
    copies = (copy.deepcopy(loss), pickle.loads(pickle.dumps(loss)), torch.load(saved, weights_only=False))
    for one in (loss, SketchLoss("imagenet"), parent[1], copy.deepcopy(parent)[1], *copies, loss.train(), loss.half()):
        assert not one.training
        assert not any(module.training for module in one.modules())


def test_print_tells_the_settings():
    said = repr(small_loss(value_range=(-1, 1), invert=True))
    assert "value_range=(-1.0, 1.0)" in said
    assert "invert=True" in said


# What decides the features -------------------------------------------------------------------------------------------


def test_the_recipe_names_what_decides_the_features_and_nothing_else():
    recipe = small_loss().features_recipe()
    assert recipe == small_loss(metric="cosine", style_weight=2.0, reduction="sum", check=False).features_recipe()
    assert recipe == copy.deepcopy(small_loss()).features_recipe()
    others = {
        "weights": SketchLoss(Backbone(width=0.125), layers=LAYERS),
        "taps": small_loss(layers=("relu1_2",)),
        "value_range": small_loss(value_range=(-1, 1)),
        "invert": small_loss(invert=True),
    }
    for name, other in others.items():
        assert {key for key, value in other.features_recipe().items() if value != recipe[key]} == {name}
    moved = small_loss()
    moved.features_recipe()
    assert moved.half().features_recipe()["dtype"] == "float16"
    assert moved.features_recipe()["weights"] != recipe["weights"]  # rounded


# Where and how it is built ------------------------------------------------------------------------------------------


def test_a_loss_built_and_moved_in_inference_mode_trains():
    with torch.inference_mode():
        loss = SketchLoss(small_backbone(), layers=LAYERS).to(torch.float64).to(torch.float32)
    pred, target = pictures(1, 3, 32, 32).requires_grad_(), pictures(1, 3, 32, 32, seed=1)
    loss(pred, target).backward()
    assert pred.grad is not None
    assert pred.grad.abs().sum() > 0


@pytest.mark.parametrize("metric", get_args(Metric))
def test_in_float64_gradients_are_those_of_finite_differences(metric):
    loss = SketchLoss(small_backbone(), layers=("relu1_2", "relu2_2"), metric=metric, style_weight=1.0).double()
    pred, target = pictures(1, 3, 8, 8).double().requires_grad_(), pictures(1, 3, 8, 8, seed=1).double()
    assert loss(pred, target).dtype == torch.float64
    assert torch.autograd.gradcheck(lambda images: loss(images, target), (pred,), fast_mode=True)


def test_pages_that_were_looked_at_do_not_go_into_files_and_copies():
    loss = SketchLoss(small_backbone(), layers=LAYERS)
    before = len(pickle.dumps(loss))
    for size in (64, 96, 128):
        drawing = pictures(1, 3, size, size)
        value = loss(drawing, 1 - drawing)
    assert len(pickle.dumps(loss)) == before
    assert copy.deepcopy(loss)(drawing, 1 - drawing) == value


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"style_weight": "a"}, "style_weight is 'a': it must be a number"),
        ({"content_weight": None}, "content_weight is None: it must be a number"),
        ({"layers": 3}, "layers is 3: give names of layers"),
        ({"layers": ("relu1_2", "relu1_2")}, "layers names relu1_2 twice: give it a weight instead"),
        ({"layers": {"relu1_2": "1"}}, "weight of relu1_2 is '1': it must be a number"),
        ({"invert": "yes"}, "invert is 'yes': it must be True or False"),
        ({"check": None}, "check is None: it must be True or False"),
        ({"value_range": ("0", "1")}, r"value_range is \('0', '1'\): give two finite numbers"),
        ({"weights": ""}, "weights is '': give sketch"),
        ({"weights": 3}, "weights is 3: give sketch"),
    ],
)
@pytest.mark.usefixtures("without_type_checks")
def test_settings_of_another_kind_are_named(settings, words):
    with pytest.raises(ValueError, match=words):
        SketchLoss(**settings)
