"""Oracle: what this environment computes, beside a wheel of the checkout in a fresh environment without constraints.

Proves: the wheel holds the whole package; the core needs nothing but what the wheel declares, in the versions that pip
chooses today without constraints.txt; the loss, `compare` and `doctor` run there without a network, and whether a
torchvision is beside them makes no difference. An index must answer; otherwise the tests are skipped.

Does not prove: that today's torch works. torch and the CUDA libraries of its build are this environment's, by links,
because a torch from PyPI brings gigabytes of CUDA along. Nor that the extras work with today's versions.
"""

import importlib.metadata
import json
import os
import sys
import venv
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from child_process import finished
from sketchloss import SketchLoss
from sketchloss.cli import main
from sketchloss.data.doodles.kinds import doodle
from sketchloss.system.images import to_tensor

ROOT = Path(__file__).parents[1]
PIP = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]

# Started with every Python of the fresh environment: nobody gets at a network or a torchvision without a note of it.
WATCH = """
import sys

def watch(event, arguments):
    asks = event in {"socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"}
    if asks or (event == "import" and arguments[0].partition(".")[0] == "torchvision"):
        with open(%r, "a") as notes:
            notes.write(f"{event} {arguments[:2]}\\n")
    if asks:
        raise OSError("no network in this test")

sys.addaudithook(watch)
"""

LOSS = """
import json, sys, sketchloss
from sketchloss.system.images import to_tensor
pred, target = (to_tensor(path)[None] for path in sys.argv[1:])
value = sketchloss.SketchLoss()(pred.requires_grad_(), target)
value.backward()
print(json.dumps([sketchloss.__file__, value.item(), pred.grad.norm().item()]))
"""


class Fresh:
    """A fresh environment with the wheel and what pip chose for the core.

    Args:
        place: of the environment.
        wheel: that is installed there.
    """

    def __init__(self, place: Path, wheel: Path) -> None:
        self.wheel = wheel
        self.notes = place / "notes.txt"
        """What the processes asked of a network, and imports of torchvision; not there if nothing."""
        self.programs = place / ("Scripts" if os.name == "nt" else "bin")
        self.python = self.programs / Path(sys.executable).name
        venv.create(place, symlinks=os.name != "nt")
        ask = "import sysconfig; print(sysconfig.get_path('purelib'))"
        self.libraries = Path(finished([self.python, "-c", ask], check=True).stdout.strip())
        for distribution in importlib.metadata.distributions():
            if distribution.name == "torch" or distribution.name.startswith(("nvidia-", "cuda-", "triton")):
                self._link(distribution)
        # note: what is imported is compiled then; pip would compile all of sympy
        finished([*PIP, "--python", self.python, "install", "--no-compile", wheel], check=True, seconds=300)
        (self.libraries / "watch.py").write_text(WATCH % str(self.notes))
        (self.libraries / "watch.pth").write_text("import watch\n")

    def _link(self, distribution: importlib.metadata.Distribution) -> None:
        for name in {file.parts[0] for file in distribution.files or ()} - {"..", "__pycache__"}:
            (self.libraries / name).symlink_to(Path(str(distribution.locate_file(name))))

    def run(self, program: str, *arguments: str | Path, torchvision: Path | None = None) -> str:
        """Run a program of the environment, with an empty home and no other packages; return what it says."""
        settings = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PIP", "HF_"))}
        settings |= {"HOME": str(self.notes.parent), "HF_HUB_OFFLINE": "1"}
        if torchvision:
            settings["PYTHONPATH"] = str(torchvision)
        command = [self.programs / program, *arguments]
        return finished(command, check=True, seconds=300, env=settings, cwd=self.notes.parent).stdout


@pytest.fixture(scope="module")
def fresh(tmp_path_factory) -> Fresh:
    place = tmp_path_factory.mktemp("wheel")
    answer = finished([*PIP, "download", "--no-deps", "--retries=0", "--timeout=20", "--dest", place, "hatchling"])
    if answer.returncode != 0:
        pytest.skip(f"the package index cannot be reached: {answer.stderr.strip().splitlines()[-1]}")
    finished([*PIP, "wheel", "--no-deps", "--wheel-dir", place, ROOT], check=True, seconds=300)
    return Fresh(place / "environment", next(place.glob("sketchloss-*.whl")))


