"""Golden numbers, as they were when the weights were made: what users wrote down must come out again."""

import pytest
import torch
from torch import Tensor

from sketchloss import SketchLoss, load_backbone, to_tensor
from sketchloss.data.doodles.kinds import doodle
from sketchloss.loss.loss import PAPER_LAYERS

#: Weights -> distance of two cats by the default and by the paper's loss, of a cat and an empty page by the default,
#: and the similarity of the two cats' embeddings.
GOLDEN = {
    "sketch": (0.31341, 0.43995, 0.97813, 0.95319),
    "sketch-small": (0.31627, 0.61589, 0.98365, 0.95853),
    "sketch-plain": (0.32940, 0.50059, 0.97957, 0.93965),
    "imagenet": (0.29258, 0.59744, 0.97961, 0.93376),
}


def _cat(seed: int) -> Tensor:
    return to_tensor(doodle("cat", seed, style="ink").sketch(128))[None]


@pytest.mark.parametrize("weights", GOLDEN)
@torch.no_grad()
def test_distances_are_those_of_the_day_when_the_weights_were_made(weights):
    one, other = _cat(1), _cat(2)
    backbone = load_backbone(weights, classes=())
    default, papers = SketchLoss(backbone), SketchLoss(backbone, metric="l1", layers=PAPER_LAYERS)
    similarity = (backbone.embed(one.expand(-1, 3, -1, -1)) @ backbone.embed(other.expand(-1, 3, -1, -1)).T).item()
    blank = torch.ones_like(one)
    found = (default(one, other).item(), papers(one, other).item(), default(one, blank).item(), similarity)
    assert found == pytest.approx(GOLDEN[weights], rel=1e-3)
