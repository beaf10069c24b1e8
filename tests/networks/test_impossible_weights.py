"""Files that say what cannot be, of every kind that is read from a user's folder.

Oracle: one line that names the file, the key, the value and what is right, before anything large is built.
"""

import json
import os
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from child_process import finished
from sketchloss import Backbone, load_backbone, save_backbone
from sketchloss.gallery.settings import read_settings
from sketchloss.loss.calibration import load_calibration
from sketchloss.networks.embedder import Embedder, EmbedderConfig, load_embedder, save_embedder
from sketchloss.networks.stylizer import Stylizer, StylizerConfig, load_stylizer, save_stylizer

NAN, INFINITE = float("nan"), float("inf")
DEEP = "[" * 100_000


def save_judge_in(folder: Path) -> None:
    pytest.importorskip("transformers")
    from sketchloss.networks.judge import Judge, JudgeConfig, save_judge

    save_judge(Judge(JudgeConfig(("cat", "dog"), 16, (4, 8))), folder)


def load_judge_of(folder: Path) -> object:
    from sketchloss.networks.judge import load_judge

    return load_judge(folder)


SAVE = {
    "backbone": lambda folder: save_backbone(Backbone(width=0.05, attention=True, classes=("a", "b")), folder),
    "stylizer": lambda folder: save_stylizer(Stylizer(StylizerConfig(width=0.1, blocks=1)), folder),
    "embedder": lambda folder: save_embedder(Embedder(EmbedderConfig(8, ("a", "b"), hidden=4, size=4)), folder),
    "judge": save_judge_in,
}
LOAD = {
    **{"backbone": load_backbone, "stylizer": load_stylizer, "embedder": load_embedder, "judge": load_judge_of},
    **{"gallery": read_settings, "calibration": load_calibration},
}
#: A weight of a layer of each, which may not be all zero.
WEIGHTS = {
    "backbone": "features.2.weight",
    "stylizer": "encoder.1.convolution.weight",
    "embedder": "layers.0.weight",
    "judge": "network.resnet.embedder.embedder.convolution.weight",
}
KINDS = tuple(SAVE)


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """A folder for each kind of network, saved as it is; tests copy them."""
    place = tmp_path_factory.mktemp("whole")
    torch.manual_seed(0)
    for kind, save in SAVE.items():
        if kind != "judge":
            save(place / kind)
    return place


def copied(whole: Path, kind: str, folder: Path, **changes: object) -> Path:
    """Copy a folder, with changes to its settings."""
    folder.mkdir(exist_ok=True)
    if kind == "judge":
        save_judge_in(folder)
    else:
        for file in (whole / kind).iterdir():
            (folder / file.name).write_bytes(file.read_bytes())
    config = folder / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | changes))
    return folder


def sign(folder: Path) -> None:
    """Write a judge's digest of its weights anew: that they were changed is not what is tried here."""
    import hashlib

    config = json.loads((folder / "config.json").read_text())
    if "weights" in config and config["format"] == "sketchloss judge":
        config["weights"] = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
        (folder / "config.json").write_text(json.dumps(config))


def refused(kind: str, folder: Path) -> str:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (the callers look at the text)
        LOAD[kind](folder)
    text = str(caught.value)
    assert "\n" not in text
    assert str(folder) in text
    return text


# Tensors -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda tensor: tensor.flatten().index_fill(0, torch.tensor([1]), NAN).view_as(tensor), "holds nan"),
        (lambda tensor: tensor.flatten().index_fill(0, torch.tensor([1]), INFINITE).view_as(tensor), "holds inf"),
        (lambda tensor: tensor.flatten().index_fill(0, torch.tensor([1]), -INFINITE).view_as(tensor), "holds -inf"),
        (torch.zeros_like, "is all zero"),
        (lambda tensor: tensor.to(torch.int32), "is of int32: it must be of float"),
        (lambda tensor: tensor.to(torch.bool), "is of bool: it must be of float"),
    ],
    ids=["nan", "infinite", "minus infinite", "zero", "integer", "bool"],
)
def test_tensors_that_no_training_leaves_are_refused(kind, change, said, whole, tmp_path):
    folder = copied(whole, kind, tmp_path / "net")
    tensors = load_file(folder / "model.safetensors")
    name = WEIGHTS[kind]
    save_file({**tensors, name: change(tensors[name]).contiguous()}, folder / "model.safetensors")
    sign(folder)
    text = refused(kind, folder)
    assert f"tensor {name} {said}" in text


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_whole_loads(kind, whole, tmp_path):
    LOAD[kind](copied(whole, kind, tmp_path / "net"))


