"""Mistakes and results in a real browser: neither stays beside a newer one. Oracle: what a visitor sees."""

import json

import httpx
import pytest

from page_visit import Visit


def _by_key(visit: Visit, name: str) -> None:
    """Press a button without the mouse, whose use closes messages as well."""
    visit.page.get_by_role("button", name=name).focus()
    visit.page.keyboard.press("Enter")


def _choose(visit: Visit, tab: str, name: str) -> None:
    """Write the name of a gallery, with keys alone."""
    visit.page.locator(f"#{tab}-gallery input").focus()
    visit.page.keyboard.press("Control+a")
    visit.page.keyboard.type(name)
    visit.page.keyboard.press("Enter")


@pytest.fixture
def bad(tmp_path):
    (tmp_path / "bad.png").write_bytes(b"no picture")
    return tmp_path / "bad.png"


def test_compare(visit, bad):
    visit.page.get_by_role("button", name="Try: two cats").click()
    visit.compared()
    visit.upload("compare-1", bad)
    visit.message.wait_for()
    visit.page.get_by_text("Give two drawings").wait_for()
    assert not visit.page.locator("#compare-heat").is_visible()
    _by_key(visit, "Try: a cat and a house")
    visit.compared()
    visit.message.wait_for(state="hidden", timeout=5000)


def test_search(visit, bad, drawings):
    visit.tab("Search")
    visit.search(drawings / "cat.png")
    _choose(visit, "search", "nothing")
    visit.message.wait_for()
    visit.page.get_by_text("Draw something").wait_for()
    assert not visit.page.locator("#search-found").is_visible()
    _choose(visit, "search", "doodles")
    visit.page.locator("#search-found img").first.wait_for()
    visit.message.wait_for(state="hidden", timeout=5000)
    visit.upload("search-upload", bad)
    visit.message.wait_for()
    visit.page.get_by_text("Draw something").wait_for()
    assert not visit.page.locator("#search-found").is_visible()


def test_photos(visit, bad, drawings):
    visit.tab("Photos")
    visit.upload("photo", bad)
    visit.message.wait_for()
    visit.upload("photo", drawings / "photo.png")
    visit.page.locator("#photo-slider img").nth(1).wait_for()
    visit.message.wait_for(state="hidden", timeout=5000)
    visit.upload("photo", bad)
    visit.message.wait_for()
    visit.page.get_by_text("Give a photo").wait_for()
    assert not visit.page.locator("#photo-slider").is_visible()
    assert not visit.page.locator("#photo-download").is_visible()


def test_explore(visit):
    plane = visit.explore()
    _choose(visit, "explore", "nothing")
    visit.message.wait_for()
    plane.wait_for(state="detached")
    assert not visit.page.locator("#explore-pairs").is_visible()
    _choose(visit, "explore", "doodles")
    plane.wait_for()
    visit.message.wait_for(state="hidden", timeout=5000)


def test_an_example_and_a_swap_are_compared_once(visit, app_url):
    config = httpx.get(f"{app_url}config", trust_env=False, timeout=60).json()
    (heat,) = (part["id"] for part in config["components"] if part["props"].get("elem_id") == "compare-heat")
    computing = {one["id"] for one in config["dependencies"] if heat in one["outputs"] and len(one["inputs"]) == 4}
    asked = []

    def note(request) -> None:
        if "/queue/join" in request.url and json.loads(request.post_data)["fn_index"] in computing:
            asked.append(request)

    visit.page.on("request", note)
    try:
        before = ""
        for number, name in enumerate(("Try: two cats", "Try: a cat and a house", "Swap"), start=1):
            visit.page.get_by_role("button", name=name).click()
            visit.page.wait_for_function(
                "before => ![before, ''].includes(document.querySelector('#compare-heat img')?.src ?? '')", arg=before
            )
            visit.page.wait_for_timeout(1500)  # for a second comparison, if there is one
            before = visit.page.locator("#compare-heat img").first.get_attribute("src")
            assert len(asked) == number, name
    finally:
        visit.page.remove_listener("request", note)


def test_a_drawing_that_cannot_be_opened(visit):
    visit.tab("Search")
    window = visit.page.locator("#viewer dialog")
    for _ in range(2):
        visit.page.evaluate(
            "detail => document.dispatchEvent(new CustomEvent('sketchloss:open', {detail}))",
            {"gallery": "doodles", "content": "0" * 64, "name": "gone.png", "path": "gone.png"},
        )
        visit.message.get_by_text("this drawing is not in the gallery any more").wait_for()
        window.wait_for(state="hidden")
        visit.page.mouse.click(5, 5)
        visit.message.wait_for(state="hidden")
