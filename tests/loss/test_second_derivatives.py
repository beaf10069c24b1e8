"""Oracle: the loss written out in float64 with PyTorch's own operations, differentiated twice by autograd.

However a second derivative is asked for, it is the oracle's, or there is an error; never another number in silence.
"""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import grad, hessian, jacfwd, jacrev, jvp, vjp, vmap

from sketchloss import AttentionGate, Backbone, SketchLoss, gram

# PyTorch's forward mode uses its own deprecated scripting, and its vectorized Hessian says what it is slow at.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:There is a performance drop:UserWarning"),
]

SIDE = 8
PIXELS = SIDE * SIDE
LAYERS = {"relu1_2": 1.0, "relu3_3": 2.0}


def pictures(seed: int) -> Tensor:
    return torch.rand(1, 1, SIDE, SIDE, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


PRED, TARGET, DIRECTION, MASK = (pictures(seed) for seed in range(4))


def make(attention: bool, order: str = "channel_spatial", **settings) -> SketchLoss:
    torch.manual_seed(0)
    backbone = Backbone(width=0.125, attention=attention, gate_order=order)
    return SketchLoss(backbone, layers=LAYERS, **settings).double()


# The loss, written out -----------------------------------------------------------------------------------------------


def gated(gate: AttentionGate, features: Tensor) -> Tensor:
    def by_channel(of: Tensor) -> Tensor:
        paths = (of.mean((2, 3)), of.amax((2, 3)))
        hidden = [F.relu(F.linear(path, gate.channel.reduce.weight, gate.channel.reduce.bias)) for path in paths]
        weights = [F.linear(path, gate.channel.expand.weight, gate.channel.expand.bias) for path in hidden]
        return torch.sigmoid(weights[0] + weights[1])[:, :, None, None]

    def by_place(of: Tensor) -> Tensor:
        conv = gate.spatial.conv
        return torch.sigmoid(F.conv2d(torch.cat((of.mean(1, True), of.amax(1, True)), 1), conv.weight, conv.bias, 1, 3))

    if gate.order == "channel_spatial":
        features = features * by_channel(features)
        return gate.pool(features * by_place(features))
    if gate.order == "spatial_channel":
        features = features * by_place(features)
        return gate.pool(features * by_channel(features))
    return gate.pool(features * by_channel(features) * by_place(features))


def features_of(loss: SketchLoss, images: Tensor) -> dict[str, Tensor]:
    found, features = {}, (images.expand(-1, 3, -1, -1) - loss.backbone.mean) / loss.backbone.std
    for index, layer in enumerate(list(loss.backbone.features)[:16]):
        if isinstance(layer, AttentionGate):
            features = gated(layer, features)
        else:
            features = features.relu() if isinstance(layer, nn.ReLU) else layer(features)
        if index in (3, 15):  # relu1_2 and relu3_3
            found["relu1_2" if index == 3 else "relu3_3"] = features
    return found


def written_out(loss: SketchLoss, pred: Tensor, mask: Tensor | None) -> Tensor:
    total, ours, theirs = torch.zeros(()).double(), features_of(loss, pred), features_of(loss, TARGET)
    for tap, share in LAYERS.items():
        a, b = ours[tap], theirs[tap]
        if loss.metric == "cosine":
            norms = [features.square().sum(1, True).sqrt() for features in (a, b)]
            distance = 1 - (a * b).sum(1, True) / (norms[0] * norms[1])
        else:
            distance = ((a - b).abs() if loss.metric == "l1" else (a - b) ** 2).mean(1, True)
        weight = torch.ones_like(distance)
        if mask is not None:
            weight = F.avg_pool2d(mask, SIDE // a.shape[-1])
        content = (distance * weight).sum() / weight.sum()
        grams = [torch.einsum("nihw,njhw,nohw->ij", f, f, weight) / (f.shape[1] * weight.sum()) for f in (a, b)]
        total = total + share / 3 * (content + loss.style_weight * ((grams[0] - grams[1]) ** 2).sum())
    return total


def oracle(loss: SketchLoss, mask: Tensor | None) -> Tensor:
    pred = PRED.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(written_out(loss, pred, mask), pred, create_graph=True)
    (found,) = torch.autograd.grad((gradient * DIRECTION).sum(), pred, allow_unused=True, materialize_grads=True)
    return found


# The ways to ask for it: each returns the Hessian times the direction ------------------------------------------------

Function = Callable[[Tensor], Tensor]


def grad_twice(f: Function) -> Tensor:
    pred = PRED.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(f(pred), pred, create_graph=True)
    return torch.autograd.grad((gradient * DIRECTION).sum(), pred)[0]


def backward_twice(f: Function) -> Tensor:
    pred = PRED.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(f(pred), pred, create_graph=True)
    (gradient * DIRECTION).sum().backward()
    assert pred.grad is not None
    return pred.grad


def times_direction(matrix: Tensor) -> Tensor:
    return (matrix.reshape(PIXELS, PIXELS).double() @ DIRECTION.reshape(PIXELS)).view_as(PRED)


def forward_over_reverse(f: Function) -> Tensor:
    pred = PRED.clone().requires_grad_()
    with torch.autograd.forward_ad.dual_level():
        dual = torch.autograd.forward_ad.make_dual(pred, DIRECTION)
        (gradient,) = torch.autograd.grad(f(dual), dual, create_graph=True)
        tangent = torch.autograd.forward_ad.unpack_dual(gradient).tangent
        return torch.zeros_like(PRED) if tangent is None else tangent.detach()


WAYS: dict[str, Callable[[Function], Tensor]] = {
    "grad twice": grad_twice,
    "backward twice": backward_twice,
    "functional.hvp": lambda f: torch.autograd.functional.hvp(f, PRED, DIRECTION)[1],
    "functional.vhp": lambda f: torch.autograd.functional.vhp(f, PRED, DIRECTION)[1],
    "functional.hessian": lambda f: times_direction(torch.autograd.functional.hessian(f, PRED)),
    "functional.hessian vectorized": lambda f: times_direction(
        torch.autograd.functional.hessian(f, PRED, vectorize=True)
    ),
    "functional.hessian forward": lambda f: times_direction(
        torch.autograd.functional.hessian(f, PRED, vectorize=True, outer_jacobian_strategy="forward-mode")
    ),
    "forward over reverse": forward_over_reverse,
    "func.grad of grad": lambda f: grad(lambda pred: (grad(f)(pred) * DIRECTION).sum())(PRED),
    "func.vjp of grad": lambda f: vjp(grad(f), PRED)[1](DIRECTION)[0],
    "func.jvp of grad": lambda f: jvp(grad(f), (PRED,), (DIRECTION,))[1],
    "func.jacrev of jacrev": lambda f: times_direction(jacrev(jacrev(f))(PRED)),
    "func.jacfwd of jacrev": lambda f: times_direction(jacfwd(jacrev(f))(PRED)),
    "func.jacrev of jacfwd": lambda f: times_direction(jacrev(jacfwd(f))(PRED)),
    "func.jacfwd of jacfwd": lambda f: times_direction(jacfwd(jacfwd(f))(PRED)),
    "func.hessian": lambda f: times_direction(hessian(f)(PRED)),
    "func.vmap of grad of grad": lambda f: vmap(grad(lambda pred: (grad(f)(pred) * DIRECTION).sum()))(PRED[None])[0],
}
# Those that must work here. The others are PyTorch's to support: batched gradients know no channels_last, and custom
# functions no forward mode.
WORK = {name for name in WAYS if not name.startswith(("functional.hessian vec", "functional.hessian for", "forward"))}


@pytest.fixture(autouse=True)
def as_users_have_it(without_type_checks):
    """Hundreds of calls, each through wrappers that only the tests have, would take minutes."""


def assert_right_or_refused(way: str, f: Function, expected: Tensor) -> None:
    try:
        found = WAYS[way](f)
    except (RuntimeError, NotImplementedError):
        assert way not in WORK
        return
    # float32 sums inside of the loss; the oracle has none.
    torch.testing.assert_close(found.double(), expected, rtol=1e-3, atol=1e-5 * float(expected.abs().max() + 1e-9))


@pytest.mark.parametrize(("style_weight", "masked"), [(0.0, False), (10.0, True)])
@pytest.mark.parametrize("metric", ["l1", "l2", "cosine"])
@pytest.mark.parametrize("attention", [False, True])
def test_every_way_gives_the_second_derivative_or_refuses(attention, metric, style_weight, masked):
    loss = make(attention, metric=metric, style_weight=style_weight, check=False)
    mask = MASK if masked else None
    expected = oracle(loss, mask)
    # With l1 alone and no gates the loss is made of planes: its second derivative is zero wherever there is one.
    assert bool(expected.any()) == (attention or metric != "l1" or style_weight > 0)
    for way in WAYS:
        assert_right_or_refused(way, lambda pred: loss(pred, TARGET, mask=mask), expected)


@pytest.mark.parametrize("order", ["spatial_channel", "parallel"])
def test_gates_in_any_order(order):
    loss = make(True, order, metric="l2")
    expected = oracle(loss, None)
    for way in ("grad twice", "func.hessian", "functional.hvp"):
        assert_right_or_refused(way, lambda pred: loss(pred, TARGET), expected)


@pytest.mark.parametrize("features", [False, True])
def test_with_the_check_cached_features_recomputed_activations_and_parts(features):
    loss = make(True, metric="l2")
    expected = oracle(loss, None)
    target = loss.extract(TARGET) if features else TARGET
    for way in ("grad twice", "functional.hvp", "func.jvp of grad", "func.vmap of grad of grad"):
        assert_right_or_refused(way, lambda pred: loss(pred, target), expected)
        assert_right_or_refused(way, lambda pred: sum(loss(pred, target, return_parts=True)[1].values()), expected)
    loss.backbone.checkpoint_activations = True
    assert_right_or_refused("grad twice", lambda pred: loss(pred, target), expected)


def test_a_gradient_penalty_trains_what_made_the_drawing():
    # Oracle: the same penalty through the loss written out.
    loss, gradients = make(True, metric="l2"), []
    for f in (lambda pred: loss(pred, TARGET), lambda pred: written_out(loss, pred, None)):
        scale = torch.tensor(0.9, dtype=torch.float64, requires_grad=True)
        drawn = PRED * scale
        (pull,) = torch.autograd.grad(f(drawn), drawn, create_graph=True)
        (f(drawn) + pull.square().sum()).backward()
        gradients.append(scale.grad)
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-3, atol=0)


def test_first_derivatives_by_torch_func_and_in_batches_are_autograds():
    loss = make(True, style_weight=1.0, reduction="none")
    pred, target = torch.cat([PRED, MASK, TARGET]), torch.cat([TARGET, PRED, MASK])
    leaf = pred.clone().requires_grad_()
    (expected,) = torch.autograd.grad(loss(leaf, target).sum(), leaf)
    of_each = vmap(grad(lambda one, other: loss(one[None], other[None])[0]))(pred, target)
    torch.testing.assert_close(of_each, expected, rtol=1e-5, atol=1e-9)
    jacobian = jacrev(lambda images: loss(images, target))(pred)
    torch.testing.assert_close(torch.einsum("iichw->ichw", jacobian), expected, rtol=1e-5, atol=1e-9)


def test_a_backward_pass_for_some_inputs_alone_leaves_nothing_for_the_next():
    # The gates' weights alone are asked for first: what their product leaves for the features is never fetched.
    torch.manual_seed(0)
    gate = AttentionGate(4, reduction=2).double()
    features = torch.rand(2, 4, 6, 6, dtype=torch.float64, requires_grad=True)
    value = gate(features).square().sum()
    torch.autograd.grad(value, list(gate.parameters()), retain_graph=True)
    (found,) = torch.autograd.grad(value, features, create_graph=True)
    (expected,) = torch.autograd.grad(gated(gate, features).square().sum(), features)
    torch.testing.assert_close(found, expected)


def test_gram_can_be_differentiated_twice():
    features = torch.rand(1, 2, 3, 3, dtype=torch.float64, requires_grad=True)
    found = torch.autograd.functional.hvp(lambda f: gram(f).square().sum(), features, torch.ones_like(features))[1]
    plain = torch.autograd.functional.hvp(
        lambda f: (torch.einsum("nihw,njhw->nij", f, f) / 18).square().sum(), features, torch.ones_like(features)
    )[1]
    torch.testing.assert_close(found, plain, rtol=1e-5, atol=1e-6)
