"""Features kept on disk. Oracle: the backbone asked directly, image by image, and which files are there."""

import json
import os
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from child_process import forked
from sketchloss import Backbone
from sketchloss.data.loading import hold_if_small
from sketchloss.data.sources import Sketches, open_sketches
from sketchloss.metrics.features import STALE_SECONDS, cache_folder, cached_features, pixels_digest
from sketchloss.networks.weights import weights_digest

# What a process of its own runs: features of doodles, slowly, so that it can be killed in the middle.
SLOW = """
import sys, time
import torch
from sketchloss import Backbone
from sketchloss.data.sources import open_sketches
from sketchloss.metrics.features import cached_features
torch.manual_seed(0)
backbone = Backbone(width=0.1).eval()
backbone.register_forward_hook(lambda *_: time.sleep(0.2))
print("ready", flush=True)
cached_features(backbone, open_sketches("doodles", 32, per_class=2), folder=sys.argv[1], batch_size=4, workers=0)
"""


@pytest.fixture
def backbone() -> Backbone:
    torch.manual_seed(0)
    return Backbone(width=0.1).eval()


@pytest.fixture(scope="module")
def sketches() -> Sketches:
    return open_sketches("doodles", 32, per_class=2).select(range(20))


def directly(backbone: Backbone, sketches: Sketches, layer: str) -> list[torch.Tensor]:
    with torch.inference_mode():
        return [backbone(sketches[i]["image"][None].float() / 255, (layer,))[layer][0] for i in range(len(sketches))]


def on_grid(one: torch.Tensor, grid: int) -> torch.Tensor:
    """Average a map onto fewer positions by hand: cells overlap where its side is no multiple."""
    side = one.shape[1]
    count = min(grid, side)
    cells = [(cell * side // count, -(-(cell + 1) * side // count)) for cell in range(count)]
    return torch.stack([one[:, a:b, c:d].mean((1, 2)) for a, b in cells for c, d in cells], dim=1).flatten()


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob("[!.]*.npy"))


@pytest.mark.parametrize(("layer", "grid"), [("relu5_3", 1), ("pool4", 7), ("relu3_3", 3)])
def test_features_are_those_of_each_sketch_in_order(backbone, sketches, tmp_path, layer, grid):
    found = cached_features(backbone, sketches, layer=layer, grid=grid, folder=tmp_path, batch_size=16, workers=0)
    maps = directly(backbone, sketches, layer)
    expected = torch.stack([on_grid(one, grid) for one in maps])
    assert found.shape == expected.shape
    torch.testing.assert_close(torch.from_numpy(found.copy()).float(), expected, rtol=2e-3, atol=1e-3)
    assert not found.flags.writeable
    assert isinstance(found, np.memmap)


def test_the_second_time_nothing_is_evaluated(backbone, sketches, tmp_path):
    first = cached_features(backbone, sketches, folder=tmp_path, workers=0)

    def refuse(*_):
        raise AssertionError("evaluated again")

    backbone.register_forward_pre_hook(refuse)
    # Held in memory or decoded anew, they are the same pixels.
    np.testing.assert_array_equal(cached_features(backbone, hold_if_small(sketches), folder=tmp_path), first)
    with pytest.raises(AssertionError, match="evaluated again"):
        cached_features(backbone, sketches, layer="relu4_3", folder=tmp_path, workers=0)


def test_other_weights_pixels_order_or_transform_never_meet_the_same_file(backbone, sketches, tmp_path):
    def count(backbone=backbone, sketches=sketches, **settings) -> int:
        cached_features(backbone, sketches, folder=tmp_path, workers=0, **settings)
        return len(files(tmp_path))

    assert count() == 1
    assert count(layer="relu5_2") == 2
    assert count(grid=2) == 3
    assert count(precision="bf16") == 4
    assert count(sketches=sketches.with_size(33)) == 5
    assert count(sketches=sketches.select(range(len(sketches))[::-1])) == 6

    def with_one_byte_more(row, size, width):
        picture = sketches.paint(row, size, width).convert("RGB")
        if row["seed"] == 1 and row["kind"] == sketches.classes[3]:
            red, green, blue = picture.getpixel((5, 7))
            picture.putpixel((5, 7), (red, green, blue ^ 1))
        return picture

    assert count(sketches=replace(sketches, paint=with_one_byte_more)) == 7
    with torch.no_grad():
        backbone.features[0].weight[0, 0, 0, 0] += 1e-7
    assert count() == 8
    torch.manual_seed(0)
    same = Backbone(width=0.1, mean=(0.5, 0.4, 0.4)).eval()
    same.features.load_state_dict(backbone.features.state_dict())
    assert count(backbone=same) == 9, "the same tensors, but another normalisation"
    assert count() == 9


def test_classifier_and_frozen_copies_do_not_matter_to_the_digest(backbone):
    from sketchloss.networks.backbone import freeze

    torch.manual_seed(0)
    tuned = Backbone(width=0.1, classes=("a", "b")).eval()
    tuned.features.load_state_dict(backbone.features.state_dict())
    assert weights_digest(tuned) == weights_digest(backbone)
    digest = weights_digest(backbone)
    assert weights_digest(freeze(backbone)) == digest


@pytest.mark.parametrize("moment", [0.1, 0.7, 1.6])
def test_a_killed_process_leaves_nothing_that_is_read(backbone, sketches, tmp_path, moment):
    with forked(SLOW, tmp_path) as child:
        child.wait_until(lambda: child.said() == "ready\n")
        time.sleep(moment)
        child.kill()
    assert not files(tmp_path), "it should have been killed before its end"
    found = cached_features(backbone, sketches, folder=tmp_path, workers=0)
    expected = torch.stack([one.mean((1, 2)) for one in directly(backbone, sketches, "relu5_3")])
    torch.testing.assert_close(torch.from_numpy(found.copy()).float(), expected, rtol=2e-3, atol=1e-3)


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-1], lambda data: data[:40], lambda _: b"", lambda _: b"PK\3\4no"]
)
def test_a_damaged_file_is_computed_anew(backbone, sketches, tmp_path, damage):
    first = cached_features(backbone, sketches, folder=tmp_path, workers=0).copy()
    (path,) = files(tmp_path)
    whole = path.read_bytes()
    path.unlink()  # a new file: the old one is still mapped
    path.write_bytes(damage(whole))
    np.testing.assert_array_equal(cached_features(backbone, sketches, folder=tmp_path, workers=0), first)
    assert path.read_bytes() == whole


