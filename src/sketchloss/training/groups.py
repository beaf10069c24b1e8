"""Parameter groups: the learning rate and weight decay of each part of a backbone."""

from typing import Any

from sketchloss.networks.backbone import Backbone


def parameter_groups(
    backbone: Backbone,
    *,
    lr: float,
    new_lr_factor: float,
    gate_lr_factor: float,
    weight_decay: float,
    gate_weight_decay: float,
) -> list[dict[str, Any]]:
    """Return groups for an optimiser of PyTorch: the trained part, the new part, the gates. Empty ones are left out.

    Args:
        backbone: as `load_backbone` returns it; its `load_report` tells what is new. One that was not loaded is new.
        lr: learning rate of what came from the file: the convolutions, and a classifier of the same classes.
        new_lr_factor: learning rate of what was not, except gates, as a multiple of `lr`.
        gate_lr_factor: learning rate of the gates, as a multiple of `lr`, whether they came from the file or not. What
            stands in the place of gates counts as gates.
        weight_decay: weight decay of all but the gates.
        gate_weight_decay: weight decay of the gates, which it pulls towards 1/2.

    Returns:
        Dictionaries with `name` (`trained`, `new`, `gates`), `params`, `lr` and `weight_decay`.
    """
    gates = backbone.added
    new = None if backbone.load_report is None else backbone.load_report.new
    parts: dict[str, list[Any]] = {"trained": [], "new": [], "gates": []}
    for name, weight in backbone.named_parameters():
        part = "gates" if name.startswith(gates) else "new" if new is None or name in new else "trained"
        parts[part].append(weight)
    rates = {"trained": lr, "new": lr * new_lr_factor, "gates": lr * gate_lr_factor}
    return [
        {
            "name": part,
            "params": weights,
            "lr": rates[part],
            "weight_decay": gate_weight_decay if part == "gates" else weight_decay,
        }
        for part, weights in parts.items()
        if weights
    ]