def test_a_bias_and_a_gate_may_be_zero(tmp_path):
    backbone = Backbone(width=0.05, attention=True, gate_init="half")
    assert not any(gate.spatial.conv.weight.any() for gate in backbone.gates.values())
    assert not backbone.features[0].bias.any()
    save_backbone(backbone, tmp_path)
    load_backbone(tmp_path)


# Parts that the settings promise -------------------------------------------------------------------------------------


def without(folder: Path, prefix: str) -> None:
    tensors = load_file(folder / "model.safetensors")
    kept = {name: tensor for name, tensor in tensors.items() if not name.startswith(prefix)}
    assert len(kept) < len(tensors)
    save_file(kept, folder / "model.safetensors")


@pytest.mark.parametrize(
    ("prefix", "said"),
    [
        ("features.4.", "has attention, but it holds no tensor features.4.channel.reduce.weight"),
        ("features.9.spatial.conv.bias", "features.9.spatial.conv.bias is missing, others of that gate are there"),
        ("classifier.", "has classes, but it holds no tensor classifier.2.weight"),
    ],
)
def test_gates_and_classifiers_that_the_file_lacks_are_not_made_up(prefix, said, whole, tmp_path):
    folder = copied(whole, "backbone", tmp_path / "net")
    without(folder, prefix)
    assert said in refused("backbone", folder)


def test_a_classifier_for_other_classes_than_the_settings_say_is_refused(whole, tmp_path):
    folder = copied(whole, "backbone", tmp_path / "net", classes=["a", "b", "c"])
    assert "has classes, but it holds no tensor classifier.2.weight that fits" in refused("backbone", folder)


def test_what_the_caller_asks_for_may_be_new(whole, tmp_path):
    folder = copied(whole, "backbone", tmp_path / "net", attention=False, classes=[])
    without(folder, "features.4.")
    without(folder, "features.9.")
    without(folder, "classifier.")
    backbone = load_backbone(folder, attention=True, classes=("x",))
    assert any(name.startswith("features.4.") for name in backbone.load_report.new)
    # And what is not asked for is not missed.
    folder = copied(whole, "backbone", tmp_path / "other")
    without(folder, "features.4.")
    without(folder, "classifier.")
    assert load_backbone(folder, attention=False, classes=()).gates == {}


# Settings ------------------------------------------------------------------------------------------------------------

