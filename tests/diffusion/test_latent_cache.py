"""Latents of a set. Oracles: diffusers' own encoding, picture by picture, and the files that are left."""

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from sketchloss.data.captions.captioned import Captioned, open_captioned
from sketchloss.diffusion import latent_cache as module
from sketchloss.diffusion.latent_cache import encode_pictures, tensors_digest
from sketchloss.diffusion.pipeline import build_tiny


@pytest.fixture(scope="module")
def autoencoder():
    torch.manual_seed(0)
    return build_tiny(["a cat"], image_size=16).vae


@pytest.fixture
def pictures(tmp_path) -> Captioned:
    rng = np.random.default_rng(0)
    for index in range(5):
        folder = tmp_path / "data" / "ab"[index % 2]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (16, 16, 3), dtype=np.uint8)).save(folder / f"{index}.png")
    return open_captioned(tmp_path / "data", 16)


def test_latents_are_those_of_each_picture_and_its_mirror_image(autoencoder, pictures):
    found = encode_pictures(autoencoder, pictures, batch_size=2, workers=0)
    assert found.mean.dtype == found.deviation.dtype == torch.float16
    for index in range(5):
        image = torch.from_numpy(np.array(pictures.picture(index))).permute(2, 0, 1)[None] / 127.5 - 1
        for view, seen in enumerate((image, image.flip(3))):
            with torch.no_grad():
                wanted = autoencoder.encode(seen).latent_dist
            torch.testing.assert_close(found.mean[view, index].float(), wanted.mean[0], rtol=2e-3, atol=2e-3)
            torch.testing.assert_close(found.deviation[view, index].float(), wanted.std[0], rtol=2e-3, atol=2e-3)


def test_what_was_kept_is_not_computed_again(autoencoder, pictures, tmp_path, monkeypatch):
    first = encode_pictures(autoencoder, pictures, folder=tmp_path / "cache", workers=0)
    monkeypatch.setattr(module, "encode_both_views", lambda *_: pytest.fail("computed again"))
    second = encode_pictures(autoencoder, pictures, folder=tmp_path / "cache", workers=0)
    assert torch.equal(first.mean, second.mean)
    assert torch.equal(first.deviation, second.deviation)


def test_other_pixels_and_other_weights_have_files_of_their_own(autoencoder, pictures, tmp_path):
    cache = tmp_path / "cache"
    encode_pictures(autoencoder, pictures, folder=cache, workers=0)
    encode_pictures(autoencoder, pictures.select([1, 0, 2, 3, 4]), folder=cache, workers=0)
    torch.manual_seed(1)
    encode_pictures(build_tiny(["a cat"], image_size=16).vae, pictures, folder=cache, workers=0)
    assert len(list(cache.iterdir())) == 3


@pytest.mark.parametrize("damage", ["cut", "foreign", "short"])
def test_a_damaged_file_is_made_anew(autoencoder, pictures, tmp_path, damage):
    cache = tmp_path / "cache"
    first = encode_pictures(autoencoder, pictures, folder=cache, workers=0)
    (file,) = cache.iterdir()
    if damage == "cut":
        file.write_bytes(file.read_bytes()[:100])
    elif damage == "foreign":
        save_file({"other": torch.ones(1)}, file)
    else:
        save_file({name: tensor[:, :3].contiguous() for name, tensor in load_file(file).items()}, file)
    second = encode_pictures(autoencoder, pictures, folder=cache, workers=0)
    assert torch.equal(first.mean, second.mean)


def test_a_file_in_the_folders_place_is_refused(autoencoder, pictures, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="file is a file: give a folder to keep latents in"):
        encode_pictures(autoencoder, pictures, folder=tmp_path / "file", workers=0)


def test_latents_that_are_no_numbers_are_refused(pictures):
    broken = build_tiny(["a cat"], image_size=16).vae
    broken.encoder.conv_in.weight.data.fill_(float("inf"))
    with pytest.raises(ValueError, match="latents are not finite: use --precision bf16 or no"):
        encode_pictures(broken, pictures, workers=0)


def test_a_digest_tells_names_types_shapes_and_values_apart():
    tensors = {"a": torch.zeros(2, 3), "b": torch.ones(2)}
    others = [
        {"a": torch.zeros(2, 3), "c": torch.ones(2)},
        {"a": torch.zeros(3, 2), "b": torch.ones(2)},
        {"a": torch.zeros(2, 3, dtype=torch.int32), "b": torch.ones(2)},
        {"a": torch.zeros(2, 3), "b": torch.tensor([1, 1.0000001])},
    ]
    assert tensors_digest(dict(reversed(tensors.items()))) == tensors_digest(tensors)
    assert len({tensors_digest(each) for each in [tensors, *others]}) == 5
    assert tensors_digest({"a": torch.zeros(3, dtype=torch.bfloat16)}) != tensors_digest({"a": torch.zeros(3).half()})
