"""Oracle: Eq. 1 and 2 of Seo 2025, written out in NumPy at double precision, padding included."""

import inspect

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sketchloss.networks.attention import HALF_TWICE, AttentionGate, ChannelGate, SpatialGate, _mean, weigh_by_pooled

ORDERS = ("channel_spatial", "spatial_channel", "parallel")


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def channel_weight(gate: ChannelGate, features: np.ndarray) -> np.ndarray:
    weights = {name: value.detach().double().numpy() for name, value in gate.state_dict().items()}

    def shared_layers(pooled: np.ndarray) -> np.ndarray:
        hidden = np.maximum(pooled @ weights["reduce.weight"].T + weights["reduce.bias"], 0)
        return hidden @ weights["expand.weight"].T + weights["expand.bias"]

    flat = features.reshape(*features.shape[:2], -1)
    return sigmoid(shared_layers(flat.mean(2)) + shared_layers(flat.max(2)))[:, :, None, None]


def spatial_weight(gate: SpatialGate, features: np.ndarray) -> np.ndarray:
    kernel, bias = (value.detach().double().numpy() for value in (gate.conv.weight, gate.conv.bias))
    pad = kernel.shape[-1] // 2
    pooled = np.stack((features.mean(1), features.max(1)), axis=1)
    padded = np.pad(pooled, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, kernel.shape[-2:], axis=(2, 3))
    return sigmoid(np.einsum("nchwij,cij->nhw", windows, kernel[0]) + bias)[:, None]


def gated(gate: AttentionGate, features: np.ndarray) -> np.ndarray:
    channel, spatial = gate.channel, gate.spatial
    if gate.order == "channel_spatial":
        features = features * channel_weight(channel, features)
        return features * spatial_weight(spatial, features)
    if gate.order == "spatial_channel":
        features = features * spatial_weight(spatial, features)
        return features * channel_weight(channel, features)
    return features * channel_weight(channel, features) * spatial_weight(spatial, features)


