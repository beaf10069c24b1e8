"""Small pictures of a gallery's drawings, whose files may be gone."""

from pathlib import Path

from PIL import Image

from sketchloss.figures.contact_sheet import fit_tile
from sketchloss.system.images import UnreadablePicture
from sketchloss.system.visible_ink import open_to_show


def small_picture(path: Path) -> Image.Image | None:
    """Return a small picture of a drawing; None if its file is gone or damaged."""
    try:
        return fit_tile(open_to_show(path))
    except UnreadablePicture:  # moved or damaged since it was added
        return None


def no_picture() -> Image.Image:
    """Return what is shown in place of a drawing whose file is gone: a grey square."""
    return fit_tile(Image.new("L", (8, 8), 225))
