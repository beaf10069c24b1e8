"""Reports as pages. Oracle: an HTML parser, and the picture's bytes back out of the page."""

import base64
from html.parser import HTMLParser

import pytest
from PIL import Image

from sketchloss.figures.page import render_page, write_page


class _Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


TEXT = """# A & B

Some *words*.

## Table <1>

| arm | SSIM |
| --- | ---: |
| tuning | 0.5 |

![A figure](figures/a%20b.png)

## Table 2

<script>alert(1)</script>
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "figures").mkdir()
    Image.new("L", (3, 2), 7).save(tmp_path / "figures" / "a b.png")
    return tmp_path


def test_a_page_holds_its_tables_and_pictures_and_loads_nothing(folder):
    write_page(TEXT, folder / "report.html", title="A & B")
    page = _Page((folder / "report.html").read_text(encoding="utf-8"))
    (picture,) = page.all("img")
    assert picture["alt"] == "A figure"
    source = picture["src"] or ""
    assert source.startswith("data:image/png;base64,")
    assert base64.b64decode(source.partition(",")[2]) == (folder / "figures" / "a b.png").read_bytes()
    assert len(page.all("table")) == 1
    assert not page.all("script"), "HTML in the text was obeyed"
    assert not page.all("link")
    elsewhere = [value for _, attributes in page.tags for value in attributes.values() if value and "//" in value]
    assert elsewhere == []
    assert "url(" not in page.text
    assert {"charset": "utf-8"} in page.all("meta")
    assert "alert(1)" in page.text


def test_headings_are_linked_at_the_top(folder):
    page = _Page(render_page(TEXT, folder, title="t"))
    targets = [attributes["id"] for attributes in page.all("h2")]
    assert [attributes["href"] for attributes in page.all("a")] == [f"#{target}" for target in targets]
    assert len(targets) == len(set(targets)) == 2


@pytest.mark.parametrize(
    ("picture", "error", "match"),
    [
        ("https://example.com/a.png", ValueError, "loads nothing from elsewhere"),
        ("//example.com/a.png", ValueError, "loads nothing from elsewhere"),
        ("../secret.png", ValueError, "outside"),
        ("figures/none.png", FileNotFoundError, "none.png"),
    ],
)
def test_pictures_from_elsewhere_are_refused(folder, picture, error, match):
    with pytest.raises(error, match=match):
        render_page(f"![x]({picture})", folder, title="t")
