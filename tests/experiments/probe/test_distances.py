"""Distances under one roof. Oracles: `SketchLoss` itself, and brute force pair by pair."""

from itertools import product

import numpy as np
import pytest
import torch

from sketchloss import Backbone, SketchLoss
from sketchloss.data.quickdraw.drawings import open_drawings
from sketchloss.experiments.probe import distances as module
from sketchloss.experiments.probe.distances import (
    EMBED,
    BackboneDistances,
    combine,
    measure,
    measure_pairs,
)
from sketchloss.experiments.probe.trials import make_trials
from sketchloss.loss.tap_distance import METRICS
from sketchloss.metrics.plain_distance import PlainDistance, baselines
from sketchloss.metrics.ssim import ssim

TAPS = ("relu2_2", "relu5_3")


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "attention"])
def backbone(request):
    torch.manual_seed(0)
    return Backbone(width=0.1, attention=request.param)


@pytest.fixture(scope="module")
def trials():
    return make_trials(open_drawings("doodles", per_class=2, classes=2), 32, count=2, levels=(0.2, 0.6))


@pytest.fixture
def images():
    torch.manual_seed(1)
    return torch.rand(5, 3, 32, 32)


def brute_force(distance, trials):
    """Ask for every pair by itself."""
    as_image = lambda picture: (picture.float() / 255).expand(1, 3, -1, -1)  # noqa: E731
    return np.array(
        [
            [distance(as_image(variant), as_image(reference)).item() for variant in variants]
            for reference, variants in zip(trials.references, trials.variants, strict=True)
        ]
    )


# A backbone's distances ----------------------------------------------------------------------------------------------


def test_every_tap_and_metric_is_what_the_loss_says(backbone, images):
    family = BackboneDistances("mine", backbone, TAPS, metrics=METRICS)
    target = images[:1].flip(3)
    with torch.no_grad():
        found = family.compare(family.extract(images), family.extract(target))
        for tap, metric in product(TAPS, METRICS):
            loss = SketchLoss(backbone, layers=(tap,), metric=metric, reduction="none")
            torch.testing.assert_close(found[f"{tap} {metric}"].float(), loss(images, target))
        vectors, vector = backbone.embed(images), backbone.embed(target)
    torch.testing.assert_close(found[EMBED].float(), 1 - (vectors * vector).sum(1), atol=1e-6, rtol=1e-4)


def test_default_taps_together_are_the_loss_as_it_comes(backbone, images):
    family = BackboneDistances("mine", backbone, ("relu5_3",))
    loss = SketchLoss(backbone, reduction="none")
    assert sum(family.default_layers.values()) == pytest.approx(1)
    with torch.no_grad():
        found = family.compare(family.extract(images), family.extract(images.flip(0)))
        arrays = {name: values.numpy() for name, values in found.items()}
        expected = loss(images, images.flip(0)).double().numpy()
    np.testing.assert_allclose(combine(arrays, family.default_layers, family.default_metric), expected, rtol=1e-5)


def test_weights_combine_as_in_the_loss(backbone, images):
    layers = {"relu2_2": 3.0, "relu5_3": 0.5}
    family = BackboneDistances("mine", backbone, TAPS, metrics=METRICS)
    for metric in METRICS:
        loss = SketchLoss(backbone, layers=layers, metric=metric, reduction="none")
        with torch.no_grad():
            found = family.compare(family.extract(images), family.extract(images.flip(0)))
            expected = loss(images, images.flip(0)).double().numpy()
        arrays = {name: values.numpy() for name, values in found.items()}
        np.testing.assert_allclose(combine(arrays, layers, metric), expected, rtol=1e-5)


def test_a_backbone_looks_at_each_picture_once(backbone, trials, monkeypatch):
    family = BackboneDistances("mine", backbone, TAPS, metrics=METRICS)
    seen, plain = [], family.extract
    monkeypatch.setattr(family, "extract", lambda images: seen.append(len(images)) or plain(images))
    measure(family, trials)
    assert sum(seen) == trials.variants.shape[0] * (trials.variants.shape[1] + 1)


def test_least_size_is_that_of_the_deepest_layer_and_of_the_embedding(backbone):
    assert BackboneDistances("mine", backbone, ("relu1_2",)).minimum_size == 16


# Measuring -----------------------------------------------------------------------------------------------------------


