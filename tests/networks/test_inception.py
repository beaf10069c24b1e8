"""Oracles: torchvision's Inception3 with pytorch-fid's pooling, run once; published counts; pooling by hand."""

import hashlib
import math

import pytest
import torch

from sketchloss.metrics.extractors import FID_INCEPTION, embed_images, inception_extractor
from sketchloss.networks import inception
from sketchloss.networks.inception import Inception, load_inception

# Made with torchvision 0.29.2's `Inception3(num_classes=1008, aux_logits=False, transform_input=False)` filled by
# `fill`, on `picture()` resized to 299×299 and scaled to [-1, 1]; its average pools were replaced by
# `F.avg_pool2d(..., count_include_pad=False)`, and by `F.max_pool2d` in Mixed_7c, as pytorch-fid does.
GOLDEN_MEAN, GOLDEN_DEVIATION = 0.08917256380707661, 0.13018573353893645
GOLDEN_EVERY_227TH = [0.135113, 0.0, 0.0, 0.069879, 0.098189, 0.0, 0.0, 0.0, 0.0, 0.131289]
# SHA-256 over the sorted lines "name shape" of that network's state dictionary.
GOLDEN_NAMES = "760681d791cb624e1bf7a2e802a68933dd17aa5e3109fcf498d9dfa521bc10d7"


def fill(network):
    """Set every tensor by a formula of its place in the alphabet, so that no random generator is involved."""
    for place, (name, tensor) in enumerate(sorted(network.state_dict().items())):
        if not tensor.is_floating_point():
            continue
        steps = torch.arange(tensor.numel(), dtype=torch.float64)
        wave = torch.sin(steps * (1 + place / 7) ** 0.5 * 1.7 + place).reshape(tensor.shape)
        if name.endswith(("running_var", "bn.weight")):
            tensor.copy_(1 + 0.3 * wave)
        elif tensor.ndim > 1:
            tensor.copy_(wave * (4 / tensor[0].numel()) ** 0.5)
        else:
            tensor.copy_(0.2 * wave)
    return network.eval().requires_grad_(False)


def picture():
    rows, columns = torch.arange(64)[:, None], torch.arange(80)[None]
    waves = ((0.2, 0.1), (0.05, 0.3), (0.15, -0.2))
    return torch.stack([0.5 + 0.5 * torch.sin(rows * a + columns * b) for a, b in waves])[None]


@pytest.fixture(scope="module")
def network():
    return fill(Inception())


@pytest.fixture(scope="module")
def features(network):
    return network(picture())


@pytest.fixture(scope="module")
def weights_file(network, tmp_path_factory):
    path = tmp_path_factory.mktemp("inception") / "weights.pth"
    torch.save(network.state_dict(), path)
    return path


def trust(monkeypatch, path):
    monkeypatch.setattr(inception, "SHA256", hashlib.sha256(path.read_bytes()).hexdigest())


def test_names_and_shapes_are_torchvisions(network):
    tensors = network.state_dict()
    lines = "\n".join(f"{name} {tuple(tensor.shape)}" for name, tensor in sorted(tensors.items()))
    assert hashlib.sha256(lines.encode()).hexdigest() == GOLDEN_NAMES
    assert len(tensors) == 566  # of pytorch-fid's file: 94 convolutions of 6 tensors, and the classifier's 2
    assert tensors["Mixed_7c.branch3x3dbl_3b.conv.weight"].shape == (384, 384, 3, 1)
    # Of torchvision's documented 27,161,264, less its auxiliary classifier's 3,326,696 and its 1000-class layer.
    count = sum(parameter.numel() for parameter in network.parameters())
    assert count == 27_161_264 - 3_326_696 - (2048 * 1000 + 1000) + (2048 * 1008 + 1008)


def test_features_are_those_of_torchvisions_network_with_pytorch_fids_pooling(features):
    assert features.shape == (1, 2048)
    assert features.dtype == torch.float32
    assert features.double().mean().item() == pytest.approx(GOLDEN_MEAN, rel=1e-4)
    assert features.double().std().item() == pytest.approx(GOLDEN_DEVIATION, rel=1e-4)
    assert features[0, ::227].tolist() == pytest.approx(GOLDEN_EVERY_227TH, abs=2e-5)


