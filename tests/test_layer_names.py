"""Oracle: the package's source. What is VGG's alone is said in `networks/`; everything else asks the backbone."""

import ast
import re
from pathlib import Path

import pytest

import sketchloss

SOURCE = Path(sketchloss.__file__).parent
#: Names of layers of VGG-16, and of its tensors.
VGGS_OWN = re.compile(r"relu[1-5]_[1-3]|pool[1-5]\b|features\.\d")
OUTSIDE = sorted(path for path in SOURCE.rglob("*.py") if path.parent.name != "networks")


def strings(path: Path) -> list[ast.Constant]:
    """Return the texts of a module that are no documentation: of a module, class, function, field or constant."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    documentation = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    return [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documentation
    ]


def test_no_module_outside_the_networks_names_a_layer_of_vgg():
    # `pool3` is also the name of the FID Inception's layer, in what its distances are called.
    allowed = {("metrics/extractors.py", "FID Inception pool3")}
    named = {
        (path.relative_to(SOURCE).as_posix(), text.value)
        for path in OUTSIDE
        for text in strings(path)
        if VGGS_OWN.search(text.value)
    }
    assert named - allowed == set()


def test_no_module_outside_the_networks_counts_on_the_five_halvings_of_vgg():
    divided = [
        f"{path.relative_to(SOURCE)}:{node.lineno}"
        for path in OUTSIDE
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.BinOp)
        and isinstance(node.op, ast.FloorDiv | ast.Mod)
        and isinstance(node.right, ast.Constant)
        and node.right.value == 32
    ]
    assert divided == []


@pytest.mark.parametrize("kind", ["vgg", "patches", "paper_layers"])
def test_only_the_networks_know_the_kinds_of_layers(kind):
    """Outside, VGG's modules are named for its presets and for the top-level names alone."""
    importers = {
        path.relative_to(SOURCE).as_posix()
        for path in OUTSIDE
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and node.module == f"sketchloss.networks.{kind}"
    }
    presets = {
        "lora/settings.py",
        "loss/loss.py",
        "experiments/guiding_losses.py",
        "experiments/probe/distances.py",
        "experiments/style/transfer_settings.py",
        "loss/style_loss.py",
    }
    assert importers == {"vgg": {"__init__.py"}, "patches": {"loss/large_pictures.py"}, "paper_layers": presets}[kind]


def test_the_strings_of_a_module_are_found(tmp_path):
    page = tmp_path / "module.py"
    page.write_text(
        '"""Of relu1_2."""\n#: relu1_2\nLAYER = "relu1_2"\n"""What relu1_2 is."""\nprint(f"at relu2_2 {LAYER}")\n'
    )
    assert [text.value for text in strings(page)] == ["relu1_2", "at relu2_2 "]
