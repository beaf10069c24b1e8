"""Settings of the pairs in a study. Oracle: what each error must name."""

import pytest

from sketchloss.experiments.guiding_losses import PERCEPTUAL, TERMS
from sketchloss.experiments.pairs.plan import PRESETS, PairsPlan
from sketchloss.experiments.pairs.settings import MULTIPLE, TASKS
from sketchloss.experiments.unseen_classes import UNSEEN
from sketchloss.metrics.comparison import FEWEST_SEEDS
from sketchloss.networks.unet import LEVELS


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"pairs_size": 60}, "pairs_size is 60: it must be a multiple of 8, 16 to 512"),
        ({"pairs_size": 8}, "pairs_size is 8: it must be a multiple of 8, 16 to 512"),
        ({"pairs_size": 1024}, "pairs_size is 1024: it must be"),
        ({"pairs_steps": 0}, "pairs_steps is 0: it must be positive"),
        ({"pairs_batch": -1}, "pairs_batch is -1: it must be positive"),
        ({"pairs_seeds": 0}, "pairs_seeds is 0: it must be positive"),
        ({"pairs_tasks": ()}, "pairs_tasks is empty"),
        ({"pairs_tasks": ("rough", "rough")}, "pairs_tasks names rough twice"),
        ({"pairs_pulls": ()}, "pairs_pulls is empty"),
        ({"pairs_pulls": (1.0, 0.0)}, "pairs_pulls has 0.0: each must be above 0 and finite"),
        ({"pairs_pulls": (float("nan"),)}, "pairs_pulls has nan: each must be above 0 and finite"),
        ({"pairs_pulls": (float("inf"),)}, "pairs_pulls has inf: each must be above 0 and finite"),
        ({"pairs_losses": ("ssim",)}, "pairs_losses has no 'none'"),
        ({"pairs_losses": ("none", "pixels")}, "pairs_losses names 'pixels', which is in every row already"),
        ({"pairs_distances": ("none",)}, "pairs_distances names 'none', which is no distance: name networks, or leave"),
        (
            {"pairs_losses": ("none", "runs/a/x:ink", "runs/b/x:ink")},
            "pairs_losses has two losses called pixels \\+ x, ink",
        ),
        ({"pairs_classes": ("cat",)}, "pairs_classes is cat alone: a classifier needs two or more"),
        ({"pairs_per_class": 2}, "pairs_per_class is 2: .* give 3 or more"),
    ],
)
def test_a_wrong_setting_is_named(changes, said, tmp_path):
    with pytest.raises(ValueError, match=said):
        PairsPlan(out=tmp_path, **changes)


def test_a_table_with_verdicts_has_every_task_loss_and_enough_seeds(tmp_path):
    for name in ("real", "weekend", "paper"):
        plan = PairsPlan(out=tmp_path, **PRESETS[name])
        assert set(plan.pairs_tasks) == set(TASKS)
        assert (plan.pairs_losses, plan.pairs_distances) == (TERMS, PERCEPTUAL)
        assert plan.pairs_seeds >= FEWEST_SEEDS
        assert plan.pairs_pulls == (0.3, 1.0, 3.0)
        assert 64 <= plan.pairs_size <= 128
    assert len(set(UNSEEN)) == 46


def test_sizes_are_those_that_the_network_can_halve():
    assert MULTIPLE == 2 ** (LEVELS - 1)
