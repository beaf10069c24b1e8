"""The tab that searches. Oracle: an archive that was made here, and the words that a visitor reads."""

import asyncio
import io
import zipfile
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import gradio as gr
import pytest
from PIL import ImageOps

from sketchloss.app.own_galleries import gallery_of
from sketchloss.app.private import PrivateFolder
from sketchloss.app.results import find
from sketchloss.app.search import search_tab
from sketchloss.app.services import open_services
from sketchloss.data.doodles.kinds import doodle
from sketchloss.gallery import Gallery


@pytest.fixture
def private():
    folder = PrivateFolder(keep_seconds=3600, keep_mb=100)
    yield folder
    folder.remove()


@pytest.fixture
def upload(tmp_path, narrow, private, without_type_checks):
    """Give the tab an archive; return what it says, and the names to choose from."""
    services = open_services(weights=narrow, cache=tmp_path / "cache")

    async def make() -> gr.Blocks:  # in a loop, because Gradio makes one where there is none, and closes none
        with gr.Blocks(analytics_enabled=False) as page, gr.Tabs() as tabs, gr.Tab() as tab:
            search_tab(services, private, gr.State({}), gr.HTML(), tabs, tab)
        return page

    with ThreadPoolExecutor(1) as beside:  # the browser of other tests has a loop in this thread
        page = beside.submit(asyncio.run, make()).result(60)
    (built,) = (one.fn for one in page.fns.values() if one.name == "build" and one.api_visibility == "private")

    def give(files: dict[str, bytes]) -> tuple[str, list[str]]:
        with zipfile.ZipFile(tmp_path / "mine.zip", "w") as archive:
            for name, data in files.items():
                archive.writestr(name, data)
        visitor = SimpleNamespace(session_hash="visitor")
        chosen, labels, turn, mine, told = built(str(tmp_path / "mine.zip"), 7, {}, visitor, lambda *_, **__: None)
        assert list(mine) == [chosen.value] == ["mine"]
        assert (labels.choices, turn) == ([("any label", ""), ("cat", "cat")], 8)
        return told, [name for _, name in chosen.choices]

    return give


def drawn(kind: str, seed: int) -> bytes:
    encoded = io.BytesIO()
    doodle(kind, seed).sketch(32).save(encoded, format="PNG")
    return encoded.getvalue()


def test_a_gallery_that_cannot_be_made_leaves_nothing(upload, private):
    before = sorted(private.root.rglob("*"))
    for files in ({"notes.txt": b"x"}, {"cat/text.png": b"no picture"}):
        with pytest.raises(gr.Error):
            upload(files)
        assert [path for path in sorted(private.root.rglob("*")) if path not in before and path.is_file()] == []


def test_a_gallery_of_ones_own_that_was_deleted_is_forgotten(tmp_path, private, without_type_checks):
    mine = {"mine": str(tmp_path / "gone"), "other": "there"}
    with pytest.raises(ValueError, match="the gallery 'mine' was deleted, as it was not used for a while: upload it"):
        gallery_of(SimpleNamespace(), "mine", mine, private)
    assert mine == {"other": "there"}


def test_of_an_archive_it_is_said_what_could_be_read_and_what_not(upload):
    good = {f"cat/{seed}.png": drawn("cat", seed) for seed in range(3)}
    told, names = upload(good)
    assert told == "3 drawings in **mine**."
    assert names == ["doodles", "mine"]
    bad = {"cat/half.png": drawn("cat", 7)[:60], "dog/text.png": b"no picture"}
    assert upload(good | bad)[0] == "3 drawings in **mine**; 2 could not be read."
    told, _ = upload(good | bad | {"cat/plan.svg": b"<svg/>"})
    kind = "the zip archive: 1 file of a kind that cannot be read: plan.svg; save it as PNG"
    assert told.replace("\\", "") == f"3 drawings in **mine**; 2 could not be read; {kind}."


def test_a_gallery_that_cleans_cleans_the_visitors_drawing(narrow, tmp_path):
    for kind in ("cat", "house", "fish"):
        (tmp_path / "drawings" / kind).mkdir(parents=True)
        doodle(kind, 1).sketch(64).save(tmp_path / "drawings" / kind / "1.png")
    gallery, _ = Gallery.build(tmp_path / "g", [tmp_path / "drawings"], weights=narrow, image_size=32, clean=True)
    (match,) = find(gallery, ImageOps.invert(doodle("house", 1).sketch(64).convert("RGB")), 1.0, None, None)
    assert match.label == "house"
    assert match.similarity == pytest.approx(1, abs=1e-4)
