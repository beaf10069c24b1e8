"""What the gates of a tuned backbone do: how far training moved them, what they weigh by, and a picture of it.

A gate whose weights are the same everywhere and for every drawing does nothing that the next convolution could not do.
So what counts is how much they differ over the channels or places of a drawing, and from drawing to drawing.
"""

import copy
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from sketchloss.data.loading import to_unit_range
from sketchloss.data.sources import Sketches
from sketchloss.experiments.table import Measure
from sketchloss.figures.contact_sheet import Tile, draw_contact_sheet
from sketchloss.figures.difference import lay_heat_under
from sketchloss.networks.attention import AttentionGate
from sketchloss.networks.backbone import Backbone
from sketchloss.system.files import write_json
from sketchloss.system.images import save_picture

NUMBERS, PICTURE = "gates.json", "gates.png"
#: Drawings that are measured, that are shown, and that are looked at at once.
MEASURED, SHOWN, AT_ONCE = 64, 10, 8
SIDE = 144

Part = Literal["channel", "spatial"]


class GateWeights(NamedTuple):
    """Weights that a gate multiplies the features of some drawings by."""

    channel: Float[Tensor, "n c"]
    spatial: Float[Tensor, "n h w"]


def as_on_disk(backbone: Backbone) -> Backbone:
    """Return a copy of a backbone with its weights rounded to float16, as those of a finished run are."""
    kept = copy.deepcopy(backbone)
    for weight in kept.parameters():
        weight.data = weight.data.half().float()
    return kept.eval()


def report_gates(start: Backbone, end: Backbone, sketches: Sketches, folder: Path) -> str:
    """Measure what gates do on some sketches, write `gates.json` and `gates.png`, and return it in one line.

    Args:
        start: the backbone as its training started, as `as_on_disk` returns it.
        end: the tuned one, with the same gates.
        sketches: none of which it was trained on; at most 64 of them, evenly spread, are looked at.
        folder: the folder to write to.
    """
    chosen = np.unique(np.linspace(0, len(sketches) - 1, min(MEASURED, len(sketches))).round().astype(int))
    images = to_unit_range(torch.stack([sketches[index]["image"] for index in chosen.tolist()]))
    after = weigh(end, images)
    found = measure_gates(start, end, weigh(start, images), after)
    write_json(folder / NUMBERS, {"drawings": len(images), "image_size": sketches.image_size, "gates": found})
    shown = np.unique(np.linspace(0, len(chosen) - 1, min(SHOWN, len(chosen))).round().astype(int)).tolist()
    rows = [sketches.picture(int(chosen[place])) for place in shown]
    names = [sketches.classes[sketches.labels[chosen[place]]] for place in shown]
    maps = [weights.spatial[shown].numpy() for weights in after.values()]
    save_picture(draw_gates(rows, names, maps), folder / PICTURE)
    return f"{_in_words(found)}; maps in {folder / PICTURE}"


@torch.no_grad()
def weigh(backbone: Backbone, images: Float[Tensor, "n 3 h w"]) -> dict[str, GateWeights]:
    """Return what each gate of a backbone multiplies the features of images by, by the gate's name.

    Args:
        backbone: a network with gates, on the CPU.
        images: RGB in [0, 1].
    """
    seen: dict[str, list[tuple[Tensor, Tensor]]] = {name: [] for name in backbone.gates}

    def noting(name: str, gate: AttentionGate) -> Callable[[Any, tuple[Tensor, ...]], None]:
        return lambda _, inputs: seen[name].append(gate.weights(inputs[0].float()))

    hooks = [gate.register_forward_pre_hook(noting(name, gate)) for name, gate in backbone.gates.items()]
    try:
        for some in images.split(AT_ONCE):
            backbone(some, (backbone.embedding_layer,))
    finally:
        for hook in hooks:
            hook.remove()
    return {
        name: GateWeights(
            torch.cat([channel.flatten(1) for channel, _ in parts]), torch.cat([spatial[:, 0] for _, spatial in parts])
        )
        for name, parts in seen.items()
    }