#: Kind, a change of its settings, and what the line must say.
SETTINGS = [
    ("backbone", {"width": 1e9}, "width is 1000000000.0: it must be above 0, and 8 at most"),
    ("backbone", {"width": 8.0}, "has shape (3, 3, 3, 3): this network needs (512, 3, 3, 3)"),
    ("backbone", {"width": NAN}, "width is nan"),
    ("backbone", {"width": "wide"}, "width is 'wide': it must be a number"),
    ("backbone", {"width": True}, "width is True: it must be a number"),
    ("backbone", {"gate_kernel": 100_001}, "gate_kernel is 100001: it must be odd and positive, 63 at most"),
    ("backbone", {"gate_kernel": 7.0}, "gate_kernel is 7.0: it must be a whole number"),
    ("backbone", {"gate_reduction": 10**12}, "gate_reduction is 1000000000000: it must be at least 1, and 4096"),
    ("backbone", {"attention": "true"}, "attention is 'true': it must be true or false"),
    ("backbone", {"downsample": "min"}, "downsample is 'min': it must be none or dilated or max"),
    ("backbone", {"pooling": 3}, "pooling is 3: it must be max or blur_max or max_blur"),
    ("backbone", {"head": "both"}, "head is 'both': it must be vgg or pooled"),
    ("backbone", {"mean": [NAN, 0.5, 0.5]}, "mean is (nan, 0.5, 0.5): it must be from -1,000 to 1,000"),
    ("backbone", {"mean": [0.5, 0.5]}, "mean is [0.5, 0.5]: it must be a list of 3 numbers"),
    ("backbone", {"std": [INFINITE, 1.0, 1.0]}, "std is (inf, 1.0, 1.0): it must be from 1e-06 to 1,000"),
    ("backbone", {"std": [0.0, 1.0, 1.0]}, "std is (0.0, 1.0, 1.0): it must be from 1e-06"),
    ("backbone", {"std": 3}, "std is 3: it must be a list of 3 numbers"),
    ("backbone", {"classes": "cat"}, "classes is 'cat': it must be a list of texts"),
    ("backbone", {"classes": ["cat", 4]}, "classes is ['cat', 4]: it must be a list of texts"),
    ("backbone", {"version": 99}, "version is 99: this sketchloss knows 1"),
    ("stylizer", {"width": NAN}, "config.json: width is nan: it must be above 0, and 8 at most"),
    ("stylizer", {"width": 8.0}, "this network needs (256, 3, 9, 9)"),
    ("stylizer", {"width": [1]}, "config.json: width is [1]: it must be a number"),
    ("stylizer", {"blocks": 10**9}, "config.json: blocks is 1000000000: it must be from 0 to 100"),
    ("stylizer", {"channels": "3"}, "config.json: channels is '3': it must be 1 or 3"),
    ("stylizer", {"style": {"a": 1}}, "config.json: style is {'a': 1}: it must be a text"),
    ("stylizer", {"version": 99}, "config.json: version is 99: this sketchloss knows 1"),
    ("embedder", {"hidden": 10**9}, "config.json: hidden is 1000000000: it must be from 1 to 10,000,000"),
    ("embedder", {"features": 10**7, "hidden": 10**7}, "this network needs (10000000, 10000000)"),
    ("embedder", {"scale": NAN}, "config.json: scale is nan"),
    ("embedder", {"classes": None}, "config.json: classes is None: it must be a list of texts"),
    ("embedder", {"version": 99}, "config.json: version is 99"),
    ("judge", {"widths": [10**9, 10**9]}, "widths are (1000000000, 1000000000): give the channels"),
    ("judge", {"widths": [8192] * 10}, "is missing and"),
    ("judge", {"widths": [4.5, 8]}, "config.json: widths is [4.5, 8]: it must be a list of whole numbers"),
    ("judge", {"image_size": 10**9}, "image_size is 1000000000: it must be at least 16, 8,192 at most"),
    ("judge", {"accuracy": NAN}, "accuracy is nan: it must be from 0 to 1"),
    ("judge", {"version": 99}, "config.json: version is 99"),
]


@pytest.mark.parametrize(("kind", "changes", "said"), SETTINGS, ids=lambda value: str(value)[:40])
def test_settings_that_cannot_be_are_refused_before_anything_is_built(kind, changes, said, whole, tmp_path):
    folder = copied(whole, kind, tmp_path / "net", **changes)
    text = refused(kind, folder)
    assert said in text
    assert len(text) < 600


LARGE = [
    ("backbone", {"width": 8}),
    ("backbone", {"gate_kernel": 100_001}),
    ("stylizer", {"width": 8, "blocks": 100}),
    ("embedder", {"features": 10**7, "hidden": 10**7}),
    ("judge", {"widths": [8192] * 10}),
    ("stylizer", {"width": "wide"}),
    ("judge", {"classes": [[["a"]]]}),
    ("backbone", {"width": 10**400}),
    ("backbone", {"std": [0, 1, 1]}),
]


