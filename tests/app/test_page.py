"""The page in a real browser. Oracles: the library on the same files, and what a visitor sees.

Screenshots go where `page_visit` says.
"""

import base64
import io
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image

from page_visit import Visit
from sketchloss.compare.measuring import Pair, measure
from sketchloss.data.doodles.kinds import KINDS, doodle
from sketchloss.loss.loss import SketchLoss
from sketchloss.system.images import open_picture

PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}
TABS = ("Compare", "Search", "Photos", "Explore")


def test_nothing_is_asked_of_another_computer(browser, app_url):
    visit = Visit(browser)
    visit.open(app_url)
    for name in TABS[1:]:
        visit.tab(name)
        visit.page.wait_for_timeout(500)
    visit.explore()
    hosts = {re.match(r"(\w+://[^/:]+|data:|blob:)", url).group() for url in visit.requests}  # pyright: ignore
    assert hosts <= {"http://127.0.0.1", "data:", "blob:"}
    assert not visit.errors
    visit.context.close()


def test_two_files_are_compared_and_the_difference_is_shown(visit, drawings):
    visit.upload("compare-1", drawings / "cat.png")
    visit.upload("compare-2", drawings / "house.png")
    ((expected,), _) = measure(SketchLoss(), [Pair("x", drawings / "cat.png", drawings / "house.png")])
    assert visit.compared() == pytest.approx(expected.total, abs=0.002)
    place = visit.page.locator("#compare-place [role=img]").get_attribute("aria-label")
    assert place is not None
    assert f"Distance {expected.total:.3f}"[:-1] in place
    heat = visit.page.locator("#compare-heat img")
    heat.nth(1).wait_for()
    colours = _picture(visit, heat.nth(1))
    assert (np.ptp(colours.astype(int), axis=2) > 60).mean() > 0.02  # ink is grey, heat has a colour
    visit.page.locator("#compare-bars svg, #compare-bars canvas").first.wait_for()
    visit.shot("compare")
    first, second = (_picture(visit, visit.page.locator(f"#compare-{n} img")) for n in (1, 2))
    visit.page.locator("#compare-invert-1 input").check()
    visit.page.get_by_role("button", name="Swap").click()
    visit.page.locator("#compare-invert-2 input:checked").wait_for()
    assert (_picture(visit, visit.page.locator("#compare-1 img")) == second).all()
    assert (_picture(visit, visit.page.locator("#compare-2 img")) == first).all()
    assert not visit.page.locator("#compare-invert-1 input").is_checked()


def _picture(visit: Visit, image) -> np.ndarray:
    data = visit.context.request.get(image.get_attribute("src")).body()
    return np.asarray(open_picture(data))


def test_light_drawings_on_dark_paper_are_turned(visit, drawings, tmp_path):
    for name in ("cat", "house"):
        with Image.open(drawings / f"{name}.png") as picture:
            picture.point(lambda value: 255 - value).save(tmp_path / f"{name}.png")
    visit.upload("compare-1", tmp_path / "cat.png")
    visit.upload("compare-2", tmp_path / "house.png")
    visit.page.get_by_text("The second looks light on dark").wait_for()
    visit.page.locator("#compare-invert-1 input").check()
    visit.page.get_by_text("The first looks light on dark").wait_for(state="detached")
    visit.page.locator("#compare-invert-2 input").check()
    visit.page.get_by_text("The second looks light on dark").wait_for(state="detached")
    ((expected,), _) = measure(SketchLoss(), [Pair("x", drawings / "cat.png", drawings / "house.png")])
    assert visit.compared() == pytest.approx(expected.total, abs=0.002)


def test_an_example_and_a_drawing_of_ones_own_are_compared(visit):
    visit.page.get_by_role("button", name="Try: two cats").click()
    before = visit.compared()
    visit.page.wait_for_timeout(1500)
    visit.shot("page")
    visit.page.get_by_role("button", name="Draw the second").click()
    visit.draw("compare-canvas-2", doodle("house", 3, style="ink"))
    visit.page.wait_for_function(
        "text => !document.querySelector('#compare-said').innerText.includes(text)", arg=f"{before:.3f}"
    )
    assert visit.compared() > before


@pytest.mark.parametrize("kind", ["house", "umbrella", "fish"])
def test_what_is_drawn_finds_its_class_in_the_top_five(visit, kind):
    assert kind in KINDS
    visit.tab("Search")
    visit.draw("search-canvas", doodle(kind, 77, style="ink"))  # no drawing of the gallery has this number
    visit.page.locator("#search-found img").nth(9).wait_for()
    visit.page.wait_for_timeout(2000)  # for the last strokes
    found = visit.page.locator("#search-found .caption").all_inner_texts()
    assert len(found) == 10
    assert kind in {text.split()[0] for text in found[:5]}
    visit.shot(f"search-{kind}")


