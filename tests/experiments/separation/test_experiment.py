"""What a study says of its class separation. Oracle: arms that were written here."""

from sketchloss.experiments.separation.experiment import _what_varies
from sketchloss.experiments.tuning.plan import Plan


def test_what_varies_from_seed_to_seed_is_said_of_each_arm(tmp_path):
    plan = Plan(out=tmp_path, seeds=2, arm=("two=some/first,some/second", "one=some/first", "soft=finetune:lr=1e-4"))
    said = {name: _what_varies(arm).partition(",")[0] for name, arm in plan.entries().items()}
    always = "the sketches"
    assert said == {
        "attention+tuning": "the tuned weights",
        "tuning": "the tuned weights",
        "attention": "the untrained gates",
        "original": always,
        "two": "the weights",
        "one": always,
        "soft": "the tuned weights",
    }