@pytest.fixture(scope="module")
def drawings(tmp_path_factory) -> list[Path]:
    place = tmp_path_factory.mktemp("drawings")
    paths = [place / "cat.png", place / "house.png"]
    for path in paths:
        doodle(path.stem, seed=1).sketch(64).save(path)
    return paths


def test_the_wheel_holds_every_file_of_the_package(fresh):
    source = ROOT / "src"
    wanted = {path.relative_to(source).as_posix() for path in source.rglob("*") if path.is_file()}
    with zipfile.ZipFile(fresh.wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert held == {name for name in wanted if "__pycache__" not in name}


def test_nothing_is_installed_but_what_the_core_needs(fresh):
    finished([*PIP, "--python", fresh.python, "check"], check=True)
    found = importlib.metadata.distributions(path=[str(fresh.libraries)])
    installed = {canonicalize_name(distribution.name) for distribution in found}
    needed = [Requirement(line) for line in importlib.metadata.requires("sketchloss") or ()]
    assert installed >= {canonicalize_name(one.name) for one in needed if one.marker is None}
    only_extras = {"accelerate", "datasets", "diffusers", "gradio", "kornia", "lancedb", "matplotlib", "onnx", "scipy"}
    assert not installed & only_extras
    assert "torchvision" not in installed


def test_the_loss_and_its_gradient_are_those_of_the_checkout(fresh, drawings):
    file, value, gradient = json.loads(fresh.run(fresh.python.name, "-c", LOSS, *drawings))
    assert Path(file).is_relative_to(fresh.libraries)
    pred, target = (to_tensor(path)[None] for path in drawings)
    wanted = SketchLoss()(pred.requires_grad_(), target)
    wanted.backward()
    assert value == pytest.approx(wanted.item(), rel=1e-4)
    assert gradient == pytest.approx(pred.grad.norm().item(), rel=1e-3)
    assert not fresh.notes.exists()


@pytest.fixture(params=["absent", "fails at import", "can be imported"])
def torchvision(request, tmp_path) -> Path | None:
    """A stand-in. PyPI's torchvision 0.28.0, made for torch 2.13.0, was tried by hand with the same outcome: on Linux
    it wants CUDA and fails so beside a CPU build of torch. PyPI offered no other for that torch."""
    if request.param == "absent":
        return None
    (tmp_path / "torchvision").mkdir()
    fails = 'raise RuntimeError("operator torchvision::nms does not exist")\n'
    (tmp_path / "torchvision" / "__init__.py").write_text(fails if "fails" in request.param else "")
    (tmp_path / "torchvision-0.28.0.dist-info").mkdir()
    (tmp_path / "torchvision-0.28.0.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: torchvision\nVersion: 0.28.0\n"
    )
    return tmp_path


def test_compare_runs_without_a_network(fresh, drawings, capsys):
    found = json.loads(fresh.run("sketchloss", "compare", *drawings, "--json"))
    assert main(["compare", *map(str, drawings), "--json"]) == 0
    wanted = json.loads(capsys.readouterr().out)
    assert found.keys() == wanted.keys()
    assert found["distance"] == pytest.approx(wanted["distance"], rel=1e-4)
    assert not fresh.notes.exists()


def test_doctor_is_content_without_a_network_whatever_torchvision_is_there(fresh, torchvision):
    report = json.loads(fresh.run("sketchloss", "doctor", "--json", torchvision=torchvision))
    assert report["works"]
    assert report["libraries"]["core"]["complete"]
    assert not report["libraries"]["train"]["complete"]
    assert report["torchvision"]["installed"] == (torchvision and "0.28.0")
    assert not fresh.notes.exists()


@pytest.mark.parametrize(
    ("code", "noted"),
    [
        ("import torchvision", "import ('torchvision'"),
        ("import socket; socket.create_connection(('127.0.0.1', 9))", "socket.getaddrinfo"),
        ("import socket; socket.socket().connect(('127.0.0.1', 9))", "socket.connect"),
    ],
)
def test_the_watch_notes_what_it_should(fresh, code, noted):
    try:
        fresh.run(fresh.python.name, "-c", f"try:\n    {code}\nexcept Exception:\n    pass")
        assert noted in fresh.notes.read_text()
    finally:
        fresh.notes.unlink(missing_ok=True)
