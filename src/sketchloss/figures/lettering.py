"""Words on pictures, in the font that is built into Pillow."""

import re
import unicodedata
from bisect import bisect_right

from PIL import ImageFont

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

_ALIKE = str.maketrans("\u2010\u2013\u2014\u2018\u2019\u00d7", "---''x")


def drawable(text: str) -> str:
    """Return a text in the letters that the font has, which are ASCII's: `e` for `é`, `?` for a run of others."""
    parted = unicodedata.normalize("NFKD", " ".join(text.split()).translate(_ALIKE))
    plain = "".join(character for character in parted if not unicodedata.combining(character))
    return re.sub(r"[^ -~]+", "?", plain)


def shorten(text: str, font: Font, width: int) -> str:
    """Cut a text that is wider than this many pixels, and end it with three dots."""
    if font.getlength(text) <= width:
        return text
    kept = bisect_right(range(len(text)), width, key=lambda length: font.getlength(text[:length] + "..."))
    return text[: max(0, kept - 1)] + "..."
