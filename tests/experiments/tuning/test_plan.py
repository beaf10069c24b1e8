"""What a plan says of its arms. Oracle: arms that were written here."""

from sketchloss.experiments.tuning.plan import Plan, start_of, tuning_cell, weights_needed


def test_an_arm_s_weights_are_the_first_unless_a_seed_is_asked_for(tmp_path):
    plan = Plan(out=tmp_path, seed=5, seeds=2, arm=("two=some/first,some/second", "soft=finetune:weights=other/start"))
    arms = plan.entries()
    assert start_of(plan, arms["two"]) == "some/first"
    assert [start_of(plan, arms["two"], seed) for seed in plan.all_seeds()] == ["some/first", "some/second"]
    assert start_of(plan, arms["tuning"], 5) == "imagenet"
    assert start_of(plan, arms["soft"], 6) == "other/start"


def test_tuned_arms_need_the_cell_of_their_seed(tmp_path):
    arms = Plan(out=tmp_path).entries()
    assert weights_needed(arms["tuning"], 2) == (tuning_cell("tuning", 2),)
    assert weights_needed(arms["original"], 2) == ()