def test_the_canvas_erases_undoes_and_clears(visit):
    visit.tab("Search")
    visit.draw("search-canvas", doodle("star", 5, style="ink"))
    visit.page.locator("#search-found img").first.wait_for()

    def ink() -> float:
        script = """canvas => {
          const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
          let sum = 0;
          for (let i = 0; i < data.length; i += 4) sum += 255 - data[i];
          return sum / 255;
        }"""
        return visit.page.locator("#search-canvas canvas").evaluate(script)

    drawn = ink()
    visit.page.get_by_role("button", name="Eraser").click()
    visit.draw("search-canvas", doodle("star", 5, style="ink"))
    assert ink() < 0.1 * drawn
    strokes = len(doodle("star", 5, style="ink").strokes)
    for _ in range(strokes):
        visit.page.get_by_role("button", name="Undo").click()
    assert ink() == drawn
    visit.page.get_by_role("button", name="Clear").click()
    assert ink() == 0
    visit.page.get_by_text("Draw something").wait_for()


def test_an_uploaded_drawing_is_searched_in_a_gallery_of_ones_own(visit, browser, app_url, drawings, tmp_path):
    with zipfile.ZipFile(tmp_path / "mine.zip", "w") as archive:
        for kind in ("boat", "tree"):
            for seed in range(3):
                encoded = io.BytesIO()
                doodle(kind, 50 + seed).sketch(64).save(encoded, format="PNG")
                archive.writestr(f"{kind}/<b>*{seed}*<b>.png", encoded.getvalue())
    visit.tab("Search")
    visit.search(drawings / "boat.png")
    visit.page.get_by_role("button", name="Your own gallery").click()
    visit.upload("search-zip", tmp_path / "mine.zip")
    visit.page.get_by_text("6 drawings in mine", exact=False).first.wait_for()
    visit.page.wait_for_function("() => document.querySelectorAll('#search-found .caption').length === 6")
    captions = visit.page.locator("#search-found .caption").all_inner_texts()
    assert captions[0].startswith("boat")
    paths = visit.page.locator("#search-found .path").all_inner_texts()
    assert sorted(paths) == [f"{kind}/<b>*{seed}*<b>.png" for kind in ("boat", "tree") for seed in range(3)]
    visit.page.get_by_role("button", name="More like").first.click()
    name = paths[0].rpartition("b>*")[2].removesuffix("*<b>.png")
    visit.page.get_by_text(f"Most like \u2039b\u203a*{name}*\u2039b\u203a.png").wait_for()
    visit.explore()
    visit.page.locator("#explore-gallery input").click()
    visit.page.get_by_role("option", name="mine").click()
    visit.page.wait_for_function("() => document.querySelectorAll('#explore-map circle').length === 6")
    other = Visit(browser)
    other.open(app_url)
    other.tab("Search")
    other.page.locator("#search-gallery input").click()
    other.page.get_by_role("option").first.wait_for()
    assert [name.strip(" ✓\n") for name in other.page.get_by_role("option").all_inner_texts()] == ["doodles"]
    other.context.close()


def test_a_photo_becomes_a_sketch_to_download(visit, drawings, tmp_path):
    visit.tab("Photos")
    visit.upload("photo", drawings / "photo.png")
    visit.page.locator("#photo-slider img").nth(1).wait_for()
    visit.shot("photos")
    with visit.page.expect_download() as waiting:
        visit.page.get_by_role("button", name="Download the sketch").click()
    waiting.value.save_as(tmp_path / "sketch.png")
    sketch, photo = open_picture(tmp_path / "sketch.png"), open_picture(drawings / "photo.png")
    assert sketch.size == photo.size
    assert np.ptp(np.asarray(sketch).astype(int), axis=2).max() == 0  # a pencil has no colour
    assert np.asarray(sketch).std() > 10


def test_a_picture_of_the_webcam_becomes_a_sketch(visit):
    visit.context.grant_permissions(["camera"])
    visit.tab("Photos")
    visit.page.locator("#photo").get_by_label("Capture from camera").click()
    visit.page.locator("#photo").get_by_text("Click to Access Webcam").click()
    visit.page.locator("#photo video").wait_for()
    visit.page.wait_for_timeout(1000)
    visit.page.locator("#photo").get_by_label("capture photo").click()
    visit.page.locator("#photo-slider img").nth(1).wait_for()


