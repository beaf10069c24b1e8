"""The pictures of the page in docs/guide/page.md and README.md: it starts the page, uses it, and takes them.

    python scripts/page_pictures.py docs/images

The page asks for a login here, so that it shows no path of this computer.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import Locator, Page, sync_playwright

from sketchloss.data.doodles.kinds import doodle
from sketchloss.system.files import write_atomic

USER, PASSWORD = "visitor", "password"
SIZE = {"width": 1280, "height": 1000}
#: Size of the moving picture in pixels, and what is drawn in it.
FRAME, DRAWN = (900, 703), ("fish", "umbrella")
WAIT = 300_000  # milliseconds: the doodles are drawn at the first start


def take(part: Page | Locator, path: Path, **settings: bool) -> None:
    """Take a picture of a page or a part of it, 1,000 pixels wide, in 256 colours."""
    picture = Image.open(BytesIO(part.screenshot(**settings))).convert("RGB")
    height = round(picture.height * 1000 / picture.width)
    small = picture.resize((1000, height), Image.Resampling.LANCZOS)
    with write_atomic(path) as place:
        small.quantize(256, method=Image.Quantize.MAXCOVERAGE).save(place, format="PNG", optimize=True)


def visit(page: Page, out: Path, query: Path) -> None:
    """Use every part of the page that is shown."""
    page.set_default_timeout(WAIT)
    page.get_by_label("username").fill(USER)
    page.get_by_label("password").fill(PASSWORD)
    page.get_by_role("button", name="Login").click()
    page.get_by_role("button", name="Try: two cats").click()
    page.locator("#compare-heat img").nth(1).wait_for()
    page.wait_for_timeout(2000)
    take(page, out / "page.png", full_page=True)

    page.get_by_role("tab", name="Search").click()
    page.get_by_role("button", name="Or upload a drawing").click()
    page.locator("#search-upload input[type=file]").set_input_files(query)
    page.locator("#search-found img").nth(5).wait_for()
    page.locator("#search-count input[type=number]").fill("6")
    page.keyboard.press("Tab")
    page.wait_for_function("() => document.querySelectorAll('#search-found li').length === 6")
    page.wait_for_timeout(1000)
    take(page, out / "page_search.png", full_page=True)

    page.get_by_role("tab", name="Explore").click()
    page.locator("#explore-map svg").wait_for()
    page.wait_for_timeout(1000)
    page.locator("#explore-map .tile:visible").nth(9).hover()
    page.wait_for_timeout(500)
    take(page, out / "page_explore.png", full_page=True)


def record(page: Page, path: Path) -> None:
    """Write a moving picture: drawings grow, and the page finds drawings like them."""
    frames, stays = [], []
    page.get_by_role("tab", name="Search").click()
    for kind in DRAWN:
        for stroke in doodle(kind, 77, style="ink").strokes:  # no drawing of the gallery has this number
            draw(page, stroke)
            page.wait_for_timeout(1200)  # for the answer
            with Image.open(BytesIO(page.screenshot())) as picture:
                frames.append(picture.convert("RGB").resize(FRAME, Image.Resampling.LANCZOS))
            stays.append(350)
        stays[-1] = 2500
        page.get_by_role("button", name="Clear").click()
    palette = frames[-1].quantize(32)
    first, *rest = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    with write_atomic(path) as place:
        first.save(place, format="GIF", save_all=True, append_images=rest, duration=stays, loop=0, optimize=True)


def draw(page: Page, stroke: np.ndarray) -> None:
    """Draw a stroke, points in the unit square, with the mouse."""
    box = page.locator("#search-canvas canvas").bounding_box()
    assert box is not None
    (x, y), *rest = (stroke * [box["width"], box["height"]] + [box["x"], box["y"]])[::3].tolist()
    page.mouse.move(x, y)
    page.mouse.down()
    for x, y in rest:
        page.mouse.move(x, y)
    page.mouse.up()


def main() -> None:
    """Start the page, take its pictures, and stop it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="folder for page.png, page_search.png, page_explore.png and search.gif")
    out = parser.parse_args().out
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        sys.exit("no Chromium is installed: install Debian's package chromium, or Chrome")
    settings = {**os.environ, "SKETCHLOSS_AUTH": f"{USER}:{PASSWORD}"}
    command = [sys.executable, "-m", "sketchloss", "app"]
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        query = Path(folder) / "query.png"
        doodle("cat", 77, style="ink").sketch(384).save(query)
        with subprocess.Popen(command, env=settings, stdout=subprocess.PIPE, text=True) as server:
            try:
                assert server.stdout is not None
                address = next(line for line in server.stdout if " is at http" in line).split()[3]
                browser = playwright.chromium.launch(executable_path=found)
                page = browser.new_page(viewport=SIZE, color_scheme="light")
                page.goto(address)
                visit(page, out, query)
                page.reload()
                record(page, out / "search.gif")
                browser.close()
            finally:
                server.terminate()
                server.wait(60)


if __name__ == "__main__":
    main()
