"""The model card of a loss, the `README.md` of its repo: what it is, what its weights are, how they were tuned."""

import json
import re
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sketchloss.data.names import short_name
from sketchloss.networks.weights import NAMES, weights_digest
from sketchloss.system.files import parse_json, read_json

if TYPE_CHECKING:
    from sketchloss.loss.loss import SketchLoss

#: Licences of weights that the hub knows by these names.
LICENCES = frozenset(
    "apache-2.0 bsd-2-clause bsd-3-clause cc-by-4.0 cc-by-nc-4.0 cc-by-sa-4.0 cc0-1.0 gpl-3.0 mit unknown".split()  # noqa: SIM905
)
#: Settings of a run that say how it was tuned; paths of the machine that it ran on are no part of a card.
TOLD = (
    "arm",
    "weights",
    "epochs",
    "batch_size",
    "image_size",
    "image_sizes",
    "lr",
    "optimizer",
    "schedule",
    "head",
    "gate_init",
    "held_out",
    "leave_out",
    "seed",
)


def model_card(title: str, source: str, loss: "SketchLoss", weights: str) -> str:
    """Return the card as Markdown, with the metadata that the hub reads at its head.

    Args:
        title: heading of the card.
        source: folder or repo that the loss is read from, for the example.
        loss: the loss.
        weights: name or path that its weights were loaded by; empty if it is not known. If it is a run folder of
            `sketchloss finetune`, or its folder `best`, the card says how the run went.

    Raises:
        ValueError: if the settings of the run are no JSON.
    """
    origin = loss.backbone.origin
    licence = (origin.licence or "unknown").lower()
    # The hub refuses a licence that is not on its list.
    named_licence = [] if licence in LICENCES else [f"license_name: {re.sub('[^a-z0-9.]+', '-', licence).strip('-')}"]
    gates = ", with attention" if loss.backbone.gates else ""
    weighted = ", ".join(f"{name} ({weight:g})" for name, weight in loss.layers.items())
    what = [f"- Network: {loss.backbone.label}{gates}."]
    if weights in NAMES:
        what.append(f"- Weights: `{weights}` of sketchloss, {NAMES[weights]}.")
    elif weights:
        what.append(f"- Weights: `{short_name(weights)}`.")
    if origin.started_from:
        what.append(f"- Made from: {origin.started_from}.")
    named = "; name where the weights come from wherever you pass them on" if licence.startswith("cc-by") else ""
    what.append(f"- Licence: {origin.licence or 'unknown'}{named}.")
    what.append(f"- SHA-256 of what decides the features: `{weights_digest(loss.backbone)}`.")
    return "\n".join(
        [
            "---",
            "library_name: sketchloss",
            f"license: {licence if licence in LICENCES else 'other'}",
            *named_licence,
            "tags: [perceptual-loss, sketch, drawing]",
            "---",
            "",
            f"# {title}",
            "",
            f"A perceptual loss for drawings, made with sketchloss {version('sketchloss')}: how different two drawings",
            "look, by the features of a frozen network.",
            "",
            "```python",
            "from sketchloss import SketchLoss",
            "",
            f"loss = SketchLoss.from_pretrained({json.dumps(source)})",
            "loss(pred, target).backward()  # float images n x 3 x h x w, dark ink on light paper",
            "```",
            "",
            f"Commands take the weights, too: `sketchloss compare a.png b.png --weights {source}`.",
            "",
            "## The loss",
            "",
            "| setting | value |",
            "| --- | --- |",
            f"| layers (weight) | {weighted} |",
            f"| metric | {loss.metric} |",
            f"| content weight, style weight | {loss.content_weight:g}, {loss.style_weight:g} |",
            f"| values of black and white | {loss.value_range[0]:g}, {loss.value_range[1]:g} |",
            f"| inverted | {'yes' if loss.invert else 'no'} |",
            "",
            "## The weights",
            "",
            *what,
            *_run_lines(weights),
            "",
        ]
    )


def _run_lines(weights: str) -> list[str]:
    """Return the section on the run that made the weights; nothing if there is no such run here."""
    places = [Path(weights), Path(weights).parent] if weights and weights not in NAMES else []
    run = next((place for place in places if (place / "metrics.jsonl").is_file()), None)
    if run is None:
        return []
    config = read_json(run / "config.json") if (run / "config.json").is_file() else {}
    lines = ["", "## The training", ""]
    scores = _best(run / "metrics.jsonl")
    if scores:
        lines += [
            f"Best epoch, {scores['epoch']}: {_percent(scores['validation_accuracy'])} of the held-out drawings are "
            f"classified rightly (top-5: {_percent(scores.get('validation_top5'))}), after {scores['step']:,} steps.",
            "",
        ]
    if "data" in config:
        lines += [f"Drawings: {short_name(str(config['data']))}.", ""]
    told = {name: config[name] for name in TOLD if name in config}
    if told:
        lines += ["| setting | value |", "| --- | --- |"]
        lines += [f"| {name} | {_cell(name, value)} |" for name, value in told.items()]
    return lines


def _best(file: Path) -> dict[str, Any] | None:
    """Return the numbers of the first epoch with the best validation, as a run keeps it; None if there are none."""
    found: list[dict[str, Any]] = []
    for line in file.read_text(encoding="utf-8").splitlines():
        try:
            values = parse_json(line)
        except ValueError:  # cut short by a crash
            break
        if isinstance(values, dict) and {"step", "epoch", "validation_accuracy"} <= values.keys():
            found.append(values)
    return max(found, key=lambda values: values["validation_accuracy"], default=None)


def _percent(share: float | None) -> str:
    return "not known" if share is None else f"{share:.1%}"


def _cell(name: str, value: Any) -> str:
    if name == "weights":
        return short_name(str(value))
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return " ".join(text.replace("|", "\\|").split())
