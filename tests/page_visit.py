"""A visitor's window of the page in a real browser.

Screenshots go to the folder that SKETCHLOSS_SCREENSHOTS names, by default `screenshots`.
"""

import os
import re
from pathlib import Path

from playwright.sync_api import Locator

from sketchloss.data.doodles.kinds import Doodle

SCREENSHOTS = Path(os.environ.get("SKETCHLOSS_SCREENSHOTS", Path(__file__).parents[1] / "screenshots"))
WAIT = 60_000  # milliseconds, on a machine with other work


class Visit:
    """One visitor's window."""

    def __init__(self, browser, **settings) -> None:
        self.context = browser.new_context(**{"viewport": {"width": 1200, "height": 900}, **settings})
        self.page = self.context.new_page()
        self.page.set_default_timeout(WAIT)
        self.requests: list[str] = []
        self.errors: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))

    def open(self, url: str, scheme: str = "light") -> None:
        """Open the page anew."""
        self.page.mouse.move(0, 0)
        self.page.emulate_media(color_scheme=scheme)
        self.requests.clear()
        self.errors.clear()
        self.page.goto(url)
        self.page.get_by_text("Give two drawings").wait_for()

    def tab(self, name: str) -> None:
        self.page.get_by_role("tab", name=name).click()

    def upload(self, part: str, path: Path) -> None:
        self.page.locator(f"#{part} input[type=file]").set_input_files(path)

    def search(self, path: Path) -> None:
        """Search with a file, in the tab for it, and wait for what is found."""
        if not self.page.locator("#search-upload").is_visible():
            self.page.get_by_role("button", name="Or upload a drawing").click()
        self.upload("search-upload", path)
        self.page.locator("#search-found img").first.wait_for(timeout=3 * WAIT)  # the doodles are drawn first

    def explore(self) -> Locator:
        """Open the tab with the map, and return the map once it is drawn."""
        self.tab("Explore")
        plane = self.page.locator("#explore-map svg")
        plane.wait_for(timeout=3 * WAIT)
        return plane

    @property
    def message(self) -> Locator:
        """The newest message of a mistake."""
        return self.page.locator("[data-testid=toast-body], .toast-body").first

    def shot(self, name: str) -> None:
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True)

    def compared(self) -> float:
        """The distance that the page shows once it shows one."""
        heading = self.page.locator("#compare-said").get_by_role("heading")
        heading.wait_for()
        return float(re.findall(r"distance ([\d.]+)", heading.inner_text())[0])

    def draw(self, canvas: str, drawing: Doodle) -> None:
        """Draw the strokes with the mouse."""
        sheet = self.page.locator(f"#{canvas} canvas")
        sheet.scroll_into_view_if_needed()
        box = sheet.bounding_box()
        assert box is not None
        for stroke in drawing.strokes:
            points = box["x"] + stroke[:, 0] * box["width"], box["y"] + stroke[:, 1] * box["height"]
            (x, y), *rest = list(zip(*(values.tolist() for values in points), strict=True))[::3]
            self.page.mouse.move(x, y)
            self.page.mouse.down()
            for x, y in rest:
                self.page.mouse.move(x, y)
            self.page.mouse.up()
