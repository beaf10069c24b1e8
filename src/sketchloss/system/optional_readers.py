"""Kinds of pictures that libraries of an extra read: SVG, PDF and HEIF. Nothing of them is imported for other pictures.

This is the one place that names them. A file is recognised by its first bytes, whatever it is called.
"""

import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec

from PIL import Image

from sketchloss.system.reading_process import reading_process

#: What to do where a library is missing.
INSTALL = "pip install 'sketchloss[readers]'"
#: Bytes at the beginning of a file that tell its kind.
HEAD_BYTES = 4096
#: Brands of pictures that libheif reads. AVIF is in such files, too, and is Pillow's.
BRANDS = frozenset((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1", b"mif2"))


class NoReader(Exception):  # noqa: N818 (it names what was found)
    """A picture of a kind whose library is not installed. The text says which, and what to do."""


def _is_svg(head: bytes) -> bool:
    if head.startswith(b"\x1f\x8b"):
        try:
            head = zlib.decompressobj(wbits=31).decompress(head, HEAD_BYTES)
        except zlib.error:
            return False
    encoding = "utf-16" if head[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    text = head.decode(encoding, "ignore").lstrip()
    if not text.startswith("<"):
        return False
    # The first element, after declarations and comments.
    first = re.search(r"<(?:[\w.-]+:)?([A-Za-z][\w.-]*)", re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL))
    return first is not None and first[1] == "svg"


def _is_pdf(head: bytes) -> bool:
    return head.lstrip().startswith(b"%PDF-")


def _is_heif(head: bytes) -> bool:
    brands = head[8 : int.from_bytes(head[:4])]
    return head[4:8] == b"ftyp" and brands[:4] in BRANDS and b"avif" not in brands and b"avis" not in brands


@dataclass(frozen=True)
class Reader:
    """A kind of pictures, and what reads it."""

    kind: str
    """Its name, as the process that reads it knows it."""
    suffixes: tuple[str, ...]
    """Suffixes of its files, in lower case."""
    library: str
    """The module that reads it."""
    package: str
    """The name of the package that holds the module."""
    recognises: Callable[[bytes], bool]
    """Whether a file is of this kind, by its first `HEAD_BYTES` bytes."""
    has_pages: bool
    """Whether a file may hold several pictures."""

    def is_installed(self) -> bool:
        """Tell whether the library is there; it is not imported."""
        try:
            return find_spec(self.library) is not None
        except ValueError:  # a module of that name without a file, as a test may put there
            return False

    def check(self) -> None:
        """Raise NoReader if the library is missing."""
        if not self.is_installed():
            raise NoReader(f"to read {self.kind} needs {self.package}; {INSTALL}, or save it as PNG")

    def read(self, data: bytes, page: int = 1) -> Image.Image:
        """Read one picture of a file, as `ReadingProcess.read`; without the library, raises NoReader."""
        self.check()
        return reading_process.read(self.kind, data, page)

    def count(self, data: bytes) -> int:
        """Return how many pictures a file holds, as `ReadingProcess.count`; without the library, raises NoReader."""
        self.check()
        return reading_process.count(self.kind, data)


HEIF_SUFFIXES = (".heic", ".heics", ".heif", ".heifs", ".hif")
READERS = (
    Reader("SVG", (".svg", ".svgz"), "resvg_py", "resvg-py", _is_svg, has_pages=False),
    Reader("PDF", (".pdf",), "pypdfium2", "pypdfium2", _is_pdf, has_pages=True),
    Reader("HEIF", HEIF_SUFFIXES, "pillow_heif", "pillow-heif", _is_heif, has_pages=True),
)


def reader_of(head: bytes) -> Reader | None:
    """Return the reader for a file that begins with these bytes; None for any other kind of file."""
    return next((reader for reader in READERS if reader.recognises(head[:HEAD_BYTES])), None)


@cache
def optional_suffixes(*, installed: bool) -> frozenset[str]:
    """Return the suffixes of the kinds whose library is installed, or of those whose library is missing."""
    return frozenset(suffix for reader in READERS if reader.is_installed() is installed for suffix in reader.suffixes)
