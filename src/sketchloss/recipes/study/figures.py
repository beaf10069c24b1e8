"""Figures 2 and 3 of a study: what the generators of all arms draw, side by side."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file

from sketchloss.data.captions import open_captioned
from sketchloss.data.pairs import open_pairs
from sketchloss.data.prompts import readable
from sketchloss.images import save_picture, to_picture
from sketchloss.models.stylizer import load_stylizer
from sketchloss.recipes.study.cells import RUN, CellStore
from sketchloss.recipes.study.merging import done
from sketchloss.recipes.study.settings import Study
from sketchloss.recipes.style_table import trained_network
from sketchloss.report.grid import draw_grid
from sketchloss.report.lora_table import PLAIN

PAIRS_OF_A_SET, CLASSES, SIDE = 2, 8, 128


@torch.inference_mode()
def draw_stylized(config: Study, store: CellStore, path: Path) -> Path | None:
    """Draw Figure 2: photos, true sketches, and what the first seed's networks of each arm make of the photos."""
    rows = []
    names: list[str] = []
    for source in config.sets:
        cells = [cell for cell, _ in done(store, "style", source=source) if cell.seed == config.seed]
        if not cells or (names and names != [cell.arm for cell in cells]):
            continue
        names = [cell.arm for cell in cells]
        networks = [load_stylizer(trained_network(store.place(cell.name) / RUN, source, cell.arm)) for cell in cells]
        size = networks[0].config.image_size
        pairs = open_pairs(source, part="test")
        shown = np.linspace(0, len(pairs) - 1, min(PAIRS_OF_A_SET, len(pairs))).round().astype(int).tolist()
        pairs = pairs.select(shown)
        photos, sketches = pairs.photos(size), pairs.sketches(size)
        for place in range(len(shown)):
            photo = photos[place]["image"]
            drawn = [to_picture(network(photo[None] / 255)[0].float()) for network in networks]
            rows.append([to_picture(photo / 255), to_picture(sketches[place]["image"] / 255), *drawn])
    if not rows:
        return None
    save_picture(draw_grid(rows, side=SIDE, column_names=("photo", "true sketch", *names)), path)
    return path


def draw_prompts(config: Study, store: CellStore, path: Path) -> Path | None:
    """Draw Figure 3: a class in each column; in the rows a true sketch, the base, and the first seed's LoRAs."""
    found: dict[str, tuple[int, Mapping[str, torch.Tensor]]] = {}
    for cell, result in done(store, "lora"):
        if cell.seed != config.seed:
            continue
        run = store.place(cell.name) / RUN
        drawings = result["drawings"]
        if cell.arm == PLAIN:
            found["base"] = drawings, load_file(run / "drawings.safetensors")
        found[cell.arm] = drawings, load_file(run / "runs" / f"{cell.arm}-{cell.seed}" / "drawings.safetensors")
    if not found:
        return None
    true = open_captioned(config.taught, SIDE, per_class=1).sketches
    first = {int(label): place for place, label in reversed(list(enumerate(true.labels)))}
    classes = np.linspace(0, len(true.classes) - 1, min(CLASSES, len(true.classes))).round().astype(int).tolist()
    rows: list[list[Image.Image]] = [[true.picture(first[label]) for label in classes]]
    order = sorted(found, key=lambda name: name != "base")
    for name in order:
        each, drawings = found[name]
        rows.append([to_picture(drawings["drawings"][label * each] / 255) for label in classes])
    names = [readable(true.classes[label]) for label in classes]
    save_picture(draw_grid(rows, side=96, row_names=("true sketch", *order), column_names=names), path)
    return path
