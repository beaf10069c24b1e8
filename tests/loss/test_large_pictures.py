"""A loss in patches. Oracle: the same loss on the whole pictures."""

import pytest
import torch

import sketchloss.loss.loss
import sketchloss.networks.patches
from sketchloss import Backbone, SketchLoss
from sketchloss.loss.loss import PAPER_LAYERS

SIZE = 289, 190


@pytest.fixture(autouse=True)
def small_patches(monkeypatch):
    monkeypatch.setattr(sketchloss.networks.patches, "SIDE", 64)


def _drawing(seed: int) -> torch.Tensor:
    random = torch.Generator().manual_seed(seed)
    ink = torch.rand(2, 3, *SIZE, generator=random) * (torch.rand(2, 1, *SIZE, generator=random) < 0.1)
    return 1 - ink


def _loss(metric: str, *, attention: bool = False) -> SketchLoss:
    torch.manual_seed(0)
    backbone = Backbone(width=0.0625, attention=attention)
    return SketchLoss(backbone, layers=PAPER_LAYERS, metric=metric, style_weight=1.0, reduction="none")  # pyright: ignore[reportArgumentType]


def _in_patches(loss: SketchLoss, monkeypatch: pytest.MonkeyPatch, *given, **settings) -> torch.Tensor:
    asked: list[int] = []
    of_large = SketchLoss._terms_of_large

    def watched(self, *arguments):
        asked.append(1)
        return of_large(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(sketchloss.loss.loss, "LARGE", 1)
        patch.setattr(SketchLoss, "_terms_of_large", watched)
        value = loss(*given, **settings)
    assert len(asked) == len(given[0])  # one picture at a time
    return value


@pytest.mark.parametrize(
    ("metric", "attention", "masked"),
    [("l1", False, False), ("l1", True, True), ("l2", False, True), ("cosine", False, False)]
    + [("ink", attention, masked) for attention in (False, True) for masked in (False, True)],
)
def test_value_and_gradient_are_those_of_the_whole_pictures(monkeypatch, metric, attention, masked):
    loss, pred, target = _loss(metric, attention=attention), _drawing(0).requires_grad_(), _drawing(1)
    mask = torch.rand(2, 1, *SIZE) if masked else None
    expected = loss(pred, target, mask=mask)
    (gradient,) = torch.autograd.grad(expected.sum(), pred)
    found = _in_patches(loss, monkeypatch, pred, target, mask=mask)
    assert found.tolist() == pytest.approx(expected.tolist(), rel=1e-4)
    assert (torch.autograd.grad(found.sum(), pred)[0] - gradient).norm() < 3e-4 * gradient.norm()
    features = _in_patches(loss, monkeypatch, pred, loss.extract(target), mask=mask)
    assert features.tolist() == pytest.approx(expected.tolist(), rel=1e-4)
    with torch.no_grad():
        assert _in_patches(loss, monkeypatch, pred, target[:1])[0].item() == pytest.approx(
            loss(pred[:1], target[:1]).item(), rel=1e-4
        )


@pytest.mark.parametrize("attention", [False, True])
def test_a_loss_in_float64_is_so_throughout(monkeypatch, attention):
    backbone = _loss("l1", attention=attention).backbone
    loss = SketchLoss(backbone, metric="l1", style_weight=1.0, reduction="none").double()
    pred, target = _drawing(0).double(), _drawing(1).double()
    found = _in_patches(loss, monkeypatch, pred, target)
    assert found.dtype == torch.float64
    assert found.tolist() == pytest.approx(loss(pred, target).tolist(), rel=1e-10)


def test_it_works_under_autocast(monkeypatch):
    loss, pred, target = _loss("ink"), _drawing(0).requires_grad_(), _drawing(1)
    with torch.autocast("cpu", torch.bfloat16):
        found = _in_patches(loss, monkeypatch, pred, target)
    found.sum().backward()
    assert found.dtype == torch.float32
    assert found.tolist() == pytest.approx(loss(pred, target).tolist(), rel=0.02)


def test_features_of_other_pictures_are_refused(monkeypatch):
    loss, pred, target = _loss("ink"), _drawing(0), _drawing(1)
    with pytest.raises(ValueError, match=r"relu1_2 of target is .* give matching images"):
        _in_patches(loss, monkeypatch, pred, loss.extract(target[..., :180]))
