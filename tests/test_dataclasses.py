"""What is common to the package's dataclasses. Oracle: its source."""

import ast
from collections.abc import Iterator
from pathlib import Path

import sketchloss

PACKAGE = Path(sketchloss.__file__).parent
#: The state of a pass over folders, and of the page's server.
STATES = {"gallery/adding.py: Adding", "app/services.py: Services"}
#: What is there unless somebody says no: an option that takes a word, or a field of what is no command's.
ON = {
    "experiments/prompts/settings.py: LoraTable.references",
    "experiments/probe/settings.py: Probe.baselines",
    "experiments/probe/tricks_settings.py: Tricks.baselines",
    "experiments/table.py: Measure.greater_is_better",
    "experiments/table.py: Measure.ranked",
    "experiments/table.py: Measure.shown",
    "experiments/section.py: Section.printed",
    "data/doodles/shapes.py: Part.filled",
}


def dataclasses() -> Iterator[tuple[str, ast.ClassDef, str]]:
    """Yield file and name of each, its source and how it is decorated."""
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                for decorator in map(ast.unparse, node.decorator_list):
                    if decorator.startswith(("dataclass", "dataclasses.dataclass")):
                        yield f"{path.relative_to(PACKAGE).as_posix()}: {node.name}", node, decorator


def test_what_was_settled_cannot_be_changed_unnoticed():
    assert {name for name, _, decorator in dataclasses() if "frozen=True" not in decorator} == STATES


def test_a_switch_is_off_until_it_is_given():
    switches = {}
    for name, node, _ in dataclasses():
        for item in node.body:
            if isinstance(item, ast.AnnAssign) and item.value and "bool" in ast.unparse(item.annotation):
                default = ast.unparse(item.value).removeprefix("field(default=").partition(",")[0].rstrip(")")
                switches[f"{name}.{ast.unparse(item.target)}"] = default
    assert len(switches) > 50
    assert set(switches.values()) <= {"True", "False", "None"}
    assert {name for name, default in switches.items() if default == "True"} == ON


def test_a_seed_is_0_until_one_is_given():
    """Of dataclasses and of functions: what is not said twice gives the same numbers."""
    seeds = {}
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            named: list[tuple[str, ast.expr | None]] = []
            if isinstance(node, ast.FunctionDef):
                known = node.args
                plain = [*known.posonlyargs, *known.args]
                defaults = [None] * (len(plain) - len(known.defaults)) + known.defaults
                named = [(arg.arg, value) for arg, value in zip(plain, defaults, strict=True)]
                named += [(arg.arg, value) for arg, value in zip(known.kwonlyargs, known.kw_defaults, strict=True)]
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                named = [(node.target.id, node.value)]
            for name, value in named:
                if name == "seed" and isinstance(value, ast.Constant) and value.value is not None:
                    seeds[f"{path.relative_to(PACKAGE).as_posix()}:{node.lineno}"] = value.value
    assert len(seeds) > 30
    assert {where: value for where, value in seeds.items() if value != 0} == {}
