"""Training a photo-to-sketch network on a few small doodles, mostly with a backbone an eighth as wide.

Oracles: the unbroken run, the loss computed anew, and files and counts worked out by hand.
"""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from child_process import forked
from sketchloss import Backbone, load_backbone, save_backbone
from sketchloss.cli import main
from sketchloss.data.doodles.kinds import KINDS, doodle
from sketchloss.data.photos import open_photos, open_style
from sketchloss.experiments.style import transfer as module
from sketchloss.experiments.style.transfer import style_transfer
from sketchloss.experiments.style.transfer_settings import PRESETS, StyleTransfer
from sketchloss.loss.balance import Balance, gradient_norms
from sketchloss.loss.loss import PAPER_LAYERS
from sketchloss.loss.style_loss import StyleTransferLoss
from sketchloss.networks.stylizer import StylizerConfig, load_stylizer
from sketchloss.system.images import fill_square, open_picture, to_tensor
from sketchloss.training.guards import TrainingStopped

TERMS = ("content", *(f"style_{name}" for name in PAPER_LAYERS), "total_variation")


pytestmark = pytest.mark.usefixtures("fresh_accelerate")


@pytest.fixture(scope="module")
def painted(tmp_path_factory) -> Path:
    """Fourteen photos and nine sketches, more than one batch, to be copied."""
    place = tmp_path_factory.mktemp("painted")
    for name, count in (("photos", 14), ("sketches", 9)):
        (place / name).mkdir()
        for index in range(count):
            drawing = doodle(KINDS[index], 0 if name == "photos" else 1)
            picture = drawing.photo(40) if name == "photos" else drawing.sketch(40)
            picture.save(place / name / f"{index:02}.png")
    return place


@pytest.fixture
def photos(painted, tmp_path) -> Path:
    """Fourteen photos, as files."""
    return shutil.copytree(painted / "photos", tmp_path / "photos")


@pytest.fixture
def sketches(painted, tmp_path) -> Path:
    """Nine sketches, as files."""
    return shutil.copytree(painted / "sketches", tmp_path / "sketches")


@pytest.fixture
def config(narrow, photos, sketches, tmp_path) -> StyleTransfer:
    return StyleTransfer(
        content=str(photos),
        style=str(sketches),
        out=tmp_path / "run",
        arm="original",
        photo=narrow,
        image_size=32,
        width=0.25,
        blocks=1,
        steps=4,
        shown=2,  # of 14 photos twelve are left: three batches an epoch
        precision="no",
        workers=0,
        log_every=1,
    )


