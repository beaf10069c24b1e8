"""Oracles: the bytes in the file, the hub's own client and cache layout, and one-line errors that say how to go on."""

import inspect
import json
import os
import pickle
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import save_file

import sketchloss.system.files
from child_process import finished
from pretended_hub import pretended_hub
from sketchloss import SketchLoss, sketch_loss, to_tensor
from sketchloss.data.doodles.kinds import doodle
from sketchloss.networks.attention import AttentionGate
from sketchloss.networks.backbone import Backbone
from sketchloss.networks.vgg import BackboneConfig
from sketchloss.networks.weights import bundled_folder, load_backbone, read_config, read_tensors, save_backbone
from sketchloss.system.files import write_json

DRAWING = torch.ones(1, 3, 64, 64)
#: Of the colours in 0 to 255 that the Visual Geometry Group subtracted.
MEAN = (123.68 / 255, 116.779 / 255, 103.939 / 255)
#: Root mean square of features of one doodle; with the floats that the integers stand for 1.8716, 1.7510, 0.4547.
GOLDEN = [1.87105, 1.75096, 0.45486]
SHA = "0123456789abcdef0123456789abcdef01234567"


def small_backbone(**settings) -> Backbone:
    torch.manual_seed(0)
    return Backbone(width=0.0625, **settings)


@pytest.mark.parametrize("make", [lambda: load_backbone("sketch"), lambda: load_backbone("imagenet"), SketchLoss])
def test_loading_draws_no_random_numbers(make):
    torch.manual_seed(1)
    before = torch.get_rng_state()
    make()
    assert torch.equal(torch.get_rng_state(), before), "a training that adds the loss would see other batches"


def test_what_a_file_does_not_have_is_drawn(saved):
    drawn = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        drawn.append(load_backbone(saved, classes=("a", "b")).state_dict()["classifier.2.weight"])
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> Path:
    """A weights folder; tests only read it."""
    folder = tmp_path_factory.mktemp("weights")
    save_backbone(small_backbone(attention=True), folder)
    return folder


def assert_same_weights(found: Backbone, expected: Backbone, dtype: torch.dtype = torch.float16) -> None:
    theirs = expected.state_dict()
    for name, tensor in found.state_dict().items():
        assert torch.equal(tensor, theirs[name].to(dtype).float()), name


def refusal(kind: type[Exception], weights, **settings) -> str:
    """Return the error's text, after checking that it is one line and names the place."""
    with pytest.raises(kind) as caught:
        load_backbone(weights, **settings)
    text = str(caught.value)
    assert "\n" not in text
    assert str(weights) in text
    return text


# Bundled weights -----------------------------------------------------------------------------------------------------


def test_imagenet_is_26_tensors_in_float32_the_kernels_rounded_to_127_steps_each():
    backbone = load_backbone("imagenet")
    with safe_open(bundled_folder("imagenet") / "model.safetensors", "pt") as file:
        on_disk = {name: file.get_tensor(name).numpy() for name in file.keys()}  # noqa: SIM118 (not a dictionary)
    loaded = backbone.state_dict()
    assert len(loaded) == 26
    assert set(on_disk) == {*loaded, *(f"{name}.scale" for name in loaded if name.endswith("weight"))}
    for name, tensor in loaded.items():
        assert tensor.dtype == torch.float32
        expected = on_disk[name].astype(np.float32)
        if name.endswith("weight"):
            assert on_disk[name].dtype == np.int8
            expected *= on_disk[f"{name}.scale"].astype(np.float32)
        np.testing.assert_array_equal(tensor.numpy(), expected)
    assert not backbone.training
    assert all(weight.requires_grad for weight in backbone.parameters())  # to be tuned further
    assert backbone.load_report is not None
    assert backbone.load_report.new == backbone.load_report.unused == ()
    assert backbone.config == BackboneConfig(attention=False, mean=MEAN, std=(0.229, 0.224, 0.225))
    assert backbone.origin.licence == "CC-BY-4.0"


def test_imagenet_gives_the_features_that_it_gave():
    drawing = to_tensor(doodle("cat", seed=0, style="ink").sketch(96))[None].expand(1, 3, 96, 96)
    with torch.no_grad():
        features = load_backbone("imagenet")(drawing, ("relu1_2", "relu3_3", "relu5_3"))
    found = [features[name].square().mean().sqrt().item() for name in features]
    assert found == pytest.approx(GOLDEN, rel=1e-3)


