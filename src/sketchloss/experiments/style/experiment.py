"""Photo to sketch in a study: a network for each set of pairs, arm and seed (Table 1, Figure 2)."""

import math
from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sketchloss.data.left_out import say_left_out
from sketchloss.data.names import short_name
from sketchloss.data.pairs import open_pairs
from sketchloss.data.photos import open_photos
from sketchloss.experiments.cells import RUN, Cell, CellStore, done
from sketchloss.experiments.experiment import Claim, Experiment, Load
from sketchloss.experiments.keys import decisive
from sketchloss.experiments.section import Figure, Section
from sketchloss.experiments.style import table
from sketchloss.experiments.style.drawings import style_table, trained_network
from sketchloss.experiments.style.plan import StylePlan
from sketchloss.experiments.style.settings import PRESETS, StyleTable
from sketchloss.experiments.tuning.counted import Network, count_forward, count_pictures, network_of_cell
from sketchloss.experiments.tuning.plan import arm_paths, arm_settings, check_file, weights_needed, whose
from sketchloss.figures.grid import draw_grid
from sketchloss.networks.arms import Arm
from sketchloss.networks.backbone import freeze
from sketchloss.networks.own_layers import content_layer_for, layers_for
from sketchloss.networks.stylizer import Stylizer, StylizerConfig, load_stylizer
from sketchloss.system.images import save_picture, to_picture
from sketchloss.training.resources import count_multiply_adds, peak_training_memory

PAIRS_OF_A_SET, SIDE = 2, 128


def cells(plan: StylePlan) -> Iterator[Cell]:
    """Yield a cell for each seed, set and arm."""
    for seed in plan.all_seeds(plan.generator_seeds):
        for source in plan.sets:
            for arm in plan.entries().values():
                yield _cell(plan, source, arm, seed)


def _cell(plan: StylePlan, source: str, arm: Arm, seed: int) -> Cell:
    sizes = {"steps": plan.drawing_steps, "image_size": plan.drawing_size}
    settings: dict[str, Any] = {
        **PRESETS[plan.style_preset],
        **{name: value for name, value in sizes.items() if value is not None},
        "content": plan.content,
        "sets": (source,),
        "inception": plan.inception,
        **arm_settings(plan, arm, seed),
    }

    def compute(run: Path, needs: Mapping[str, Path]) -> dict[str, Any]:
        resume = (run / "config.json").is_file()
        return style_table(StyleTable(**settings, out=run, resume=resume, **arm_paths(arm, seed, needs)))

    return Cell(
        f"style/{short_name(source)}/{arm.name}/{seed}",
        "style",
        compute,
        decisive(StyleTable, settings),
        needs=weights_needed(arm, seed),
        headline=lambda found: f"SSIM {found['sets'][source]['rows'][arm.name]['ssim']['mean']:.3f}",
        **whose(plan, arm.name, seed, source),
    )


# What it takes -------------------------------------------------------------------------------------------------------


def load(plan: StylePlan, cell: Cell) -> Load:
    """Return what a training takes."""
    settings: Any = cell.settings
    network = network_of_cell(plan, cell)
    photos, assumed = settings["limit"], ""
    if photos is None:
        photos, _, assumed = count_pictures(settings["content"], None, settings["seed"], photos=True)
    batch, size = settings["batch_size"], settings["image_size"]
    steps = settings["steps"] or settings["epochs"] * math.ceil(photos / batch)
    stylizer = _count_stylizer(settings["width"], settings["blocks"], size)
    # The network and the loss of what it draws, there and back; the loss network's own weights get no gradient.
    compared = layers_for(network.like, tuple(settings["style_layers"]))
    content = content_layer_for(network.like, settings["content_layer"])
    an_image = 3 * stylizer + 2 * count_forward(network, size, compared) + count_forward(network, size, (content,))
    memory = partial(_memory, settings["width"], settings["blocks"], network, size, compared, batch)
    return Load(steps * batch * an_image, steps, memory, assumed, settings["precision"])


