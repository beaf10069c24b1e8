"""Oracles: what a fresh interpreter has loaded; a golden list of the public names; the installed metadata."""

import ast
import importlib.metadata
import importlib.util
import json
import os
import re
import sys
import textwrap
import tomllib
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import sketchloss
from child_process import finished

# Names that users rely on: one that is gone here is a breaking change, to be told in the changelog.
PUBLIC_NAMES = {
    "ARMS",
    "TAPS",
    "AttentionGate",
    "Backbone",
    "BackboneConfig",
    "CachedTargets",
    "SketchLoss",
    "gram",
    "load_backbone",
    "save_backbone",
    "separation",
    "sketch_loss",
    "to_tensor",
    "top_k_accuracy",
}

# What recipes, reports and the page are built on; the two lines that most users write need none of it.
HEAVY = {
    *("accelerate", "datasets", "diffusers", "gradio", "kornia", "lancedb", "matplotlib", "onnx", "onnxruntime"),
    *("pandas", "peft", "pyarrow", "pytorch_metric_learning", "scipy", "skimage", "sklearn", "tensorboard"),
    *("torchmetrics", "torchvision", "transformers", "tyro"),
}

# Chosen for what they do, these load a torchvision wherever they find one; so they are looked at by themselves.
LOOK_FOR_TORCHVISION = ("diffusers", "peft", "torchmetrics", "transformers")
HIDE_THEM = f"import sys; sys.modules.update(dict.fromkeys({LOOK_FOR_TORCHVISION}))\n"
WATCH_IMPORTS = """
    import builtins, sys
    asked, original = set(), builtins.__import__
    def watched(name, *arguments, **settings):
        if not (len(arguments) > 3 and arguments[3]):  # not a module of the importer's own package
            asked.add(name.partition(".")[0])
        return original(name, *arguments, **settings)
    builtins.__import__ = watched
"""

IMPORT_TORCH_AND_ALL = """
    import json, sys, torch
    before = {name.partition(".")[0] for name in sys.modules}
    from sketchloss import *
    print(json.dumps([sorted(before), sorted({name.partition(".")[0] for name in sys.modules})]))
"""

# note: a module that needs a library which is not installed is passed over; any other failure is one.
IMPORT_EVERYTHING = """
    import importlib, importlib.util, json, pkgutil, sys
    import sketchloss
    passed_over = []
    for module in pkgutil.walk_packages(sketchloss.__path__, "sketchloss."):
        if module.name.endswith("__main__"):
            continue
        try:
            importlib.import_module(module.name)
        except ModuleNotFoundError as error:
            library = error.name.partition(".")[0]
            if library == "sketchloss" or importlib.util.find_spec(library) is not None:
                raise
            passed_over.append([module.name, library])
    print(json.dumps([passed_over, sorted(name for name in sys.modules if name.startswith("sketchloss"))]))
"""


def run_python(code: str, *search_path: Path) -> CompletedProcess[str]:
    places = [*map(str, search_path), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(places), "OMP_NUM_THREADS": "1"}
    return finished([sys.executable, "-c", textwrap.dedent(code)], seconds=600, env=environment)


@pytest.fixture
def broken_torchvision(tmp_path) -> Path:
    """A torchvision that can be found, notes down who imports it, and fails as the real one does beside a CPU torch."""
    (tmp_path / "torchvision").mkdir()
    (tmp_path / "torchvision" / "__init__.py").write_text(
        textwrap.dedent(f"""
        import traceback
        from pathlib import Path

        with Path({str(tmp_path / "importers.txt")!r}).open("a") as notes:
            notes.write("".join(traceback.format_stack()))
        raise RuntimeError("operator torchvision::nms does not exist")
        """)
    )
    return tmp_path


def importers(folder: Path) -> str:
    notes = folder / "importers.txt"
    return notes.read_text() if notes.exists() else ""


def test_no_module_imports_torchvision(broken_torchvision):
    done = run_python(HIDE_THEM + textwrap.dedent(IMPORT_EVERYTHING), broken_torchvision)
    assert importers(broken_torchvision) == ""
    assert done.returncode == 0, done.stderr
    passed_over, imported = json.loads(done.stdout.splitlines()[-1])
    extras = {
        re.match(r"[\w.-]+", requirement)[0].replace("-", "_").lower()
        for requirement in importlib.metadata.requires("sketchloss")
        if "extra ==" in requirement
    }
    assert {library for _, library in passed_over} <= extras  # the core's own libraries may not be missing
    source = Path(sketchloss.__file__).parent
    modules = {
        ".".join(("sketchloss", *path.relative_to(source).with_suffix("").parts)).removesuffix(".__init__")
        for path in source.rglob("*.py")
        if path.stem != "__main__"
    }
    seen = {*imported, *(name for name, _ in passed_over)}
    # none was forgotten; of a package that is passed over, no module is reached
    assert {module for module in modules if not {module, module.rpartition(".")[0]} & seen} == set()