def measure_gates(
    start: Backbone, end: Backbone, before: Mapping[str, GateWeights], after: Mapping[str, GateWeights]
) -> dict[str, Any]:
    """Return for each gate, channel and spatial, its weights at the start and at the end, and how far it moved.

    Args:
        start: the backbone as its training started.
        end: the tuned one.
        before: what `weigh` returned for `start`.
        after: what it returned for `end`, of the same images.

    Returns:
        "gate 1, channel" and so on -> `module`, its name in the network; `start` and `end`, each with `mean`, `within`,
        the deviation over the channels or places of a drawing, and `between`, that over drawings, both averaged;
        `distance`, how far the parameters moved, and `norm`, their norm at the start.
    """
    found = {}
    for number, name in enumerate(end.gates, 1):
        for part in get_args(Part):
            old, new = (_parameters(backbone, f"{name}.{part}") for backbone in (start, end))
            found[f"gate {number}, {part}"] = {
                "module": f"{name}.{part}",
                "start": _spread(getattr(before[name], part)),
                "end": _spread(getattr(after[name], part)),
                "distance": (new - old).norm().item(),
                "norm": old.norm().item(),
            }
    return found


def draw_gates(
    drawings: list[Image.Image], names: list[str], maps: Iterable[Float[np.ndarray, "n _ _"]]
) -> Image.Image:
    """Draw a row for each drawing: it, and under its ink the weight that each spatial gate gives to each place.

    Args:
        drawings: square pictures.
        names: a line below each.
        maps: weights in (0, 1) of each gate.
    """
    of_gate = [(map_, float(map_.min()), float(map_.max())) for map_ in maps]
    rows = []
    for index, (drawing, name) in enumerate(zip(drawings, names, strict=True)):
        tiles = [
            Tile(lay_heat_under(drawing, map_[index] - low, greatest=high - low), _range(map_[index]))
            for map_, low, high in of_gate
        ]
        rows.append((Tile(drawing, name), tiles))
    scales = "; ".join(_range(map_) for map_, _, _ in of_gate)
    return draw_contact_sheet(rows, title=f"Let through, white to orange: {scales}", side=SIDE)


#: The columns of a table of gates.
MEASURES = (
    Measure("start", "mean at the start", ranked=False, digits=3),
    Measure("end", "mean at the end", ranked=False, digits=3),
    Measure("within", "deviation over channels or places", ranked=False, digits=3),
    Measure("between", "deviation over drawings", ranked=False, digits=3),
    Measure("distance", "distance moved", ranked=False),
    Measure("norm", "norm at the start", ranked=False),
)


def row_of(gate: Mapping[str, Any]) -> dict[str, float]:
    """Return the values of `MEASURES` for one gate of `gates.json`."""
    end = gate["end"]
    row = {"start": gate["start"]["mean"], "end": end["mean"], "within": end["within"], "between": end["between"]}
    return {**row, "distance": gate["distance"], "norm": gate["norm"]}


# ---------------------------------------------------------------------------------------------------------------------


def _parameters(backbone: Backbone, module: str) -> Tensor:
    return torch.cat([weight.detach().flatten() for weight in backbone.get_submodule(module).parameters()])


def _spread(weights: Tensor) -> dict[str, float]:
    rows = weights.flatten(1).double()
    within, between = (rows.std(dim, correction=0).mean().item() for dim in (1, 0))
    return {"mean": rows.mean().item(), "within": within, "between": between}


def _range(weights: Float[np.ndarray, "..."]) -> str:
    return f"{weights.min():.3f} to {weights.max():.3f}"


def _in_words(found: Mapping[str, Any]) -> str:
    said = [
        f"{name} {gate['start']['mean']:.3f} to {gate['end']['mean']:.3f}, deviation {gate['end']['within']:.3f}"
        for name, gate in found.items()
    ]
    return f"weights of gates, start to end: {'; '.join(said)}"
