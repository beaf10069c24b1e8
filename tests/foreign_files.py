"""Files of the kinds that the extra `readers` reads, made here."""

from collections.abc import Sequence
from io import BytesIO

from PIL import Image

SVG = "http://www.w3.org/2000/svg"
#: An encryption whose password is not the empty one.
LOCKED = (
    f"/Encrypt << /Filter /Standard /V 1 /R 2 /P -4 /O <{'4f' * 32}> /U <{'55' * 32}> >> "
    f"/ID [<{'11' * 16}> <{'11' * 16}>]"
)


def svg(inside: str = '<rect width="10" height="10"/>', attributes: str = 'viewBox="0 0 20 10"') -> bytes:
    """An SVG; by default its left half is black, and the right half is transparent."""
    return f'<svg xmlns="{SVG}" xmlns:xlink="http://www.w3.org/1999/xlink" {attributes}>{inside}</svg>'.encode()


def pdf(pages: Sequence[tuple[float, float, str]], more: str = "") -> bytes:
    """A PDF without a table of its objects, which every reader makes itself.

    Args:
        pages: for each its width and height in points, and what draws it, such as `0 0 50 100 re f`.
        more: for the trailer, such as `LOCKED`.
    """
    numbers = [f"{3 + 2 * page} 0 R" for page in range(len(pages))]
    parts = [
        "%PDF-1.4",
        "1 0 obj << /Type /Catalog /Pages 2 0 R >> endobj",
        f"2 0 obj << /Type /Pages /Count {len(pages)} /Kids [{' '.join(numbers)}] >> endobj",
    ]
    for page, (width, height, content) in enumerate(pages):
        number = 3 + 2 * page
        box = f"/MediaBox [0 0 {width} {height}]"
        parts.append(f"{number} 0 obj << /Type /Page /Parent 2 0 R {box} /Contents {number + 1} 0 R >> endobj")
        parts.append(f"{number + 1} 0 obj << /Length {len(content)} >> stream\n{content}\nendstream endobj")
    parts.append(f"trailer << /Root 1 0 R /Size {3 + 2 * len(pages)} {more} >>\n%%EOF\n")
    return "\n".join(parts).encode()


def heic(picture: Image.Image, *more: Image.Image, **options: object) -> bytes:
    """A HEIC file of one picture or several; the options are those of `HeifFile.save`."""
    from pillow_heif import from_pillow

    file = BytesIO()
    made = from_pillow(picture)
    for other in more:
        made.add_from_pillow(other)
    made.save(file, **options)
    return file.getvalue()
