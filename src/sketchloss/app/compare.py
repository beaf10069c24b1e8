"""The first tab: how different two drawings look, and where."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import gradio as gr
import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from PIL import Image

from sketchloss.app.canvas import canvas_input
from sketchloss.app.cores import share_cores
from sketchloss.app.messages import settle
from sketchloss.app.services import COMPARED_AT, Services
from sketchloss.app.uploads import mistake, picture_input
from sketchloss.data.doodles.kinds import doodle
from sketchloss.figures.difference import lay_heat_under
from sketchloss.loss.calibration import KINDS, Calibration
from sketchloss.metrics.ink_amount import ink_amount, nearly_blank
from sketchloss.metrics.stroke_width import stroke_width
from sketchloss.system.images import fit_square, to_tensor
from sketchloss.system.templates import render
from sketchloss.system.visible_ink import hides_ink, open_page

#: Where the heat is strongest the map has its strongest colour, but not below this distance: equal drawings stay white.
LEAST_HEAT = 0.3
#: Lines count as of different width from this ratio on.
OTHER_PEN = 1.5
INVERT = "Light lines on dark paper"
EXAMPLES = {
    "one cat, drawn twice": (("cat", 3, 0), ("cat", 3, 5)),
    "two cats": (("cat", 3, 0), ("cat", 8, 0)),
    "a cat and a house": (("cat", 3, 0), ("house", 4, 0)),
}
HINT = "Give two drawings, or choose an example: their distance, and where they differ, will be shown here."


@dataclass(frozen=True)
class Comparison:
    """Result of the comparison of two drawings."""

    distance: float
    per_tap: dict[str, float]
    heat: Float[np.ndarray, "h w"]
    """Heat map of where the two drawings differ, of the square that both are fitted into."""
    second: Image.Image
    """The second drawing, dark on light."""
    words: str
    """Words for how different the drawings look; empty without a calibration."""
    shares: dict[str, float]
    """Kind of known pairs -> the share of them that are closer than these two; empty without a calibration."""
    notes: tuple[str, ...]
    """Notes for the visitor about these two drawings."""


@share_cores()
def compare(
    services: Services,
    first: Image.Image,
    second: Image.Image,
    *,
    invert_first: bool = False,
    invert_second: bool = False,
) -> Comparison:
    """Compare two drawings as `sketchloss compare` does.

    Args:
        services: with the loss.
        first: a picture of any size, of what `open_picture` takes.
        second: the second drawing, in the same form.
        invert_first: the first is light on dark.
        invert_second: the same for the second drawing.
    """
    notes = [*_lost("first", first, invert_first), *_lost("second", second, invert_second)]
    first, second = open_page(first, invert=invert_first), open_page(second, invert=invert_second)
    a, b = (fit_square(picture, COMPARED_AT) for picture in (first, second))
    with torch.inference_mode():
        images = (to_tensor(picture)[None].to(services.loss.backbone.mean.device) for picture in (a, b))
        terms, heat = services.loss.per_tap_and_map(*images)
    per_tap = {name: float(value) for name, value in terms.items()}
    weights = services.loss.layers
    distance = sum(weights[name] * value for name, value in per_tap.items()) / sum(weights.values())
    if not np.isfinite(distance):
        raise mistake(f"the distance is {distance}: are the weights {services.weights} from a diverged run?")
    calibration = services.calibration
    return Comparison(
        distance,
        per_tap,
        heat[0, 0].cpu().numpy(),
        second,
        nearly_blank(ink_amount(first), ink_amount(second)) or (calibration.words(distance) if calibration else ""),
        calibration.shares(distance) if calibration else {},
        (*notes, *_notes(first, second, calibration)),
    )


def _lost(which: str, picture: Image.Image, invert: bool) -> Iterator[str]:
    if hides_ink(picture, invert=invert):
        ink, paper, mend = ("dark", "black", "untick") if invert else ("light", "white", "try")
        yield f"The {which} has {ink} ink on a transparent ground, which is lost on {paper} paper: {mend} “{INVERT}”."


def _notes(first: Image.Image, second: Image.Image, calibration: Calibration | None) -> Iterator[str]:
    for which, picture in (("first", first), ("second", second)):
        if np.median(np.asarray(picture.convert("L"))) < 100:
            yield f"The {which} looks light on dark, and the loss knows dark ink on light paper: try “{INVERT}”."
    fitted = [fit_square(picture, COMPARED_AT) for picture in (first, second)]
    if any(np.ptp(np.asarray(picture.convert("L")).astype(int)) < 20 for picture in fitted):
        yield "One of them looks empty."
        return
    thin, thick = sorted(map(stroke_width, fitted))
    if thin and thick / thin >= OTHER_PEN:
        usual = ""
        if calibration:
            usual = f", about {calibration.quantiles['pen'][50]:.2f} for a pen 1.5 times as wide, or as thin"
        yield (
            f"Their lines differ in width (about {thin:.1f} and {thick:.1f} pixels of {COMPARED_AT}): "
            f"a part of the distance is that{usual}."
        )


# The tab -------------------------------------------------------------------------------------------------------------


def compare_tab(services: Services) -> None:
    """Put the tab together; its endpoint for programs is `/compare`."""
    pictures, inverts, drawn = [], [], []
    # note: a number that grows when the page itself changes both pictures, so that they are compared once and not
    # once for each. What the visitor changes is an `input`. Gradio tells of such a change only through its queue.
    changed = gr.State(0)
    with gr.Row():
        for number, label in enumerate(("First drawing", "Second drawing")):
            with gr.Column(min_width=280):
                picture = picture_input(
                    transparent=True,
                    label=label,
                    sources=["upload", "clipboard"],
                    height=300,
                    buttons=["fullscreen"],
                    elem_id=f"compare-{number + 1}",
                )
                with gr.Accordion(f"Draw the {label.split()[0].lower()}", open=False):
                    canvas = canvas_input(label=label, elem_id=f"compare-canvas-{number + 1}")
                drawn.append(
                    canvas.input(
                        lambda drawing, count: (drawing, count + 1), [canvas, changed], [picture, changed],
                        show_progress="hidden", trigger_mode="always_last", api_visibility="private",
                    )
                )  # fmt: skip
                pictures.append(picture)
                inverts.append(gr.Checkbox(label=INVERT, container=False, elem_id=f"compare-invert-{number + 1}"))
    both = [*pictures, *inverts]
    with gr.Row(elem_id="compare-acts"):
        swapped = gr.Button("Swap", size="sm", elem_id="compare-swap").click(
            lambda a, b, c, d, count: (b, a, d, c, count + 1), [*both, changed], [*both, changed],
            show_progress="hidden", api_visibility="private",
        )  # fmt: skip
        for name, drawings in EXAMPLES.items():
            gr.Button(f"Try: {name}", size="sm").click(
                _example(*drawings), changed, [*pictures, changed], show_progress="hidden", api_visibility="private",
            )  # fmt: skip
    with gr.Row():
        with gr.Column(min_width=280):
            said = gr.Markdown(HINT, elem_id="compare-said")
            place = gr.HTML(elem_id="compare-place")
            bars = gr.BarPlot(
                x="layer", y="distance", label="Distance at each layer", height=290, x_title=" ",
                y_title=" ", visible=False, elem_id="compare-bars", tooltip="all", sort=list(services.loss.layers),
            )  # fmt: skip
        heat = gr.ImageSlider(
            label="Where the second differs",
            type="pil",
            interactive=False,
            visible=False,
            max_height=480,
            elem_id="compare-heat",
            buttons=["fullscreen"],
        )

    def nothing() -> list[Any]:
        return [HINT, "", gr.BarPlot(visible=False), gr.ImageSlider(visible=False)]

    def show(first: Image.Image | None, second: Image.Image | None, *invert: bool) -> list[Any]:
        if first is None or second is None:
            return nothing()
        found = compare(services, first, second, invert_first=invert[0], invert_second=invert[1])
        table = pd.DataFrame({"layer": list(found.per_tap), "distance": list(found.per_tap.values())})
        plain = fit_square(found.second, COMPARED_AT)
        hot = lay_heat_under(plain, found.heat, greatest=max(LEAST_HEAT, float(found.heat.max())))
        return [
            _in_words(found, services),
            draw_place(found.distance, services.calibration),
            gr.BarPlot(table, visible=True, y_lim=[0, 1.1 * max(found.per_tap.values(), default=1) or 1]),
            gr.ImageSlider((plain.resize(hot.size, Image.Resampling.BICUBIC), hot), visible=True),
        ]

    shown = [said, place, bars, heat]
    done = gr.on(
        [*(one.input for one in both), changed.change],
        show,
        both,
        shown,
        trigger_mode="always_last",
        show_progress_on=heat,
        show_progress="minimal",
        concurrency_id="model",
        api_visibility="private",
    )
    settle(done, nothing, shown)
    for one in (*drawn, swapped):  # what stands there belongs to other pictures
        one.failure(nothing, None, shown, show_progress="hidden", api_visibility="private", queue=False)
    _compare_endpoint(services)


def _compare_endpoint(services: Services) -> None:
    def endpoint(
        first: Image.Image | None, second: Image.Image | None, invert_first: bool, invert_second: bool
    ) -> tuple[dict, Image.Image]:
        if first is None or second is None:
            raise mistake("two drawings are needed: give first and second")
        found = compare(services, first, second, invert_first=invert_first, invert_second=invert_second)
        report = {
            **{"distance": found.distance, "words": found.words, "per_tap": found.per_tap},
            **{"closer_pairs": found.shares, "notes": list(found.notes)},
            **{"weights": services.weights, "metric": services.loss.metric, "size": COMPARED_AT},
        }
        greatest = max(LEAST_HEAT, float(found.heat.max()))
        return report, lay_heat_under(found.second, found.heat, greatest=greatest)

    # note: parts that nobody sees, so that the endpoint has types of its own.
    with gr.Group(visible=False):
        inputs = [
            picture_input(transparent=True, label="first"),
            picture_input(transparent=True, label="second"),
            gr.Checkbox(False, label="invert_first"),
            gr.Checkbox(False, label="invert_second"),
        ]
        outputs = [gr.JSON(label="comparison"), gr.Image(label="difference", format="png")]
        gr.Button().click(
            endpoint,
            inputs,
            outputs,
            api_name="compare",
            api_description="Distance of two drawings in words, numbers and by layer; a picture of where they differ.",
            concurrency_id="model",
        )


def _example(first: tuple[str, int, int], second: tuple[str, int, int]):
    def give(count: int) -> list[Image.Image | int]:
        pictures = [
            doodle(kind, seed, style="ink").redrawn(hand).sketch(384).convert("RGB")
            for kind, seed, hand in (first, second)
        ]
        return [*pictures, count + 1]

    return give


def _in_words(found: Comparison, services: Services) -> str:
    title = f"{found.words}: " if found.words else ""
    lines = [f"## {title}distance {found.distance:.3f}"]
    if services.calibration is None:
        lines.append(f"There are no known pairs to place it among for the weights {services.weights}.")
    lines += [f"*{note}*" for note in found.notes]
    return "\n\n".join(lines)


# Where a distance lies among known pairs, drawn ----------------------------------------------------------------------


def draw_place(distance: float, calibration: Calibration | None) -> str:
    """Draw where a distance lies: for each kind of known pairs its middle half and nine tenths, and a line at it.

    Returns:
        HTML that takes its colours from the page, with a text for those who cannot see it; empty without a calibration.
    """
    if calibration is None:
        return ""
    greatest = 1.05 * max(distance, *(values[95] for values in calibration.quantiles.values()))

    def at(value: float) -> str:
        return f"{100 * min(1.0, value / greatest):.2f}%"

    kinds = [
        (words, [calibration.quantiles[kind][place] for place in (5, 25, 50, 75, 95)]) for kind, words in KINDS.items()
    ]
    shares = calibration.shares(distance)
    closer = "; ".join(f"{words}: {shares[kind]:.0%} are closer" for kind, words in KINDS.items())
    return render("app/place.html.jinja", at=at, distance=distance, kinds=kinds, closer=closer, calibration=calibration)
