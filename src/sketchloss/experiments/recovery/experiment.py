"""Recovery in a study: each loss leads drawings back from each start."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from sketchloss.data.names import short_name
from sketchloss.experiments.cells import RUN, Cell, CellStore, done
from sketchloss.experiments.experiment import Experiment, Load
from sketchloss.experiments.guiding_losses import BESIDE
from sketchloss.experiments.keys import decisive, weights_fingerprint
from sketchloss.experiments.recovery import table
from sketchloss.experiments.recovery.figures import draw_curves, draw_ways
from sketchloss.experiments.recovery.plan import PIXELS, RecoveryPlan, read_start
from sketchloss.experiments.recovery.recovering import WAYS, Recover, compute, open_some
from sketchloss.experiments.section import Figure, Section
from sketchloss.experiments.tuning.counted import Network, count_forward
from sketchloss.loss.tap_distance import VERSIONS
from sketchloss.strokes.named_losses import network_of

#: Forward and backward pass, as multiples of the forward pass: no gradient of weights is computed.
PASSES = 2


def cells(plan: RecoveryPlan) -> Iterator[Cell]:
    """Yield a cell for each start and loss; losses alone come before those beside the pixels."""
    for start in plan.recovery_starts:
        for place, loss in enumerate(plan.recovery_losses):
            settings: dict[str, Any] = {
                "loss": loss,
                "start": start,
                "data": plan.recovered,
                "drawings": plan.recovery_drawings,
                "steps": plan.recovery_steps,
                "classes": plan.recovery_classes,
                "seed": plan.seed,
            }

            def computing(run: Path, _: object, settings: Mapping[str, Any] = settings) -> dict[str, Any]:
                return compute(Recover(**settings, out=run))

            known = {**decisive(Recover, settings), "network": _network(loss), "metrics": VERSIONS, "version": 1}
            yield Cell(
                f"recovery/{start}/{loss}",
                "recovery",
                computing,
                known,
                headline=_headline,
                arm=loss,
                place=place,
                seed=plan.seed,
                source=start,
            )


def _headline(result: Mapping[str, Any]) -> str:
    return f"{sum(result['recovered'])} of {len(result['recovered'])} led back"


def _network(loss: str) -> str:
    """Return the digest of a loss's weights; empty if it has none."""
    network = network_of(loss.removeprefix(BESIDE))
    return weights_fingerprint(network.weights) if network else ""


def load(plan: RecoveryPlan, cell: Cell) -> Load:
    """Return what a recovery takes; that of the renderer is small beside a network's."""
    network, size = network_of(cell.arm.removeprefix(BESIDE)), read_start(cell.source).size
    forward = 100 * size**2  # of pixels
    if network:
        counted = Network(network.weights, None, "max")
        forward = count_forward(counted, size, network.layers or tuple(counted.like.default_layers))
    return Load(PASSES * forward * plan.recovery_drawings * plan.recovery_steps, steps=plan.recovery_steps)


def open_data(plan: RecoveryPlan, _: Callable[[str], object]) -> None:
    """Open the drawings and the losses."""
    plan.check_losses()
    open_some(plan.recovered, plan.recovery_drawings, plan.seed, plan.recovery_classes)


def sections(plan: RecoveryPlan, store: CellStore) -> Iterator[Section]:
    """Yield a table for each size of pictures, with curves and ways."""
    found: dict[str, dict[str, Mapping[str, Any]]] = {}
    for cell, result in done(store, "recovery"):
        found.setdefault(cell.arm, {})[cell.source] = result
    for size, starts in table.by_size(plan.recovery_starts).items():
        here = {loss: {start: of[start] for start in starts if start in of} for loss, of in found.items()}
        here = {loss: of for loss, of in here.items() if of}
        if not here:
            continue
        known = [start for start in starts if any(start in of for of in here.values())]
        certain = table.comparison_table(here, known)
        yield Section(
            table.table(here, known, plan.seed),
            source=f"{size} px",
            caption=(
                f"{plan.recovery_drawings} drawings of {short_name(plan.recovered)} at {size} pixels are displaced, "
                f"deformed or disturbed, and {plan.recovery_steps} steps of gradient descent lead them back, by a loss "
                "alone or beside the difference of pixels at equal pull (norm of the gradient at the start). "
                f"Share led back: mean chamfer distance below {size / 64:g} px at the end, with its 95 % interval; "
                f"{_IN_PIXELS}."
            ),
            after="\n\n".join(
                part
                for part in (
                    "Mean chamfer distance at the end in pixels / median of the steps after which a drawing that was "
                    f"led back stayed so:\n\n{table.steps_table(here, known)}",
                    certain,
                )
                if part
            ),
            figures=_figures(store, here, known, size),
        )


_IN_PIXELS = "distances of the starts are in pixels of 64, and blurred, noisy and displaced pixels are free pixels"


def _figures(store: CellStore, found: table.Found, starts: list[str], size: int) -> dict[str, Figure]:
    figures = {f"recovery-{size}.png": Figure("Share led back over the steps", partial(draw_curves, found, starts))}
    for start in starts:
        ways = {
            loss: file
            for loss, of in found.items()
            if start in of and (file := store.place(f"recovery/{start}/{loss}") / RUN / WAYS).is_file()
        }
        if ways and (PIXELS in ways or len(ways) > 1):
            name = f"ways-{start.replace(':', '-').replace('@', '-')}.png"
            figures[name] = Figure(f"Ways of one drawing: {read_start(start).title}", partial(draw_ways, ways))
    return figures


EXPERIMENT = Experiment(
    name="recovery",
    title="Which loss leads drawings back (recovery)",
    cells=cells,
    sections=sections,
    needs=(),
    load=load,
    open=open_data,
)
