"""The perceptual term of latent diffusion. Oracles: the loss between pictures decoded by hand, sample by sample."""

from functools import cache

import pytest
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from torch import Tensor

from sketchloss import Backbone, SketchLoss
from sketchloss.diffusion.perceptual import LatentPerceptualLoss

# SNR ᾱ / (1 - ᾱ): 99, 3 (the gate's own edge), just below it, almost none.
ALPHAS = torch.tensor([0.99, 0.75, 0.7499, 0.001])


@cache
def loss() -> SketchLoss:
    torch.manual_seed(0)
    backbone = Backbone(width=0.125, attention=True)
    return SketchLoss(backbone, layers=("relu1_2", "relu2_2"), reduction="none", check=False)


def autoencoder(**settings) -> AutoencoderKL:
    torch.manual_seed(0)
    blocks = {"down_block_types": ("DownEncoderBlock2D",) * 2, "up_block_types": ("UpDecoderBlock2D",) * 2}
    sizes = {"block_out_channels": (8, 8), "norm_num_groups": 4, "latent_channels": 4, "sample_size": 16}
    return AutoencoderKL(**blocks, **sizes, **settings)


def latents(seed: int, count: int = 4) -> Tensor:
    return torch.randn(count, 4, 8, 8, generator=torch.Generator().manual_seed(seed))


def decoded_by_hand(vae: AutoencoderKL, scaled: Tensor, shift: float = 0.0) -> Tensor:
    return (vae.decode(scaled / vae.config.scaling_factor + shift).sample / 2 + 0.5).clamp(0, 1)


@pytest.mark.parametrize("shift", [None, 0.3])
def test_the_term_is_the_loss_between_the_decoded_pictures(shift):
    vae = autoencoder(scaling_factor=0.5, shift_factor=shift)
    predicted, clean = latents(1), latents(2)
    found = LatentPerceptualLoss(vae, loss(), gate="none")(predicted, clean, ALPHAS)
    with torch.no_grad():
        ours, theirs = (decoded_by_hand(vae, some, shift or 0.0) for some in (predicted, clean))
        wanted = torch.stack([loss()(ours[n : n + 1], theirs[n : n + 1]) for n in range(4)]).flatten()
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-6)
    assert (wanted > 1e-4).all()


def test_the_gate_lets_samples_with_enough_signal_pass_and_the_others_are_never_decoded():
    vae = autoencoder()
    decoded: list[int] = []
    vae.decoder.register_forward_pre_hook(lambda _, arguments: decoded.append(len(arguments[0])))
    gated, free = (LatentPerceptualLoss(vae, loss(), gate=gate) for gate in ("snr", "none"))
    assert gated.passes(ALPHAS).tolist() == [True, True, False, False]
    assert free.passes(ALPHAS).all()
    predicted, clean = latents(1).requires_grad_(), latents(2)
    found = gated(predicted, clean, ALPHAS)
    assert decoded == [2, 2]  # the two that pass, predicted and clean
    torch.testing.assert_close(found, free(predicted, clean, ALPHAS) * torch.tensor([1.0, 1.0, 0.0, 0.0]))
    found.sum().backward()
    assert predicted.grad is not None
    assert predicted.grad.flatten(1).abs().sum(1).gt(0).tolist() == [True, True, False, False]


def test_a_batch_that_nothing_of_passes_costs_nothing():
    vae = autoencoder()
    vae.decoder.register_forward_pre_hook(lambda *_: pytest.fail("decoded"))
    found = LatentPerceptualLoss(vae, loss())(latents(1), latents(2), torch.full((4,), 0.5))
    assert found.tolist() == [0, 0, 0, 0]


def test_another_least_signal_moves_the_gate():
    vae = autoencoder()
    assert LatentPerceptualLoss(vae, loss(), minimum_snr=50.0).passes(ALPHAS).tolist() == [True, False, False, False]
    assert LatentPerceptualLoss(vae, loss(), minimum_snr=0.0).passes(ALPHAS).all()


def test_weighting_by_signal_multiplies_by_alpha():
    vae = autoencoder()
    plain, weighted = (LatentPerceptualLoss(vae, loss(), gate="none", weighting=how) for how in ("none", "signal"))
    with torch.no_grad():
        wanted = plain(latents(1), latents(2), ALPHAS) * ALPHAS
        torch.testing.assert_close(weighted(latents(1), latents(2), ALPHAS), wanted)


def test_the_target_may_be_the_picture_itself():
    vae = autoencoder()
    images = torch.rand(4, 3, 16, 16)
    term = LatentPerceptualLoss(vae, loss(), gate="snr", target="image")
    with torch.no_grad():
        found = term(latents(1), latents(2), ALPHAS, images)
        wanted = loss()(decoded_by_hand(vae, latents(1)[:2]), images[:2])
    torch.testing.assert_close(found, torch.cat([wanted, torch.zeros(2)]))
    with pytest.raises(ValueError, match="the target is the image: give the images"):
        term(latents(1), latents(2), ALPHAS)


