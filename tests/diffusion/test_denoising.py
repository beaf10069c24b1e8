"""One step of latent diffusion. Oracles: plain mean squared errors, the perceptual term by hand, a scheduler's step."""

from functools import cache
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from diffusers.schedulers.scheduling_ddpm import DDPMScheduler
from torch import Tensor

from sketchloss import Backbone, SketchLoss
from sketchloss.diffusion.denoising import Denoising
from sketchloss.diffusion.perceptual import LatentPerceptualLoss
from sketchloss.diffusion.pipeline import NOISE_SCHEDULE, build_tiny
from sketchloss.diffusion.schedules import noise_schedule
from sketchloss.lora.adapters import add_lora

TIMES = torch.tensor([10, 150, 700])  # of an SNR of 3 and more: the first two


@cache
def loss() -> SketchLoss:
    torch.manual_seed(0)
    return SketchLoss(Backbone(width=0.125), layers=("relu1_2", "relu2_2"), reduction="none", check=False)


def scheduler(**settings) -> DDPMScheduler:
    return noise_schedule({"_class_name": "DDIMScheduler", **NOISE_SCHEDULE, **settings})


def batch(seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    chance = torch.Generator().manual_seed(seed)
    clean, noise = (torch.randn(3, 4, 4, 4, generator=chance) for _ in range(2))
    return clean, noise, torch.randn(3, 5, 96, generator=chance)


def says(output: Tensor):
    """A UNet that always gives the same answer."""
    return lambda *_: SimpleNamespace(sample=output)


def pipeline():
    torch.manual_seed(0)
    return build_tiny(["a cat"], image_size=16)


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction"])
def test_the_noise_loss_is_the_mean_squared_error_of_what_is_predicted(kind):
    clean, noise, words = batch()
    noising = scheduler(prediction_type=kind)
    output = torch.randn(3, 4, 4, 4)
    terms = Denoising(noising)(says(output), clean, noise, TIMES, words)
    wanted = noise if kind == "epsilon" else noising.get_velocity(clean, noise, TIMES)
    torch.testing.assert_close(terms.noise, F.mse_loss(output, wanted))
    assert terms.perceptual == 0
    assert terms.active == 0


def test_the_unet_sees_what_the_scheduler_makes_of_the_latents():
    clean, noise, words = batch()
    noising = scheduler()
    seen = []

    def unet(noisy, times, texts):
        seen.append((noisy, times, texts))
        return SimpleNamespace(sample=noisy)

    Denoising(noising)(unet, clean, noise, TIMES, words)
    torch.testing.assert_close(seen[0][0], noising.add_noise(clean, noise, TIMES))
    assert seen[0][1] is TIMES
    assert seen[0][2] is words


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction"])
def test_the_perceptual_term_compares_what_the_scheduler_would_take_for_the_clean_latent(kind):
    clean, noise, words = batch()
    noising = scheduler(prediction_type=kind)
    output = torch.randn(3, 4, 4, 4)
    term = LatentPerceptualLoss(pipeline().vae, loss(), gate="snr")
    terms = Denoising(noising, term)(says(output), clean, noise, TIMES, words)
    noisy = noising.add_noise(clean, noise, TIMES)
    predicted = torch.cat(
        [noising.step(output[n : n + 1], int(TIMES[n]), noisy[n : n + 1]).pred_original_sample for n in range(3)]
    )
    with torch.no_grad():
        wanted = [loss()(term.decode(predicted[n : n + 1]), term.decode(clean[n : n + 1])) for n in range(2)]
    torch.testing.assert_close(terms.perceptual, torch.cat(wanted).sum() / 3, rtol=1e-3, atol=1e-6)
    assert terms.active == pytest.approx(2 / 3)


def test_the_gradient_reaches_the_lora_through_decoder_and_loss_and_nothing_frozen():
    whole = pipeline()
    trained = add_lora(whole.unet, rank=2, seed=0)
    with torch.no_grad():
        for parameter in trained:  # B starts at zero, and A would get no gradient
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
    term = LatentPerceptualLoss(whole.vae, loss(), gate="snr")
    clean, noise, words = batch()
    terms = Denoising(scheduler(), term)(whole.unet, clean, noise, TIMES, words)
    terms.perceptual.backward()  # the perceptual term alone
    ids = {id(parameter) for parameter in trained}
    assert len(trained) > 10
    assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in trained)
    frozen = [*whole.unet.parameters(), *whole.vae.parameters(), *whole.text_encoder.parameters(), *loss().buffers()]
    assert all(parameter.grad is None for parameter in frozen if id(parameter) not in ids)


def test_the_gradient_of_the_perceptual_term_is_that_of_finite_differences():
    clean, noise, words = batch()
    vae = pipeline().vae.double()
    vae.decoder.conv_out.weight.data *= 0.1  # nothing is cut to [0, 1], where the gradient would not be the true one
    denoising = Denoising(scheduler(), LatentPerceptualLoss(vae, loss().double(), gate="snr"))
    output = torch.randn(3, 4, 4, 4, generator=torch.Generator().manual_seed(3)).requires_grad_()
    direction = torch.randn(3, 4, 4, 4, generator=torch.Generator().manual_seed(4))
    (gradient,) = torch.autograd.grad(denoising(says(output), clean, noise, TIMES, words).perceptual, output)
    with torch.no_grad():
        ahead, behind = (
            denoising(says(output + sign * 1e-3 * direction), clean, noise, TIMES, words).perceptual for sign in (1, -1)
        )
    loss().float()
    assert (gradient * direction).sum().item() == pytest.approx((ahead - behind).item() / 2e-3, rel=5e-2)


def test_a_batch_behind_the_gate_has_a_plain_step():
    clean, noise, words = batch()
    output = torch.randn(3, 4, 4, 4).requires_grad_()
    term = LatentPerceptualLoss(pipeline().vae, loss(), gate="snr")
    late = torch.tensor([500, 700, 999])
    terms, plain = (Denoising(scheduler(), some)(says(output), clean, noise, late, words) for some in (term, None))
    assert terms.active == 0
    assert not terms.perceptual.requires_grad
    assert torch.equal(terms.noise, plain.noise)


def test_where_there_is_no_signal_velocity_gives_finite_terms():
    clean, noise, words = batch()
    noising = scheduler(prediction_type="v_prediction", rescale_betas_zero_snr=True)
    term = LatentPerceptualLoss(pipeline().vae, loss(), gate="none")
    output = torch.randn(3, 4, 4, 4).requires_grad_()
    denoising = Denoising(noising, term, min_snr_gamma=5.0)
    terms = denoising(says(output), clean, noise, torch.full((3,), 999), words)
    (terms.noise + terms.perceptual).backward()
    assert terms.noise.isfinite()
    assert terms.perceptual.isfinite()
    assert output.grad is not None
    assert output.grad.isfinite().all()


def test_half_precision_words_make_a_half_precision_unet_and_float32_terms():
    clean, noise, words = batch()
    seen = []

    def unet(noisy, *_):
        seen.append(noisy.dtype)
        return SimpleNamespace(sample=noisy)

    terms = Denoising(scheduler())(unet, clean, noise, TIMES, words.bfloat16())
    assert seen == [torch.bfloat16]
    assert terms.noise.dtype == terms.output.dtype == torch.float32


def test_a_base_that_predicts_the_picture_is_refused():
    with pytest.raises(ValueError, match="'sample'"):
        Denoising(DDIMScheduler(**NOISE_SCHEDULE, prediction_type="sample"))