@pytest.mark.parametrize("ask", [load_backbone, SketchLoss, lambda name: sketch_loss(DRAWING, DRAWING, weights=name)])
def test_the_photo_weights_of_the_past_are_told_by_the_name_that_took_their_place(ask):
    with pytest.raises(ValueError, match=r"'photo' were only in version 0\.1: use 'imagenet'"):
        ask("photo")


# Save and load -------------------------------------------------------------------------------------------------------

OTHER_SETTINGS = {
    "attention": True,
    "downsample": "none",
    "gate_order": "parallel",
    "gate_reduction": 2,
    "gate_kernel": 3,
    "gate_init": "open",
    "classes": ("cat", "Hündin", "家"),
    "head": "vgg",
    "mean": (0.9, 0.8, 0.7),
    "std": (0.3, 0.2, 0.1),
}


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_round_trip_keeps_weights_config_and_answers(tmp_path, dtype):
    backbone = small_backbone(**OTHER_SETTINGS).to(memory_format=torch.channels_last)
    save_backbone(backbone, tmp_path / "new" / "folder", dtype=dtype)
    loaded = load_backbone(tmp_path / "new" / "folder")
    assert loaded.config == backbone.config
    assert loaded.load_report.new == loaded.load_report.unused == ()
    assert_same_weights(loaded, backbone, dtype)
    images = torch.rand(1, 3, 16, 16)
    if dtype == torch.float32:
        torch.testing.assert_close(loaded.classify(images), backbone.eval().classify(images))


@settings(max_examples=20, deadline=None)
@given(
    st.fixed_dictionaries(
        {},
        optional={
            "attention": st.booleans(),
            "downsample": st.sampled_from(["none", "max"]),
            "width": st.floats(0.01, 4),
            "gate_order": st.sampled_from(["channel_spatial", "spatial_channel", "parallel"]),
            "classes": st.lists(st.text(max_size=5), max_size=3).map(tuple),
            "mean": st.tuples(*[st.floats(0, 1)] * 3),
            "std": st.tuples(*[st.floats(0.01, 1)] * 3),
        },
    )
)
def test_every_config_survives_its_file(tmp_path_factory, values):
    config = BackboneConfig(**values)
    with torch.device("meta"):
        description = Backbone(config).describe()
    path = tmp_path_factory.mktemp("config") / "config.json"
    write_json(path, {"format": "sketchloss backbone", **description})
    assert read_config(path) == config


def test_settings_given_override_the_file_and_the_rest_is_reported(saved):
    backbone = load_backbone(saved, attention=False, classes=("cat",))
    assert not backbone.config.attention
    assert set(backbone.load_report.new) == {"classifier.2.weight", "classifier.2.bias"}
    assert len(backbone.load_report.unused) == 12
    assert all(name.startswith(("features.4.", "features.9.")) for name in backbone.load_report.unused)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), 1e6])
def test_weights_that_are_not_finite_on_disk_are_refused(tmp_path, bad):
    backbone = small_backbone()
    save_backbone(backbone, tmp_path / "earlier")
    before = (tmp_path / "earlier" / "model.safetensors").read_bytes()
    with torch.no_grad():
        backbone.features[5].bias[0] = bad  # 1e6 is finite, but no float16
    for folder in ("earlier", "new"):
        with pytest.raises(ValueError, match=r"1 tensors are not finite in torch.float16, first features.5.bias"):
            save_backbone(backbone, tmp_path / folder)
    assert (tmp_path / "earlier" / "model.safetensors").read_bytes() == before
    assert not (tmp_path / "new").exists()
    if bad == 1e6:
        save_backbone(backbone, tmp_path / "new", dtype=torch.float32)
        assert load_backbone(tmp_path / "new").features[5].bias[0] == 1e6


def test_saving_a_frozen_backbone_is_refused(tmp_path):
    # Its weights are buffers that no state dictionary holds: the file would be empty.
    loss = sketchloss.SketchLoss(small_backbone(), layers=("relu1_2",))
    with pytest.raises(ValueError, match="this backbone is frozen"):
        save_backbone(loss.backbone, tmp_path / "frozen")
    assert not (tmp_path / "frozen").exists()


