"""What style transfer minimises.

Oracles: the terms in NumPy, loop by loop, on the features of a backbone; closed forms of total variation;
finite differences.
"""

from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from sketchloss import Backbone
from sketchloss.loss.balance import gradient_norms
from sketchloss.loss.loss import PAPER_LAYERS
from sketchloss.loss.style_loss import StyleTransferLoss, total_variation

METRICS = ("l1", "l2", "cosine")


@cache
def small_backbone() -> Backbone:
    """Tests share it; a loss copies it."""
    torch.manual_seed(0)
    return Backbone(width=0.125, attention=True).eval()


def small_loss(**arguments) -> StyleTransferLoss:
    return StyleTransferLoss(small_backbone(), **arguments)


def pictures(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def features_of(images: Tensor, layers=PAPER_LAYERS) -> dict[str, np.ndarray]:
    with torch.no_grad():
        found = small_backbone()(images.expand(-1, 3, -1, -1), layers)
    return {name: features.double().numpy() for name, features in found.items()}


def gram_by_hand(features: np.ndarray) -> np.ndarray:
    """Johnson et al., Eq. 3, of one image."""
    channels, height, width = features.shape
    found = np.zeros((channels, channels))
    for one in range(channels):
        for other in range(channels):
            found[one, other] = (features[one] * features[other]).sum() / (channels * height * width)
    return found


def distance_by_hand(one: np.ndarray, other: np.ndarray, metric: str) -> float:
    if metric == "cosine":
        products = (one * other).sum(0)
        return float((1 - products / np.linalg.norm(one, axis=0) / np.linalg.norm(other, axis=0)).mean())
    return float((np.abs(one - other) if metric == "l1" else (one - other) ** 2).mean())


# The terms -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("channels", [1, 3])
def test_the_terms_are_those_of_the_paper(metric, channels):
    loss = small_loss(metric=metric, content_layer="relu3_1")
    style = [pictures(2, 3, 24, 16, seed=1), pictures(3, 3, 16, 20, seed=2)]
    pred, content = pictures(2, channels, 16, 24, seed=3), pictures(2, 3, 16, 24, seed=4)
    assert loss.set_style(style) == 5
    terms = loss(pred, content)

    ours, theirs = (features_of(images, (*PAPER_LAYERS, "relu3_1")) for images in (pred, content))
    wanted = {
        "content": np.mean([distance_by_hand(ours["relu3_1"][n], theirs["relu3_1"][n], metric) for n in range(2)])
    }
    for name in PAPER_LAYERS:
        grams = [gram_by_hand(image) for batch in style for image in features_of(batch)[name]]
        mean = sum(grams) / 5
        wanted[f"style_{name}"] = np.mean([((gram_by_hand(image) - mean) ** 2).sum() for image in ours[name]])
    pixels = pred.double().numpy()
    wanted["total_variation"] = (np.diff(pixels, axis=2) ** 2).mean() + (np.diff(pixels, axis=3) ** 2).mean()

    assert list(terms) == list(wanted)
    for name, value in wanted.items():
        assert value > 1e-9, name
        assert terms[name].item() == pytest.approx(value, rel=2e-4), name
        assert terms[name].dtype == torch.float32
        assert terms[name].shape == ()


def test_the_mean_over_unequal_batches_is_the_mean_over_all():
    style, pred = pictures(5, 3, 16, 16, seed=1), pictures(1, 3, 16, 16)
    whole, parts, other = small_loss(), small_loss(), small_loss()
    assert whole.set_style([style]) == 5
    assert parts.set_style(iter([style[:1], style[1:4], style[4:]])) == 5
    other.set_style([style[:4]])
    for name, value in whole(pred, pred).items():
        assert parts(pred, pred)[name].item() == pytest.approx(value.item(), rel=1e-4)
        assert not name.startswith("style") or other(pred, pred)[name].item() != pytest.approx(value.item(), rel=1e-3)


def test_a_style_set_again_replaces_the_first():
    loss, fresh, pred = small_loss(), small_loss(), pictures(1, 3, 16, 16)
    loss.set_style([pictures(2, 3, 16, 16, seed=1)])
    loss.set_style([pictures(2, 3, 16, 16, seed=2)])
    fresh.set_style([pictures(2, 3, 16, 16, seed=2)])
    assert loss(pred, pred) == fresh(pred, pred)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("fill", ["drawn", 0.0, 1.0])
def test_the_photo_itself_has_no_content_term_and_the_style_itself_no_style_term(metric, fill):
    image = pictures(1, 3, 16, 16) if fill == "drawn" else torch.full((1, 3, 16, 16), fill)
    loss = small_loss(metric=metric)
    loss.set_style([image])
    pred = image.clone().requires_grad_()
    terms = loss(pred, image)
    assert {name: value.item() for name, value in terms.items() if name != "total_variation"} == pytest.approx(
        dict.fromkeys(["content", *(f"style_{name}" for name in PAPER_LAYERS)], 0.0), abs=1e-12
    )
    sum(terms.values()).backward()
    assert pred.grad is not None
    assert pred.grad.isfinite().all()
    assert torch.allclose(pred.grad, torch.zeros(()), atol=1e-5) or fill == "drawn"  # the total variation is left


def test_the_gradient_reaches_what_was_drawn_and_nothing_else():
    loss = small_loss()
    loss.set_style([pictures(2, 3, 16, 16, seed=1)])
    pred, content = pictures(2, 3, 16, 16).requires_grad_(), pictures(2, 3, 16, 16, seed=2).requires_grad_()
    for name, term in loss(pred, content).items():
        (ours,) = torch.autograd.grad(term, pred, retain_graph=True)
        (theirs,) = torch.autograd.grad(term, content, retain_graph=True, allow_unused=True)
        assert ours.abs().sum() > 0, name
        assert theirs is None, name
    assert not list(loss.parameters())
    assert not loss.state_dict()
    assert not any(buffer.requires_grad for buffer in loss.buffers())


def test_the_gradient_is_that_of_finite_differences():
    loss = small_loss(style_layers=("relu1_2", "relu2_2")).double()
    loss.set_style([pictures(2, 3, 8, 8, seed=1).double()])
    pred, content = pictures(1, 3, 8, 8).double().requires_grad_(), pictures(1, 3, 8, 8, seed=2).double()
    along, step = torch.randn(pred.shape, generator=torch.Generator().manual_seed(5), dtype=torch.float64), 1e-4
    with torch.no_grad():  # the sums are float32: a step that leaves them digits
        ahead, behind = (loss(pred + sign * step * along, content) for sign in (1, -1))
    for name, term in loss(pred, content).items():
        (gradient,) = torch.autograd.grad(term, pred, retain_graph=True)
        numeric = (ahead[name] - behind[name]).item() / (2 * step)
        assert (gradient * along).sum().item() == pytest.approx(numeric, rel=2e-2), name


def test_it_stays_in_evaluation_whatever_its_parent_does():
    parent = torch.nn.Sequential(small_loss())
    parent.train()
    assert not any(module.training for module in parent[0].modules())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("metric", METRICS)
def test_in_half_precision_values_and_gradients_are_close_and_finite(dtype, metric):
    loss = small_loss(metric=metric)
    loss.set_style([pictures(2, 3, 16, 16, seed=1)])
    for pred in (pictures(2, 3, 16, 16), torch.zeros(2, 3, 16, 16), torch.ones(2, 3, 16, 16)):
        pred, content = pred.requires_grad_(), pictures(2, 3, 16, 16, seed=2)
        with torch.autocast("cpu", dtype=dtype):
            half = loss(pred, content)
        for name, value in loss(pred, content).items():
            assert half[name].dtype == torch.float32
            assert half[name].item() == pytest.approx(value.item(), rel=0.05, abs=1e-7), name
            (gradient,) = torch.autograd.grad(half[name], pred, retain_graph=True)
            assert gradient.isfinite().all(), name


def test_shares_of_the_style_add_up_to_its_weight():
    with pytest.raises(ValueError, match="layers names relu1_2 twice: give it a weight instead"):
        small_loss(style_layers=("relu1_2", "relu3_3", "relu1_2"))
    loss = small_loss(style_layers=("relu1_2", "relu3_3"))
    shares = loss.share_out(content=1.0, style=5.0, total_variation=0.3)
    assert shares == {"content": 1.0, "style_relu1_2": 2.5, "style_relu3_3": 2.5, "total_variation": 0.3}
    loss.set_style([pictures(1, 3, 16, 16)])
    assert list(loss(pictures(1, 3, 16, 16), pictures(1, 3, 16, 16))) == list(shares)


@pytest.mark.usefixtures("without_type_checks")
def test_what_cannot_be_compared_is_refused():
    loss, image = small_loss(), pictures(2, 3, 16, 16)
    with pytest.raises(ValueError, match="no style is set: call set_style first"):
        loss(image, image)
    with pytest.raises(ValueError, match="there is no style picture: give one at least"):
        loss.set_style([])
    with pytest.raises(ValueError, match=r"style: expected values in \[0, 1\].*divide by 255"):
        loss.set_style([image * 255])
    with pytest.raises(ValueError, match=r"style: .*at least 8 by 8 pixels, got shape \(2, 3, 7, 16\)"):
        loss.set_style([image[:, :, :7]])
    loss.set_style([image])
    for other in (pictures(1, 3, 16, 16), pictures(2, 3, 16, 24)):
        found = rf"pred is \(2, 3, 16, 16\) and content \({len(other)}, 3, 16, {other.shape[3]}\): give images of one"
        with pytest.raises(ValueError, match=found):
            loss(image, other)
    with pytest.raises(ValueError, match=r"pred: .*at least 8 by 8 pixels, got shape \(2, 3, 16, 7\)"):
        loss(image[..., :7], image[..., :7])
    with pytest.raises(ValueError, match=r"content: .*uint8.*divide by 255"):
        loss(image, image.to(torch.uint8))


@pytest.mark.usefixtures("without_type_checks")
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"content_layer": "relu9_9"}, "layer 'relu9_9' is unknown: choose from relu1_1"),
        ({"style_layers": ("relu1_2", "conv1")}, "layer 'conv1' is unknown"),
        ({"style_layers": ()}, "layers is empty: name at least one"),
        ({"style_layers": "relu1_2"}, "layers is the text 'relu1_2'"),
        ({"metric": "l3"}, "metric 'l3' is unknown here: use l1, l2 or cosine"),
        ({"metric": "ink"}, "metric 'ink' is unknown here: use l1, l2 or cosine"),
    ],
)
def test_settings_outside_the_choices_are_refused(arguments, words):
    with pytest.raises(ValueError, match=words):
        small_loss(**arguments)


