"""Oracle: what a user must be told: one line, what came, and how to mend it. Signatures are not checked here."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor

from sketchloss import SketchLoss

# PyTorch says that sparse rows and nested tensors are young; making them here is not the user's mistake.
pytestmark = [
    pytest.mark.usefixtures("without_type_checks"),
    pytest.mark.filterwarnings("ignore:Sparse .* tensor support is in beta"),
    pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors is in prototype stage"),
]

SIDE = 16


@pytest.fixture(scope="module")
def loss(narrow) -> SketchLoss:
    return SketchLoss(narrow, layers=("relu1_2", "relu3_3"))


def images(channels: int = 3) -> Tensor:
    return torch.rand(2, channels, SIDE, SIDE, generator=torch.Generator().manual_seed(channels))


def quantized(values: Tensor) -> Tensor:
    with warnings.catch_warnings(action="ignore"):  # deprecated, and still to be met
        return torch.quantize_per_tensor(values, 1 / 255, 0, torch.quint8)


def conjugated(values: Tensor) -> Tensor:
    return torch.complex(values, -values).conj()


# What is wrong, how it is made of a good tensor, what the line says, and the mend as code, if the line ends in some.
Wrong = tuple[Callable[[Tensor], Any], str, bool]
TENSORS: dict[str, Wrong] = {
    "uint8": (lambda good: (good * 255).byte(), "got torch.uint8", True),
    "int64": (lambda good: (good * 255).long(), "got torch.int64", True),
    "uint16": (lambda good: (good * 65535).int().to(torch.uint16), "got torch.uint16", True),
    "float8 e4m3": (lambda good: good.to(torch.float8_e4m3fn), "got torch.float8_e4m3fn", True),
    "float8 e5m2": (lambda good: good.to(torch.float8_e5m2), "got torch.float8_e5m2", True),
    "complex": (lambda good: good.to(torch.complex64), "got torch.complex64", True),
    "conjugate view": (conjugated, "got torch.complex64", True),
    "quantized": (quantized, "got torch.quint8", True),
    "COO": (lambda good: good.to_sparse(), "got layout torch.sparse_coo", True),
    "CSR": (lambda good: good[0, 0].to_sparse_csr(), "got layout torch.sparse_csr", False),
    "BSR": (lambda good: good[0, 0].to_sparse_bsr((2, 2)), "got layout torch.sparse_bsr", False),
    "MKLDNN": (lambda good: good.to_mkldnn(), "got layout torch._mkldnn", True),
    "nested": (lambda good: torch.nested.nested_tensor([good[0], good[1][:, :8]]), "got a nested one", False),
    "jagged": (
        lambda good: torch.nested.nested_tensor([good[0, 0], good[1, 0, :8]], layout=torch.jagged),
        "got a nested one",
        False,
    ),
    "meta": (lambda good: good.to("meta"), "meta", False),
    "NaN": (lambda good: good * float("nan"), "NaN or infinity", False),
    "infinite": (lambda good: good / 0, "NaN or infinity", False),
    "empty batch": (lambda good: good[:0], r"\(0, ", False),
    "no pixels": (lambda good: good[..., :0], r"16, 0\)", False),
    "a dimension more": (lambda good: good[None], r"\(1, 2, \d, 16, 16\)", False),
    "a scalar": (lambda good: torch.tensor(0.5), r"\(\)", False),
}
OBJECTS: dict[str, Wrong] = {
    "nothing": (lambda good: None, "got NoneType", False),
    "text": (lambda good: "drawing.png", "got str", False),
    "path": (lambda good: Path("drawing.png"), "got .*Path", False),
    "bytes": (lambda good: b"\x89PNG", "got bytes", False),
    "number": (lambda good: 0.5, "got float", False),
    "list": (lambda good: good.tolist(), "got list", False),
    "list of tensors": (lambda good: list(good), "got list", False),
    "array": (lambda good: good.numpy(), "got ndarray", True),
    "picture": (lambda good: Image.new("L", (SIDE, SIDE)), "got Image", False),
    "set": (lambda good: {1, 2}, "got set", False),
}


def told(call: Callable[[], Any], role: str, words: str) -> str:
    """Return the one line that a call ends in."""
    with pytest.raises((ValueError, TypeError), match=words) as error:
        call()
    line = str(error.value)
    assert "\n" not in line
    assert role in line.partition(":")[0] or line.startswith(role), line
    assert len(line) < 250
    return line


def mended(line: str, name: str, value: Any) -> Any:
    return eval(line.rsplit(": ", 1)[1], {"torch": torch, name: value})


@pytest.mark.parametrize("role", ["pred", "target", "mask"])
@pytest.mark.parametrize("kind", [*TENSORS, *OBJECTS])
def test_tensors_that_are_not_what_they_should_be(loss, role, kind):
    make, words, has_mend = (TENSORS | OBJECTS)[kind]
    good = {"pred": images(), "target": images(1), "mask": images(1)}
    wrong = make(good[role])
    given = good | {role: wrong}
    if role == "mask" and kind == "nothing":  # which is no mask
        return
    line = told(lambda: loss(given["pred"], given["target"], mask=given["mask"]), role, words)
    if has_mend or (role == "mask" and kind == "list"):
        given[role] = mended(line, role, wrong)
        assert loss(given["pred"], given["target"], mask=given["mask"]).isfinite()
    if role == "target":
        assert told(lambda: loss.extract(wrong), role, words) == line
        assert told(lambda: loss.map(good["pred"], wrong), role, words) == line


FEATURES: dict[str, Wrong] = {
    **{kind: TENSORS[kind] for kind in ("uint8", "int64", "float8 e4m3", "complex", "conjugate view", "quantized")},
    **{kind: TENSORS[kind] for kind in ("COO", "CSR", "BSR", "MKLDNN", "nested", "jagged", "meta", "NaN", "infinite")},
    **{kind: OBJECTS[kind] for kind in ("nothing", "text", "number", "list", "array", "set")},
    "bool": (lambda good: good > 0.5, "got torch.bool", False),
    "a scalar": (lambda good: torch.tensor(0.5), r"\(\)", False),
    "no batch": (lambda good: good[0], r"expected shape \(n, c, h, w\), got \(8, 16, 16\)", False),
    "other size": (lambda good: good[..., :8], r"of target \(2, 8, 16, 8\)", False),
    "other number": (
        lambda good: good.repeat(2, 1, 1, 1),
        r"of target holds features of 4 images and",
        False,
    ),
    "other channels": (lambda good: good[:, :4], r"of target \(2, 4, 16, 16\)", False),
    "empty": (lambda good: good[:0], r"\(0, 8, 16, 16\)", False),
}


@pytest.mark.parametrize("kind", FEATURES)
def test_features_that_are_not_what_they_should_be(loss, kind):
    make, words, _ = FEATURES[kind]
    good = loss.extract(images())
    wrong = {**good, "relu1_2": make(good["relu1_2"])}
    line = told(lambda: loss(images(), wrong), "", words)
    assert "relu1_2" in line or "NaN or infinity" in line
    mends = ("extract", "matching images", "move them", "convert it", "give a batch", "as many targets")
    assert any(mend in line for mend in mends), line
    assert told(lambda: loss.map(images(), wrong), "", words) == line


@pytest.mark.parametrize(
    ("features", "words"),
    [
        ({}, "lack the tap relu1_2: extract them with this loss"),
        ({"relu1_1": 1}, "lack the tap relu1_2"),
        ({3: "x"}, "lack the tap relu1_2"),
        ({"content": {"relu1_2": 1}}, "lack the tap relu1_2"),
    ],
)
def test_mappings_without_the_taps(loss, features, words):
    told(lambda: loss(images(), features), "target features", words)


def test_what_else_a_mapping_holds_is_not_looked_at(loss):
    features = {**loss.extract(images(1)), "label": "cat", 3: None}
    assert loss(images(), features) == loss(images(), images(1))


@pytest.mark.parametrize("role", ["pred", "target", "mask", "features", "loss"])
def test_tensors_on_another_device_than_the_loss(narrow, role):
    # Of other devices only `meta` is everywhere; without the check of values nothing stops a tensor there before.
    loss = SketchLoss(narrow, layers=("relu1_2",), check=False)
    given = {"pred": images(), "target": images(1), "mask": images(1), "features": loss.extract(images())}
    if role == "loss":
        loss.to("meta")
        words = r"pred is on cpu and the loss on meta: move one of them, loss.to\(pred.device\)"
    elif role == "features":
        given["features"] = {name: value.to("meta") for name, value in given["features"].items()}
        words = "target features of relu1_2 are on meta and pred on cpu: move them to pred's device"
    else:
        given[role] = given[role].to("meta")
        words = {
            "pred": r"pred is on meta and the loss on cpu: move one of them, loss.to\(pred.device\)",
            "target": r"target is on meta and the loss on cpu: move one of them, target.to\('cpu'\)",
            "mask": r"mask is on meta and pred on cpu: move it, mask.to\(pred.device\)",
        }[role]
    target = given["features"] if role == "features" else given["target"]
    told(lambda: loss(given["pred"], target, mask=given["mask"]), "", words)


def test_where_there_are_no_values_anywhere_shapes_are_still_computed(narrow):
    loss = SketchLoss(narrow, check=False, reduction="none").to("meta")
    assert loss(images().to("meta"), images(1).to("meta")).shape == (2,)


@pytest.mark.parametrize(
    "same",
    [
        lambda good: conjugated(good).imag,  # a view that is negated when it is read
        lambda good: good.flip(-1).contiguous().flip(-1),
        lambda good: good.expand(2, -1, -1, -1) if len(good) == 1 else good,
        lambda good: torch.nn.Parameter(good),
        lambda good: good.to(memory_format=torch.channels_last),
        lambda good: torch.stack([good, good], -1)[..., 0],
        lambda good: good.double(),
    ],
    ids=["negative view", "flipped", "expanded", "parameter", "channels last", "strided", "float64"],
)
@pytest.mark.parametrize("role", ["pred", "target", "mask"])
def test_odd_views_of_good_values_are_good(loss, same, role):
    good = {"pred": images(), "target": images(1), "mask": images(1)}
    expected = loss(good["pred"], good["target"], mask=good["mask"])
    with torch.no_grad():
        given = good | {role: same(good[role])}
        torch.testing.assert_close(
            loss(given["pred"], given["target"], mask=given["mask"]), expected, rtol=1e-5, atol=0
        )