def test_a_save_that_fails_midway_leaves_the_earlier_weights(tmp_path, monkeypatch):
    save_backbone(small_backbone(), tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def disk_full(tensors, path, metadata):
        Path(path).write_bytes(before["model.safetensors"][:1000])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(sketchloss.system.files, "save_file", disk_full)
    with pytest.raises(OSError, match="No space left"):
        save_backbone(small_backbone(attention=True), tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


# Where weights are found ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [str, Path])
def test_a_folder_a_run_folder_and_a_file_are_all_taken(saved, tmp_path, monkeypatch, kind):
    run = tmp_path / "runs" / "first"
    run.mkdir(parents=True)
    (run / "config.json").write_text('{"data": "doodles", "epochs": 2}')  # the recipe's, not the backbone's
    (run / "best").symlink_to(saved)
    monkeypatch.chdir(tmp_path)
    for place in (saved, saved / "model.safetensors", run, "runs/first"):
        assert_same_weights(load_backbone(kind(place)), small_backbone(attention=True))


def test_an_unknown_name_lists_the_choices():
    text = refusal(ValueError, "skech")
    assert all(name in text for name in ("sketch", "imagenet", "a path", "hub"))


@pytest.mark.parametrize(
    "path", ["/nowhere/model.safetensors", "nowhere/model.safetensors", "nowhere/vgg16.pth", "a/b/c", "/nowhere/run"]
)
def test_a_missing_path_is_named_not_looked_for_on_the_hub(path):
    assert "does not exist" in refusal(FileNotFoundError, path)


def test_an_unfinished_run_and_an_empty_folder_say_so(tmp_path):
    assert "is the run done?" in refusal(FileNotFoundError, tmp_path)


def test_unknown_settings_list_the_known_ones():
    with pytest.raises(ValueError, match=r"unknown backbone setting 'atention': choose from attention, classes"):
        load_backbone("imagenet", atention=True)


# The hub -------------------------------------------------------------------------------------------------------------


def run_python(code: str, **environment: str) -> dict:
    """Run code in a new interpreter, since the hub's client reads its settings at import; it prints JSON."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    environment = {**inherited, **environment, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(code)]
    done = finished(command, check=True, seconds=300, env=environment)
    return json.loads(done.stdout.splitlines()[-1])


def test_torchvisions_weights_come_from_the_users_cache_without_a_network(tmp_path):
    snapshot = tmp_path / "hub" / "models--timm--vgg16.tv_in1k" / "snapshots" / SHA
    snapshot.mkdir(parents=True)
    (snapshot.parents[1] / "refs").mkdir()
    (snapshot.parents[1] / "refs" / "main").write_text(SHA)
    tensors = {name: tensor.half() for name, tensor in load_backbone("imagenet").state_dict().items()}
    tensors["features.0.bias"] = torch.arange(64).half()
    # timm's names for VGG's three linear layers.
    classifier = [
        f"{layer}.{kind}" for layer in ("pre_logits.fc1", "pre_logits.fc2", "head.fc") for kind in ("weight", "bias")
    ]
    save_file(tensors | {name: torch.zeros(2) for name in classifier}, snapshot / "model.safetensors")
    found = run_python(
        """
        import json
        from sketchloss import load_backbone
        backbone = load_backbone("timm/vgg16.tv_in1k", attention=True)
        report = backbone.load_report
        print(json.dumps([backbone.features[0].bias.tolist(), sorted(report.unused), len(report.new)]))
        """,
        HF_HOME=str(tmp_path),
        HF_HUB_OFFLINE="1",
    )
    assert found == [list(map(float, range(64))), sorted(classifier), 12]


def test_without_network_or_cache_the_error_says_how_to_get_the_file_and_where_to_put_it():
    # The tests' own environment is offline, with an empty cache.
    with pytest.raises(FileNotFoundError) as caught:
        load_backbone("timm/vgg16.tv_in1k")
    text = str(caught.value)
    assert "\n" not in text
    for needed in (
        "model.safetensors of timm/vgg16.tv_in1k",
        "the hub cannot be reached",
        "`hf download timm/vgg16.tv_in1k model.safetensors`",
        "give its path in place of",
        "HF_HOME",
    ):
        assert needed in text
    assert "could not fetch" in refusal(FileNotFoundError, "timm/vgg16.tv_in1k")  # a repo, though its name has a dot


def test_a_hub_repo_is_fetched_with_its_config_and_refusals_are_one_line(saved, tmp_path):
    ours, plain = (saved / "model.safetensors").read_bytes(), tmp_path / "plain.safetensors"
    save_file(small_backbone().state_dict(), plain)
    with pretended_hub() as hub:
        hub.files = {
            "/someone/gated-vgg.v1/resolve/main/model.safetensors": ours,
            "/someone/gated-vgg.v1/resolve/main/config.json": (saved / "config.json").read_bytes(),
            "/someone/plain/resolve/main/model.safetensors": plain.read_bytes(),
        }
        found = run_python(
            """
            import json
            from sketchloss import load_backbone
            ours = load_backbone("someone/gated-vgg.v1")
            plain = load_backbone("someone/plain", width=0.0625)
            texts = []
            for repo in ("private/repo", "someone/empty"):
                try:
                    load_backbone(repo)
                except FileNotFoundError as error:
                    texts.append(str(error))
            sums = [backbone.features[28].weight.double().sum().item() for backbone in (ours, plain)]
            print(json.dumps([ours.config.attention, plain.config.attention, sums, texts]))
            """,
            **hub.environment(tmp_path / "home"),
        )
    attention, plain_attention, sums, (private, empty) = found
    assert (attention, plain_attention) == (True, False)
    expected = small_backbone().features[28].weight.double()
    assert sums[1] == pytest.approx(expected.sum().item())
    assert sums[0] == pytest.approx(load_backbone(saved).features[28].weight.double().sum().item())
    assert "\n" not in private + empty
    assert "private/repo" in private
    assert "Repository Not Found" in private
    assert "the repo has no such file" in empty
    assert "/someone/plain/resolve/main/config.json" in hub.asked


# Files that are not what they should be ------------------------------------------------------------------------------


def safetensors_file(path: Path, kind: str) -> str:
    """Write a file of some kind and return what the error must say of it."""
    whole = bytes((bundled_folder("imagenet") / "model.safetensors").read_bytes()[:200_000])
    if kind == "truncated":
        path.write_bytes(whole)
        return "no whole safetensors file"
    if kind == "empty":
        path.write_bytes(b"")
        return "no whole safetensors file"
    if kind == "text":
        path.write_text("<!DOCTYPE html>\n<html>\n<p>404: no such page\n</html>\n" * 20)
        return "no whole safetensors file"
    if kind == "pickle":
        path.write_bytes(pickle.dumps({"features.0.weight": [1.0]}))
        return "no whole safetensors file"
    if kind == "foreign":
        save_file({"bert.embeddings.weight": torch.zeros(4, 4)}, path)
        return "not VGG-16 weights: 26 of 26 tensors missing, first features.0.weight"
    if kind == "wrong shape":
        tensors = small_backbone().state_dict()
        save_file(tensors | {"features.12.bias": torch.zeros(7)}, path)
        return "features.12.bias has shape (7,): this network needs (16,)"
    assert kind == "gates without config"
    save_file(small_backbone(attention=True).state_dict(), path)
    return "has attention gates but no config.json beside it"


@pytest.mark.parametrize(
    "kind", ["truncated", "empty", "text", "pickle", "foreign", "wrong shape", "gates without config"]
)
def test_a_safetensors_file_that_is_none_is_refused_in_one_line(tmp_path, kind):
    path = tmp_path / "weights.safetensors"
    expected = safetensors_file(path, kind)
    assert expected in refusal(ValueError, path, width=0.0625)


class Trap:
    """A pickle that makes a file when it is loaded with code allowed."""

    def __init__(self, place: Path):
        self.place = place

    def __reduce__(self):
        return Path.touch, (self.place,)


def pth_file(path: Path, kind: str) -> str:
    state = small_backbone().state_dict()
    if kind == "truncated":
        torch.save(state, path)
        path.write_bytes(path.read_bytes()[:100_000])
        return "no whole .pth file"
    if kind == "truncated, as of 2017":
        torch.save(state, path, _use_new_zipfile_serialization=False)
        path.write_bytes(path.read_bytes()[:100_000])
        return "no whole .pth file"
    if kind == "empty":
        path.write_bytes(b"")
        return "no whole .pth file"
    if kind == "text":
        path.write_text("hello\n" * 20)
        return "no whole .pth file"
    if kind == "page":
        path.write_text("<!DOCTYPE html>\n<html>\n")
        return "something else than tensors"
    if kind == "module":
        torch.save(torch.nn.Linear(2, 2), path)
        return "save only the state_dict"
    if kind == "checkpoint":
        torch.save({"state_dict": state, "epoch": 3}, path)
        return "no state dictionary of tensors"
    if kind == "foreign":
        torch.save({"conv1.weight": torch.zeros(3)}, path)
        return "not VGG-16 weights"
    assert kind == "wrong shape"
    torch.save(state | {"features.12.bias": torch.zeros(7)}, path)
    return "features.12.bias has shape (7,): this network needs (16,)"


@pytest.mark.parametrize(
    "kind",
    [
        *("truncated", "truncated, as of 2017", "empty", "text", "page"),
        *("module", "checkpoint", "foreign", "wrong shape"),
    ],
)
def test_a_pth_file_that_is_none_is_refused_in_one_line(tmp_path, kind):
    path = tmp_path / "weights.pth"
    expected = pth_file(path, kind)
    assert expected in refusal(ValueError, path, width=0.0625)


@pytest.mark.parametrize("writer", ["pickle", "torch", "torch of 2017"])
def test_code_in_a_pickle_is_never_run(tmp_path, writer):
    path, place = tmp_path / "weights.pth", tmp_path / "trapped"
    content = {"features.0.weight": Trap(place)}
    if writer == "pickle":
        path.write_bytes(pickle.dumps(content))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=writer == "torch")
    assert "may be code: refused" in refusal(ValueError, path)
    assert not place.exists()
    torch.load(path, weights_only=False) if writer != "pickle" else pickle.loads(path.read_bytes())
    assert place.exists()  # the trap works


@pytest.mark.parametrize("zipped", [True, False])
def test_damaged_pth_bytes_never_end_in_another_error(tmp_path, zipped):
    path = tmp_path / "weights.pth"
    torch.save({"features.0.weight": torch.zeros(2, 3, 3, 3)}, path, _use_new_zipfile_serialization=zipped)
    whole, random = path.read_bytes(), np.random.default_rng(0)
    refused = []
    for _ in range(100):
        damaged = bytearray(whole)
        for position in random.integers(0, min(600, len(whole)), 5):
            damaged[position] = random.integers(256)
        path.write_bytes(damaged)
        try:
            read_tensors(path)
        except ValueError as error:
            refused.append(str(error))
    assert len(refused) > 50
    assert not any("\n" in text for text in refused)


@pytest.mark.parametrize("suffix", [".bin", ".pt", ".ckpt", ".onnx", ""])
def test_other_kinds_of_file_are_refused_by_their_suffix(tmp_path, suffix):
    path = tmp_path / f"weights{suffix}"
    path.write_bytes(b"anything")
    assert "neither .safetensors nor .pth" in refusal(ValueError, path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is no JSON"),
        ("", "is no JSON"),
        (b"\xff\xfe\x00", "is no JSON"),
        ('{"format": "sketchloss backbone", "width": "wide"}', r"config.json: width is 'wide': it must be a number"),
        ('{"format": "sketchloss backbone", "mean": null}', "mean is None: it must be a list of 3 numbers"),
        (
            '{"format": "sketchloss backbone", "std": [1, "1", 1]}',
            r"std is \[1, '1', 1\]: it must be",
        ),
        ('{"format": "sketchloss backbone", "std": [1, 1]}', "std is"),
        (
            '{"format": "sketchloss backbone", "attention": true, "gate_order": "both"}',
            "gate_order is 'both'",
        ),
    ],
)
def test_a_broken_config_is_refused_in_one_line(saved, tmp_path, monkeypatch, text, message):
    # The tests check types in signatures; users do not, so our own checks must do.
    for kind in (AttentionGate, BackboneConfig, Backbone):
        monkeypatch.setattr(kind, "__init__", inspect.unwrap(kind.__init__))
    (tmp_path / "model.safetensors").symlink_to(saved / "model.safetensors")
    (tmp_path / "config.json").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ValueError, match=message) as caught:
        load_backbone(tmp_path)
    assert "\n" not in str(caught.value)
    assert str(tmp_path) in str(caught.value)


@pytest.mark.parametrize("text", ['{"architecture": "vgg16", "width": 7}', "{}", '{"format": "other"}'])
def test_another_programs_config_is_passed_over(tmp_path, text):
    save_file(small_backbone().state_dict(), tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(text)
    assert load_backbone(tmp_path, width=0.0625).config == BackboneConfig(width=0.0625)


def test_what_a_newer_version_added_to_the_config_is_passed_over(saved, tmp_path):
    (tmp_path / "model.safetensors").symlink_to(saved / "model.safetensors")
    config = json.loads((saved / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"mood": "good"}))
    assert_same_weights(load_backbone(tmp_path), small_backbone(attention=True))


def test_saved_files_can_be_read_by_whoever_may_read_new_files(tmp_path):
    (tmp_path / "plain").touch()
    save_backbone(Backbone(width=0.125), tmp_path / "saved")
    modes = {path.stat().st_mode for path in (tmp_path / "saved").iterdir()}
    assert modes == {(tmp_path / "plain").stat().st_mode}