@pytest.mark.skipif(importlib.util.find_spec("diffusers") is None, reason="needs the extra diffusion")
def test_without_a_torchvision_nothing_asks_for_one():
    report = "\nprint(json.dumps(sorted(asked)))"
    done = run_python(textwrap.dedent(WATCH_IMPORTS) + textwrap.dedent(IMPORT_EVERYTHING) + report)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""  # diffusers and transformers say at import that it is missing
    *_, reached, asked = done.stdout.splitlines()
    assert "sketchloss.experiments.prompts.training" in json.loads(reached)[1]
    assert {"torch", *LOOK_FOR_TORCHVISION} <= set(json.loads(asked))
    assert not FORBIDDEN & set(json.loads(asked))


@pytest.mark.parametrize(
    "code",
    [
        "import torchvision",
        "from torchvision.transforms import v2",
        "try:\n    import torchvision\nexcept Exception:\n    pass",
    ],
)
def test_the_detector_of_torchvision_detects_it(broken_torchvision, code):
    run_python(code, broken_torchvision)
    assert "import" in importers(broken_torchvision)
    assert "torchvision" in importers(broken_torchvision)


def test_no_source_names_torchvision_in_an_import():
    # Imports inside functions run later than the test above can see.
    source = Path(sketchloss.__file__).parent
    found = []
    for path in source.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            found += [f"{path}:{node.lineno}" for name in names if name.partition(".")[0] in FORBIDDEN]
    assert found == []


# torchvision, and what needs it.
FORBIDDEN = {"torchvision", "timm", "lpips", "piq", "open_clip", "torch_fidelity", "cleanfid", "pytorch_fid"}


def test_import_stays_light():
    done = run_python(IMPORT_TORCH_AND_ALL)
    assert done.returncode == 0, done.stderr
    assert done.stderr == done.stdout.partition("[")[0] == ""  # nothing is printed
    before, loaded = map(set, json.loads(done.stdout))
    assert {"sketchloss", "torch", "safetensors", "numpy", "PIL"} <= loaded
    assert loaded & HEAVY <= before, sorted(loaded & HEAVY - before)


def test_a_name_that_the_package_has_not_is_an_error_and_dir_lists_the_others():
    with pytest.raises(AttributeError, match="'sketchloss' has no attribute 'SketchLos'"):
        sketchloss.SketchLos  # noqa: B018
    assert set(sketchloss.__all__) <= set(dir(sketchloss))


def test_public_names_are_all_there():
    assert len(set(sketchloss.__all__)) == len(sketchloss.__all__)
    assert set(sketchloss.__all__) >= PUBLIC_NAMES, PUBLIC_NAMES - set(sketchloss.__all__)
    assert all(getattr(sketchloss, name, None) is not None for name in sketchloss.__all__)


def test_version_is_the_distributions():
    assert sketchloss.__version__ == importlib.metadata.version("sketchloss")
    assert re.fullmatch(r"\d+\.\d+\.\d+([a-z]+\d+)?", sketchloss.__version__)


def test_the_versions_that_are_tested_are_in_the_ranges_that_are_installed():
    root = Path(__file__).parents[1]
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [Requirement(line) for line in sum(project["optional-dependencies"].values(), project["dependencies"])]
    pins = (root / "constraints.txt").read_text(encoding="utf-8")
    tested = {canonicalize_name(name): version for name, version in re.findall(r"(?m)^([\w.-]+)==(\S+)$", pins)}
    for one in wanted:
        if one.name != "sketchloss":
            assert one.specifier.contains(tested[canonicalize_name(one.name)]), one
    # What is asked of tyro came with 1.0.16, and its messages are read.
    (tyro,) = (one.specifier for one in wanted if one.name == "tyro")
    assert [tyro.contains(version) for version in ("1.0.15", "1.0.16", "1.1.0", "2.0.0")] == [False, True, False, False]


def test_the_package_says_it_is_typed():
    assert (Path(sketchloss.__file__).parent / "py.typed").is_file()