@pytest.mark.skipif(sys.platform != "linux", reason="limits memory as Linux counts it")
def test_a_refusal_takes_neither_minutes_nor_gigabytes_and_needs_no_type_checks(whole, tmp_path):
    folders = [
        (kind, str(copied(whole, kind, tmp_path / str(n), **changes))) for n, (kind, changes) in enumerate(LARGE)
    ]
    # At most two minutes of processor time, and 1 GB beyond the libraries.
    code = f"""
        import resource
        from sketchloss.networks.embedder import load_embedder
        from sketchloss.networks.judge import load_judge
        from sketchloss.networks.stylizer import load_stylizer
        from sketchloss.networks.weights import load_backbone

        load = dict(backbone=load_backbone, embedder=load_embedder, judge=load_judge, stylizer=load_stylizer)
        with open("/proc/self/statm") as file:
            used = int(file.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + 2**30, used + 2**30))
        resource.setrlimit(resource.RLIMIT_CPU, (120, 120))
        for kind, folder in {folders}:
            try:
                load[kind](folder)
            except ValueError as error:
                print(error)
    """
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = finished([sys.executable, "-c", textwrap.dedent(code)], seconds=400, env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert len(lines) == len(LARGE)
    assert max(map(len, lines)) < 600
    assert all(folder in line for line, (_, folder) in zip(lines, folders, strict=True))


def long_text(megabytes: int) -> str:
    return json.dumps({"format": "x" * megabytes * 2**20})


JSON = {
    "deep lists": (DEEP, "brackets in brackets"),
    "deep objects": ('{"a":' * 100_000, "brackets in brackets"),
    "deep and whole": ('{"format": ' + DEEP + "]" * 100_000 + "}", "brackets in brackets"),
    "a list": ("[1, 2]", "must hold an object"),
    "a text": ('"text"', "must hold an object"),
    "null": ("null", "must hold an object"),
    "a number of 5000 digits": ('{"format": ' + "9" * 5000 + "}", "is no JSON"),
    "empty": ("", "is no JSON"),
    "two": ("{} {}", "is no JSON"),
    "too large": (long_text(65), "more than 64 MB"),
}


@pytest.mark.parametrize("case", JSON)
@pytest.mark.parametrize("kind", [*KINDS, "gallery", "calibration"])
def test_json_of_any_shape_is_refused_in_one_line(kind, case, whole, tmp_path):
    text, said = JSON[case]
    folder = tmp_path / "net"
    if kind in KINDS:
        copied(whole, kind, folder)
        (folder / "config.json").write_text(text)
        error = refused(kind, folder)
    else:
        folder.mkdir()
        name = "gallery.json" if kind == "gallery" else "calibration.json"
        (folder / name).write_text(text)
        error = refused(kind, folder if kind == "gallery" else folder / name)
    assert said in error
    assert len(error) < 700


# Others --------------------------------------------------------------------------------------------------------------

GALLERY = {
    **{"format": "sketchloss gallery", "version": 1, "weights": "sketch", "fingerprint": "f"},
    **{"image_size": 64, "layer": "relu4_3", "exact_below": 1000, "built": True},
}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"image_size": "big"}, "gallery.json: image_size is 'big': it must be a whole number"),
        ({"image_size": 10**9}, "gallery.json: image_size is 1000000000: it must be from 1 to 8,192"),
        ({"exact_below": -1}, "gallery.json: exact_below is -1"),
        ({"layer": ""}, "gallery.json: layer is empty"),
        ({"built": 1}, "gallery.json: built is 1: it must be true or false"),
        ({"version": 99}, "is a gallery of version 99"),
        ({"version": [1]}, "is a gallery of version [1]"),
    ],
    ids=str,
)
def test_settings_of_a_gallery_that_cannot_be(changes, said, tmp_path):
    (tmp_path / "gallery.json").write_text(json.dumps(GALLERY | changes))
    assert said in refused("gallery", tmp_path)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"quantiles": 3}, "quantiles is 3"),
        ({"quantiles": {"pen": 3}}, "quantiles is {'pen': 3}: it must be an object, each of whose values is a list"),
        ({"size": "256"}, "size is '256': it must be a whole number"),
        ({"size": -4}, "size is -4: it must be from 1"),
        ({"layers": "relu1_2"}, "layers is 'relu1_2': it must be a list of texts"),
        ({"version": 99}, "version is 99"),
        (None, "the quantiles of 'pen' must be 101 ascending numbers"),
    ],
    ids=str,
)
def test_a_calibration_that_cannot_be(changes, said, tmp_path):
    from sketchloss.networks.weights import bundled_folder

    stored = json.loads((bundled_folder("sketch") / "calibration.json").read_text())
    if changes is None:
        stored["quantiles"]["pen"][5] = NAN
    (tmp_path / "calibration.json").write_text(json.dumps(stored | (changes or {})))
    assert said in refused("calibration", tmp_path / "calibration.json")


