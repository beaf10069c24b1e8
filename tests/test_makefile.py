"""What `make demo` installs is enough for it. Oracle: every import that a study can reach, against pip's metadata."""

import ast
import re
import sys
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]


def needed(requirement: Requirement, found: dict[str, set[str]]) -> dict[str, set[str]]:
    """Return what a requirement installs: each package's name, and its extras that were asked for."""
    name = canonicalize_name(requirement.name)
    new = (set(requirement.extras) | {""}) - found.get(name, set())
    if new:
        found[name] = found.get(name, set()) | new
        for line in metadata.requires(name) or ():
            other = Requirement(line)
            if any(other.marker is None or other.marker.evaluate({"extra": extra}) for extra in new):
                needed(other, found)
    return found


def libraries(file: Path) -> set[str]:
    """Return the libraries that a file imports, in functions too."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.partition(".")[0])
    return found - set(sys.stdlib_module_names) - {"sketchloss", "_typeshed"}


@pytest.fixture
def rooms(monkeypatch):
    """The module that knows the imports between our own modules."""
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    import rooms

    yield rooms
    sys.modules.pop("rooms")


def reached_by_a_study(rooms) -> dict[str, Path]:
    """Return the modules that experiments import, and those these import; a study names the experiments as text."""
    known = rooms.modules()
    waiting = [name for name in known if name.startswith("experiments")] + ["cli", "commands"]
    reached = {}
    while waiting:
        name = waiting.pop()
        name = name if name in known else name.rpartition(".")[0]  # `from sketchloss.room import function`
        if name not in reached:
            reached[name] = known[name]
            waiting += rooms.imports(known[name], known)
    return reached


def test_the_demo_installs_every_library_that_a_study_can_reach(rooms):
    (extras,) = re.findall(r"--editable '\.\[([\w,]+)\]'\n\ttouch", part("demo"))
    installed = needed(Requirement(f"sketchloss[{extras}]"), {})
    names = metadata.packages_distributions()
    missing = {}
    for module, file in reached_by_a_study(rooms).items():
        for library in libraries(file):
            if not {canonicalize_name(name) for name in names[library]} & installed.keys():
                missing[module] = library
    assert missing == {}


def part(name: str) -> str:
    """Return the rule of the Makefile that installs a part."""
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    return re.search(rf"(?ms)^\$\(VENV\)/\.{name}:.*?\n\n", text)[0]


def test_a_library_of_another_extra_would_be_found_missing():
    installed = needed(Requirement("sketchloss[eval,diffusion]"), {})
    assert {"torch", "kornia", "scikit-learn", "pandas", "diffusers"} <= installed.keys()  # pandas: of datasets
    assert not {"gradio", "lancedb", "onnxruntime", "torchmetrics"} & installed.keys()
    assert libraries(ROOT / "src" / "sketchloss" / "gallery" / "table.py") >= {"lancedb", "pyarrow"}