def test_a_drawing_is_pasted(visit, drawings):
    visit.context.grant_permissions(["clipboard-read", "clipboard-write"])
    data = base64.b64encode((drawings / "cat.png").read_bytes()).decode()
    copy = """async data => {
      const picture = await (await fetch(`data:image/png;base64,${data}`)).blob();
      await navigator.clipboard.write([new ClipboardItem({'image/png': picture})]);
    }"""
    visit.page.evaluate(copy, data)
    visit.page.locator("#compare-1").get_by_label("Paste from clipboard").click()
    visit.page.locator("#compare-1 img").wait_for()
    visit.upload("compare-2", drawings / "cat.png")
    visit.page.get_by_text("The same picture").wait_for()


def test_a_studys_report_is_shown_in_a_frame_that_runs_no_script(visit):
    visit.tab("Explore")
    visit.page.get_by_role("button", name="Report of the study").click()
    visit.page.frame_locator("iframe.report").get_by_role("heading", name="The report's title").wait_for()
    assert visit.page.title() == "sketchloss"


# Bad uploads ---------------------------------------------------------------------------------------------------------


def _bomb(side: int) -> bytes:
    """A small PNG that claims, and holds, `side` x `side` pixels."""
    encoded = io.BytesIO()
    Image.new("1", (side, side)).save(encoded, format="PNG")
    return encoded.getvalue()


def _noise(size: int) -> bytes:
    return np.random.default_rng(0).bytes(size)