@pytest.mark.parametrize(
    "content",
    [
        np.array(NAN),
        np.array("a"),
        np.array(1j),
        np.array([0.5, 0.5]),
        np.array([(1, 2)], dtype=[("a", int), ("b", int)]),
        b"\x93NUMPY\x01\x00\x76\x00"
        + b"{'descr': '<f8', 'fortran_order': False, 'shape': (10000000000000,), }".ljust(117)
        + b"\n",
    ],
    ids=["nan", "text", "complex", "two", "record", "says it is huge"],
)
def test_a_judgment_that_cannot_be(content, tmp_path):
    from sketchloss.metrics.triplets import _read_judge

    path = tmp_path / "0.npy"
    path.write_bytes(content) if isinstance(content, bytes) else np.save(path, content)
    with pytest.raises(ValueError, match=r"0\.npy (must hold one number in \[0, 1\]|is no \.npy file)"):
        _read_judge(path)


def plain_vgg() -> dict[str, torch.Tensor]:
    return Backbone(width=0.05).state_dict()


@pytest.mark.parametrize(
    "odd",
    [
        lambda tensor: tensor.to_sparse(),
        lambda tensor: torch.quantize_per_tensor(tensor, 0.1, 0, torch.qint8),
        lambda tensor: tensor.to("meta"),
        lambda tensor: tensor.new_zeros(1).expand(2**40),
    ],
    ids=["sparse", "quantised", "meta", "a terabyte of one number"],
)
@pytest.mark.filterwarnings("ignore")
def test_tensors_of_a_pth_that_are_not_stored_whole_are_refused(odd, tmp_path):
    tensors = plain_vgg()
    torch.save({**tensors, "features.2.weight": odd(tensors["features.2.weight"])}, tmp_path / "net.pth")
    with pytest.raises(ValueError, match=r"net\.pth: tensor features\.2\.weight is not stored whole|no whole \.pth"):
        load_backbone(tmp_path / "net.pth", width=0.05)


def test_weights_of_other_makers_are_looked_at_too(tmp_path):
    tensors = plain_vgg()
    tensors["features.28.bias"][0] = NAN
    torch.save(tensors, tmp_path / "net.pth")
    with pytest.raises(ValueError, match=r"net\.pth: tensor features\.28\.bias holds nan"):
        load_backbone(tmp_path / "net.pth", width=0.05)
    with pytest.raises(ValueError, match=r"tensor features\.28\.bias holds nan"):
        Backbone(width=0.05).load_weights(tensors)


def test_compare_says_it_in_one_line(whole, tmp_path):
    folder = copied(whole, "backbone", tmp_path / "net", gate_kernel=100_001)
    command = [sys.executable, "-m", "sketchloss", "compare", __file__, __file__, "--weights", folder]
    done = finished(command, seconds=300)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "config.json: gate_kernel is 100001" in done.stderr
