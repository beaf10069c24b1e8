"""Arms that a study tunes itself, besides the paper's: their settings of `sketchloss finetune`, from one text."""

from dataclasses import fields
from functools import cache
from typing import Any

from sketchloss.data.names import short_name
from sketchloss.experiments.tuning.settings import Finetune
from sketchloss.networks.arms import PROPOSED, REFERENCE, Arm
from sketchloss.system.command_line import parse, suggest

#: Settings that are one for all arms: another sample or split, and their numbers would not compare; or they decide no
#: result.
SHARED = frozenset(
    {"data", "per_class", "leave_out", "held_out", "duplicates", "strict", "seed", "out", "resume"}
    | {"dry_run", "workers", "checkpoint_every", "checkpoint_activations", "log_every"}
)
#: Contents of the first two pool slots, without gates -> settings that say nothing there.
IDLE = {
    "pools": frozenset({"downsample", "gate_init", "gate_lr_factor", "gate_weight_decay"}),
    "convolutions": frozenset({"gate_init"}),
    "nothing": frozenset({"gate_init", "gate_lr_factor", "gate_weight_decay"}),
}


@cache
def read_tuning(name: str, text: str) -> Arm:
    """Return an arm that is tuned as the arm `tuning` is, with some settings changed.

    Args:
        name: name of the arm.
        text: `SETTING=VALUE,SETTING=VALUE,...`, where several values of one setting have spaces between them.

    Raises:
        ValueError: for a setting that `sketchloss finetune` does not know, or that all arms of a study share, and for a
            value out of its range.
    """
    given: dict[str, list[str]] = {}
    known = {item.name for item in fields(Finetune)}
    for part in text.split(","):
        setting, _, value = (piece.strip() for piece in part.partition("="))
        setting = setting.replace("-", "_")
        if given and setting and not value and setting not in known:
            raise ValueError(
                f"arm {name} says {part!r}, which is no setting with a value: give several values of {[*given][-1]} "
                "with spaces between them, and the whole in quotes"
            )
        if not setting or not value or value.startswith("-h") or "--" in value:
            raise ValueError(f"arm {name} says {part!r}: give settings and values, as in finetune:contrast=0.1,lr=1e-4")
        if setting not in known:
            near = suggest(setting, sorted(known - SHARED)) or "sketchloss finetune --help lists them"
            raise ValueError(f"arm {name} sets {setting}, which sketchloss finetune does not know: {near}".strip())
        if setting in SHARED:
            raise ValueError(f"arm {name} sets {setting}, which is the same for all arms of a study: leave it out")
        if setting in given:
            raise ValueError(f"arm {name} sets {setting} twice: leave one out")
        given[setting] = value.split()
    arm = [] if "arm" in given else ["--arm", REFERENCE]
    line = [word for setting, values in given.items() for word in (f"--{setting.replace('_', '-')}", *values)]
    try:
        read = parse(Finetune, ["--data", "", "--out", "", *arm, *line], program="sketchloss finetune")
    except ValueError as error:
        raise ValueError(f"arm {name}: {error}") from None
    tuning: dict[str, Any] = {"arm": REFERENCE} | {setting: getattr(read, setting) for setting in given}
    has_gates = tuning["arm"] == PROPOSED
    if not has_gates and (idle := sorted(IDLE[read.slots] & set(given))):
        raise ValueError(f"arm {name} sets {idle[0]} and has no gates: add arm={PROPOSED}")
    return Arm(name=name, tuning=tuning, gates="trained" if has_gates else "none")


def describe(arm: Arm) -> str:
    """Return what an arm is: its weights, or in which settings its tuning differs from that of the paper's arms."""
    if arm.tuning is None:
        return f"the weights {', '.join(map(short_name, arm.weights))}"
    said = [f"{name} {_in_words(value)}" for name, value in arm.tuning.items() if name != "arm"]
    if said and arm.gates == "trained":
        said.insert(0, "gates")
    return f"tuned with {', '.join(said)}" if said else "tuned"


def _in_words(value: object) -> str:
    if isinstance(value, tuple):
        return " ".join(map(str, value))
    return short_name(value) if isinstance(value, str) and "/" in value else str(value)