def _archive(files: dict[str, bytes]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return made.getvalue()


SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>document.title = "taken"</script></svg>'
BAD = {
    "no-image.png": (lambda: b"these are words", "compare-1", "no picture|not a picture|cannot be read"),
    "truncated.png": (lambda: _bomb(500)[:80], "compare-1", "truncated|cannot be read|damaged"),
    "bomb.png": (lambda: _bomb(30_000), "compare-1", r"pixels"),
    "large.png": (lambda: _noise(50 * 2**20), "compare-1", r"(?i)size|large|exceeds"),
    "script.svg": (lambda: SVG, "compare-1", "SVG"),
    "text.zip": (lambda: b"no archive", "search-zip", "zip archive cannot be read"),
    "bomb.zip": (
        lambda: _archive({f"{n}.png": bytes(60 * 2**20) for n in range(10)}),
        "search-zip",
        "unpacks to 600 MB",
    ),
    "slip.zip": (lambda: _archive({"../../up.png": _bomb(20)}), "search-zip", "leads out"),
    "large.zip": (lambda: _noise(50 * 2**20), "search-zip", r"(?i)size|large|exceeds"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_upload_is_explained_in_the_page_and_the_server_goes_on(visit, tmp_path, name, drawings):
    make, part, said = BAD[name]
    (tmp_path / name).write_bytes(make())
    if part == "search-zip":
        visit.tab("Search")
        visit.page.get_by_role("button", name="Your own gallery").click()
    visit.upload(part, tmp_path / name)
    toast = visit.page.locator("[data-testid=toast-body], .toast-body").first
    toast.wait_for()
    assert re.search(said, toast.inner_text()), toast.inner_text()
    visit.shot(f"bad-{name.replace('.', '-')}")
    assert visit.page.title() == "sketchloss"
    visit.page.reload()
    visit.page.get_by_role("button", name="Try: two cats").click()
    assert visit.compared() > 0


def test_a_files_name_is_no_markup_and_a_message_goes_with_the_next_success(visit, drawings, tmp_path):
    named = tmp_path / "<img src=missing onerror=document.title='taken'>![x](missing).png"
    named.write_bytes(b"no picture")
    visit.upload("compare-1", named)
    toast = visit.page.locator("[data-testid=toast-body], .toast-body").first
    toast.wait_for()
    assert "img src=missing" in toast.inner_text()
    assert not [url for url in visit.requests if url.endswith("/missing")]
    assert visit.page.title() == "sketchloss"
    visit.upload("compare-1", drawings / "cat.png")
    visit.upload("compare-2", drawings / "house.png")
    assert visit.compared() > 0
    toast.wait_for(state="hidden", timeout=5000)


def test_a_full_folder_is_explained_in_the_page(window, small_app, tmp_path):
    window.open(small_app[0])
    toast = window.page.locator("[data-testid=toast-body], .toast-body").first
    no_picture, full = "not a picture", "4 MB of uploads are kept already: try again"
    for name, said in (("first", no_picture), ("second", no_picture), ("third", full)):
        (tmp_path / f"{name}.png").write_bytes(name.encode() * 320_000)
        window.upload("compare-1", tmp_path / f"{name}.png")
        toast.wait_for()
        assert said in toast.inner_text()
        window.page.reload()
        window.page.get_by_text("Give two drawings").wait_for()


# Every window --------------------------------------------------------------------------------------------------------


#: Buttons, fields and words that lie on one another, where none is part of the other.
OVERLAPS = """() => {
  const seen = [...document.querySelectorAll('button, input, label, h1, h2, p, .caption, .path')];
  const boxes = seen.filter(one => one.checkVisibility()).map(one => [one, one.getBoundingClientRect()]);
  const found = [];
  boxes.forEach(([a, x], number) => boxes.slice(number + 1).forEach(([b, y]) => {
    const width = Math.min(x.right, y.right) - Math.max(x.left, y.left);
    const height = Math.min(x.bottom, y.bottom) - Math.max(x.top, y.top);
    if (width > 3 && height > 3 && !a.contains(b) && !b.contains(a)) found.push(`${a.outerHTML} | ${b.outerHTML}`);
  }));
  return found;
}"""


def _show_all(visit: Visit, name: str, drawings: Path) -> None:
    visit.page.get_by_role("button", name="Try: two cats").click()
    visit.compared()
    for tab in TABS:
        if tab != "Compare":
            visit.tab(tab)
        if tab == "Search":
            visit.search(drawings / "boat.png")
        if tab == "Photos":
            visit.upload("photo", drawings / "photo.png")
            visit.page.locator("#photo-slider img").nth(1).wait_for()
        if tab == "Explore":
            visit.explore()
        visit.page.wait_for_timeout(1500)
        width, window = visit.page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
        assert width <= window, f"{tab} is {width} pixels wide"
        assert visit.page.evaluate(OVERLAPS) == []
        visit.shot(f"{name}-{tab.lower()}")


def test_on_a_phone_nothing_is_wider_than_the_window(browser, app_url, drawings):
    visit = Visit(browser, **PHONE)
    visit.open(app_url)
    _show_all(visit, "phone", drawings)
    assert not visit.errors
    visit.context.close()


def test_in_dark_mode_text_is_light_on_dark(window, app_url, drawings):
    window.open(app_url, "dark")
    _show_all(window, "dark", drawings)
    script = "element => getComputedStyle(element).color.match(/[\\d.]+/g).slice(0, 3).map(Number)"
    paper = window.page.evaluate(
        "() => getComputedStyle(document.body).backgroundColor.match(/[\\d.]+/g).slice(0, 3).map(Number)"
    )
    assert sum(paper) < 200
    for text in ("#explore-map .legend", "#title h1"):
        assert sum(window.page.locator(text).evaluate(script)) > 450


def test_the_tabs_and_the_canvas_are_reached_by_key(visit):
    visit.page.get_by_role("tab", name="Compare").focus()
    visit.page.keyboard.press("Tab")
    visit.page.keyboard.press("Enter")
    visit.page.locator("#search-canvas canvas").wait_for()
    visit.page.get_by_role("button", name="Pen").focus()
    reached = []
    for _ in range(5):
        reached.append(
            visit.page.evaluate("document.activeElement.getAttribute('aria-label') || document.activeElement.innerText")
        )
        visit.page.keyboard.press("Tab")
    assert reached == ["Pen", "Eraser", "Drawing to search with: width of the pen in pixels", "Undo", "Clear"]


#: What is Gradio's own: the picture in a link that says the same, and the words in an upload's button.
GRADIOS = {"image-redundant-alt", "label-content-name-mismatch"}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_names_headings_and_contrast_are_as_the_guidelines_have_them(window, app_url, scheme, drawings):
    window.open(app_url, scheme)
    window.page.get_by_role("button", name="Try: two cats").click()
    window.compared()
    for tab in TABS:
        window.tab(tab)
        if tab == "Search":
            window.search(drawings / "boat.png")
            window.page.locator("#search-found .open").first.click()
            window.page.locator("#viewer").get_by_text("256 x 256 pixels").wait_for()
            _is_accessible(window)
            window.page.keyboard.press("Escape")
        if tab == "Explore":
            window.explore()
        window.page.wait_for_timeout(1000)
        _is_accessible(window)


def _is_accessible(window: Visit) -> None:
    found = Axe().run(window.page).response
    assert found["passes"]
    assert {one["id"] for one in found["violations"]} <= GRADIOS, [
        (one["id"], [node["html"][:200] for node in one["nodes"]]) for one in found["violations"]
    ]
