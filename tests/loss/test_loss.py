"""Oracles: the loss written out in NumPy on `extract`'s features; finite differences; symmetries."""

import copy
import io
import json
import os
import pickle
import sys
import textwrap
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

import sketchloss.loss.loss
from child_process import finished
from sketchloss import Backbone, SketchLoss, gram
from sketchloss.loss.loss import BEFORE_0_2, PAPER_LAYERS

#: Position by position; and all.
PLAIN = ("l1", "l2", "cosine")
METRICS = (*PLAIN, "ink")


@cache
def small_backbone(attention: bool = True) -> Backbone:
    """Tests share it; a loss copies it."""
    torch.manual_seed(0)
    return Backbone(width=0.125, attention=attention)


def small_loss(**arguments) -> SketchLoss:
    # four taps, of which the shallow ones take small images
    return SketchLoss(small_backbone(), **{"layers": PAPER_LAYERS, **arguments})


@pytest.fixture(scope="module")
def photo_loss() -> SketchLoss:
    return SketchLoss("imagenet")


def pictures(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def drawing(size: int) -> Tensor:
    """A diagonal line and a box, black on white."""
    image = 1 - torch.eye(size)
    image[size // 4, size // 4 : size // 2] = image[size // 2, size // 4 : size // 2] = 0
    return image.expand(1, 3, size, size).clone()


def in_numpy(features: dict[str, Tensor]) -> dict[str, np.ndarray]:
    return {name: value.detach().double().numpy() for name, value in features.items()}


def distance(pred: np.ndarray, target: np.ndarray, metric: str) -> np.ndarray:
    """n×h×w."""
    if metric == "l1":
        return np.abs(pred - target).mean(1)
    if metric == "l2":
        return ((pred - target) ** 2).mean(1)
    # Where a drawing has no features there is no angle: half the squared distance of the unit vectors, one of them 0.
    unit_pred, unit_target = (
        features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-30) for features in (pred, target)
    )
    return ((unit_pred**2).sum(1) + (unit_target**2).sum(1)) / 2 - (unit_pred * unit_target).sum(1)


def gram_by_hand(features: np.ndarray, weight: np.ndarray | None = None) -> np.ndarray:
    n, c, h, w = features.shape
    weight = np.ones((n, 1, h, w)) if weight is None else weight
    sums = np.einsum("nihw,njhw,nkhw->nij", features, features, weight)
    return sums / (c * weight.sum((1, 2, 3)))[:, None, None]


# Values --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("metric", PLAIN)
def test_content_term_is_the_weighted_mean_of_the_taps_distances(metric):
    loss = small_loss(layers={"relu1_2": 3.0, "relu3_1": 1.0, "pool1": 0.5}, metric=metric, reduction="none")
    pred, target = pictures(2, 3, 24, 36), pictures(2, 3, 24, 36, seed=1)
    ours, theirs = in_numpy(loss.extract(pred)), in_numpy(loss.extract(target))
    by_hand = sum(
        weight / 4.5 * distance(ours[name], theirs[name], metric).mean((1, 2)) for name, weight in loss.layers.items()
    )
    np.testing.assert_allclose(loss(pred, target).numpy(), by_hand, rtol=2e-5)


def test_style_term_is_the_squared_distance_of_gram_matrices():
    loss = small_loss(style_weight=1.0, content_weight=0.0, reduction="none")
    pred, target = pictures(2, 3, 24, 40), pictures(2, 3, 24, 40, seed=1)
    ours, theirs = in_numpy(loss.extract(pred)), in_numpy(loss.extract(target))
    by_hand = [((gram_by_hand(ours[name]) - gram_by_hand(theirs[name])) ** 2).sum((1, 2)) for name in PAPER_LAYERS]
    np.testing.assert_allclose(loss(pred, target).numpy(), np.mean(by_hand, axis=0), rtol=1e-4)


def test_content_and_style_add_by_their_weights():
    pred, target = pictures(2, 3, 16, 16), pictures(2, 3, 16, 16, seed=1)
    content = small_loss()(pred, target)
    style = small_loss(content_weight=0.0, style_weight=1.0)(pred, target)
    both = small_loss(content_weight=2.0, style_weight=50.0)(pred, target)
    torch.testing.assert_close(both, 2 * content + 50 * style)


@pytest.mark.parametrize("masked", [False, True])
def test_per_tap_terms_combine_to_the_loss(masked):
    loss = small_loss(layers={"relu1_2": 1.0, "relu2_2": 3.0}, content_weight=2.0, style_weight=5.0)
    pred, target = pictures(2, 3, 16, 16), pictures(2, 3, 16, 16, seed=1)
    mask = pictures(2, 1, 16, 16, seed=2) if masked else None
    terms = loss.per_tap(pred, target, mask=mask)
    by_hand = 2 * (terms["content"]["relu1_2"] + 3 * terms["content"]["relu2_2"]) / 4
    by_hand += 5 * (terms["style"]["relu1_2"] + 3 * terms["style"]["relu2_2"]) / 4
    torch.testing.assert_close(loss(pred, target, mask=mask), by_hand)
    assert set(small_loss().per_tap(pred, target)) == {"content"}
    assert small_loss(reduction="none").per_tap(pred, target)["content"]["relu3_3"].shape == (2,)


def test_reductions():
    pred, target = pictures(3, 3, 16, 16), pictures(3, 3, 16, 16, seed=1)
    each = small_loss(reduction="none")(pred, target)
    assert each.shape == (3,)
    singly = [small_loss()(pred[i : i + 1], target[i : i + 1]).item() for i in range(3)]
    np.testing.assert_allclose(each.numpy(), singly, rtol=1e-5)
    torch.testing.assert_close(small_loss(reduction="mean")(pred, target), each.mean())
    torch.testing.assert_close(small_loss(reduction="sum")(pred, target), each.sum())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("weighted", [False, True])
def test_gram_is_einsum_in_float32(dtype, weighted):
    features = (pictures(2, 5, 7, 9) * 4).to(dtype)
    weight = pictures(2, 1, 7, 9, seed=1) if weighted else None
    expected = gram_by_hand(features.double().numpy(), None if weight is None else weight.double().numpy())
    for autocast in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            found = gram(features, weight)
        assert found.dtype == torch.float32
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5)
    assert not gram(features, torch.zeros(2, 1, 7, 9)).any()