def lines(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def same_weights(one: Path, other: Path) -> bool:
    a, b = load_file(one / "model.safetensors"), load_file(other / "model.safetensors")
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def tensors(pictures) -> torch.Tensor:
    return torch.stack([to_tensor(pictures.picture(index)) for index in range(len(pictures))])


# What a run makes ----------------------------------------------------------------------------------------------------


def test_a_run_folder_holds_what_it_should(config, capsys):
    result = style_transfer(replace(config, steps=5, sample_every=2, checkpoint_every=3, log_every=2, channels=1))
    out = config.out
    assert {path.name for path in out.iterdir()} == {
        *("config.json", "data.json", "metrics.jsonl", "result.json", "tensorboard"),
        *("checkpoints", "model", "samples", "before_after.png"),
    }
    assert json.loads((out / "result.json").read_text()) == result
    assert (result["photos"], result["sketches"], result["steps"]) == (12, 9, 5)
    assert result["model"] == str(out / "model")
    assert "12 photos" in capsys.readouterr().out
    assert load_stylizer(out).config == StylizerConfig(
        **{"width": 0.25, "blocks": 1, "channels": 1, "arm": "original", "image_size": 32, "steps": 5},
        **{"content": Path(config.content).name, "style": Path(config.style).name},
    )
    assert sorted(path.name for path in (out / "samples").iterdir()) == [f"step_00000{step}.png" for step in (2, 4, 5)]
    assert (out / "before_after.png").read_bytes() == (out / "samples" / "step_000005.png").read_bytes()
    assert list((out / "tensorboard").glob("events*"))
    assert json.loads((out / "checkpoints" / "last" / "position.json").read_text())["step"] == 5
    assert not list(out.rglob("*.partial"))

    logged = lines(out)
    assert [line["step"] for line in logged if "loss" in line] == [2, 4, 5]
    assert [line["step"] for line in logged if "loss" not in line] == [2, 4, 5]
    for line in logged:
        if "loss" in line:
            factors = [f"factor_{name}" for name in TERMS]
            assert list(line) == ["step", "learning_rate", "images_per_second", "loss", *TERMS, *factors]
            weighed = sum(line[f"factor_{name}"] * line[name] for name in TERMS)
            assert line["loss"] == pytest.approx(weighed, rel=1e-5)
            assert line["learning_rate"] == pytest.approx(1e-3 * (1 + np.cos(np.pi * line["step"] / 5)) / 2)
        else:
            assert list(line) == ["step", *(f"validation_{name}" for name in TERMS)]


def test_the_last_terms_are_those_of_the_saved_network_on_the_photos_shown(config, narrow, tmp_path):
    shown = tmp_path / "shown"
    shown.mkdir()
    for index in range(3):
        doodle(KINDS[20 + index], 5).photo(48).save(shown / f"{index}.png")
    result = style_transfer(replace(config, validation=str(shown), shown=3))
    assert result["photos"] == 14, "none is kept back"
    loss = StyleTransferLoss(narrow, metric="l2")
    loss.set_style([tensors(open_style(config.style, 32))])
    pictures = tensors(open_photos(shown, 32))
    with torch.no_grad():
        terms = loss(load_stylizer(config.out)(pictures), pictures)
    assert result["terms"] == pytest.approx({name: value.item() for name, value in terms.items()}, rel=1e-3)


def test_the_factors_give_the_stated_ratio_at_the_start(config, narrow):
    # All photos are in one batch, so that their order does not matter.
    config = replace(config, batch_size=12, steps=1, seed=3, content_weight=2.0, style_weight=8.0)
    style_transfer(replace(config, lr=1e-30))
    loss = StyleTransferLoss(narrow)
    loss.set_style([tensors(open_style(config.style, 32))])
    kept = np.sort(np.random.default_rng(3).permutation(14)[2:])
    pictures = tensors(open_photos(config.content, 32).select(kept))
    drawn = load_stylizer(config.out)(pictures)
    norms = gradient_norms(loss(drawn, pictures), drawn, TERMS)
    factors = lines(config.out)[0]
    pulls = [factors[f"factor_{name}"] * norms[name] for name in TERMS]
    assert pulls == pytest.approx([weight / 10.3 for weight in (2.0, 2.0, 2.0, 2.0, 2.0, 0.3)], rel=2e-3)


def test_running_factors_change_when_they_should_and_initial_ones_never(config):
    style_transfer(replace(config, balance="running", balance_every=2, steps=7))
    factors = [line["factor_content"] for line in lines(config.out) if "loss" in line]
    changed = [step for step in range(1, 7) if factors[step] != factors[step - 1]]
    assert changed == [2, 4, 6]
    for balance, weights in (("initial", None), ("none", (1.0, *[2.5] * 4, 0.3))):
        out = config.out.with_name(balance)
        style_transfer(replace(config, balance=balance, out=out))
        logged = [[line[f"factor_{name}"] for name in TERMS] for line in lines(out) if "loss" in line]
        assert all(row == logged[0] for row in logged)
        assert weights is None or logged[0] == pytest.approx(weights)


def test_a_term_without_weight_is_measured_but_does_not_count(config):
    style_transfer(replace(config, variation_weight=0.0, balance="none"))
    line = lines(config.out)[0]
    assert line["total_variation"] > 0
    assert "factor_total_variation" not in line
    assert line["loss"] == pytest.approx(line["content"] + 2.5 * sum(line[name] for name in TERMS[1:-1]), rel=1e-5)


def test_it_learns_on_real_pictures(config, data_folder):
    faces, drawn = data_folder / "fs2k" / "photo" / "photo1", data_folder / "fs2k" / "sketch" / "sketch1"
    config = replace(config, content=str(faces), style=str(drawn), limit=30, style_limit=16, photo="imagenet", lr=3e-3)
    result = style_transfer(replace(config, steps=40))
    losses = [line["loss"] for line in lines(config.out) if "loss" in line]
    assert sum(losses[-5:]) < 0.65 * sum(losses[:5])
    # What it draws is nearer to the style than the photos themselves are, on photos that it has not seen.
    shown, _ = module._part(open_photos(faces, 32, limit=30), config)
    pictures = tensors(shown)
    loss = StyleTransferLoss("imagenet")
    loss.set_style([tensors(open_style(drawn, 32, limit=16))])
    with torch.no_grad():
        of_the_photos = loss(pictures, pictures)
    for name in ("relu1_2", "relu2_2", "relu3_3"):  # the deepest takes more steps
        assert result["terms"][f"style_{name}"] < 0.85 * of_the_photos[f"style_{name}"].item()


@pytest.mark.usefixtures("cpu_with_bfloat16")
def test_mixed_precision_trains_to_about_the_same_loss(config):
    losses = {}
    for precision in ("no", "bf16"):
        out = config.out.with_name(precision)
        style_transfer(replace(config, precision=precision, out=out, photo="imagenet", balance="none"))
        losses[precision] = [line["loss"] for line in lines(out) if "loss" in line]
        assert {tensor.dtype for tensor in load_file(out / "model" / "model.safetensors").values()} == {torch.float32}
    assert losses["bf16"] != losses["no"]
    assert losses["bf16"] == pytest.approx(losses["no"], rel=0.03)


def test_the_seed_decides(config):
    for out, seed in (("a", 1), ("b", 1), ("c", 2)):
        style_transfer(replace(config, out=config.out.with_name(out), seed=seed))
    a, b, c = (config.out.with_name(name) / "model" for name in "abc")
    assert same_weights(a, b)
    assert not same_weights(a, c)


@pytest.mark.parametrize("arm", ["attention+tuning", "attention"])
def test_the_arm_decides_whose_features_are_compared(config, arm, narrow, tmp_path):
    gated = tmp_path / "gated"
    torch.manual_seed(1)
    save_backbone(Backbone(width=0.125, attention=True), gated)
    config = replace(config, arm=arm, attention_tuning=(str(gated),), steps=1, seed=5)
    result = style_transfer(config)
    if arm == "attention":
        torch.manual_seed(5)  # untrained gates are drawn from the run's seed
        backbone = load_backbone(narrow, attention=True, classes=())
    else:
        backbone = load_backbone(gated)
    loss = StyleTransferLoss(backbone)
    loss.set_style([tensors(open_style(config.style, 32))])
    pictures = tensors(module._part(open_photos(config.content, 32), config)[0])
    with torch.no_grad():
        terms = loss(load_stylizer(config.out)(pictures), pictures)
    assert result["terms"] == pytest.approx({name: value.item() for name, value in terms.items()}, rel=1e-3)
    assert load_stylizer(config.out).config.arm == arm


# Broken off and resumed ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("balance", ["initial", "running"])
def test_killed_and_resumed_ends_as_the_unbroken_run(config, tmp_path, balance):
    # Checkpoints lie in the middle of epochs of three batches, and of the steps between measurements.
    config = replace(config, balance=balance, balance_every=3, checkpoint_every=4, sample_every=10, steps=24, lr=3e-3)
    unbroken = replace(config, out=tmp_path / "unbroken")
    style_transfer(unbroken)

    script = (
        "import sys, json, torch; from pathlib import Path; from sketchloss.experiments.style.transfer import *;"
        "settings = json.loads(sys.argv[1]); settings['out'] = Path(settings['out']);"
        # As many threads as here: sums over threads round differently.
        f"torch.set_num_threads({torch.get_num_threads()}); style_transfer(StyleTransfer(**settings))"
    )
    with forked(script, json.dumps(config.__dict__, default=str), seconds=300) as child:
        child.wait_until((config.out / "checkpoints" / "last" / "position.json").exists)
        child.kill()
    assert not (config.out / "result.json").exists(), "the process finished before it was killed"

    style_transfer(replace(config, resume=True))
    assert same_weights(config.out / "model", unbroken.out / "model")
    assert same_weights(config.out / "checkpoints" / "last", unbroken.out / "checkpoints" / "last")

    def without_times(folder: Path) -> list[dict]:
        return [{key: value for key, value in line.items() if key != "images_per_second"} for line in lines(folder)]

    assert without_times(config.out) == without_times(unbroken.out)
    assert (config.out / "before_after.png").read_bytes() == (unbroken.out / "before_after.png").read_bytes()


def test_broken_off_while_the_last_network_is_written(config, monkeypatch):
    whole = style_transfer(replace(config, out=config.out.with_name("whole"), checkpoint_every=2))
    save = module.save_stylizer

    def out_of_space(network, folder):
        if network.config.steps == 4:
            raise OSError(28, "No space left on device", str(folder))
        save(network, folder)

    monkeypatch.setattr(module, "save_stylizer", out_of_space)
    with pytest.raises(OSError, match="No space left"):
        style_transfer(replace(config, checkpoint_every=2))
    assert load_stylizer(config.out).config.steps == 2
    monkeypatch.undo()
    result = style_transfer(replace(config, checkpoint_every=2, resume=True))
    assert load_stylizer(config.out).config.steps == 4
    assert same_weights(config.out / "model", Path(whole["model"]))
    assert result["terms"] == whole["terms"]


def test_a_finished_run_resumed_says_the_same_again(config):
    first = style_transfer(config)
    before = {path: path.read_bytes() for path in config.out.rglob("*") if path.suffix in (".jsonl", ".safetensors")}
    assert len(before) == 3
    assert style_transfer(replace(config, resume=True)) == first
    assert {path: path.read_bytes() for path in before} == before


@pytest.mark.parametrize("side", ["photos", "sketches"])
def test_changed_data_is_not_resumed_on(config, request, side):
    style_transfer(config)
    doodle("cat", 99).sketch(40).save(request.getfixturevalue(side) / "99.png")
    before = (config.out / "metrics.jsonl").read_text()
    with pytest.raises(ValueError, match=r"the data of .*run has changed since it was started"):
        style_transfer(replace(config, resume=True))
    assert (config.out / "metrics.jsonl").read_text() == before


def test_a_loss_network_of_other_weights_is_not_resumed_with(config, tmp_path):
    """As `sketch` of another version is: the name is the same, the weights are not."""
    weights = tmp_path / "weights"
    for seed in (0, 1):
        torch.manual_seed(seed)
        save_backbone(Backbone(width=0.125), weights)
        if seed == 0:
            style_transfer(replace(config, arm="original", photo=str(weights)))
    with pytest.raises(ValueError, match=r"the weights that the loss of .*run uses have changed"):
        style_transfer(replace(config, arm="original", photo=str(weights), resume=True))


def test_a_run_folder_is_never_overwritten(config):
    style_transfer(config)
    before = {path: path.read_bytes() for path in config.out.rglob("*") if path.is_file()}
    for change, words in (
        ({}, "already holds a run: add --resume"),
        ({"resume": True, "lr": 0.1}, r"was started with lr=0\.001, now it is 0\.1"),
        ({"resume": True, "style": config.content}, "was started with style="),
    ):
        with pytest.raises(ValueError, match=words):
            style_transfer(replace(config, **change))
    assert {path: path.read_bytes() for path in config.out.rglob("*") if path.is_file()} == before


# What goes wrong -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("steps", [1, 3])
def test_a_diverging_run_stops_with_a_plain_message(config, steps):
    # After one step it is the photos shown that tell.
    with pytest.raises(TrainingStopped, match=r"the loss is (nan|inf) at step 1 \(learning rate .*a tenth"):
        style_transfer(replace(config, steps=steps, lr=1e30))
    assert not (config.out / "model").exists()
    assert "NaN" not in (config.out / "metrics.jsonl").read_text()


def test_a_sheet_of_one_colour_is_noticed(config, capsys, tmp_path):
    Image.new("RGB", (40, 40), (250, 120, 30)).save(tmp_path / "orange.png")
    config = replace(config, style=str(tmp_path / "orange.png"), style_layers=("relu1_1",), content_layer="relu1_1")
    settings = {"content_weight": 0.0, "style_weight": 1.0, "variation_weight": 100.0, "lr": 1e-2, "steps": 60}
    result = style_transfer(replace(config, **settings, image_size=16, blocks=0))
    assert "warning: step 60: the pictures are blank" in capsys.readouterr().out
    drawn = load_stylizer(config.out)(tensors(open_photos(config.content, 32))).detach()
    assert drawn.mean((0, 2, 3)).std() > 0.05, "it has a colour"
    assert result["terms"]["total_variation"] < 1e-3


def spoilt(folder: Path) -> list[str]:
    """Add three files that cannot be read."""
    (folder / "empty.png").write_bytes(b"")
    (folder / "text.jpg").write_text("not a photo")
    whole = (folder / "00.png").read_bytes()
    (folder / "cut.png").write_bytes(whole[: len(whole) // 2])
    return ["empty.png", "text.jpg", "cut.png"]


@pytest.mark.parametrize("side", ["photos", "sketches"])
def test_broken_files_are_skipped_and_named_or_refused(config, request, side, capsys):
    names = spoilt(request.getfixturevalue(side))
    result = style_transfer(replace(config, steps=1))
    said = capsys.readouterr().out
    assert (result["photos"], result["sketches"]) == (12, 9)
    assert all(any(line.startswith("skipped") and name in line for line in said.splitlines()) for name in names)
    with pytest.raises(ValueError, match=r"empty\.png.*fix or remove them, or leave strict off"):
        style_transfer(replace(config, out=config.out.with_name("strict"), strict=True))
    assert not config.out.with_name("strict").exists()


def test_many_broken_files_are_counted(config, photos, capsys):
    for index in range(8):
        (photos / f"broken{index}.png").write_bytes(b"")
    style_transfer(replace(config, steps=1))
    said = capsys.readouterr().out
    assert said.count("skipped ") == 6
    assert f"skipped 8 of {photos} in all" in said


def test_style_pictures_of_any_size_and_mode(config, tmp_path, narrow):
    folder = tmp_path / "odd"
    folder.mkdir()
    drawn = doodle("cat", 0).sketch(60)
    drawn.convert("1").save(folder / "one_bit.png")
    drawn.convert("P").save(folder / "palette.gif")
    drawn.convert("CMYK").save(folder / "cmyk.jpg")
    drawn.convert("RGBA").resize((90, 50)).save(folder / "alpha.png")
    Image.fromarray(np.asarray(drawn.convert("L")).astype(np.uint16) * 257).save(folder / "sixteen_bit.png")
    drawn.resize((1, 1)).save(folder / "pixel.png")
    drawn.resize((1500, 3)).save(folder / "strip.png")
    result = style_transfer(replace(config, style=str(folder), steps=1))
    assert result["sketches"] == 7
    loss = StyleTransferLoss(narrow)
    loss.set_style([to_tensor(fill_square(open_picture(path), 32))[None] for path in folder.iterdir()])
    pictures = tensors(module._part(open_photos(config.content, 32), config)[0])
    with torch.no_grad():
        terms = loss(load_stylizer(config.out)(pictures), pictures)
    assert result["terms"] == pytest.approx({name: value.item() for name, value in terms.items()}, rel=1e-3)


def test_one_picture_is_a_style(config, sketches):
    assert style_transfer(replace(config, style=str(sketches / "00.png"), steps=1))["sketches"] == 1


def flags(**settings: object) -> list[str]:
    return [f"--{name.replace('_', '-')}={value}" for name, value in settings.items()]


MISTAKES = {
    "no content": ({"content": "{tmp}/nowhere"}, "{tmp}/nowhere does not exist; give a folder of pictures"),
    "no style": ({"style": "{tmp}/nowhere.png"}, "{tmp}/nowhere.png does not exist"),
    "empty content": ({"content": "{tmp}/empty"}, "{tmp}/empty holds no pictures"),
    "empty style": ({"style": "{tmp}/empty"}, "{tmp}/empty holds no pictures"),
    "an unknown scheme": ({"style": "fs3k:{tmp}/photos?style=1"}, "fs3k:{tmp}/photos?style=1 does not exist"),
    "an unknown style": ({"style": "fs2k:{tmp}/photos?style=4"}, "style is '4'; choose from 1, 2, 3"),
    "a photo that is none": ({"content": "{tmp}/text.png"}, "{tmp}/text.png: not a picture"),
    "damage in the middle": ({"content": "{tmp}/damaged", "shown": 1}, "bad.png: damaged or cut off"),
    "too few photos": ({"shown": 14}, "has 14 photos, of which 14 are kept to show the progress: use more"),
    "an arm without weights": ({"arm": "tuning", "tuning": ()}, "arm is tuning, which has no weights: give --tuning"),
    "an unknown arm": ({"arm": "all"}, "arm is 'all', which is unknown"),
    "no such weights": ({"photo": "{tmp}/nowhere"}, "{tmp}/nowhere does not exist: give a weights folder"),
    "images too small": (
        {"image_size": 8, "style_layers": "relu5_3"},
        "image_size is 8: the layers of original need at least 16",
    ),
    "no images": ({"image_size": 0}, "image_size is 0: it must be positive"),
    "an unknown layer": ({"content_layer": "relu9_9"}, "layer 'relu9_9' is unknown: choose from relu1_1"),
    "an unknown style layer": ({"style_layers": "conv1"}, "layer 'conv1' is unknown: choose from relu1_1"),
    "a negative weight": ({"style_weight": -1}, "style_weight is -1.0: it must be finite and not negative"),
    "no weight": (
        {"content_weight": 0, "style_weight": 0, "variation_weight": 0},
        "content_weight and style_weight are both 0",
    ),
    "an infinite rate": ({"lr": "inf"}, "lr is inf: it must be positive"),
    "no width": ({"width": 0}, "width is 0.0: it must be above 0"),
    "a wrong number of channels": ({"channels": 2}, "--channels '2' is unknown"),
    "an unknown balance": ({"balance": "always"}, "--balance 'always' is unknown"),
    "no steps": ({"steps": 0}, "steps is 0: it must be positive"),
    "a negative seed": ({"seed": -1}, "seed is -1: it must be finite and not negative"),
    "nothing to resume": ({"resume": True}, "run holds no run to resume"),
    "a file for a folder": ({"out": "{tmp}/text.png"}, "{tmp}/text.png is a file: choose a folder for --out"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_on_the_command_line_is_one_line(config, tmp_path, mistake, capsys):
    changes, words = MISTAKES[mistake]
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.png").write_text("no picture")
    (tmp_path / "damaged").mkdir()
    for index in range(4):
        picture = (Path(config.content) / f"{index:02}.png").read_bytes()
        (tmp_path / "damaged" / f"{index:02}.png").write_bytes(picture)
    at = picture.index(b"IDAT") + 200
    (tmp_path / "damaged" / "bad.png").write_bytes(picture[:at] + bytes(80) + picture[at + 80 :])

    settings = {name: getattr(config, name) for name in ("content", "style", "out", "arm", "photo", "image_size")}
    settings |= {"width": 0.25, "steps": 1, "workers": 0, "shown": 2, "precision": "no"} | changes
    resume = ["--resume"] if settings.pop("resume", False) else []
    none_given = [f"--{name}" for name, value in settings.items() if value == ()]
    values = {name: str(value).format(tmp=tmp_path) for name, value in settings.items() if value != ()}
    before = sorted(tmp_path.rglob("*"))
    assert main(["style", "train", *flags(**values), *none_given, *resume]) == 2
    said = capsys.readouterr().err
    assert said.startswith("sketchloss style train: ")
    assert words.format(tmp=tmp_path) in said
    assert said.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before, "nothing was made"


def test_from_the_command_line_with_the_demo_preset(tmp_path, narrow, capsys):
    settings = {"out": tmp_path / "run", "photo": narrow, "arm": "original", "steps": 2, "image_size": 16, "limit": 8}
    assert main(["style", "train", "--preset=demo", *flags(**settings, style_limit=3, precision="no", workers=0)]) == 0
    said = capsys.readouterr().out
    assert (
        f"doodles: 2 photos to learn on and 6 to show the progress on; {PRESETS['demo']['style']}: 3 sketches" in said
    )
    stored = json.loads((tmp_path / "run" / "config.json").read_text())
    assert (stored["width"], stored["steps"], stored["content"]) == (0.5, 2, "doodles")
    assert load_stylizer(tmp_path / "run").config.width == 0.5


def test_half_precision_needs_a_gpu(config):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(ValueError, match="precision is fp16, which needs a GPU"):
        style_transfer(replace(config, precision="fp16"))


def test_paper_preset_is_section_4_1():
    paper = StyleTransfer(style="y", out=Path("x"), **PRESETS["paper"])
    assert (paper.epochs, paper.batch_size, paper.image_size, paper.lr, paper.schedule) == (1, 4, 256, 1e-3, "constant")
    assert (paper.content_layer, paper.style_layers, paper.content_metric) == ("relu2_2", PAPER_LAYERS, "l2")
    assert (paper.width, paper.blocks, paper.photo, paper.downsample) == (1.0, 5, "imagenet", "none")


@pytest.mark.parametrize("changes", PRESETS.values(), ids=PRESETS)
def test_a_preset_is_taken_whole_and_balances_its_terms(changes):
    preset = StyleTransfer(**{"content": "x", "style": "y", "out": Path("x")} | changes)
    assert {name: getattr(preset, name) for name in changes} == changes
    shares = {"content": 1.0, "style_relu1_2": 2.0}
    assert Balance(shares, preset.balance).factors.keys() == shares.keys()
