"""Windows of the page, and drawings to give it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from page_visit import Visit
from sketchloss.data.doodles.kinds import doodle


@pytest.fixture(scope="module")
def window(browser) -> Iterator[Visit]:
    """A window for many visits, one after the other: its browser reads Gradio's scripts once."""
    window = Visit(browser)
    yield window
    window.context.close()


@pytest.fixture
def visit(window, app_url) -> Iterator[Visit]:
    window.open(app_url)
    yield window
    assert not window.errors
    window.context.clear_permissions()


@pytest.fixture(scope="module")
def drawings(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("drawings")
    for name, one in {"cat": doodle("cat", 21), "house": doodle("house", 9), "boat": doodle("boat", 4)}.items():
        one.sketch(300).save(folder / f"{name}.png")
    doodle("boat", 5).photo(240).save(folder / "photo.png")
    return folder
