"""The order of the rooms. Oracle: the imports in the source, against the list in docs/rooms.py."""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture
def rooms(monkeypatch):
    """The module that draws the picture of the rooms."""
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    import rooms

    yield rooms
    sys.modules.pop("rooms")


def test_a_room_imports_only_what_stands_above_it(rooms):
    order, known = list(rooms.ROOMS), rooms.modules()
    wrong = [
        f"{module} imports {other}"
        for module, file in known.items()
        for other in rooms.imports(file, known)
        if (room := rooms.room_of(module)) and order.index(room) < _place(order, rooms.room_of(other))
    ]
    assert wrong == []


def _place(order: list[str], room: str) -> int:
    """Of the command line and what else stands above all rooms: behind the last."""
    return order.index(room) if room else len(order)


def test_every_module_is_in_a_room_but_the_command_line(rooms):
    outside = {module for module in rooms.modules() if not rooms.room_of(module)}
    assert outside == {"__init__", "__main__", "cli", "commands", "doctor"}


def test_the_first_floor_can_be_read_at_a_glance(rooms):
    files = [path.relative_to(rooms.PACKAGE) for path in rooms.PACKAGE.rglob("*") if path.is_file()]
    entries = {file.parts[0] for file in files if "__pycache__" not in file.parts}  # of rooms that moved, too
    assert len(entries) <= 22, sorted(entries)


def test_imports_are_found_in_functions_and_of_whole_modules(rooms, tmp_path):
    file = tmp_path / "module.py"
    file.write_text("from sketchloss.data import pairs\n\ndef late():\n    from sketchloss.app.guard import check\n")
    assert list(rooms.imports(file, rooms.modules())) == ["data.pairs", "app.guard"]


def test_the_picture_has_every_room(rooms, tmp_path):
    rooms.draw(tmp_path / "rooms.svg")
    assert (tmp_path / "rooms.svg").stat().st_size > 10_000
    pairs = rooms.between_rooms()
    assert pairs["loss", "networks"] > 0
    assert pairs["networks", "loss"] == 0


def test_no_package_has_a_name_that_is_also_a_module_of_it(rooms):
    # Whichever is imported first would be found under that name.
    for file in sorted(rooms.PACKAGE.rglob("__init__.py")):
        inside = {path.stem for path in file.parent.iterdir()}
        nodes = list(ast.walk(ast.parse(file.read_text(encoding="utf-8"))))
        names = {
            alias.asname or alias.name for node in nodes if isinstance(node, ast.ImportFrom) for alias in node.names
        }
        assert not names & inside, f"{file}: {names & inside}"
