"""Drawings in SVG. Oracle: areas in closed form; for what must not be loaded, a red file that resvg alone does load."""

import gzip
import socket
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from foreign_files import svg
from sketchloss.system.drawn_page import LEAST, MOST
from sketchloss.system.images import UnreadablePicture, open_picture
from sketchloss.system.svg_pictures import MOST_UNPACKED, draw_svg, unpacked

resvg_py = pytest.importorskip("resvg_py")


def ink(picture: Image.Image) -> float:
    """Share of black on white."""
    return 1 - np.asarray(picture.convert("L")).mean() / 255


def test_a_drawing_stands_on_paper_or_keeps_its_transparency():
    drawing = svg()
    white, black, kept = (open_picture(drawing, paper=paper) for paper in ("white", "black", None))
    assert (white.mode, black.mode, kept.mode) == ("RGB", "RGB", "RGBA")
    assert ink(white) == pytest.approx(0.5, abs=0.001)
    assert ink(black) == 1
    assert np.asarray(kept)[..., 3].mean() == pytest.approx(127.5, abs=0.3)
    red = open_picture(svg('<rect width="20" height="10" fill="#e01040" fill-opacity="0.5"/>'))
    assert red.getpixel((9, 9)) == pytest.approx((240, 136, 160), abs=1)


@pytest.mark.parametrize(
    ("attributes", "size"),
    [
        ('viewBox="0 0 20 10"', (LEAST, LEAST // 2)),
        ('width="800" height="600"', (800, 600)),
        ('width="800" height="600" viewBox="0 0 20 10"', (800, 600)),
        ('width="800px" viewBox="0 0 20 10"', (800, 400)),
        ('height="600" viewBox="-5,-5 20 10"', (1200, 600)),
        ('width="100%" height="100%" viewBox="0 0 900 450"', (900, 450)),
        ('width="210mm" height="297mm"', (794, 1123)),
        ('width="10in" height="600pt"', (960, 800)),
        ('width="24" height="24"', (LEAST, LEAST)),
        ('width="1e30" height="5e29"', (MOST, MOST // 2)),
        ('width="100000" height="1"', (MOST, 1)),
        ('width="0" height="-3" viewBox="0 0 700 700"', (700, 700)),
        ('width="nan" height="wide" viewBox="0 0 700 700"', (700, 700)),
        ('width="700" height="700" viewBox="0 0 0 nan"', (700, 700)),
        ("", (10, 10)),
        ('width="600"', (10, 10)),
    ],
)
def test_its_size_is_its_own_within_limits(attributes, size):
    assert open_picture(svg(attributes=attributes)).size == size


def test_a_drawing_is_scaled_with_its_page():
    for attributes in ('width="20" height="10"', 'width="20000" height="10000" viewBox="0 0 20 10"'):
        assert ink(open_picture(svg(attributes=attributes))) == pytest.approx(0.5, abs=0.001)


@pytest.mark.parametrize("attributes", ['width="1e400" height="1e400"', 'viewBox="0 0 1e400 1"'])
def test_a_size_without_end_is_refused(attributes):
    with pytest.raises(UnreadablePicture, match="its size is inf by"):
        open_picture(svg(attributes=attributes))


def test_other_encodings_and_compressed_files(tmp_path):
    drawing = svg('<text id="é"/><rect width="10" height="10"/>').decode()
    for encoding in ("utf-8-sig", "utf-16", "latin-1"):
        declared = f'<?xml version="1.0" encoding="{encoding.removesuffix("-sig")}"?>\n<!-- <b> -->\n{drawing}'
        assert ink(open_picture(declared.encode(encoding))) == pytest.approx(0.5, abs=0.001), encoding
    (tmp_path / "x.svgz").write_bytes(gzip.compress(drawing.encode(), mtime=0))
    assert ink(open_picture(tmp_path / "x.svgz")) == pytest.approx(0.5, abs=0.001)
    prefixed = svg().replace(b"<", b"<s:").replace(b"<s:/", b"</s:").replace(b"xmlns=", b"xmlns:s=")
    assert ink(open_picture(prefixed)) == pytest.approx(0.5, abs=0.001)


def test_text_is_drawn_where_fonts_are():
    if not list(Path("/usr/share/fonts").rglob("*.ttf")):
        pytest.skip("no fonts here")
    for font in ("", 'font-family="Arial"', 'font-family="A Font That Nobody Has"', 'font-family="sans-serif"'):
        assert ink(open_picture(svg(f'<text y="9" font-size="9" {font}>Hut</text>'))) > 0.02


@pytest.fixture
def canary(tmp_path, monkeypatch) -> Path:
    """A red picture, an SVG of it and a text, in the folder where the process works."""
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (8, 8), "red").save("canary.png")
    Path("canary.svg").write_bytes(svg('<rect id="a" width="20" height="10" fill="red"/>'))
    Path("canary.txt").write_text("SECRET")
    return tmp_path


def red(picture: Image.Image) -> int:
    found = np.asarray(picture.convert("RGB")).astype(int)
    return int(((found[..., 0] > 200) & (found[..., 1] < 50)).sum())


def by_resvg_alone(drawing: bytes) -> Image.Image:
    return Image.open(BytesIO(resvg_py.svg_to_bytes(svg_string=drawing.decode())))


@pytest.mark.parametrize(
    "element",
    [
        '<image width="20" height="10" href="{}"/>',
        '<image width="20" height="10" xlink:href="{}"/>',
        '<filter id="f"><feImage href="{}"/></filter><rect width="20" height="10" filter="url(#f)"/>',
        '<svg><g><image width="20" height="10" href="{}"/></g></svg>',
    ],
)
@pytest.mark.parametrize("name", ["canary.png", "./canary.png", "canary.svg", "{}/canary.png", "../{}/canary.png"])
def test_no_file_is_loaded(canary, element, name):
    reference = name.format(str(canary) if name.startswith("{") else canary.name)
    drawing = svg(element.format(reference))
    assert red(by_resvg_alone(drawing)) > 0, "resvg alone loads it"
    assert red(open_picture(drawing)) == 0
    assert red(draw_svg(drawing)) == 0, "also with the folder where the test works"


@pytest.mark.parametrize(
    "reference",
    ["file://{}/canary.png", "data:/../canary.png", "data:,/../canary.png", " {}/canary.png", "canary.svg#a"],
)
def test_no_other_reference_leads_out(canary, reference):
    (canary / "data:").mkdir()
    (canary / "data:,").mkdir()
    reference = reference.format(canary)
    for element in ('<image width="20" height="10" href="{}"/>', '<use href="{}"/>'):
        assert red(draw_svg(svg(element.format(reference)))) == 0
    styles = f'<style>@import url("{reference}"); rect {{ fill: url({reference}) }}</style><rect width="9" height="9"/>'
    assert red(draw_svg(svg(styles))) == 0


def test_nothing_is_fetched():
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}"
        server.setblocking(False)
        drawing = svg(
            f'<image width="9" height="9" href="{address}/x.png"/><use href="{address}/x.svg#a"/>'
            f'<style>@import url("{address}/x.css"); @font-face {{ font-family: x; src: url({address}/x.ttf) }}</style>'
            f'<script href="{address}/x.js"/><text font-family="x" y="9">x</text>'
        )
        open_picture(f'<?xml-stylesheet href="{address}/y.css"?><!DOCTYPE svg SYSTEM "{address}/z">'.encode() + drawing)
        with pytest.raises(BlockingIOError):
            server.accept()


def test_what_lies_inside_is_drawn(canary):
    inside = BytesIO()
    Image.new("RGB", (8, 8), "red").save(inside, "PNG")
    import base64

    encoded = base64.b64encode(inside.getvalue()).decode()
    assert red(open_picture(svg(f'<image width="20" height="10" href="data:image/png;base64,{encoded}"/>'))) > 50_000
    used = svg('<defs><rect id="a" width="20" height="10" fill="red"/></defs><use xlink:href="#a"/>')
    assert red(open_picture(used)) > 100_000
    nested = base64.b64encode(svg(f'<image width="20" height="10" href="{canary}/canary.png"/>')).decode()
    wrapped = svg(f'<image width="20" height="10" href="data:image/svg+xml;base64,{nested}"/>')
    assert red(draw_svg(wrapped)) == 0, "a drawing in the drawing loads nothing either"


def test_entities_of_other_files_and_without_end_are_refused(canary):
    outside = f'<!DOCTYPE svg [<!ENTITY x SYSTEM "file://{canary}/canary.txt">]>'.encode() + svg("<text>&x;</text>")
    laughs = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 10))
    endless = f'<!DOCTYPE svg [<!ENTITY a0 "ha">{laughs}]>'.encode() + svg("<text>&a9;</text>")
    for drawing, said in ((outside, "undefined entity"), (endless, "amplification")):
        with pytest.raises(UnreadablePicture, match=f"damaged or cut off .*{said}.*; fetch it again") as refused:
            open_picture(drawing)
        assert "SECRET" not in str(refused.value)
    names = b'<!DOCTYPE svg [<!ENTITY ink "black">]>' + svg('<rect width="10" height="10" fill="&ink;"/>')
    assert ink(open_picture(names)) == pytest.approx(0.5, abs=0.001), "as Illustrator writes them"