def random_features(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("reduction", [1, 4, 100])
def test_channel_gate_is_equation_1(reduction):
    torch.manual_seed(1)
    gate = ChannelGate(12, reduction=reduction).double()
    assert gate.reduce.out_features == {1: 12, 4: 3, 100: 1}[reduction]
    features = random_features(3, 12, 5, 8)
    np.testing.assert_allclose(gate(features).detach().numpy(), channel_weight(gate, features.numpy()), rtol=1e-12)


@pytest.mark.parametrize("kernel_size", [1, 3, 7])
def test_spatial_gate_is_equation_2(kernel_size):
    torch.manual_seed(2)
    gate = SpatialGate(kernel_size=kernel_size).double()
    features = random_features(3, 6, 5, 9)
    np.testing.assert_allclose(gate(features).detach().numpy(), spatial_weight(gate, features.numpy()), rtol=1e-12)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("order", ORDERS)
def test_gate_applies_both_in_the_order_named(order, layout):
    torch.manual_seed(3)
    gate = AttentionGate(16, order=order, reduction=4, kernel_size=5).double()
    features = random_features(2, 16, 6, 9).to(memory_format=layout)
    expected = gated(gate, features.numpy())
    np.testing.assert_allclose(gate(features).detach().numpy(), expected, rtol=1e-11)
    others = [gated(gate, features.numpy()) for gate.order in ORDERS if gate.order != order]
    assert all(abs(expected - other).max() > 1e-4 for other in others)  # the orders can be told apart here


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_low_precision_neither_stalls_nor_overflows_over_many_positions(dtype):
    # 16,384 values of about 40: their sum is past float16's largest number, and bfloat16 cannot count that far in ones.
    torch.manual_seed(4)
    gate = AttentionGate(8, reduction=2).to(dtype)
    features = (39 + 2 * torch.rand(1, 8, 128, 128)).to(dtype)
    found = gate(features).detach().double().numpy()
    np.testing.assert_allclose(found, gated(gate, features.double().numpy()), rtol=0.02, atol=0.05)


def test_max_downsampling_is_the_gate_and_then_vggs_pool():
    torch.manual_seed(5)
    gate = AttentionGate(8, downsample="max").double()
    features = random_features(2, 8, 6, 9)  # an odd side loses its last column, as in VGG
    full = gated(gate, features.numpy())
    pooled = full[:, :, :6, :8].reshape(2, 8, 3, 2, 4, 2).max((3, 5))
    np.testing.assert_allclose(gate(features).detach().numpy(), pooled, rtol=1e-11)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(("init", "bias"), [("open", 5), ("ajar", 2), ("half", 0)])
def test_open_gates_start_alike_whatever_the_features(order, init, bias):
    gate = AttentionGate(32, order=order, init=init)
    features = torch.relu(torch.randn(2, 32, 9, 9)) * 100
    # Closed form: both start at the sigmoid of their bias.
    start = 1 / (1 + np.exp(-bias))
    for weight in (gate.channel(features), gate.spatial(features)):
        torch.testing.assert_close(weight, torch.full_like(weight, start))
    torch.testing.assert_close(gate(features), features * start**2)


def test_default_gates_let_a_quarter_through_on_average():
    # Oracle: sigmoid of a value around 0, twice. Over 20 random starts the mean has a standard error of about 0.01.
    torch.manual_seed(6)
    features = torch.relu(torch.randn(2, 64, 12, 12)) + 0.01
    scales = [(AttentionGate(64)(features) / features).mean().item() for _ in range(20)]
    assert np.mean(scales) == pytest.approx(0.25, abs=0.05)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("downsample", ["none", "max"])
def test_gradients_match_finite_differences(order, downsample):
    torch.manual_seed(7)
    gate = AttentionGate(4, order=order, reduction=2, kernel_size=3, downsample=downsample).double()
    features = random_features(1, 4, 4, 5, seed=7).requires_grad_()
    parameters = list(gate.parameters())
    assert torch.autograd.gradcheck(lambda features, *_: gate(features), (features, *parameters), fast_mode=True)


@pytest.mark.parametrize("order", ORDERS)
def test_half_open_gates_scale_by_exactly_a_quarter(order):
    features = random_features(2, 32, 9, 9).float()
    assert torch.equal(AttentionGate(32, order=order, init="half")(features), features * HALF_TWICE)
    assert HALF_TWICE == 0.25


@pytest.mark.parametrize("init", ["open", "half"])
def test_gates_that_start_alike_can_learn(init):
    # The last layers start at zero weight; they move first, and the reducing layer from the second step on.
    gate = AttentionGate(8, init=init, reduction=2)
    with torch.no_grad():
        gate.channel.reduce.bias.fill_(1)  # keeps the hidden units alive
    features = torch.rand(2, 8, 6, 6)
    optimizer = torch.optim.SGD(gate.parameters(), lr=0.1)
    for expected_to_move in ({"channel.expand", "spatial.conv"}, {"channel.expand", "spatial.conv", "channel.reduce"}):
        optimizer.zero_grad()
        gate(features).square().sum().backward()
        moved = {
            name.rpartition(".")[0]
            for name, weight in gate.named_parameters()
            if weight.grad is not None and weight.grad.any()
        }
        assert moved == expected_to_move
        optimizer.step()


@settings(max_examples=25, deadline=None)
@given(
    sides=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    order=st.sampled_from(ORDERS),
    seed=st.integers(0, 10_000),
)
def test_gates_only_ever_weaken_features_and_keep_their_sign(sides, order, seed):
    torch.manual_seed(seed)
    features = random_features(2, 5, *sides, seed=seed).float()
    weakened = AttentionGate(5, order=order, reduction=2)(features)
    assert weakened.shape == features.shape
    assert (weakened.abs() <= features.abs()).all()
    assert (weakened * features >= 0).all()


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"order": "both"}, "gate_order 'both' is unknown"),
        ({"init": "closed"}, "gate_init 'closed' is unknown"),
        ({"downsample": "avg"}, "downsample 'avg' is unknown"),
        ({"kernel_size": 4}, "gate_kernel is 4: it must be odd"),
        ({"kernel_size": -1}, "gate_kernel is -1"),
        ({"reduction": 0}, "gate_reduction is 0"),
    ],
)
def test_settings_outside_the_choices_are_refused(setting, message):
    # Unwrapped: the tests check types in signatures; users do not, so the gate's own check must do.
    with pytest.raises(ValueError, match=message):
        inspect.unwrap(AttentionGate.__init__)(AttentionGate.__new__(AttentionGate), 8, **setting)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("dims", [(1,), (2, 3)])
def test_gradient_is_autograds_of_the_gate_written_out(dims, layout):
    # Oracle: autograd through mean(), amax() and the product. Distinct values, so that no maximum is shared.
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(3, 5, 4, 6, dtype=torch.float64, generator=generator).contiguous(memory_format=layout)
    scale = torch.randn((), dtype=torch.float64, generator=generator).requires_grad_()

    def weigh(mean, maximum):
        return torch.sigmoid(scale * mean + maximum**2)

    gradients = []
    for gate in (
        lambda features: weigh_by_pooled(features, dims, weigh),
        lambda features: features * weigh(features.mean(dims, keepdim=True), features.amax(dims, keepdim=True)),
    ):
        features = values.clone(memory_format=layout).requires_grad_()
        (gate(features) * torch.arange(values.numel()).view(values.shape)).sum().backward()
        gradients.append((features.grad, scale.grad))
        scale.grad = None
    for ours, written_out in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, written_out, rtol=1e-12, atol=1e-9)


@pytest.mark.parametrize("dims", [(2, 3), (1,)])
def test_the_mean_over_a_large_page_is_exact(dims):
    features = torch.rand(1, 4, 900, 700).to(memory_format=torch.channels_last) + 0.5
    exact = features.double().mean(dims, keepdim=True)
    torch.testing.assert_close(_mean(features, dims).double(), exact, rtol=2e-6, atol=0)
