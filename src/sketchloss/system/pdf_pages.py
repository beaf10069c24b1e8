"""Pages of PDF files to pictures, by PDFium."""

from collections.abc import Iterator
from contextlib import closing, contextmanager

import pypdfium2
from PIL import Image
from pypdfium2.raw import FPDF_ERR_PASSWORD

from sketchloss.system.drawn_page import CannotRead, check_page, drawn_size

#: Pixels for each point, of which 72 are an inch, if the page is neither small nor large.
SCALE = 2


def draw_page(data: bytes, page: int) -> Image.Image:
    """Draw a page on white, at the size that `drawn_size` says.

    Args:
        data: bytes of a PDF.
        page: number of the page, from 1.

    Returns:
        `RGB`, in memory.

    Raises:
        CannotRead: if it asks for a password, or has no such page.
        Exception: whatever PDFium raises of a damaged file.
    """
    with _opened(data) as document:
        check_page(page, len(document))
        with closing(document[page - 1]) as sheet:
            width, height = sheet.get_size()
            longer = max(drawn_size(SCALE * width, SCALE * height))
            with closing(sheet.render(scale=longer / max(width, height), rev_byteorder=True)) as bitmap:
                return bitmap.to_pil().convert("RGB")  # a copy: PDFium's memory is gone once it is closed


def count_pages(data: bytes) -> int:
    """Return the number of pages of a PDF; raises as `draw_page`."""
    with _opened(data) as document:
        return len(document)


@contextmanager
def _opened(data: bytes) -> Iterator[pypdfium2.PdfDocument]:
    try:
        document = pypdfium2.PdfDocument(data)
    except pypdfium2.PdfiumError as error:
        if error.err_code == FPDF_ERR_PASSWORD:
            raise CannotRead("it asks for a password; save it without one") from None
        raise
    with closing(document):
        yield document