def test_scripts_do_nothing():
    drawing = svg('<script>while (true) {}</script><rect width="10" height="10" onload="while (true) {}"/>')
    assert ink(open_picture(drawing)) == pytest.approx(0.5, abs=0.001)


def test_a_compressed_file_that_unpacks_without_end_is_refused():
    bomb = gzip.compress(svg() + b" " * (MOST_UNPACKED + 1))
    with pytest.raises(ValueError, match="unpacks to more than 64 MB"):
        unpacked(bomb)
    with pytest.raises(UnreadablePicture, match="unpacks to more than 64 MB"):
        open_picture(bomb)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (svg()[:40], "damaged or cut off"),
        (svg().replace(b"</svg>", b""), "damaged or cut off"),
        (svg() + svg(), "damaged or cut off"),
        (b"<svgx/>", "not a picture that can be read here"),
        (b"<html><svg/></html>", "not a picture that can be read here"),
        (gzip.compress(b"<html/>", mtime=0), "not a picture that can be read here"),
        (gzip.compress(svg() * 99, mtime=0)[:60], "damaged or cut off"),
    ],
)
def test_bad_files_are_one_line(data, said):
    with pytest.raises(UnreadablePicture, match=f"^drawing: {said}") as refused:
        open_picture(data, name="drawing")
    assert "\n" not in str(refused.value)
