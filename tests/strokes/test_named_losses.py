"""Oracles: scipy's Gaussian filter, `SketchLoss` itself, a function in a file."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from skimage.metrics import structural_similarity

from sketchloss import SketchLoss
from sketchloss.strokes.named_losses import named_loss, network_of

torch.manual_seed(0)
PRED, TARGET = torch.rand(2, 3, 1, 32, 32)


def test_pixels_l1():
    torch.testing.assert_close(named_loss("pixels")(PRED, TARGET), (PRED - TARGET).abs().mean((1, 2, 3)))


def test_pixels_l2_blurred_is_scipy_s_on_white_paper():
    pred, target = torch.ones(2, 1, 1, 64, 64)
    pred[..., 20:24, 10:50] = 0
    target[..., 30:50, 33:36] = 0
    blurred = gaussian_filter((pred - target)[0, 0].double().numpy(), 2.0, mode="constant", truncate=3)
    assert named_loss("pixels-l2-blurred")(pred, target).item() == pytest.approx((blurred**2).mean(), rel=1e-3)


def test_ssim_loss_is_one_minus_scikit_image_s():
    # scikit-image leaves out a border of half a window, so the pictures are continued as in a mirror.
    border = ((0, 0), (5, 5), (5, 5))
    padded = [np.pad(images[:, 0].double().numpy(), border, mode="reflect") for images in (PRED, TARGET)]
    settings = {"win_size": 11, "gaussian_weights": True, "use_sample_covariance": False, "data_range": 1.0}
    expected = [1 - structural_similarity(*pair, **settings) for pair in zip(*padded, strict=True)]
    pred = PRED.clone().requires_grad_()
    found = named_loss("ssim")(pred, TARGET)
    assert found.tolist() == pytest.approx(expected, rel=1e-4)
    found.sum().backward()
    assert pred.grad.abs().sum() > 0
    flat = torch.zeros(1, 1, 32, 32)
    assert named_loss("ssim")(flat, flat).item() == pytest.approx(0, abs=1e-4)


def test_weights_by_metric_and_layers(narrow):
    loss = named_loss(f"{narrow}:cosine:relu1_2,relu2_2")
    expected = SketchLoss(narrow, metric="cosine", layers=("relu1_2", "relu2_2"), reduction="none")
    assert torch.equal(loss(PRED, TARGET), expected(PRED, TARGET))
    assert torch.equal(
        named_loss(f"{narrow}:l1")(PRED, TARGET), SketchLoss(narrow, metric="l1", reduction="none")(PRED, TARGET)
    )


@pytest.mark.usefixtures("cpu_with_bfloat16")
def test_bfloat16_is_near(narrow):
    exact, near = named_loss(f"{narrow}:l1"), named_loss(f"{narrow}:l1", bfloat16=True)
    assert not torch.equal(near(PRED, near.extract(TARGET)), exact(PRED, TARGET))
    torch.testing.assert_close(near(PRED, near.extract(TARGET)), exact(PRED, TARGET), rtol=0.05, atol=0)


def test_a_function_of_your_own(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text("def twice(pred, target):\n    return 2 * (pred - target).abs().mean((1, 2, 3))\n")
    torch.testing.assert_close(named_loss(f"{file}:twice")(PRED, TARGET), 2 * named_loss("pixels")(PRED, TARGET))
    file.write_text("l1 = twice = lambda pred, target: 3 * (pred - target).abs().mean((1, 2, 3))\n")
    torch.testing.assert_close(named_loss(f"{file}:l1")(PRED, TARGET), 3 * named_loss("pixels")(PRED, TARGET))
    file.write_text("def twice(:\n")
    with pytest.raises(ValueError, match=r"cannot import .*mine.py \(SyntaxError: invalid syntax"):
        named_loss(f"{file}:twice")
    assert named_loss("sketchloss.strokes.named_losses:pixels_l1") is named_loss("pixels")


def test_a_function_of_a_module_in_this_folder_whatever_it_is_called(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own_losses").mkdir()
    for file, factor in (("own_losses/__init__.py", 4), ("own_module.py", 5)):
        (tmp_path / file).write_text(
            f"l1 = lpips = lambda pred, target: {factor} * (pred - target).abs().mean((1, 2, 3))\n"
        )
    for name, factor in (("own_losses:lpips", 4), ("own_losses:l1", 4), ("own_module:lpips", 5), ("own_module:l1", 5)):
        torch.testing.assert_close(named_loss(name)(PRED, TARGET), factor * named_loss("pixels")(PRED, TARGET))


def test_a_file_with_a_dataclass(tmp_path):
    file = tmp_path / "with_dataclass.py"
    file.write_text(
        "from __future__ import annotations\nfrom dataclasses import dataclass\n\n\n@dataclass\nclass Twice:\n"
        "    factor: int = 2\n\n    def __call__(self, pred, target):\n"
        "        return self.factor * (pred - target).abs().mean((1, 2, 3))\n\n\ntwice = Twice()\n"
    )
    torch.testing.assert_close(named_loss(f"{file}:twice")(PRED, TARGET), 2 * named_loss("pixels")(PRED, TARGET))


def test_a_file_called_as_a_library_can_import_it(tmp_path):
    file = tmp_path / "graphlib.py"
    file.write_text(
        "import graphlib\n\n\ndef twice(pred, target):\n    assert graphlib.TopologicalSorter\n    return 2 * pred\n"
    )
    torch.testing.assert_close(named_loss(f"{file}:twice")(PRED, TARGET), 2 * PRED)


def test_of_weights_and_a_module_of_one_name_the_weights_are_meant(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine.py").touch()
    assert network_of("mine:ink") == ("mine", "ink", None)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("sketch:ink", ("sketch", "ink", None)),
        ("runs/mine:cosine:relu3_3,relu4_3", ("runs/mine", "cosine", ("relu3_3", "relu4_3"))),
        ("transformers:microsoft/resnet-18:l1", ("transformers:microsoft/resnet-18", "l1", None)),
        *((name, None) for name in ("ssim", "none", "file.py:ink_of", "file.py:ink", "sketch:l3")),
    ],
)
def test_a_name_says_its_network(name, found):
    assert network_of(name) == found


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        (
            "pixel",
            ValueError,
            "loss 'pixel' is unknown: did you mean pixels. use pixels, pixels-l2-blurred, ssim, WEIGHTS:METRIC",
        ),
        ("sketch:", ValueError, "loss 'sketch:' is unknown"),
        ("pixels-blurred", ValueError, "is unknown: did you mean pixels-l2-blurred. use"),
        ("sketch:l3", ValueError, "loss 'sketch:l3': metric 'l3' is unknown: use l1, l2, cosine, ink"),
        ("sketch:inkk:relu1_2", ValueError, "metric 'inkk' is unknown: did you mean ink"),
        ("sketchloss.loss.loss:none_such", ValueError, "sketchloss.loss.loss has no none_such: name a function of it"),
        ("nowhere.py:loss", ValueError, r"cannot import nowhere.py \(FileNotFoundError: nowhere.py is not a file"),
        ("./mine:mean", ValueError, r"loss ./mine:mean: cannot import ./mine \(TypeError"),
        ("sketchloss.strokes.named_losses:Loss_", ValueError, "has no Loss_"),
        ("nowhere/at/all:l1", FileNotFoundError, "nowhere/at/all does not exist"),
        ("sketch:l1:relu9_9", ValueError, "relu9_9"),
    ],
)
def test_bad_names_are_one_clear_line(name, error, message):
    with pytest.raises(error, match=message) as caught:
        named_loss(name)
    assert "\n" not in str(caught.value)