# Finite, everywhere --------------------------------------------------------------------------------------------------

PRECISIONS = (
    "float32",
    *(f"{dtype} {what}" for dtype in ("bfloat16", "float16") for what in ("images", "loss", "both")),
)


def pairs(size: int, smallest: int) -> dict[str, tuple[Tensor, Tensor]]:
    picture = drawing(size)
    one_pixel = picture.clone()
    one_pixel[..., size // 2, 1] = 0
    return {
        "identical": (picture, picture.clone()),
        "both white": (torch.ones_like(picture), torch.ones_like(picture)),
        "all white": (torch.ones_like(picture), picture),
        "all black": (torch.zeros_like(picture), picture),
        "black against white": (torch.zeros_like(picture), torch.ones_like(picture)),
        "one pixel": (one_pixel, picture),
        "smallest": (torch.zeros(1, 3, smallest, smallest), torch.ones(1, 3, smallest, smallest)),
    }


def assert_finite_everywhere(loss: SketchLoss, precision: str, size: int) -> None:
    dtype = getattr(torch, precision.split()[0])
    if precision.endswith(("loss", "both")):
        loss = copy.deepcopy(loss).to(dtype)
    for name, (pred, target) in pairs(size, loss.minimum_size).items():
        if precision.endswith(("images", "both")):
            pred, target = pred.to(dtype), target.to(dtype)
        pred.requires_grad_()
        with torch.autocast("cpu", torch.bfloat16, enabled=precision.endswith("autocast")):
            value = loss(pred, target)
        value.backward()
        assert value.dtype == torch.float32, name
        assert value.isfinite(), name
        assert pred.grad is not None
        assert pred.grad.dtype == pred.dtype
        assert pred.grad.isfinite().all(), name
        if name in ("identical", "both white"):
            assert value == 0
            assert not pred.grad.any()
        else:
            assert value > 0, name
            # A whole float16 loss may be too coarse for the gradient; any other is not.
            assert pred.grad.any() or precision.startswith("float16"), name


@pytest.mark.parametrize("style_weight", [0.0, 1.0])
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("precision", [*PRECISIONS, "bfloat16 autocast"])
def test_value_and_gradient_are_finite_and_zero_only_for_identical_drawings(precision, metric, style_weight):
    assert_finite_everywhere(small_loss(metric=metric, style_weight=style_weight), precision, size=16)


@pytest.mark.parametrize("metric", ["l1", "cosine"])
@pytest.mark.parametrize(
    "precision", ["float32", "bfloat16 both", "float16 images", "float16 loss", "bfloat16 autocast"]
)
def test_value_and_gradient_are_finite_with_photo_weights(photo_loss, precision, metric):
    loss = copy.deepcopy(photo_loss)
    loss.metric, loss.style_weight = metric, 1.0
    assert_finite_everywhere(loss, precision, size=16)


@pytest.mark.parametrize("metric", METRICS)
def test_drawings_without_any_features_are_finite(metric):
    # Every ReLU shut: all features are zero, where a norm has no gradient.
    backbone = copy.deepcopy(small_backbone())
    with torch.no_grad():
        for layer in backbone.features:
            if isinstance(layer, nn.Conv2d):
                layer.bias.fill_(-100)
    loss = SketchLoss(backbone, metric=metric, style_weight=1.0)
    pred = pictures(1, 3, 16, 16).requires_grad_()
    value = loss(pred, pictures(1, 3, 16, 16, seed=1))
    value.backward()
    assert value == 0
    assert not pred.grad.any()


@pytest.mark.parametrize("precision", ["bfloat16 images", "bfloat16 loss", "float16 loss", "bfloat16 autocast"])
def test_low_precision_is_close_to_float32(photo_loss, precision):
    pred, target = pictures(1, 3, 32, 32), drawing(32)
    expected = photo_loss(pred, target)
    dtype = getattr(torch, precision.split()[0])
    loss = copy.deepcopy(photo_loss).to(dtype) if precision.endswith("loss") else photo_loss
    images = [image.to(dtype) if precision.endswith("images") else image for image in (pred, target)]
    with torch.autocast("cpu", torch.bfloat16, enabled=precision.endswith("autocast")):
        torch.testing.assert_close(loss(*images), expected, rtol=0.02, atol=0)


# Gradients -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(("metric", "style_weight"), [("l1", 0.0), ("l2", 0.0), ("cosine", 0.0), ("l2", 100.0)])
def test_gradient_matches_finite_differences(metric, style_weight, masked):
    # The loss ends in float32, so single entries would drown in rounding: compare the slope along the gradient.
    loss = small_loss(metric=metric, style_weight=style_weight).double()
    pred = (0.2 + 0.6 * pictures(2, 3, 16, 16)).double().requires_grad_()
    target = pictures(2, 3, 16, 16, seed=1).double()
    mask = pictures(2, 1, 16, 16, seed=2) if masked else None
    loss(pred, target, mask=mask).backward()
    slope = pred.grad.norm()
    step = 1e-3 * pred.grad / pred.grad.abs().max()
    with torch.no_grad():
        rise = loss(pred + step, target, mask=mask).double() - loss(pred - step, target, mask=mask).double()
    torch.testing.assert_close(rise / (2 * step.norm()), slope, rtol=0.02, atol=0)


def test_gradient_goes_to_pred_only():
    loss = small_loss(style_weight=1.0)
    assert list(loss.parameters()) == []
    pred, target, features_of, mask = (
        pictures(1, c, 16, 16, seed=c + i).requires_grad_() for i, c in enumerate((3, 3, 3, 1))
    )
    loss(pred, target, mask=mask).backward()
    with_gradient = loss.backbone(features_of, loss.layers)
    loss(pred, with_gradient).backward()
    assert pred.grad is not None
    assert pred.grad.any()
    assert target.grad is None
    assert features_of.grad is None
    assert mask.grad is None
    assert not any(buffer.requires_grad for buffer in loss.buffers())
    assert not any(value.requires_grad for value in loss.extract(target).values())


# Symmetries and other properties -------------------------------------------------------------------------------------

property_settings = settings(max_examples=8, deadline=None)
seeds = st.integers(0, 2**31)


@property_settings
@given(seed=seeds, order=st.permutations(range(4)), metric=st.sampled_from(METRICS))
def test_symmetric_and_permuted_with_the_batch(seed, order, metric):
    loss = small_loss(metric=metric, style_weight=1.0, reduction="none")
    pred, target = pictures(4, 3, 8, 8, seed=seed), pictures(4, 3, 8, 8, seed=seed + 1)
    values = loss(pred, target)
    torch.testing.assert_close(loss(target, pred), values, rtol=1e-6, atol=0)
    torch.testing.assert_close(loss(pred[list(order)], target[list(order)]), values[list(order)], rtol=1e-5, atol=0)


@property_settings
@given(seed=seeds, size=st.integers(8, 20))
def test_l1_obeys_the_triangle_inequality_and_jensens(seed, size):
    one, two, three = (pictures(1, 3, size, 9, seed=seed + i) for i in range(3))
    loss = small_loss(metric="l1")
    assert loss(one, three) <= (loss(one, two) + loss(two, three)) * (1 + 1e-6)
    squares = small_loss(metric="l2").per_tap(one, two)["content"]
    for name, value in loss.per_tap(one, two)["content"].items():
        assert value**2 <= squares[name] * (1 + 1e-6)


@property_settings
@given(seed=seeds)
def test_cosine_lies_between_0_and_1(seed):
    # Features after a ReLU are nowhere negative, so no angle is past 90 degrees.
    values = small_loss(metric="cosine", reduction="none")(pictures(3, 3, 8, 8, seed=seed), drawing(8))
    assert (values >= 0).all()
    assert (values <= 1).all()


@pytest.mark.parametrize("metric", METRICS)
def test_grey_is_its_three_channel_expansion(metric):
    loss = small_loss(metric=metric)
    pred, target = pictures(2, 1, 16, 16), pictures(2, 1, 16, 16, seed=1)
    expected = loss(pred.expand(-1, 3, -1, -1), target.expand(-1, 3, -1, -1))
    for ours in (pred, pred.expand(-1, 3, -1, -1)):
        for theirs in (target, target.expand(-1, 3, -1, -1)):
            assert loss(ours, theirs) == expected


def test_invert_is_turning_both_by_hand():
    pred, target = pictures(1, 3, 16, 16), pictures(1, 3, 16, 16, seed=1)
    inverted, plain = small_loss(invert=True), small_loss()
    assert inverted(pred, target) == plain(1 - pred, 1 - target)
    assert inverted(pred, inverted.extract(target)) == plain(1 - pred, 1 - target)
    assert inverted(pred, target) != plain(pred, target)


def test_one_target_serves_a_whole_batch():
    loss = small_loss(style_weight=1.0, reduction="none")
    pred, target = pictures(3, 3, 16, 16), pictures(1, 3, 16, 16, seed=1)
    expected = loss(pred, target.expand(3, -1, -1, -1))
    torch.testing.assert_close(loss(pred, target), expected)
    torch.testing.assert_close(loss(pred, loss.extract(target)), expected)
    torch.testing.assert_close(loss.map(pred, target), loss.map(pred, target.expand(3, -1, -1, -1)))


# Cached features -----------------------------------------------------------------------------------------------------


def test_cached_features_give_the_same_value_for_half_the_work():
    loss = small_loss()
    pred, target = pictures(2, 3, 16, 16), pictures(2, 3, 16, 16, seed=1)
    features = loss.extract(target)
    loss(pred, target)  # looks at blank paper once
    with FlopCounterMode(display=False) as full:
        value = loss(pred, target)
    with FlopCounterMode(display=False) as cached:
        cached_value = loss(pred, features)
    assert cached_value == value
    spared = full.get_total_flops() - cached.get_total_flops()
    with FlopCounterMode(display=False) as one_pass:
        loss.extract(target)
    assert spared == one_pass.get_total_flops() > 0


def test_features_cached_in_inference_mode_can_be_trained_against():
    loss = small_loss(style_weight=1.0, metric="cosine")
    pred, target = pictures(1, 3, 16, 16).requires_grad_(), pictures(1, 3, 16, 16, seed=1)
    with torch.inference_mode():
        features = loss.extract(target)
    value = loss(pred, features)
    value.backward()
    assert value == loss(pred, target)
    assert pred.grad.any()


# Masks ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("metric", [*PLAIN, "ink"])
def test_a_mask_of_ones_or_of_any_constant_is_no_mask(metric):
    loss = small_loss(metric=metric, style_weight=1.0, reduction="none")
    pred, target = pictures(2, 3, 16, 24), pictures(2, 3, 16, 24, seed=1)
    for level in (1.0, 0.3):
        torch.testing.assert_close(loss(pred, target, mask=torch.full((2, 1, 16, 24), level)), loss(pred, target))


def test_a_mask_weights_positions():
    loss = small_loss(layers=("relu1_2", "relu3_1"), metric="l1", style_weight=1.0, reduction="none")
    pred, target = pictures(2, 3, 16, 24), pictures(2, 3, 16, 24, seed=1)
    mask = pictures(1, 1, 16, 24, seed=2)  # one for both
    ours, theirs = in_numpy(loss.extract(pred)), in_numpy(loss.extract(target))
    by_hand = 0
    for name, cell in (("relu1_2", 1), ("relu3_1", 4)):  # four pixels a side share a position behind two pools
        weight = mask.double().numpy().reshape(1, 1, 16 // cell, cell, 24 // cell, cell).mean((3, 5)).repeat(2, axis=0)
        content = (distance(ours[name], theirs[name], "l1") * weight[:, 0]).sum((1, 2)) / weight.sum((1, 2, 3))
        style = ((gram_by_hand(ours[name], weight) - gram_by_hand(theirs[name], weight)) ** 2).sum((1, 2))
        by_hand += (content + style) / 2
    np.testing.assert_allclose(loss(pred, target, mask=mask).numpy(), by_hand, rtol=1e-4)


def test_masked_out_differences_do_not_count():
    # relu3_3 sees 20 pixels to each side; gates look at the whole image, so a backbone without them.
    loss = SketchLoss(small_backbone(attention=False), layers=("relu1_2", "relu3_3"), style_weight=1.0)
    target = pictures(1, 3, 32, 96)
    pred = target.clone()
    pred[..., 70:] = 1 - pred[..., 70:]
    left = torch.zeros(1, 1, 32, 96)
    left[..., :44] = 1
    pred.requires_grad_()
    masked = loss(pred, target, mask=left)
    masked.backward()
    assert masked < 1e-9
    assert not pred.grad[..., 70:].any()
    assert loss(pred, target, mask=1 - left) > loss(pred, target) > 0.001


@pytest.mark.parametrize("metric", METRICS)
def test_a_drawing_wholly_masked_out_counts_zero_with_finite_gradient(metric):
    loss = small_loss(metric=metric, style_weight=1.0, reduction="none")
    pred, target = pictures(2, 3, 16, 16).requires_grad_(), pictures(2, 3, 16, 16, seed=1)
    mask = torch.stack((torch.zeros(1, 16, 16), torch.ones(1, 16, 16)))
    values = loss(pred, target, mask=mask)
    values.sum().backward()
    assert values[0] == 0
    torch.testing.assert_close(values[1], loss(pred, target)[1])
    assert not pred.grad[0].any()
    assert pred.grad.isfinite().all()


# The map -------------------------------------------------------------------------------------------------------------


def test_map_is_largest_where_the_drawings_differ(photo_loss):
    target = drawing(64)
    pred = target.clone()
    pred[..., 44:48, 12:16] = 0
    found = photo_loss.map(pred, target)
    assert found.shape == (1, 1, 64, 64)
    assert found.dtype == torch.float32
    assert (found >= 0).all()
    row, column = divmod(int(found.argmax()), 64)
    assert 42 <= row <= 50
    assert 10 <= column <= 18
    assert found[..., :16, 48:].max() < found.max() / 20
    assert not photo_loss.map(target, target.clone()).any()


def test_taps_and_map_in_one_pass_are_those_of_two(photo_loss):
    torch.manual_seed(0)
    pred, target = torch.rand(2, 3, 48, 64), torch.rand(2, 3, 48, 64)
    terms, where = photo_loss.per_tap_and_map(pred, target)
    torch.testing.assert_close(where, photo_loss.map(pred, target))
    found = photo_loss.per_tap(pred, target)["content"]
    assert terms.keys() == found.keys()
    for name, values in terms.items():
        torch.testing.assert_close(values.mean(), found[name])


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("size", [(32, 48), (33, 47)])
def test_the_maps_mean_is_close_to_the_content_distance(metric, size):
    loss = small_loss(layers={"relu1_2": 1.0, "relu3_3": 3.0}, metric=metric, reduction="none", style_weight=1.0)
    pred, target = pictures(2, 3, *size), pictures(2, 3, *size, seed=1)
    content = small_loss(layers=loss.layers, metric=metric, reduction="none")(pred, target)
    torch.testing.assert_close(loss.map(pred, target).mean((1, 2, 3)), content, rtol=0.05, atol=0)
    torch.testing.assert_close(loss.map(pred, loss.extract(target)), loss.map(pred, target))


# A module like others, but frozen ------------------------------------------------------------------------------------


class Parent(nn.Module):
    def __init__(self):
        super().__init__()
        self.generator = nn.Conv2d(3, 3, 1)
        self.loss = small_loss()


def test_a_parent_neither_trains_nor_stores_it():
    parent = Parent()
    parent.train()
    assert parent.generator.training
    assert not any(module.training for module in parent.loss.modules())
    assert parent.loss.train() is parent.loss
    assert set(parent.state_dict()) == {"generator.weight", "generator.bias"}
    assert [name for name, _ in parent.named_parameters()] == ["generator.weight", "generator.bias"]
    parent.load_state_dict(parent.state_dict(), strict=True)
    parent.requires_grad_(True)
    assert not any(buffer.requires_grad for buffer in parent.loss.buffers())


def test_copies_and_pickles_give_the_same_value():
    loss = small_loss(style_weight=1.0)
    pred, target = pictures(1, 3, 16, 16), pictures(1, 3, 16, 16, seed=1)
    saved = io.BytesIO()
    torch.save(loss, saved)
    saved.seek(0)
    for other in (copy.deepcopy(loss), pickle.loads(pickle.dumps(loss)), torch.load(saved, weights_only=False)):
        assert other(pred, target) == loss(pred, target)
        assert list(other.parameters()) == []
        assert other.state_dict() == {}


def test_to_moves_the_buffers():
    loss = small_loss()
    count = len(list(loss.buffers()))
    assert count == 26 + 12 + 2  # convolutions, gates, mean and standard deviation
    assert {buffer.dtype for buffer in loss.to(torch.float16).buffers()} == {torch.float16}
    assert {buffer.device.type for buffer in loss.to("meta").buffers()} == {"meta"}


def test_a_backbone_given_is_copied_and_stays_trainable():
    backbone = copy.deepcopy(small_backbone()).train()
    names = list(backbone.state_dict())
    loss = SketchLoss(backbone)
    assert backbone.training
    assert list(backbone.state_dict()) == names
    assert all(weight.requires_grad for weight in backbone.parameters())
    assert len(list(backbone.parameters())) == 38
    pred, target = pictures(1, 3, 16, 16), pictures(1, 3, 16, 16, seed=1)
    before = loss(pred, target)
    with torch.no_grad():
        for weight in backbone.parameters():
            weight.zero_()
    assert loss(pred, target) == before


def test_no_classifier_is_kept():
    # VGG's has 124 million weights, of which the loss needs none.
    backbone = Backbone(width=0.125, classes=("cat", "dog"), head="vgg")
    loss = SketchLoss(backbone)
    assert not any("classifier" in name for name, _ in loss.named_buffers())
    assert backbone.classifier is not None


# Compiled and exported -----------------------------------------------------------------------------------------------


def test_compiled_and_exported_it_gives_the_same_numbers():
    # In a process of its own: users' code is not wrapped in the tests' type checks.
    code = """
        import json, torch
        from sketchloss import Backbone, SketchLoss
        torch.manual_seed(0)
        loss = SketchLoss(Backbone(width=0.0625, attention=True), style_weight=1.0)
        pred, target = torch.rand(2, 3, 16, 16), torch.rand(2, 3, 16, 16)
        compiled = torch.compile(loss, fullgraph=True, backend="eager")
        gradients = []
        for call in (loss, compiled):
            leaf = pred.clone().requires_grad_()
            call(leaf, target).backward()
            gradients.append(leaf.grad)
        values = {
            "eager": loss(pred, target),
            "compiled": compiled(pred, target),
            "exported": torch.export.export(loss, (pred, target)).module()(pred, target),
            "gradient": (gradients[0] - gradients[1]).abs().max() / gradients[0].abs().max(),
        }
        print(json.dumps({name: value.item() for name, value in values.items()}))
    """
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = finished([sys.executable, "-c", textwrap.dedent(code)], check=True, seconds=600, env=environment)
    values = json.loads(done.stdout.splitlines()[-1])
    assert values["compiled"] == pytest.approx(values["eager"], rel=1e-5)
    assert values["exported"] == pytest.approx(values["eager"], rel=1e-5)
    assert values["gradient"] < 1e-4
    assert values["eager"] > 0


# What is refused -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("image", "message"),
    [
        ((pictures(1, 3, 16, 16) * 255).to(torch.uint8), "got torch.uint8; divide by 255"),
        (pictures(3, 16, 16), r"got \(3, 16, 16\); add a batch dimension"),
        (pictures(1, 16, 16, 3), r"got \(1, 16, 16, 3\); move the channels forward"),
        (pictures(1, 2, 16, 16), r"expected shape .* got \(1, 2, 16, 16\)"),
        (pictures(0, 3, 16, 16), "the batch is empty"),
        (pictures(1, 3, 16, 16) * 2 - 1, r"expected values in \[0, 1\].*rescale"),
        (pictures(1, 3, 16, 16) * 255, r"expected values in \[0, 1\].*divide by 255"),
        (torch.full((1, 3, 16, 16), float("nan")), "NaN or infinity"),
        (torch.full((1, 3, 16, 16), float("inf")), "NaN or infinity"),
        (pictures(1, 3, 7, 16), r"at least 8 by 8 pixels, got shape \(1, 3, 7, 16\)"),
        (np.zeros((1, 3, 16, 16), np.float32), "expected a torch tensor, got ndarray"),
        (None, "expected a torch tensor, got NoneType"),
    ],
)
@pytest.mark.parametrize("role", ["pred", "target"])
def test_images_outside_the_contract_are_refused(image, message, role, without_type_checks):
    loss, good = small_loss(), pictures(1, 3, 16, 16)
    arguments = (image, good) if role == "pred" else (good, image)
    for call in (loss, loss.map, loss.per_tap):
        with pytest.raises(ValueError, match=f"{role}: .*{message}"):
            call(*arguments)
    if role == "target":
        with pytest.raises(ValueError, match=f"target: .*{message}"):
            loss.extract(image)


def test_a_slight_overshoot_is_no_error():
    loss = small_loss()
    image = pictures(1, 3, 16, 16)
    assert loss(image * 1.02 - 0.01, image).isfinite()


def test_check_false_skips_the_values_and_nothing_else():
    loss = small_loss(check=False)
    good = pictures(1, 3, 16, 16)
    assert loss(good * 4 - 2, good).isfinite()
    assert loss(good * float("nan"), good).isnan()
    assert loss(good, good, mask=torch.full((1, 1, 16, 16), 5.0)) == 0
    with pytest.raises(ValueError, match="at least 8 by 8"):
        loss(good[..., :7], good[..., :7])


@pytest.mark.parametrize("shape", [(1, 3, 16, 20), (3, 3, 16, 16)])
def test_images_of_unequal_size_or_number_are_refused(shape):
    loss = small_loss()
    found = rf"pred is \(2, 3, 16, 16\) and target \({', '.join(map(str, shape))}\): give images of one size"
    for call in (loss, loss.map):
        with pytest.raises(ValueError, match=found):
            call(pictures(2, 3, 16, 16), pictures(*shape))


def test_features_of_another_loss_or_size_are_refused():
    loss, image = small_loss(), pictures(2, 3, 16, 16)
    with pytest.raises(ValueError, match="target features lack the tap relu2_2: extract them with this loss"):
        loss(image, small_loss(layers=("relu1_2",)).extract(image))
    wider = SketchLoss(Backbone(width=0.25), layers=PAPER_LAYERS)
    with pytest.raises(ValueError, match=r"relu1_2 of pred is \(2, 8, 16, 16\) and of target \(2, 16, 16, 16\)"):
        loss(image, wider.extract(image))
    with pytest.raises(ValueError, match=r"of pred is \(2, 8, 16, 16\) and of target \(2, 8, 24, 24\)"):
        loss(image, loss.extract(pictures(2, 3, 24, 24)))
    with pytest.raises(ValueError, match=r"relu1_2 of target holds features of 3 images and pred is \(2, 3, 16, 16\)"):
        loss(image, loss.extract(pictures(3, 3, 16, 16)))


@pytest.mark.parametrize("at_once", [1, 2, 4])
def test_features_of_another_number_are_refused_however_a_batch_is_cut(monkeypatch, at_once):
    loss, preds = small_loss(), pictures(4, 3, 16, 16)
    monkeypatch.setattr(sketchloss.loss.loss, "_images_at_once", lambda _: at_once)
    with pytest.raises(ValueError, match=r"features of 2 images .* give as many targets as preds, or one"):
        loss(preds, loss.extract(preds[:2]))


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (torch.ones(1, 3, 16, 16), r"mask is \(1, 3, 16, 16\): it must be 2x1x16x16 or 2x16x16, like pred, or 16x16"),
        (torch.ones(2, 1, 8, 8), r"mask is \(2, 1, 8, 8\)"),
        (torch.ones(3, 1, 16, 16), r"mask is \(3, 1, 16, 16\)"),
        (torch.ones(3, 16, 16), r"mask is \(3, 16, 16\)"),
        (torch.ones(16), r"mask is \(16,\)"),
        (torch.full((2, 1, 16, 16), 2.0), r"mask: expected values in \[0, 1\]"),
        (torch.full((2, 1, 16, 16), float("nan")), "mask: .*NaN"),
        (torch.ones(2, 1, 16, 16, dtype=torch.uint8), "mask: .*uint8; say which pixels count: mask.bool"),
        (np.ones((2, 1, 16, 16)), "mask: expected a torch tensor, got ndarray"),
    ],
)
def test_bad_masks_are_refused(mask, message, without_type_checks):
    with pytest.raises(ValueError, match=message):
        small_loss()(pictures(2, 3, 16, 16), pictures(2, 3, 16, 16), mask=mask)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"metric": "l3"}, "metric 'l3' is unknown: use l1, l2, cosine or ink"),
        ({"reduction": "max"}, "reduction 'max' is unknown: use mean, sum or none"),
        ({"layers": ("relu9_9",)}, "layer 'relu9_9' is unknown: choose from relu1_1"),
        ({"layers": "relu1_2"}, "layers is the text 'relu1_2'"),
        ({"layers": ()}, "layers is empty"),
        ({"layers": [["relu1_2"]]}, r"layers has \['relu1_2'\]: each must be the name of a layer"),
        ({"layers": {}}, "layers is empty"),
        ({"layers": {"relu1_2": -1.0}}, "weight of relu1_2 is -1.0"),
        ({"layers": {"relu1_2": float("nan")}}, "weight of relu1_2 is nan"),
        ({"layers": {"relu1_2": float("inf")}}, "weight of relu1_2 is inf"),
        ({"layers": {"relu1_2": 0.0, "relu2_2": 0.0}}, "the weights of relu1_2, relu2_2 are all 0"),
        ({"content_weight": -1.0}, "content_weight is -1.0"),
        ({"style_weight": float("nan")}, "style_weight is nan"),
        ({"content_weight": 0.0}, "both 0"),
        ({"weights": "nothing"}, "weights 'nothing' are unknown"),
        ({"weights": Path("nothing")}, "weights 'nothing' are unknown"),
    ],
)
def test_settings_outside_the_choices_are_refused(arguments, message, without_type_checks):
    with pytest.raises(ValueError, match=message):
        SketchLoss(**({"weights": small_backbone()} | arguments))


