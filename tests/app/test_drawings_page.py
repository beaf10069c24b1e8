"""Drawings of galleries in a real browser: found, opened, copied, searched from, on a map. Oracles: files on disk."""

import base64
from pathlib import Path

from page_visit import WAIT, Visit
from sketchloss.data.doodles.kinds import KINDS
from sketchloss.system.images import open_picture


def _first(visit: Visit, name: str) -> None:
    """Wait until the first drawing that is found has this path."""
    visit.page.wait_for_function(
        "path => document.querySelector('#search-found .path')?.innerText === path", arg=name, timeout=WAIT
    )


def test_a_found_drawing_is_named_opened_copied_and_searched_from(visit, drawings):
    visit.context.grant_permissions(["clipboard-read", "clipboard-write"])
    visit.tab("Search")
    visit.search(drawings / "cat.png")
    paths = visit.page.locator("#search-found .path").all_inner_texts()
    files = [Path(path) for path in paths]
    assert len(files) == 10
    assert all(file.is_file() for file in files)  # only this computer can open this page
    assert visit.page.locator("#search-found .name").all_inner_texts() == [file.name for file in files]
    third = visit.page.locator("#search-found li").nth(2)
    third.get_by_role("button", name="Copy path").click()
    third.get_by_text("Copied").wait_for()
    assert visit.page.evaluate("navigator.clipboard.readText()") == paths[2]

    third.get_by_role("button", name="Open").click()
    window = visit.page.locator("#viewer dialog")
    window.get_by_text("256 x 256 pixels").wait_for()
    shown = window.locator("img").get_attribute("src")
    assert shown is not None
    whole = open_picture(base64.b64decode(shown.partition(",")[2]))
    assert whole.tobytes() == open_picture(files[2]).tobytes()
    assert window.locator(".path").inner_text() == paths[2]
    visit.shot("viewer")
    visit.page.keyboard.press("Escape")
    assert not window.is_visible()
    third.get_by_role("button", name="Open").click()  # once more
    window.get_by_text("256 x 256 pixels").wait_for()
    visit.page.keyboard.press("Escape")

    third.get_by_role("button", name="More like").click()
    _first(visit, paths[2])
    assert visit.page.locator("#search-found .caption").first.inner_text().endswith("1.00")
    visit.page.get_by_text(f"Most like {files[2].name}").wait_for()


def test_only_what_the_filters_let_through_is_found(visit, drawings):
    visit.tab("Search")
    visit.search(drawings / "house.png")
    visit.page.locator("#search-label input").click()
    visit.page.get_by_role("option", name="cat", exact=True).click()
    found = visit.page.locator("#search-found .caption")
    visit.page.wait_for_function("() => document.querySelectorAll('#search-found .caption').length === 6")
    assert {words.split()[0] for words in found.all_inner_texts()} == {"cat"}
    visit.page.locator("#search-least input[type=number]").fill("1")
    visit.page.keyboard.press("Tab")
    visit.page.get_by_text("None is so similar").wait_for()
    assert found.count() == 0


def test_the_map_shows_drawings_that_are_chosen_zoomed_and_searched_from(visit):
    plane = visit.explore()
    tiles = visit.page.locator("#explore-map .tile:visible")
    before = tiles.count()
    assert before > 10
    assert visit.page.locator("#explore-map circle").count() == 210
    tip = visit.page.locator("#explore-map .tip")
    assert not tip.is_visible()
    tiles.nth(5).hover()
    assert tip.inner_text() in KINDS
    assert tip.locator("img").evaluate("image => image.complete && image.naturalWidth") == 72
    visit.shot("explore")
    visit.page.mouse.move(0, 0)
    assert not tip.is_visible()
    plane.focus()
    said = []
    for _ in range(8):
        visit.page.keyboard.press("ArrowRight")
        said.append(tip.inner_text())
    assert said == ["airplane"] * 6 + ["apple"] * 2
    for _ in range(3):
        visit.page.keyboard.press("+")
    assert 0 < tiles.count() < before  # only a part of the map is to be seen, and its drawings have more room
    dots = visit.page.locator("#explore-map circle:visible").count()
    visit.page.keyboard.press("0")
    assert tiles.count() == before
    assert visit.page.locator("#explore-map circle:visible").count() > dots

    visit.page.keyboard.press("Enter")
    window = visit.page.locator("#viewer dialog")
    window.get_by_text("256 x 256 pixels").wait_for()
    path = window.locator(".path").inner_text()
    assert Path(path).parent.name == "apple"
    visit.page.keyboard.press("Escape")
    tiles.nth(3).click()
    window.get_by_text("256 x 256 pixels").wait_for()
    path = window.locator(".path").inner_text()
    window.get_by_role("button", name="More like this").click()
    _first(visit, path)
    assert visit.page.locator("#search-found").is_visible()  # its tab was opened
    visit.tab("Explore")
    visit.page.keyboard.press("Escape")
    assert visit.page.locator("#explore-pairs").get_by_text("0.", exact=False).count() >= 10


def test_a_map_is_zoomed_and_chosen_from_with_fingers(browser, app_url):
    visit = Visit(browser, viewport={"width": 390, "height": 844}, is_mobile=True, has_touch=True)
    visit.open(app_url)
    plane = visit.explore()
    plane.scroll_into_view_if_needed()
    box = plane.bounding_box()
    assert box is not None
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    fingers = visit.context.new_cdp_session(visit.page)

    def touch(kind: str, *places: tuple[float, float]) -> None:
        points = [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(places)]
        fingers.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    def shown() -> int:
        return visit.page.locator("#explore-map :is(.tile, circle):visible").count()

    whole = shown()
    touch("touchStart", (middle[0] - 20, middle[1]), (middle[0] + 20, middle[1]))
    for wide in range(30, 110, 10):
        touch("touchMove", (middle[0] - wide, middle[1]), (middle[0] + wide, middle[1]))
    touch("touchEnd")
    assert 0 < shown() < whole
    visit.page.get_by_role("button", name="Whole map").tap()
    assert shown() == whole
    visit.page.locator("#explore-map .tile:visible").nth(4).tap()
    visit.page.locator("#viewer dialog").get_by_text("256 x 256 pixels").wait_for()
    visit.shot("phone-viewer")
    assert not visit.errors
    visit.context.close()