@cache
def _count_stylizer(width: float, blocks: int, size: int) -> int:
    config = StylizerConfig(width=width, blocks=blocks)
    return count_multiply_adds(lambda: Stylizer(config)(torch.rand(1, 3, size, size)))


@cache
def _memory(width: float, blocks: int, network: Network, size: int, layers: tuple[str, ...], batch: int) -> int:
    class Both(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stylizer = Stylizer(StylizerConfig(width=width, blocks=blocks))
            self.backbone = freeze(network.build())

    def loss(both: Any) -> torch.Tensor:
        taps = both.backbone(both.stylizer(torch.rand(batch, 3, size, size)), layers)
        return torch.stack([features.float().square().mean() for features in taps.values()]).sum()

    return peak_training_memory(Both, loss)


# Data ----------------------------------------------------------------------------------------------------------------


def check(plan: StylePlan) -> None:
    """See that there are tuned weights for every seed."""
    plan.check_generators()


def open_data(plan: StylePlan, say: Callable[[str], object]) -> None:
    """Open the photos and the pairs."""
    photos = open_photos(plan.content, plan.image_size)
    say_left_out(plan.content, photos.unreadable, photos.passed_over, say=say)
    for source in plan.sets:
        say_left_out(source, open_pairs(source).problems, say=say)
    check_file(plan, "inception")


# Report --------------------------------------------------------------------------------------------------------------


def sections(plan: StylePlan, store: CellStore) -> Iterator[Section]:
    """Yield the table of each set and of their average, with Figure 2 below the last."""
    found = [result for source in plan.sets for _, result in done(store, "style", source=source)]
    if not found:
        return
    *others, last = table.sections(found)
    yield from others
    if _drawn_by(plan, store):
        caption = "Photos, true sketches, and what the networks of each arm draw (Figure 2)"
        last = last.with_figures({"figure-2.png": Figure(caption, partial(_draw, plan, store))})
    yield last


def _drawn_by(plan: StylePlan, store: CellStore) -> dict[str, list[Cell]]:
    """Return the cells of the first seed for each set; sets for which the same arms are done."""
    found: dict[str, list[Cell]] = {}
    names: list[str] = []
    for source in plan.sets:
        cells = [cell for cell, _ in done(store, "style", source=source) if cell.seed == plan.seed]
        if cells and (not names or names == [cell.arm for cell in cells]):
            names = [cell.arm for cell in cells]
            found[source] = cells
    return found


@torch.inference_mode()
def _draw(plan: StylePlan, store: CellStore, path: Path) -> None:
    """Draw Figure 2: photos, true sketches, and what the first seed's networks of each arm make of the photos."""
    rows = []
    names: list[str] = []
    for source, of_source in _drawn_by(plan, store).items():
        names = [cell.arm for cell in of_source]
        networks = [
            load_stylizer(trained_network(store.place(cell.name) / RUN, source, cell.arm)) for cell in of_source
        ]
        size = networks[0].config.image_size
        pairs = open_pairs(source, part="test")
        shown = np.linspace(0, len(pairs) - 1, min(PAIRS_OF_A_SET, len(pairs))).round().astype(int).tolist()
        pairs = pairs.select(shown)
        photos, sketches = pairs.photos(size), pairs.sketches(size)
        for place in range(len(shown)):
            photo = photos[place]["image"]
            drawn = [to_picture(network(photo[None] / 255)[0].float()) for network in networks]
            rows.append([to_picture(photo / 255), to_picture(sketches[place]["image"] / 255), *drawn])
    save_picture(draw_grid(rows, side=SIDE, column_names=("photo", "true sketch", *names)), path)


def differences(plan: StylePlan) -> Iterator[str]:
    """Yield what is smaller than in the paper, or otherwise."""
    yield f"Photo to sketch: {plan.generators_in_words()}"
    if plan.inception is None:
        yield "No FID: its network's weights were not given (`--inception`). FD names the network that judges."


EXPERIMENT = Experiment(
    name="style",
    title="Photo to sketch (Table 1, Figure 2)",
    cells=cells,
    sections=sections,
    load=load,
    claim=Claim("ssim", "photo to sketch, SSIM"),
    check=check,
    open=open_data,
    differences=differences,
)
