"""Oracles: diffusers' own distribution and decoder on a small autoencoder; moments worked out by hand."""

import pytest
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL

from sketchloss.diffusion.latents import Moments, decode_latents, encode_both_views, to_signed


@pytest.fixture(scope="module")
def autoencoder():
    torch.manual_seed(0)
    return AutoencoderKL(block_out_channels=(8,), norm_num_groups=2, latent_channels=4).eval()


@pytest.fixture
def images():
    return torch.randint(256, (5, 3, 8, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


def test_bytes_span_what_an_autoencoder_takes():
    bytes_ = torch.tensor([0, 51, 255], dtype=torch.uint8).repeat(3).reshape(1, 3, 1, 3)
    torch.testing.assert_close(to_signed(bytes_)[0, 0, 0], torch.tensor([-1.0, -0.6, 1.0]))


def test_both_views_are_encoded_whatever_the_batch_size(autoencoder, images):
    moments = encode_both_views(autoencoder, images, batch_size=2)
    assert len(moments) == 5
    assert moments.mean.shape == moments.deviation.shape == (2, 5, 4, 8, 16)
    for index, image in enumerate(images):
        for view, pixels in enumerate((image, image.flip(2))):
            with torch.no_grad():
                oracle = autoencoder.encode(pixels[None].float() / 127.5 - 1).latent_dist
            torch.testing.assert_close(moments.mean[view, index], oracle.mean[0], rtol=1e-4, atol=1e-5)
            torch.testing.assert_close(moments.deviation[view, index], oracle.std[0], rtol=1e-4, atol=1e-5)
    assert not moments.mean.requires_grad


def test_a_selection_takes_either_view_of_the_right_picture():
    tens = torch.arange(6.0).reshape(1, 6, 1, 1, 1)
    moments = Moments(torch.cat([tens, tens + 100]), torch.cat([tens + 200, tens + 300]))
    indices = torch.tensor([5, 0, 3] * 50)
    chosen = moments.select(indices, torch.Generator().manual_seed(0))
    means = chosen.mean.flatten()
    assert torch.equal(means % 100, indices.float())
    assert torch.equal(chosen.deviation.flatten() - means, torch.full((150,), 200.0)), "the same view of both moments"
    assert 50 < (means >= 100).sum() < 100
    again = moments.select(indices, torch.Generator().manual_seed(0))
    assert torch.equal(again.mean, chosen.mean)
    other = moments.select(indices, torch.Generator().manual_seed(1))
    assert not torch.equal(other.mean, chosen.mean)


def test_samples_follow_the_distribution_and_the_generator():
    mean, deviation = torch.tensor([-3.0, 2.0]), torch.tensor([0.1, 4.0])
    shape = (1, 2, 1, 100, 100)
    moments = Moments(*(values.reshape(1, 2, 1, 1, 1).expand(shape).to(torch.bfloat16) for values in (mean, deviation)))
    drawn = moments.sample(torch.Generator().manual_seed(0))
    assert drawn.dtype == torch.float32
    torch.testing.assert_close(drawn.mean((0, 2, 3, 4)), mean, rtol=0, atol=0.15)
    torch.testing.assert_close(drawn.std((0, 2, 3, 4)), deviation, rtol=0.03, atol=0)
    assert torch.equal(drawn, moments.sample(torch.Generator().manual_seed(0)))
    certain = Moments(moments.mean, torch.zeros(shape))
    assert torch.equal(certain.sample(torch.Generator()), moments.mean.float())


def test_decoding_is_the_decoders_picture_from_0_to_1_and_lets_the_gradient_through(autoencoder):
    latents = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(2)).requires_grad_()
    pictures = decode_latents(autoencoder, latents)
    assert pictures.shape == (2, 3, 8, 8)
    with torch.no_grad():
        signed = autoencoder.decode(latents).sample
    torch.testing.assert_close(pictures, ((signed + 1) / 2).clamp(0, 1))
    pictures.sum().backward()
    assert latents.grad is not None
    assert latents.grad.abs().sum() > 0
    with torch.no_grad():
        far = decode_latents(autoencoder, 1000 * latents)
    assert far.min() >= 0
    assert far.max() <= 1