@pytest.mark.parametrize("target", ["latent", "image"])
def test_of_a_window_only_is_decoded_and_compared_at_its_place(target):
    vae, images = autoencoder(), torch.rand(4, 3, 16, 16)
    decoded: list[tuple[int, ...]] = []
    vae.decoder.register_forward_pre_hook(lambda _, arguments: decoded.append(tuple(arguments[0].shape[2:])))
    term = LatentPerceptualLoss(vae, loss(), gate="none", target=target, part=0.5)
    with torch.no_grad():
        found = term(latents(1), latents(2), ALPHAS, images, (0.0, 0.75))  # of 8 rows the first 4, columns 3 to 6
        assert set(decoded) == {(4, 4)}
        ours, theirs = (decoded_by_hand(vae, latents(seed)[..., :4, 3:7]) for seed in (1, 2))
        wanted = loss()(ours, theirs if target == "latent" else images[..., :8, 6:14])
        torch.testing.assert_close(found, wanted)
        whole = LatentPerceptualLoss(vae, loss(), gate="none", target=target)
        torch.testing.assert_close(
            term(latents(1), latents(2), ALPHAS, images), whole(latents(1), latents(2), ALPHAS, images)
        )
        assert torch.equal(
            whole(latents(1), latents(2), ALPHAS, images, (1.0, 1.0)), whole(latents(1), latents(2), ALPHAS, images)
        )


def test_equal_latents_have_no_term_and_no_gradient():
    predicted = latents(1).requires_grad_()
    found = LatentPerceptualLoss(autoencoder(), loss(), gate="none")(predicted, latents(1), ALPHAS)
    found.sum().backward()
    assert found.tolist() == [0, 0, 0, 0]
    assert predicted.grad is not None
    assert not predicted.grad.any()


def test_where_the_decoder_overshoots_the_gradient_still_passes():
    vae = autoencoder()
    vae.decoder.conv_out.bias.data.fill_(9.0)  # everything far beyond white
    term = LatentPerceptualLoss(vae, loss(), gate="none", target="image")
    predicted = latents(1).requires_grad_()
    white = term.decode(predicted)
    assert (white == 1).all()
    term(predicted, latents(2), ALPHAS, torch.zeros(4, 3, 16, 16)).sum().backward()
    assert predicted.grad is not None
    assert predicted.grad.flatten(1).abs().sum(1).gt(0).all()


def test_nothing_frozen_gets_a_gradient_and_nothing_leaves_evaluation():
    vae = autoencoder()
    term = LatentPerceptualLoss(vae, loss(), gate="none").train()
    term(latents(1).requires_grad_(), latents(2), ALPHAS).sum().backward()
    assert [
        name for name, parameter in term.named_parameters() if parameter.requires_grad or parameter.grad is not None
    ] == []
    assert not any(module.training for module in term.modules())


def test_checkpointing_the_decoder_changes_no_number():
    results, passes = [], []
    for checkpointed in (False, True):
        vae = autoencoder()
        if checkpointed:
            vae.enable_gradient_checkpointing()
        seen: list[int] = []
        vae.decoder.mid_block.register_forward_pre_hook(lambda *_, seen=seen: seen.append(1))
        predicted = latents(1).requires_grad_()
        LatentPerceptualLoss(vae, loss(), gate="none")(predicted, latents(2), ALPHAS).sum().backward()
        results.append(predicted.grad)
        passes.append(len(seen))
    torch.testing.assert_close(*results)
    assert passes == [2, 3]  # predicted and clean; the first once more on the way back


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"gate": "open"}, "gate 'open' is unknown: use none or snr"),
        ({"weighting": "snr"}, "weighting 'snr' is unknown: use none or signal"),
        ({"target": "picture"}, "target 'picture' is unknown: use latent or image"),
        ({"minimum_snr": -1.0}, "minimum_snr is -1.0: it must be finite and not negative"),
        ({"minimum_snr": float("nan")}, "minimum_snr is nan"),
        ({"part": 0.0}, "part is 0.0: it must be above 0 and at most 1"),
        ({"part": 1.5}, "part is 1.5"),
    ],
)
def test_settings_outside_their_choices_are_refused(settings, words, monkeypatch):
    # our own checks, not those of the tests' type checker
    monkeypatch.setattr(LatentPerceptualLoss, "__init__", LatentPerceptualLoss.__init__.__wrapped__)
    with pytest.raises(ValueError, match=words):
        LatentPerceptualLoss(autoencoder(), loss(), **settings)


def test_a_loss_that_adds_up_its_samples_is_refused():
    with pytest.raises(ValueError, match="reduction is 'mean': it must be 'none'"):
        LatentPerceptualLoss(autoencoder(), SketchLoss("sketch", layers=("relu1_1",)))


def test_a_loss_for_another_range_is_refused():
    ranged = SketchLoss("sketch", layers=("relu1_1",), reduction="none", value_range=(-1, 1))
    with pytest.raises(
        ValueError, match=r"value_range is \(-1.0, 1.0\): it must be \(0, 1\), that of decoded pictures"
    ):
        LatentPerceptualLoss(autoencoder(), ranged)
