"""Redraw a picture of a drawing as strokes: SVG, and a GIF of how they move into place.

    sketchloss strokes drawing.png --count 32 --out drawing.svg --gif way.gif

In Python, see `sketchloss.strokes.redrawing`.
"""

import sys
from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from sketchloss.loss.loss import SketchLoss
from sketchloss.strokes.batch import StrokeBatch
from sketchloss.strokes.curves import THINNEST, smooth, to_svg
from sketchloss.strokes.redrawing import RedrawLoss, redraw
from sketchloss.strokes.renderer import render
from sketchloss.strokes.settings import Strokes
from sketchloss.system.device import pick_device
from sketchloss.system.files import check_writable, write_atomic
from sketchloss.system.images import fit_square, to_picture, to_tensor
from sketchloss.system.passed_over import later_pages
from sketchloss.system.picture_pages import split_page
from sketchloss.system.visible_ink import open_visible

#: Longer side of the GIF in pixels, its greys, and milliseconds that a frame and the last one stay.
GIF_SIDE, GREYS, STAYS, LAST_STAYS = 320, 16, 80, 2000


def strokes(config: Strokes) -> None:
    """Run the command.

    Raises:
        ValueError: for a picture or an output that will not do, as `redraw`.
    """
    _check_outputs(config)
    page = open_visible(config.picture, invert=config.invert).convert("L")
    picture = to_tensor(fit_square(page, config.size))[None]
    device = pick_device(config.device)
    loss = RedrawLoss(SketchLoss(config.weights, check=False).to(device))
    with tqdm(total=config.steps, unit="step", disable=None, leave=False) as bar:

        def counted(pred: Tensor, target: Any) -> Tensor:
            bar.update()
            return loss(pred, target)

        counted.extract = loss.extract  # pyright: ignore[reportFunctionMemberAccess]
        try:
            way = redraw(
                counted, picture.to(device), config.count, points=config.points, steps=config.steps, seed=config.seed
            )
        except ValueError as error:
            raise ValueError(f"{config.picture}: {error}") from None
    own = [_on_page(record, page.size, config.size) for record in way]
    _write(config, own, page.size)
    kept = int((own[-1].widths >= THINNEST).sum())
    with torch.no_grad():
        distance = loss.loss(render(smooth(way[-1]), config.size), picture.to(device)).item()
    sys.stdout.write(f"{config.out}  {kept} strokes, distance {distance:.3f} from the picture\n")
    if config.gif:
        sys.stdout.write(f"{config.gif}  the way from start to end\n")
    for line in later_pages([config.picture]):
        sys.stdout.write(f"{line}\n")


def _check_outputs(config: Strokes) -> None:
    """Find out before the work is done, not after."""
    for path in filter(None, (config.out, config.gif)):
        if path.is_dir():
            raise ValueError(f"{path} is a folder: name a file")
        picture, _ = split_page(config.picture)
        if path.exists() and picture.exists() and path.samefile(picture):
            raise ValueError(f"{path} is the picture itself: write elsewhere")
        check_writable(path)
        if path.exists() and not config.force:
            raise ValueError(f"{path} exists: name another file, or use --force to replace it")


def _on_page(strokes: StrokeBatch, page: tuple[int, int], size: int) -> StrokeBatch:
    """Return strokes of the square that the page was fitted into, in the page's own pixels."""
    scale = max(page) / size
    margin = torch.tensor([(max(page) - side) / 2 for side in page])
    return strokes.moved(strokes.points.cpu() * scale - margin, strokes.widths.cpu() * scale)


def _write(config: Strokes, way: Sequence[StrokeBatch], page: tuple[int, int]) -> None:
    svg = to_svg(way[-1], *page)
    with write_atomic(config.out) as temporary:
        temporary.write_text(svg, encoding="utf-8")
    if config.gif is None:
        return
    scale = GIF_SIDE / max(page)
    width, height = (max(1, round(side * scale)) for side in page)
    frames: list[Image.Image] = []
    with torch.no_grad():
        for record in way:
            curves = smooth(record.moved(record.points * scale, record.widths * scale))
            frames.append(to_picture(render(curves, (height, width))[0]).quantize(GREYS))
    first, *rest = frames
    stays = [STAYS] * len(rest) + [LAST_STAYS]
    with write_atomic(config.gif) as temporary:
        first.save(temporary, format="GIF", save_all=True, append_images=rest, duration=stays, loop=0)
