"""Drawings in SVG to pictures, by resvg: nothing outside the file is loaded, and no script runs.

resvg itself loads the picture files that an SVG names, so every reference that leads out of the file is taken away
first. Its size is decided here, because resvg reserves the memory for whatever size a file claims.
"""

import re
import zlib
from contextlib import suppress
from functools import cache
from io import BytesIO
from pathlib import Path
from xml.etree import ElementTree

import resvg_py
from PIL import Image, ImageFont

from sketchloss.system.drawn_page import drawn_size

#: Bytes of a compressed SVG (.svgz), unpacked.
MOST_UNPACKED = 2**26
GZIP = b"\x1f\x8b"
#: Side in pixels of the page for a drawing that says no size; it is cut to what is drawn.
NO_SIZE = 1024
#: CSS pixels in each unit; a font's size is taken for 16.
UNITS = {
    "": 1,
    "px": 1,
    "pt": 4 / 3,
    "pc": 16,
    "in": 96,
    "cm": 96 / 2.54,
    "mm": 96 / 25.4,
    "em": 16,
    "rem": 16,
    "ex": 8,
}
#: Where Linux keeps fonts, and good ones for text without one.
LINUX_FONTS, SERIFS = ("/usr/share/fonts", "/usr/local/share/fonts", "~/.fonts"), ("Liberation Serif", "DejaVu Serif")
NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"


def draw_svg(data: bytes) -> Image.Image:
    """Draw an SVG on a transparent ground, at the size that `drawn_size` says.

    Its own size is that of its `width` and `height`, else of its `viewBox`. Text is drawn if its font is installed.

    Args:
        data: bytes of an SVG, or of one compressed with gzip.

    Returns:
        `RGBA`, in memory.

    Raises:
        Exception: whatever resvg and the XML parser raise of a damaged file.
    """
    root = ElementTree.fromstring(unpacked(data))
    if _plain(root.tag) != "svg":
        raise ValueError(f"its outermost element is <{_plain(root.tag)}> and not <svg>")
    has_text = False
    for element in root.iter():
        has_text = has_text or _plain(element.tag) == "text"
        for name in [name for name in element.attrib if _plain(name) == "href"]:
            if not _lies_inside(element.attrib[name]):
                del element.attrib[name]
    own = _own_size(root)
    width, height = drawn_size(*own) if own else (NO_SIZE, NO_SIZE)
    if own and _view_box(root) is None:
        root.set("viewBox", f"0 0 {own[0]!r} {own[1]!r}")
    root.set("width", str(width))
    root.set("height", str(height))
    text = ElementTree.tostring(root, encoding="unicode")
    # note: to list the fonts of a system takes longer than to draw
    serif = _usual_font() if has_text else None
    drawn = resvg_py.svg_to_bytes(svg_string=text, dpi=96, skip_system_fonts=not has_text, serif_family=serif)
    with Image.open(BytesIO(drawn), formats=["PNG"]) as picture:
        picture = picture.convert("RGBA")
    return picture if own else picture.crop(picture.getbbox())  # blank: the whole page


@cache
def _usual_font() -> str | None:
    """Return the font of text whose own is not installed; None: resvg's, Times New Roman, which Linux may lack."""
    paths = [path for folder in LINUX_FONTS for path in sorted(Path(folder).expanduser().rglob("*.[to]tf"))]
    families = set()
    for path in paths:
        with suppress(OSError):  # of a damaged file
            families.add(ImageFont.truetype(path).getname()[0] or "")
    if not families or "Times New Roman" in families:
        return None
    return min(families, key=lambda family: (family not in SERIFS, "Serif" not in family, family))


def unpacked(data: bytes, most: int = MOST_UNPACKED) -> bytes:
    """Return the text of an SVG, which may be compressed with gzip.

    Raises:
        ValueError: if it is larger than `most`.
        zlib.error: if it is damaged.
    """
    if not data.startswith(GZIP):
        return data
    text = zlib.decompressobj(wbits=31).decompress(data, most + 1)
    if len(text) > most:
        raise ValueError(f"it unpacks to more than {most // 2**20} MB")
    return text


def _lies_inside(reference: str) -> bool:
    # note: what resvg finds to be no proper data URL, such as one without a comma, it takes for the path of a file
    return reference.startswith("#") or (reference.startswith("data:") and "," in reference)


def _own_size(root: ElementTree.Element) -> tuple[float, float] | None:
    width, height, box = _length(root.get("width")), _length(root.get("height")), _view_box(root)
    if width and height:
        return width, height
    if box is None:
        return None
    if width:
        return width, width * box[1] / box[0]
    return (height * box[0] / box[1], height) if height else box


def _length(text: str | None) -> float | None:
    """Return a length in pixels; None if there is none, or if it is a share of a page that nobody knows."""
    found = re.fullmatch(rf"\s*({NUMBER})\s*([a-z]*)\s*", text or "")
    if found is None or found[2] not in UNITS:
        return None
    length = float(found[1]) * UNITS[found[2]]
    return length if length > 0 else None


def _view_box(root: ElementTree.Element) -> tuple[float, float] | None:
    """Return width and height of the part that is shown, if a sound one is given."""
    numbers = re.split(r"[\s,]+", (root.get("viewBox") or "").strip())
    if len(numbers) != 4 or not all(re.fullmatch(NUMBER, number) for number in numbers):
        return None
    width, height = map(float, numbers[2:])
    return (width, height) if width > 0 and height > 0 else None


def _plain(name: str) -> str:
    """Return the name of an element or attribute without its namespace."""
    return name.rpartition("}")[2]
