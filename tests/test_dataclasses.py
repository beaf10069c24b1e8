"""What is common to the package's dataclasses. Oracle: its source."""

import ast
from pathlib import Path

import sketchloss

PACKAGE = Path(sketchloss.__file__).parent
#: The state of a pass over folders, and of the page's server.
STATES = {"gallery/adding.py: Adding", "app/services.py: Services"}


def test_what_was_settled_cannot_be_changed_unnoticed():
    changing = {
        f"{path.relative_to(PACKAGE).as_posix()}: {node.name}"
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef)
        for decorator in map(ast.unparse, node.decorator_list)
        if decorator.startswith(("dataclass", "dataclasses.dataclass")) and "frozen=True" not in decorator
    }
    assert changing == STATES