def test_the_shallowest_taps_take_the_smallest_images():
    loss = small_loss(layers=("relu1_2",))
    assert loss.minimum_size == 1
    assert loss(torch.zeros(1, 3, 1, 1), torch.ones(1, 3, 1, 1)) > 0
    assert SketchLoss(Backbone(width=0.125, attention=True, downsample="none")).minimum_size == 2
    default = SketchLoss(Backbone(width=0.125))
    assert list(default.layers) == list(default.backbone.default_layers) == ["relu1_2", "relu2_2", "relu3_3", "relu4_1"]
    assert default.metric == "ink"
    assert default.minimum_size == 8
    before = SketchLoss(Backbone(width=0.125), **BEFORE_0_2)
    assert (list(before.layers), before.metric) == (["relu3_3", "relu4_3", "relu5_3"], "l1")


@pytest.mark.parametrize("shared_target", [False, True])
def test_evaluating_image_by_image_changes_nothing(monkeypatch, shared_target):
    # Oracle: the same batch at once, as on a GPU.
    generator = torch.Generator().manual_seed(0)
    pred = torch.rand(5, 3, 24, 24, generator=generator).requires_grad_()
    target = torch.rand(1 if shared_target else 5, 3, 24, 24, generator=generator)
    mask = torch.rand(5, 1, 24, 24, generator=generator)
    loss = SketchLoss(Backbone(width=0.125, attention=True), style_weight=1.0, reduction="none")
    found = []
    for at_once in (5, 2, 1):
        monkeypatch.setattr(sketchloss.loss.loss, "_images_at_once", lambda images, at_once=at_once: at_once)
        values = loss(pred, target, mask=mask)
        cached = loss(pred, loss.extract(target), mask=mask)
        (gradient,) = torch.autograd.grad(values.sum(), pred)
        found.append((values, cached, gradient))
        assert not loss(target, loss.extract(target)).any()
    for part in found[1:]:
        for ours, at_once in zip(part, found[0], strict=True):
            torch.testing.assert_close(ours, at_once, rtol=1e-4, atol=1e-7)
