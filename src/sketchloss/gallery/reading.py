"""A picture as a gallery embeds it: opened, cleaned if the gallery cleans its pictures, and fitted to its square."""

from pathlib import Path

from jaxtyping import Float
from torch import Tensor

from sketchloss.system.images import fit_square, to_tensor
from sketchloss.system.visible_ink import Picture, open_to_show, open_visible

INVERTS_ITSELF = (
    "invert is on, and this gallery cleans its pictures, which inverts what is light on dark by itself: leave it out"
)


def read(
    picture: Picture, image_size: int, *, name: str | None = None, invert: bool = False, clean: bool = False
) -> Float[Tensor, "3 s s"]:
    """Return a picture as a gallery embeds it.

    Args:
        picture: what `open_picture` takes.
        image_size: side of the gallery's square in pixels.
        name: its name in an error; a path is its own name.
        invert: it is light on dark.
        clean: clean it as `clean_page` does. Light ink on a transparent ground is found by itself, too.

    Raises:
        NoDrawing: if it is to be cleaned, and there is nothing but paper.
        ValueError: as `open_visible`, and if it is to be both cleaned and inverted.
    """
    if not clean:
        return to_tensor(fit_square(open_visible(picture, name=name, invert=invert), image_size))
    if invert:
        raise ValueError(INVERTS_ITSELF)
    from sketchloss.system.clean_page import clean_page  # here: only galleries that clean wait for SciPy

    label = name or (str(picture) if isinstance(picture, str | Path) else "picture")
    return to_tensor(fit_square(clean_page(open_to_show(picture, name=name), name=label), image_size))
