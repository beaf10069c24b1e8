"""Distances that are functions. Oracles: the formulas by hand, and modules written here."""

import sys

import numpy as np
import pytest
import torch

from sketchloss.metrics.plain_distance import PlainDistance, baselines, load_distance, one_minus_ssim
from sketchloss.metrics.ssim import ssim

OWN = """
import torch

def squared(pred, target):
    return ((pred - target) ** 2).mean((1, 2, 3))

class Loss(torch.nn.Module):
    def forward(self, pred, target):
        assert not self.training
        return (pred - target).abs().mean((1, 2, 3))

module = Loss()
number = 3
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    (tmp_path / "my_own_losses.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    before = list(sys.path)
    yield tmp_path / "my_own_losses.py"
    sys.modules.pop("my_own_losses", None)
    assert sys.path == before


@pytest.fixture
def images():
    torch.manual_seed(1)
    return torch.rand(5, 3, 32, 32), torch.rand(5, 3, 32, 32)


def test_structure_is_one_minus_ssim(images):
    expected = (1 - ssim(*images)).double()
    torch.testing.assert_close(one_minus_ssim()(*images), expected)
    assert one_minus_ssim("1-ssim").name == "1-ssim"
    assert one_minus_ssim()(images[0], images[0]).tolist() == [0.0] * 5


def test_one_target_serves_all(images):
    pred, target = images
    pixels = baselines()[0]
    assert pixels(pred, target[:1]).tolist() == pytest.approx([(one - target[0]).abs().mean().item() for one in pred])


def test_a_function_that_spoils_its_arguments_spoils_copies(images):
    kept = [image.clone() for image in images]
    PlainDistance("x", lambda pred, target: pred.zero_().mean((1, 2, 3)) + target.zero_().mean((1, 2, 3)))(*images)
    for image, before in zip(images, kept, strict=True):
        assert torch.equal(image, before)


@pytest.mark.parametrize("place", ["my_own_losses", "my_own_losses.py", "{full}"])
def test_a_user_s_function_is_found_by_module_and_by_file(own, place, images):
    spec = f"{place.format(full=own)}:squared"
    distance = load_distance(spec)
    assert distance.name == spec
    np.testing.assert_array_equal(distance(*images), baselines()[1](*images))


def test_a_user_s_module_is_put_into_eval_mode(own, images):
    np.testing.assert_array_equal(load_distance("my_own_losses:module")(*images), baselines()[0](*images))


@pytest.mark.parametrize(
    ("spec", "words"),
    {
        "squared": "'squared' is not module:function",
        ":squared": "is not module:function",
        "my_own_losses:": "is not module:function",
        "no_such_losses:f": r"cannot import no_such_losses \(ModuleNotFoundError",
        "no_such_losses.py:f": r"cannot import no_such_losses.py \(FileNotFoundError: no_such_losses.py is not a file",
        "my_own_losses:cubed": "my_own_losses has no cubed",
        "my_own_losses:number": "number is no function",
        "my_own_losses:Loss": "Loss is a class: name a function, or an instance",
        "broken.py:f": r"cannot import broken.py \(SyntaxError",
        "failing.py:f": r"cannot import failing.py \(ZeroDivisionError: division by zero\)",
        "script.py:f": r"cannot import script.py \(SystemExit: 0\)",
    }.items(),
)
def test_mistakes_in_naming_a_function(own, spec, words):
    own.with_name("broken.py").write_text("def f(:\n")
    own.with_name("failing.py").write_text("1 / 0\n")
    own.with_name("script.py").write_text("import sys\nsys.exit(0)\n")
    with pytest.raises(ValueError, match=words) as caught:
        load_distance(spec)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda pred, target: (pred - target).mean(), r"returned shape \(\) for 5 pairs: it must return \(5,\)"),
        (lambda pred, target: (pred - target).abs().mean((2, 3)), r"returned shape \(5, 3\)"),
        (lambda pred, target: (pred - target).abs().mean((1, 2, 3), keepdim=True), r"returned shape \(5, 1, 1, 1\)"),
        (lambda pred, target: [0.0] * len(pred), "returned list: it must return a tensor"),
        (lambda pred, target: pred.mean((1, 2, 3)) / 0 - pred.mean((1, 2, 3)) / 0, "returned nan for a pair"),
        (lambda pred, target: pred.mean((1, 2, 3)) / 0, "returned inf for a pair"),
        (lambda pred, target: torch.full((5,), -1e300, dtype=torch.float64), r"returned -1e\+300 for a pair"),
        (lambda pred, target: torch.zeros(5).to_sparse(), "returned a sparse, meta or complex tensor"),
        (lambda pred, target: torch.zeros(5, device="meta"), "returned a sparse, meta or complex tensor"),
        (lambda pred, target: torch.zeros(5, dtype=torch.complex64), "returned a sparse, meta or complex tensor"),
        (lambda pred: pred, r"failed on two batches of shape \(5, 3, 32, 32\): TypeError"),
        (lambda pred, target: 1 / 0, "ZeroDivisionError: division by zero"),
        (lambda pred, target: sys.exit(0), "SystemExit: 0"),
    ],
)  # fmt: skip
def test_mistakes_in_what_a_function_returns(images, function, words):
    with pytest.raises(ValueError, match=f"distance mine .*{words}") as caught:
        PlainDistance("mine", function)(*images)
    assert "\n" not in str(caught.value)


def test_what_a_user_s_distance_prints_is_no_output_of_the_command(tmp_path, images, capsys):
    file = tmp_path / "printing.py"
    file.write_text("print('module')\n\ndef f(pred, target):\n    print('call')\n    return pred.mean((1, 2, 3))\n")
    load_distance(f"{file}:f")(*images)
    assert capsys.readouterr() == ("", "module\ncall\n")