# Total variation -----------------------------------------------------------------------------------------------------


def test_total_variation_of_a_ramp_and_of_stripes():
    # Closed form: a ramp climbs by the same step everywhere, and stripes by 1 between any two columns.
    down = torch.linspace(0, 1, 11)[None, None, :, None].expand(2, 3, 11, 7)
    assert total_variation(down).item() == pytest.approx(0.01, rel=1e-5)
    assert total_variation(down.mT).item() == pytest.approx(0.01, rel=1e-5)
    assert total_variation((down + down[:, :, :7].mT.repeat(1, 1, 2, 1)[:, :, :11]) / 2).item() > 0
    stripes = (torch.arange(8) % 2).float().expand(1, 1, 5, 8)
    assert total_variation(stripes).item() == 1
    checks = (torch.arange(6)[:, None] + torch.arange(6)).remainder(2).float()[None, None]
    assert total_variation(checks).item() == 2


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 3), st.integers(1, 9), st.integers(1, 9), st.sampled_from([1, 3]))
def test_total_variation_is_the_mean_over_pairs_of_neighbours(count, height, width, channels):
    images = pictures(count, channels, height, width, seed=height * 10 + width)
    down, across = [], []
    for plane in images.double().numpy().reshape(-1, height, width):
        down += [(plane[y + 1, x] - plane[y, x]) ** 2 for y in range(height - 1) for x in range(width)]
        across += [(plane[y, x + 1] - plane[y, x]) ** 2 for y in range(height) for x in range(width - 1)]
    wanted = sum(sum(steps) / len(steps) for steps in (down, across) if steps)
    assert total_variation(images).item() == pytest.approx(wanted, rel=1e-5, abs=1e-12)
    assert total_variation(images.bfloat16()).dtype == torch.float32
    assert total_variation(torch.full_like(images, 0.3)).item() == 0


# Gradient norms ------------------------------------------------------------------------------------------------------


def test_gradient_norms_of_the_loss_are_those_of_numeric_gradients():
    loss = small_loss(style_layers=("relu1_2",), content_layer="relu1_1").double()
    loss.set_style([pictures(1, 3, 4, 4, seed=1).double()])
    output, content = pictures(1, 1, 3, 3).double().requires_grad_(), pictures(1, 3, 3, 3, seed=2).double()
    terms = loss(output, content)
    numeric: dict[str, list[float]] = {name: [] for name in terms}
    with torch.no_grad():
        for place in range(output.numel()):
            step = torch.zeros(output.numel(), dtype=torch.float64).index_fill(0, torch.tensor([place]), 1e-3)
            ahead, behind = (loss(output + sign * step.view_as(output), content) for sign in (1, -1))
            for name in terms:
                numeric[name].append((ahead[name] - behind[name]).item() / 2e-3)
    for name, norm in gradient_norms(terms, output, terms).items():
        assert norm == pytest.approx(np.linalg.norm(numeric[name]), rel=2e-2), name
