"""Oracle: the metadata of made-up packages, and losses that are known to be broken."""

import json
import math
import sys
from importlib import metadata

import pytest
import torch

from child_process import finished
from sketchloss import Backbone, doctor
from sketchloss.cli import main
from sketchloss.networks.weights import bundled_folder


def test_a_sound_installation_works(capsys):
    assert main(["doctor", "--json"]) == 0
    out, err = capsys.readouterr()
    report = json.loads(out)
    assert err == ""
    assert report["works"] is True
    assert all(check["passed"] for check in report["self_test"])
    assert report["libraries"]["core"]["libraries"]["torch"]["installed"] == torch.__version__
    assert report["torchvision"]["needed"] is False
    for name in ("sketch", "imagenet"):
        assert report["weights"][name]["found"] == (bundled_folder(name) / "model.safetensors").is_file()
        assert report["weights"][name]["fix"] is None


def test_the_text_says_what_is_there_and_how_to_get_the_rest(capsys, monkeypatch):
    installed = {"torch": "2.13.0", "kornia": "0.1", "torchvision": None, "gradio": "6.99"}
    monkeypatch.setattr(doctor, "_version", lambda name: installed.get(name, "99"))
    monkeypatch.setattr(doctor, "run_self_test", lambda: [{"name": "it runs", "passed": True, "found": "yes"}])
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True})
    assert main(["doctor"]) == 0
    out = capsys.readouterr().out
    assert "; bfloat16 emulated, so the precision bf16 is float32 there\n" in out
    assert "kornia 0.1 (needs >=0.8)" in out
    assert "pip install --upgrade 'sketchloss[train]'" in out
    assert "'sketchloss[app]'" not in out
    assert "torchvision: not needed\n" in out


def test_libraries_are_those_of_the_metadata(monkeypatch):
    requires = [
        "numpy>=1",
        "gone-library>=2; extra == 'one'",
        "numpy>=9999; extra == 'two'",
        "pillow<2000; extra == 'two'",
    ]
    monkeypatch.setattr(metadata, "requires", lambda name: requires)
    monkeypatch.setattr(metadata, "metadata", lambda name: _Metadata(["one", "two", "all"]))
    found = doctor.find_libraries()
    assert list(found) == ["core", "one", "two"]
    assert (found["core"]["complete"], found["core"]["fix"]) == (True, None)
    assert found["one"]["libraries"]["gone-library"] == {"installed": None, "wanted": ">=2", "fits": False}
    assert found["one"]["fix"] == "pip install --upgrade 'sketchloss[one]'"
    assert [library["fits"] for library in found["two"]["libraries"].values()] == [False, True]


class _Metadata:
    def __init__(self, extras: list[str]) -> None:
        self.extras = extras

    def get_all(self, name: str) -> list[str]:
        assert name == "Provides-Extra"
        return self.extras


def test_every_extra_of_the_package_is_listed():
    found = doctor.find_libraries()
    assert {"core", "train", "eval", "diffusion", "gallery", "app"} <= set(found)
    assert "kornia" in found["train"]["libraries"]
    assert "kornia" not in found["core"]["libraries"]


@pytest.mark.parametrize(
    ("value", "failed"),
    [
        (math.nan, {"a drawing is at distance 0 from itself", "a shifted one is farther"}),
        (0.0, {"a shifted one is farther", "another drawing is farther than the same redrawn"}),
    ],
)
def test_broken_weights_fail_the_self_test(value, failed):
    backbone = Backbone(width=1 / 16)
    with torch.no_grad():
        for weight in backbone.parameters():
            weight.fill_(value)
    checks = doctor.run_self_test(backbone)
    assert failed <= {check["name"] for check in checks if not check["passed"]}


def test_missing_weights_are_a_finding_and_exit_code_1(tmp_path, monkeypatch, capsys):
    for module in ("sketchloss.doctor", "sketchloss.networks.weights"):
        monkeypatch.setattr(f"{module}.bundled_folder", lambda name: tmp_path / name)
    assert main(["doctor", "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert report["works"] is False
    assert report["weights"]["imagenet"]["found"] is False
    assert "imagenet" in report["self_test"][0]["found"]
    assert main(["doctor"]) == 1
    assert "sketchloss does not work here" in capsys.readouterr().out


def test_it_runs_in_a_process_and_imports_no_library_of_an_extra():
    heavy = ("accelerate", "datasets", "kornia", "matplotlib", "sklearn", "scipy", "tensorboard", "torchvision")
    script = (
        "import sys; from sketchloss.cli import main; code = main(['doctor']); "
        f"print(code, [name for name in {heavy} if name in sys.modules], file=sys.stderr)"
    )
    done = finished([sys.executable, "-c", script], check=True, seconds=240)
    assert done.stderr == "0 []\n"
    assert "sketchloss works here." in done.stdout