def test_images_are_resized_by_pixel_centres_and_scaled(network):
    # Two columns of 0 and 1: output column x lies at (x + 1/2) 2/299 - 1/2 between them, held at the edges.
    seen = []
    hook = network.Conv2d_1a_3x3.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    network(torch.tensor([0.0, 1.0]).expand(1, 3, 5, 2))
    hook.remove()
    place = ((torch.arange(299) + 0.5) * 2 / 299 - 0.5).clamp(0, 1)
    assert torch.allclose(seen[0], (place * 2 - 1).expand(1, 3, 299, 299), atol=1e-5)


@pytest.mark.parametrize("block", ["5b", "5c", "5d", "6b", "6c", "6d", "6e", "7b"])
def test_averages_leave_the_padding_out(network, block):
    pooling = network.get_submodule(f"Mixed_{block}.branch_pool_pooling")
    ramp = torch.arange(9.0).reshape(1, 1, 3, 3)
    # A corner is the mean of 4 values, an edge of 6, the centre of 9.
    assert pooling(ramp).flatten().tolist() == [2, 2.5, 3, 3.5, 4, 4.5, 5, 5.5, 6]


def test_the_last_block_takes_the_maximum(network):
    pooling = network.Mixed_7c.branch_pool_pooling
    ramp = torch.arange(9.0).reshape(1, 1, 3, 3)
    assert pooling(ramp).flatten().tolist() == [4, 5, 5, 7, 8, 8, 7, 8, 8]


def test_a_file_loads_and_is_frozen(weights_file, features, monkeypatch):
    trust(monkeypatch, weights_file)
    loaded = load_inception(weights_file)
    assert not loaded.training
    assert not any(parameter.requires_grad for parameter in loaded.parameters())
    assert torch.equal(loaded(picture()), features)


@pytest.mark.parametrize("given", ["path", "environment"])
def test_the_extractor_takes_a_path_or_the_environment(weights_file, features, monkeypatch, given):
    trust(monkeypatch, weights_file)
    if given == "environment":
        monkeypatch.setenv("SKETCHLOSS_INCEPTION", str(weights_file))
    extractor = inception_extractor(weights_file if given == "path" else None)
    assert extractor.name == FID_INCEPTION
    rows = embed_images(extractor, [picture(), torch.rand(1, 1, 5, 7)])
    assert rows.shape == (2, 2048)
    assert torch.equal(rows[:1], features)


def test_without_a_file_the_error_says_where_to_fetch_it(monkeypatch):
    monkeypatch.delenv("SKETCHLOSS_INCEPTION", raising=False)
    with pytest.raises(ValueError, match=r"fetch https://github.com/mseitzer/.*6726825d\.pth, .*SKETCHLOSS_INCEPTION"):
        inception_extractor()


def test_another_file_is_refused_by_its_checksum(tmp_path):
    path = tmp_path / "weights.pth"
    path.write_bytes(b"abc")
    # The SHA-256 of "abc" is FIPS 180-2's first example; the file's own name carries the beginning of the expected.
    with pytest.raises(
        ValueError, match=r"ba7816bf8f01cfea.* is 6726825d[0-9a-f]{56}: fetch it again from https"
    ) as error:
        load_inception(path)
    assert "\n" not in str(error.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"absent\.pth is no file: fetch .* from https"):
        load_inception(tmp_path / "absent.pth")
    with pytest.raises(FileNotFoundError, match="is no file"):
        load_inception(tmp_path)


def test_code_in_a_file_is_refused_even_if_the_checksum_fits(tmp_path, monkeypatch):
    path = tmp_path / "weights.pth"
    torch.save({"fc.bias": math.sqrt}, path)
    trust(monkeypatch, path)
    with pytest.raises(ValueError, match="which may be code: refused"):
        load_inception(path)


def test_tensors_of_another_network_are_refused(tmp_path, monkeypatch):
    path = tmp_path / "weights.pth"
    torch.save({"fc.bias": torch.zeros(1008)}, path)
    trust(monkeypatch, path)
    with pytest.raises(ValueError, match=r"does not hold the FID Inception \(.*Missing key.*Conv2d_1a_3x3") as error:
        load_inception(path)
    assert "\n" not in str(error.value)