def test_measures_are_those_of_every_pair_by_itself(backbone, trials):
    plain = {"pixel l1": lambda a, b: (a - b).abs().mean(), "pixel l2": lambda a, b: ((a - b) ** 2).mean(),
             "ssim": lambda a, b: 1 - ssim(a, b)}  # fmt: skip
    for family in baselines():
        (values,) = measure(family, trials).values()
        np.testing.assert_allclose(values, brute_force(plain[family.name], trials), rtol=1e-4, atol=1e-7)
    found = measure(BackboneDistances("mine", backbone, TAPS), trials)
    for metric in ("ink", "l1"):
        loss = SketchLoss(backbone, layers=("relu2_2",), metric=metric)
        with torch.no_grad():
            np.testing.assert_allclose(found[f"relu2_2 {metric}"], brute_force(loss, trials), rtol=1e-4, atol=1e-6)


def test_batches_of_any_size_give_the_same(trials, monkeypatch):
    (whole,) = measure(baselines()[0], trials).values()
    monkeypatch.setattr(module, "images_at_once", lambda size, device: 1)
    (single,) = measure(baselines()[0], trials).values()
    np.testing.assert_allclose(single, whole, rtol=1e-5)


def test_the_order_of_arguments_is_the_variant_then_the_drawing(trials):
    darker = PlainDistance("ink", lambda pred, target: (1 - pred).mean((1, 2, 3)) - (1 - target).mean((1, 2, 3)))
    (values,) = measure(darker, trials).values()
    ink = 1 - trials.variants.double().mean((2, 3)) / 255
    own = 1 - trials.references.double().mean((1, 2)) / 255
    np.testing.assert_allclose(values, ink - own[:, None], atol=1e-6)


def test_a_distance_that_spoils_its_arguments_spoils_nothing_else(trials):
    def spoil(pred, target):
        found = pred.sub_(target).abs_().mean((1, 2, 3))
        target.zero_()
        return found

    (spoiled,), (plain,) = (measure(family, trials).values() for family in (PlainDistance("x", spoil), baselines()[0]))
    np.testing.assert_array_equal(spoiled, plain)
    pictures = torch.rand(4, 3, 8, 8)
    pairs = np.array(list(product(range(4), repeat=2)))
    (spoiled,), (plain,) = (
        measure_pairs(family, pictures.__getitem__, pairs).values()
        for family in (PlainDistance("x", spoil), baselines()[0])
    )
    np.testing.assert_allclose(spoiled, plain, rtol=1e-6)


def test_a_distance_may_take_gradients_of_its_own(trials):
    def sensitivity(pred, target):
        with torch.enable_grad():
            pred = pred.requires_grad_()
            (slope,) = torch.autograd.grad(((pred - target) ** 2).sum(), pred)
        return slope.abs().mean((1, 2, 3))

    (values,), (plain,) = (measure(one, trials).values() for one in (PlainDistance("x", sensitivity), baselines()[0]))
    np.testing.assert_allclose(values, 2 * plain, rtol=1e-4)


@pytest.mark.parametrize("kept", [0, 2**30], ids=["nothing kept", "all kept"])
@pytest.mark.parametrize("symmetric", [False, True])
def test_pairs_are_measured_in_order_whatever_is_kept(kept, symmetric, monkeypatch):
    monkeypatch.setattr(module, "KEPT_BYTES", kept)
    monkeypatch.setattr(module, "images_at_once", lambda size, device: 2)
    torch.manual_seed(0)
    pictures = torch.rand(7, 3, 8, 8)
    function = (lambda a, b: (a - b).abs().mean((1, 2, 3))) if symmetric else (lambda a, b: (a - 2 * b).mean((1, 2, 3)))
    family = PlainDistance("x", function, symmetric=symmetric)
    pairs = np.random.default_rng(0).integers(7, size=(60, 2))
    (found,) = measure_pairs(family, pictures.__getitem__, pairs).values()
    expected = [function(pictures[one][None], pictures[other][None]).item() for one, other in pairs]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_pictures_are_read_and_seen_once_where_there_is_room():
    read = []
    pictures = torch.rand(6, 3, 8, 8)
    pairs = np.array(list(product(range(6), repeat=2)))
    measure_pairs(baselines()[0], lambda index: read.append(index) or pictures[index], pairs)
    assert sorted(read) == list(range(6))
