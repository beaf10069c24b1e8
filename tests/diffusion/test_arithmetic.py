"""Oracles: the steps of diffusers' own schedulers, its signal-to-noise ratio, the formulas written out by hand."""

import math

import pytest
import torch
import torch.nn.functional as F
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from diffusers.schedulers.scheduling_ddpm import DDPMScheduler
from diffusers.training_utils import compute_snr
from hypothesis import given
from hypothesis import strategies as st

from sketchloss.diffusion.arithmetic import (
    add_noise,
    check_prediction,
    cumulative_alphas,
    denoised,
    denoising_loss,
    min_snr_weight,
    signal_to_noise,
    training_target,
)

STABLE = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "clip_sample": False}
TIMES = torch.tensor([0, 1, 7, 99, 250, 500, 731, 900, 998, 999])


def scheduler(kind=DDPMScheduler, prediction="epsilon", **settings):
    return kind(prediction_type=prediction, **STABLE, **settings)


@pytest.fixture
def clean():
    return torch.randn(len(TIMES), 4, 6, 5, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def noise():
    return torch.randn(len(TIMES), 4, 6, 5, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    ("prediction", "zero_snr"), [("epsilon", False), ("v_prediction", False), ("v_prediction", True)]
)
@pytest.mark.parametrize("kind", [DDPMScheduler, DDIMScheduler])
def test_the_clean_latent_is_that_of_the_schedulers_own_step(kind, prediction, zero_snr, clean, noise):
    oracle = scheduler(kind, prediction, rescale_betas_zero_snr=zero_snr)
    oracle.set_timesteps(1000)
    output = clean.flip(0) * 1.3  # whatever a network says
    ours = denoised(output, noise, cumulative_alphas(oracle, TIMES), prediction)
    for row, time in enumerate(TIMES):
        step = oracle.step(output[row : row + 1], int(time), noise[row : row + 1])
        theirs = step.pred_original_sample[0]
        torch.testing.assert_close(ours[row], theirs, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_noising_and_target_are_the_schedulers(prediction, clean, noise):
    oracle = scheduler(prediction=prediction)
    alphas = cumulative_alphas(oracle, TIMES)
    torch.testing.assert_close(add_noise(clean, noise, alphas), oracle.add_noise(clean, noise, TIMES))
    theirs = noise if prediction == "epsilon" else oracle.get_velocity(clean, noise, TIMES)
    torch.testing.assert_close(training_target(clean, noise, alphas, prediction), theirs)


@given(alpha=st.floats(0.001, 0.999), prediction=st.sampled_from(["epsilon", "v_prediction"]), seed=st.integers(0, 99))
def test_a_network_that_says_the_target_gives_back_the_clean_latent(alpha, prediction, seed):
    clean, noise = torch.randn(2, 3, 4, 2, 2, generator=torch.Generator().manual_seed(seed))
    alphas = torch.full((3,), alpha)
    noisy, target = add_noise(clean, noise, alphas), training_target(clean, noise, alphas, prediction)
    error = (denoised(target, noisy, alphas, prediction) - clean).abs().max()
    # epsilon divides rounding by √ᾱ
    assert error < 2e-6 * (1 / math.sqrt(alpha) if prediction == "epsilon" else 1) * 5


def test_without_any_signal_velocity_still_gives_a_finite_clean_latent(clean, noise):
    oracle = scheduler(prediction="v_prediction", rescale_betas_zero_snr=True)
    alphas = cumulative_alphas(oracle, torch.tensor([999] * len(TIMES)))
    assert alphas.tolist() == [0.0] * len(TIMES)
    noisy, target = add_noise(clean, noise, alphas), training_target(clean, noise, alphas, "v_prediction")
    assert torch.equal(noisy, noise)
    torch.testing.assert_close(denoised(target, noisy, alphas, "v_prediction"), clean)


def test_half_precision_is_computed_in_float32(clean, noise):
    alphas = cumulative_alphas(scheduler(), TIMES)
    half = denoised(clean.half(), noise.half(), alphas, "epsilon")
    assert half.dtype == torch.float32
    assert torch.equal(half, denoised(clean.half().float(), noise.half().float(), alphas, "epsilon"))
    assert denoising_loss(clean.half(), noise, alphas, "epsilon").dtype == torch.float32


def test_signal_to_noise_is_that_of_diffusers():
    oracle = scheduler()
    ours = signal_to_noise(cumulative_alphas(oracle, TIMES))
    torch.testing.assert_close(ours, compute_snr(oracle, TIMES), rtol=1e-4, atol=0)
    assert signal_to_noise(torch.tensor([0.0, 0.5, 0.75, 1.0])).tolist() == [0.0, 1.0, 3.0, math.inf]


@given(
    snr=st.floats(1e-4, 1e4),
    gamma=st.floats(0.1, 20),
    prediction=st.sampled_from(["epsilon", "v_prediction"]),
)
def test_min_snr_weights_are_the_published_ones(snr, gamma, prediction):
    alphas = torch.tensor([snr / (1 + snr)], dtype=torch.float64).float()
    given_snr = alphas.item() / (1 - alphas.item())  # float32 rounds it
    expected = min(given_snr, gamma) / (given_snr if prediction == "epsilon" else given_snr + 1)
    assert min_snr_weight(alphas, gamma, prediction).item() == pytest.approx(expected, rel=1e-4)


def test_min_snr_weights_at_either_end():
    ends = torch.tensor([0.0, 1.0])  # no signal, no noise
    assert min_snr_weight(ends, 5.0, "epsilon").tolist() == [1.0, 0.0]
    assert min_snr_weight(ends, 5.0, "v_prediction").tolist() == [0.0, 0.0]


def test_the_loss_is_the_mean_squared_error_of_each_sample(clean, noise):
    alphas = cumulative_alphas(scheduler(), TIMES)
    plain = denoising_loss(clean, noise, alphas, "epsilon")
    expected = torch.stack([F.mse_loss(*pair) for pair in zip(clean, noise, strict=True)])
    torch.testing.assert_close(plain, expected)
    torch.testing.assert_close(plain.mean(), F.mse_loss(clean, noise))
    snr = compute_snr(scheduler(), TIMES)
    weighted = denoising_loss(clean, noise, alphas, "epsilon", min_snr_gamma=5.0)
    torch.testing.assert_close(weighted, expected * snr.clamp(max=5.0) / snr, rtol=1e-4, atol=0)


def test_what_a_base_may_predict():
    assert check_prediction(scheduler()) == "epsilon"
    zero = {"rescale_betas_zero_snr": True}
    assert check_prediction(scheduler(prediction="v_prediction", **zero)) == "v_prediction"
    with pytest.raises(ValueError, match="predicts 'sample': only epsilon and v_prediction"):
        check_prediction(scheduler(prediction="sample"))
    with pytest.raises(ValueError, match="its last step has no signal"):
        check_prediction(scheduler(**zero))