def test_what_killed_runs_left_is_removed_a_day_later(backbone, sketches, tmp_path):
    left = f".{'a' * 32}.{'1' * 16}.npy"
    old, new, foreign = tmp_path / left, tmp_path / left.replace("1", "2"), tmp_path / ".mine.npy"
    for path in (old, new, foreign):
        path.write_bytes(b"half")
    for path in (old, foreign):
        os.utime(path, (time.time() - STALE_SECONDS - 60,) * 2)
    cached_features(backbone, sketches, folder=tmp_path, workers=0)
    assert not old.exists()
    assert new.exists()
    assert foreign.exists(), "somebody else's"


def test_features_beyond_float16_are_refused_and_leave_nothing(backbone, sketches, tmp_path):
    with torch.no_grad():
        backbone.features[0].weight *= 1e9
    with pytest.raises(ValueError, match="which float16 cannot hold"):
        cached_features(backbone, sketches, folder=tmp_path, workers=0)
    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_an_error_that_names_the_folder(tmp_path):
    code = "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))" + SLOW.replace("0.2", "0")
    with forked(code, tmp_path, seconds=240) as child:
        assert child.exit_code() == 1
        assert f"File too large: '{tmp_path}'" in child.complaints().splitlines()[-1]
    assert not list(tmp_path.iterdir())


def test_a_note_beside_each_file_says_what_it_is(backbone, sketches, tmp_path):
    cached_features(backbone, sketches, folder=tmp_path, workers=0, name="original")
    (note,) = tmp_path.glob("*.json")
    said = json.loads(note.read_text())
    assert (said["sketches"], said["layer"], said["name"]) == (len(sketches), "relu5_3", "original")
    assert said["pixels"] == pixels_digest(sketches, workers=0)


def test_the_folder_is_the_users_to_choose(monkeypatch):
    monkeypatch.setenv("SKETCHLOSS_CACHE", "/somewhere")
    assert cache_folder() == Path("/somewhere/features")
    monkeypatch.delenv("SKETCHLOSS_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/elsewhere")
    assert cache_folder() == Path("/elsewhere/sketchloss/features")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path.home() / ".cache" / "sketchloss" / "features"


def test_weights_of_another_precision_have_a_file_of_their_own(backbone, sketches, tmp_path):
    cached_features(backbone.half().float(), sketches, folder=tmp_path, workers=0)
    assert len(files(tmp_path)) == 1
    cached_features(backbone.double(), replace(sketches, image_size=32), folder=tmp_path, workers=0)
    assert len(files(tmp_path)) == 2


def test_sketches_changed_meanwhile_are_not_kept_under_the_old_name(backbone, sketches, tmp_path):
    painted = []

    def changing(row, size, width):
        painted.append(row)
        picture = sketches.paint(row, size, width)
        return picture.point(lambda _: 0) if len(painted) == len(sketches) + 3 else picture

    with pytest.raises(ValueError, match="changed while their features were computed: run this again"):
        cached_features(backbone, replace(sketches, paint=changing), folder=tmp_path, workers=0)
    assert not list(tmp_path.iterdir())


def test_a_file_in_the_place_of_the_folder_is_left_alone(backbone, sketches, tmp_path):
    (tmp_path / "notes").write_text("precious")
    with pytest.raises(ValueError, match="notes is a file: give a folder to keep features in"):
        cached_features(backbone, sketches, folder=tmp_path / "notes", workers=0)
    assert (tmp_path / "notes").read_text() == "precious"
